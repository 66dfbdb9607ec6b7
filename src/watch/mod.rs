//! What follows a sweep: probes that look closer where it hurts. The scheduler and a sweep that somebody
//! else schedules ask the same question here, [`after_sweep`]. It runs no probe itself.

mod after;
mod error;
mod escalation;
mod sight;
mod spent;

pub use after::{Followed, after_sweep};
pub use error::WatchError;
