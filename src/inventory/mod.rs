//! Which hosts there are: blocks of node sets and named groups become one checked [`Fleet`].
//!
//! It reads no file and knows no place in one: a [`Problem`] names the block or group that it is
//! about by its number, and whoever read them knows where they stood.

pub mod ansible;
mod fault;
mod fleet;
mod found;
mod groups;
mod problem;
mod process;
mod text;
mod yaml;

pub use fault::{Fault, Faults, Place};
pub(crate) use fault::{closest, suggestion};
pub use fleet::{Fleet, HostBlock, Unsaid};
pub use groups::GroupRule;
use fleet::is_address;
pub use problem::Problem;
pub(crate) use text::{Cap, Text};
