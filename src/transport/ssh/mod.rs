//! Hosts over SSH: one connection per visit, one channel per command, every phase with a deadline of
//! its own. It never asks a person anything: no password, no "are you sure".

mod agent;
mod algorithms;
mod auth;
mod carrier;
mod certificate;
mod client;
mod connect;
mod exec;
mod failure;
mod identity;
mod inspect;
mod jump;
mod key;
mod line;
mod lists;
mod offer;
mod proxy;
mod scan;
mod session;
mod settings;
mod slots;
mod tcp;

pub use connect::{approach, connect};
pub use exec::Output;
pub use failure::{ConnectError, LoginEnd, Phase, StaleKey, barred};
pub use inspect::{AgentSeen, KeySeen, inspect_agent, inspect_key};
pub use key::KeyFault;
pub use scan::{HostKey, Introduction, introduce, scan_host_key};
pub use session::Session;
pub use settings::{Settings, Timeouts};
