//! From a reading's raw bytes to numbers: one file per format, the `proc` families in a folder of
//! their own.
//!
//! A parser takes bytes and returns what it could read beside the faults that say what it could
//! not; it refuses to fail, to guess and to turn an absent field into 0.

mod bpf;
mod csv;
mod dispatch;
mod ftrace;
mod host_context;
mod json;
mod kernel_log;
mod kernel_messages;
mod keyvalue;
mod log2;
mod openmetrics;
mod perf;
mod proc;
mod sink;
mod specs;
mod storage_health;
mod sysdig;
#[cfg(test)]
mod testing;
mod text;
mod timer_latency;

pub use dispatch::{Context, parse};
pub use kernel_messages::{KernelMessage, kernel_messages};
pub use perf::{Stacks, stacks};
