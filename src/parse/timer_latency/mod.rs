//! How late timers are: cyclictest's histogram or its summary lines, and rtla timerlat's histogram.
//!
//! Each CPU is a series of its own: one late CPU is lost in a mean. What lies beyond the last row has
//! no upper bound here; the largest value stands apart.

mod columns;
mod read;

pub(in crate::parse) use read::parse;
