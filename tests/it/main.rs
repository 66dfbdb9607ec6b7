//! One test crate: what needs processes, sockets or the built binary.

mod contract;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod known_hosts;
#[cfg(test)]
mod ssh;
mod support;
