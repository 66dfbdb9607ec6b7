//! Hosts against each other: who is worst, and how two sides differ. It names differences and their
//! size, and never says that one is significant: that takes a test, and a test takes a history.

mod distribution;
mod median;
mod ranking;
mod sides;

pub use distribution::{Distribution, Interval, Mismatch, Statistic, least_distance};
pub use median::Sorted;
pub use ranking::{Ranked, rank, ratio, worst, worst_first};
pub use sides::{Contrast, contrast, resolution};
