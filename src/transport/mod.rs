//! How bytes reach a host and come back: one trait, two real implementations. What the bytes mean is
//! [`crate::wire`]'s business; nothing here looks into them.

pub mod known_hosts;
pub mod local;
pub mod served;
pub mod ssh;
pub mod sshfp;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{Decoder, ExecEnd};

/// One command on one host, and how long each part of it may take.
#[derive(Debug)]
pub struct Exec<'a> {
    /// What the host's login shell is asked to run.
    pub command: &'a str,
    /// Whether whoever refuses it is asked to say so in English (`LC_ALL=C`), because the words are looked at.
    pub in_english: bool,
    /// Written whole, then kept open: closing it is how the host learns that we are gone.
    pub stdin: Vec<u8>,
    /// A byte goes out this often for as long as stdin is open.
    pub heartbeat: Duration,
    /// From the request to the first byte of output.
    pub first_byte: Duration,
    /// Between two arrivals after that.
    pub idle: Duration,
    /// The end of it, whatever happens.
    pub deadline: Instant,
}

/// A way to run commands on one host.
pub trait Transport: Send + Sync {
    /// Runs `exec`, feeding stdout and stderr to `decoder` as they arrive. A failure is an
    /// [`ExecEnd`], never an error: what arrived before it still counts.
    fn exec(&self, exec: Exec<'_>, decoder: &mut Decoder) -> impl Future<Output = ExecEnd> + Send;

    /// Says goodbye within a bounded time.
    fn close(self) -> impl Future<Output = ()> + Send;
}
