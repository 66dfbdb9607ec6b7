//! What becomes of old sweeps, of a disk that fills up, and of copies: with real kills and real disks.

mod backup;
pub mod build;
mod daemon;
mod grafana;
mod health;
mod owner;
mod prune;
mod room;
mod stopped;
mod verb;
