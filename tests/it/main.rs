//! Tests that need the outside world: one binary, so that it links once.

mod nodeset_oracle;
