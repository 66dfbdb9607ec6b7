//! What stands in the way of a sweep, here and on each host, and the command that mends it. It runs none of
//! those commands, and no probe.

mod commands;
mod finding;
mod here;
mod host;
mod keys;
mod needs;
mod packages;
mod way_in;

pub use finding::{Check, Finding, Kind, Place, Remedy, Severity};
pub use here::{Good, Here, look};
pub use host::{Wanted, of_all, of_host};
pub use keys::Keys;
