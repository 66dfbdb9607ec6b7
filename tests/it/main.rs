//! Tests that need the outside world: one binary, so that it links once.

mod config;
mod nodeset_oracle;
