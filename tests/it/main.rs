//! One test crate: what needs processes, sockets or the built binary.

mod contract;
mod demo_fleet;
mod demo_parse;
mod nodeset_oracle;
mod served;
mod support;
