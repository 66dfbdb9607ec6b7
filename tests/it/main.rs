//! Tests that need the outside world: one binary, so that it links once.

mod corpus;
mod nodeset_oracle;
mod parse_garbage;
mod probes;
mod writing_probes;
