//! What perf prints, one file per subcommand. It refuses perf.data: that needs the host's own symbols.

pub(in crate::parse) mod kwork;
pub(in crate::parse) mod sched;
pub(in crate::parse) mod script;
pub(in crate::parse) mod stat;
pub(in crate::parse) mod trace;
