//! One test crate: what needs processes, sockets or the built binary.

mod answers;
mod contract;
mod local;
mod support;
