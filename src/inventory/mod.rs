//! Which hosts there are: blocks of node sets and named groups, and the lists that other programs keep, become
//! one checked [`Fleet`].
//!
//! What our own configuration says is handed in: a [`Problem`] names the block or group that it is about by
//! its number, and whoever read them knows where they stood. Other programs' lists are read here, and their
//! [`Fault`]s have places of their own.

pub mod ansible;
mod ask;
mod fault;
mod fleet;
mod found;
mod gather;
mod groups;
mod keep;
mod merge;
mod problem;
mod process;
mod prometheus;
mod source;
mod text;
mod yaml;

pub use fault::{Fault, Faults, Place};
pub(crate) use fault::{closest, suggestion};
use fleet::is_address;
pub use fleet::{Fleet, HostBlock, Unsaid};
pub use found::{Field, Found, FoundHost};
pub use gather::{Answer, Around, gather};
pub use groups::{GroupRule, is_group_name};
pub use keep::keep;
pub use merge::{Merged, Outright, Provenance, Whence, groups, merge};
pub use problem::Problem;
pub use prometheus::Mapping;
pub use source::{HttpSd, Kind, Source};
pub(crate) use text::{Cap, Text};
