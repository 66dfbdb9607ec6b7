//! The far end of SSH, inside this process: what `demo` sweeps, and what tests connect to. It listens
//! on a socket its caller bound, knows one user key, and refuses everything a probe does not need:
//! shells, other commands, terminals, variables, subsystems, forwarding of any kind.

mod child;
mod connection;
mod key;
mod server;

pub use key::{KeyError, KeyPair, PublicKey};
pub use server::{Admission, Around, Gate, ServedHost, ServerSpec, serve};
