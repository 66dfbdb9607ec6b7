//! Questions over everything that was recorded: which hosts differ, since when, and what they share. It
//! reads the index through connections of its own, a metric at a time, and writes nothing.

mod explain;
mod members;
mod outliers;
mod series;
mod sweeps;
mod texts;
mod windows;

pub use explain::{Output, explain, explain_found};
pub use outliers::{Question, outliers};
pub use series::{course, subjects_of, whole};
pub use sweeps::{WEEK, history, sweeps_in, usual_sweep};
pub use texts::{SameText, Texts, own_words, same_texts, without_words};
pub use windows::{Windows, aligned, around};
