//! One probe on one host at one moment.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{CollectorTime, HostName, HostTime, Outcome, ProbeHash, ProbeName};

/// What a host's own clocks said, from the trailer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostClock {
    pub boot_id: String,
    /// Wall clock at the start and the end of the script.
    pub start: HostTime,
    pub end: HostTime,
    /// /proc/uptime in seconds at the same two moments: what deltas are made from.
    pub uptime_start_s: f64,
    pub uptime_end_s: f64,
}

/// One probe on one host at one moment: the raw bytes, how it ended, both clocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub host: HostName,
    pub probe: ProbeName,
    pub probe_hash: ProbeHash,
    pub outcome: Outcome,
    /// The reason in words when the outcome is not `ok`; already limited in length, not yet escaped.
    pub detail: Option<String>,
    pub exit: Option<i32>,
    /// When the collector asked for it.
    pub started: CollectorTime,
    pub elapsed: Duration,
    pub clock: Option<HostClock>,
    /// CPU time the probe used on the host, from the trailer.
    pub cpu: Option<Duration>,
    /// What the script wrote to stderr, limited on both ends.
    pub stderr: String,
    /// What the probe was told about its last reading on this host (kernel_log: where to go on).
    pub cursor: Option<String>,
    /// One gzip stream as it came off the wire; empty when nothing came.
    pub wire: Bytes,
    /// Length of the output without the trailer, decompressed.
    pub bytes_raw: u64,
}
