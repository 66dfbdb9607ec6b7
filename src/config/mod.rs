//! Configuration: TOML files, environment and flags become checked [`Settings`], or every fault in
//! them at once, each with its place.
//!
//! It never guesses and never falls back: an unknown key, a probe that is not there or a deadline
//! that makes no sense is a fault, not a default. It reads no global state: environment, flags and
//! machine-wide folders are handed in as [`Sources`].

mod access;
mod alert;
mod become_root;
mod built_in;
mod condition;
mod cron;
mod defaults;
#[cfg(test)]
mod documented;
mod escalate;
mod fault;
mod file;
mod hosts;
mod inventory;
mod jump;
mod knob;
mod layers;
mod library;
mod limits;
mod load;
mod metric;
mod metrics;
mod need;
mod probe_file;
mod reader;
mod receiver;
mod retention;
mod schedule;
mod settings;
mod state;
mod value;

pub use crate::inventory::{Fault, Faults, Place};
pub use alert::{Alert, Alerts};
pub use become_root::Become;
pub use built_in::BUILT_IN;
pub use defaults::Defaults;
pub use escalate::Escalate;
pub use file::MAX_FILE;
pub use inventory::Inventory;
pub use layers::{Flag, Origin, Sources, System};
pub use library::{Library, ProbeSource, Shelved};
pub use limits::Limits;
pub use load::{load, refresh};
pub use metrics::{Listen, Metrics, Textfile};
pub use probe_file::{MAX_SCRIPT, parse_probe, read_probe};
pub use receiver::{Address, PLACES, Receiver, ReceiverKind, check_url, is_open};
pub use retention::Retention;
pub use schedule::Schedule;
pub use settings::{Entry, Origins, Settings};
pub use state::state_dir;
