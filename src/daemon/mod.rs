//! The daemon: it looks at both clocks, starts the sweeps of the schedules that are due, writes down what
//! became of each tick, and keeps its service manager informed. It decides nothing that
//! [`schedule`](crate::schedule) can decide, runs no probe that [`collect`](crate::collect) does not run,
//! and reads no environment: addresses, orders and the way to load the configuration are handed in.

mod book;
mod error;
mod follow;
mod keeper;
mod lane;
mod notify;
mod opening;
mod outfit;
mod renewal;
mod round;
mod run;
mod scrape;

pub use error::DaemonError;
pub use notify::Notify;
pub use run::{Load, Order, Setup, run};
