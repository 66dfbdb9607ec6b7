//! Configuration as a user meets it: files in, settings or faults with their places out.

mod access;
mod faults;
mod layers;
pub mod machine;
mod probes;
