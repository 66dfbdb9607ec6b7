//! Which hosts there are: blocks of node sets and named groups become one checked [`Fleet`].
//!
//! It reads no file and knows no place in one: a [`Problem`] names the block or group that it is
//! about by its number, and whoever read them knows where they stood.

mod fleet;
mod groups;
mod problem;

pub use fleet::{Fleet, HostBlock, Unsaid};
pub use groups::GroupRule;
pub use problem::Problem;
