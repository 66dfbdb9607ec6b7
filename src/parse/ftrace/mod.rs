//! The text of a tracefs instance: begins and ends put together to durations, by what was begun.
//!
//! `irq` pairs on a CPU, reclaim and compaction on a task, block requests on a device and sector. It
//! refuses to make up for what the trace lacks: nothing is paired across lost events, and what had no
//! partner is counted. The kernel prints microseconds, so a duration may be off by one of them.

mod block;
mod line;
mod losses;
mod pairs;
mod read;
mod report;

pub(in crate::parse) use report::parse;
