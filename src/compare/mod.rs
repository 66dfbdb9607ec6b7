//! Hosts against each other: who is worst, who changed, how two sides differ. All of it works on plain
//! numbers that others looked up; what a number is of, it does not know. docs/comparison.md says how the
//! rules work and how often they are wrong.

mod changed;
mod counts;
mod course;
mod difference;
mod distribution;
mod explanation;
mod finding;
mod grid;
mod median;
mod multiple;
mod odd;
mod onset;
mod outliers;
mod paired;
mod ranking;
mod rarity;
mod shape;
mod sides;
mod spread;
mod step;
mod wildness;

pub use counts::{fisher_exact, quantile_interval};
pub use course::{Band, Course};
pub use difference::{RankSum, Shift, rank_sum, shift};
pub use distribution::{Distribution, Interval, Mismatch, Statistic, least_distance};
pub use explanation::{Companion, Explanation, KernelLine, Shared, SharedLabel, Standing, UNLIKELY, shared};
pub use finding::{Finding, Found, LEAST_PEERS, LEAST_SWEEPS, Lacking, Lens, find};
pub use grid::Grid;
pub use median::Sorted;
pub use multiple::{benjamini_hochberg, holm};
pub use outliers::{
    About, Moment, Outlier, OutlierHost, Outliers, Shortage, Single, Subject, Tally, gather,
    most_important_first, since, warns,
};
pub use paired::{SignedRank, paired_shift, signed_rank};
pub use ranking::{Ranked, rank, ratio, worst, worst_first};
pub use shape::{Measure, Shape};
pub use sides::{Contrast, contrast, resolution};
pub use spread::Spread;
pub use step::step;
