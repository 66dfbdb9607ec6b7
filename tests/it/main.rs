//! Tests that need the outside world: one binary, so that it links once.

mod config;
mod contract;
mod demo_fleet;
mod known_hosts;
mod nodeset_oracle;
mod served;
mod ssh;
mod support;
