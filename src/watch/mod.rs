//! What follows a sweep: probes that look closer where it hurts, and alerts. The scheduler and a sweep that
//! somebody else schedules ask the same question here, [`after_sweep`]. It runs no probe itself.

mod after;
pub mod alerts;
mod collector;
mod error;
mod escalation;
mod listener;
mod sight;
mod spent;
mod textfile;

pub use after::{Followed, after_sweep, raise};
pub use alerts::{Courier, Trouble, Unkept};
pub use collector::collector_metrics;
pub use error::WatchError;
pub use listener::{Answer, ListenError, Listener};
pub use textfile::TextfileError;
