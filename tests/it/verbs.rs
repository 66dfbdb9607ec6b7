//! The verbs that read, as their users run them: the real binary on a state directory that a recorder
//! has written.

mod answers;
pub mod build;
mod distributions;
mod exposition;
mod faults;
mod hostile;
