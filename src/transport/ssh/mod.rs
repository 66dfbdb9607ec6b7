//! Hosts over SSH: one connection per visit, one channel per command, every phase with a deadline of
//! its own. It never asks a person anything: no password, no "are you sure".

mod algorithms;
mod auth;
mod client;
mod connect;
mod exec;
mod failure;
mod key;
mod line;
mod scan;
mod session;
mod settings;
mod slots;
mod tcp;

pub use connect::connect;
pub use exec::Output;
pub use failure::ConnectError;
pub use key::KeyFault;
pub use scan::{HostKey, Introduction, introduce, scan_host_key};
pub use session::Session;
pub use settings::{Settings, Timeouts};
