//! The `proc` probe: two snapshots of /proc a window apart, and every blocked task in between.
//!
//! Families are one file each. None of them invents a number: a file or a field that a kernel does
//! not have gives no sample, and a counter that went backwards gives no rate.

mod blocked;
mod cgroup;
mod cpu;
mod disk;
mod headed;
mod interrupts;
mod kernel;
mod memory;
mod netdev;
mod netstat;
mod pressure;
mod sched;
mod snapshot;
mod softnet;
mod table;
mod take;
mod window;

pub(super) use take::parse;
