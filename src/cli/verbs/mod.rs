//! One file per verb: its arguments, and what it does.

pub mod config;
mod dry_run;
pub mod hosts;
pub mod probes;
pub mod run;
pub mod shell;
pub mod sweep;
