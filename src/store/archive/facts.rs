//! What a member's pax header says about it, as one JSON object in the standard `comment` record:
//! GNU tar warns about every keyword it does not know, and a listing must be quiet.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{CollectorTime, HostClock, HostName, HostTime, Outcome, ProbeHash, ProbeName, Reading};

/// The facts of one member. Unknown fields are passed over: a later version may add some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Position in the one order of everything recorded in this state directory.
    pub seq: u64,
    /// BLAKE3 of the member's bytes, hex.
    pub blake3: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingFacts>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ReadingFacts {
    outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    started_ns: i64,
    elapsed_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<ClockFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    stderr: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    probe_hash: String,
    bytes_wire: u64,
    bytes_raw: u64,
}

/// The uptimes are decimal text: a JSON reader may be off by one unit in the last place, and a rate
/// computed again from the archive must be the same to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ClockFacts {
    boot_id: String,
    start_ns: i64,
    end_ns: i64,
    uptime_start_s: String,
    uptime_end_s: String,
}

impl Facts {
    /// The facts of a member that is not a reading.
    pub fn plain(seq: u64, data: &[u8]) -> Self {
        Self { seq, blake3: hash_of(data), reading: None }
    }

    pub fn of(reading: &Reading, seq: u64, data: &[u8]) -> Self {
        let facts = ReadingFacts {
            outcome: reading.outcome,
            detail: reading.detail.clone(),
            exit: reading.exit,
            started_ns: reading.started.unix_ns(),
            elapsed_ns: nanos(reading.elapsed),
            clock: reading.clock.as_ref().map(ClockFacts::of),
            cpu_ns: reading.cpu.map(nanos),
            stderr: reading.stderr.clone(),
            cursor: reading.cursor.clone(),
            probe_hash: reading.probe_hash.to_string(),
            bytes_wire: reading.wire.len() as u64,
            bytes_raw: reading.bytes_raw,
        };
        Self { seq, blake3: hash_of(data), reading: Some(facts) }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.reading.as_ref().map(|facts| facts.outcome)
    }

    /// Bytes that came off the wire, whether or not they are still there.
    pub fn bytes_wire(&self) -> u64 {
        self.reading.as_ref().map_or(0, |facts| facts.bytes_wire)
    }

    pub fn matches(&self, data: &[u8]) -> bool {
        hash_of(data) == self.blake3
    }

    /// The reading again, exactly as it was recorded; `None` when a fact cannot be one of ours.
    pub fn reading(&self, host: &HostName, probe: &ProbeName, data: Bytes) -> Option<Reading> {
        let facts = self.reading.as_ref()?;
        Some(Reading {
            host: host.clone(),
            probe: probe.clone(),
            probe_hash: hash_from_hex(&facts.probe_hash)?,
            outcome: facts.outcome,
            detail: facts.detail.clone(),
            exit: facts.exit,
            started: CollectorTime::from_unix_ns(facts.started_ns),
            elapsed: Duration::from_nanos(facts.elapsed_ns),
            clock: match &facts.clock {
                Some(clock) => Some(clock.clock()?),
                None => None,
            },
            cpu: facts.cpu_ns.map(Duration::from_nanos),
            stderr: facts.stderr.clone(),
            cursor: facts.cursor.clone(),
            wire: if facts.bytes_wire == 0 { Bytes::new() } else { data },
            bytes_raw: facts.bytes_raw,
        })
    }
}

impl ClockFacts {
    fn of(clock: &HostClock) -> Self {
        Self {
            boot_id: clock.boot_id.clone(),
            start_ns: clock.start.unix_ns(),
            end_ns: clock.end.unix_ns(),
            uptime_start_s: clock.uptime_start_s.to_string(),
            uptime_end_s: clock.uptime_end_s.to_string(),
        }
    }

    fn clock(&self) -> Option<HostClock> {
        Some(HostClock {
            boot_id: self.boot_id.clone(),
            start: HostTime::from_unix_ns(self.start_ns),
            end: HostTime::from_unix_ns(self.end_ns),
            uptime_start_s: self.uptime_start_s.parse().ok()?,
            uptime_end_s: self.uptime_end_s.parse().ok()?,
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn hash_of(data: &[u8]) -> String {
    blake3::hash(data).to_hex().to_string()
}

fn hash_from_hex(text: &str) -> Option<ProbeHash> {
    blake3::Hash::from_hex(text).ok().map(|hash| ProbeHash(*hash.as_bytes()))
}
