//! Which hosts: node sets that expand and fold as ClusterShell's do, and selectors over an
//! inventory (`web[01-48],@edge!role=db`).
//!
//! It never guesses: a host, group or label that the inventory lacks is an error with the nearest
//! names, and an expression for more than [`MAX_NAMES`] names is refused before memory is spent.
//!
//! Two things that ClusterShell takes are refused. A range that grows a digit right behind a digit
//! (`web1[1-10]`) is a hundred names there and ten to a reader; negative numbers (`a[-5-3]`) make
//! names that no longer read back as the same numbers.

mod error;
mod expand;
mod fold;
mod fold_nd;
mod index;
mod nearest;
mod pattern;
mod scan;
mod selector;

pub use error::SelectError;
pub use expand::expand;
pub use fold::fold;
pub use nearest::nearest;
pub use pattern::{MAX_NAMES, matches_mask};
pub use selector::{Catalog, IdleTerm, Selector};
