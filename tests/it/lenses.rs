//! The verbs that say who differs, as their users run them: the real binary on a fleet's history that a
//! recorder has written.

mod baselines;
mod explain;
pub mod fleet;
mod outliers;
mod views;
