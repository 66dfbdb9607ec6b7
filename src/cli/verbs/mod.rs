//! One file per verb: its arguments, and what it does.

pub mod backup;
pub mod check;
pub mod compare;
pub mod config;
pub mod demo;
pub mod doctor;
mod dry_run;
pub mod explain;
pub mod export;
pub mod flame;
pub mod fold;
pub mod history;
pub mod hosts;
pub mod outliers;
pub mod probes;
pub mod prune;
pub mod quarantine;
pub mod query;
pub mod reindex;
pub mod report;
pub mod run;
pub mod shell;
pub mod show;
pub mod snapshot;
pub mod sweep;
pub mod sweeps;
pub mod top;
