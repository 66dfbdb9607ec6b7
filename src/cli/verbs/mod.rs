//! One file per verb: its arguments, and what it does.

mod dry_run;
pub mod run;
pub mod shell;
pub mod sweep;
