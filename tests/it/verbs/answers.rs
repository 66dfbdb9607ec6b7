//! Exact answers.
