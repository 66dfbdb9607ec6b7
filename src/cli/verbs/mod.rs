//! One file per verb: its arguments, and what it does.

pub mod config;
pub mod hosts;
pub mod probes;
pub mod shell;
