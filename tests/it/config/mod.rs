//! Configuration as a user meets it: files in, settings or faults with their places out.

mod faults;
mod layers;
mod machine;
mod probes;
