//! One test crate: what needs processes, sockets or the built binary.

mod contract;
#[cfg(test)]
mod nodeset_oracle;
#[cfg(test)]
mod store;
mod support;
