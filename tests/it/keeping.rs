//! What becomes of old sweeps, of a disk that fills up, and of copies: with real kills and real disks.

mod build;
mod prune;
mod stopped;
mod verb;
