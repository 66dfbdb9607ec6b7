//! One test crate: what needs processes, sockets or the built binary.

mod contract;
mod served;
mod support;
