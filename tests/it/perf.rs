//! The probes that run perf: what is read out of its outputs, recomputed in the plainest way, and what
//! the shipped scripts bring home from this machine.

mod checks;
mod difference;
mod garbage;
mod live;
mod svg;
