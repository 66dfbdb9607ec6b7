//! What perf prints, one file per subcommand. It refuses perf.data: that needs the host's own symbols.

pub(in crate::parse) mod kwork;
mod lines;
pub(in crate::parse) mod sched;
pub(in crate::parse) mod script;
mod stacks;
pub(in crate::parse) mod stat;
mod stat_row;
mod tally;
mod timehist;
pub(in crate::parse) mod trace;

pub use stacks::{Stacks, stacks};
