//! What runs with nobody looking: schedules, the daemon, its locks and its units.

mod boot;
mod claims;
mod daemon;
mod follow;
mod operations;
mod pace;
pub mod process;
mod schedule;
mod told;
