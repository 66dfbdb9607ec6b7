//! ssh_config: text and one destination → what OpenSSH would use for it, and where each value stands.
//!
//! It is pure: the files, the commands of `Match exec` and this machine's facts come through [`World`]
//! and [`Here`]. It knows every directive of ssh, and what becomes of each ([`DIRECTIVES`]): one that
//! changes where we connect or whom we trust is obeyed or refused with its file and line.

mod algorithms;
mod criterion;
mod directives;
mod dump;
mod evaluate;
mod file;
mod jump;
mod lexer;
mod names;
mod offered;
mod options;
mod pattern;
mod settle;
mod time;
mod tokens;
mod world;

pub use algorithms::apply;
pub use directives::{DIRECTIVES, Directive, Standing, Takes, directive};
pub use dump::{COMPARED, Dump, dump};
pub use evaluate::{Answer, Setting, evaluate};
pub use file::{File, Set};
pub use jump::jump_fault;
pub use names::names;
pub use offered::OFFERED;
pub use settle::{Effective, Origin, Settled, settle};
pub use world::{Here, Query, Source, Trouble, World};
