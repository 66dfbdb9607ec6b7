//! What the index answers with.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Cause, CollectorTime, Histogram, HostName, Judging, Kept, Kind, Labels, Outcome, ProbeName, Sample, Span,
    SweepId, Trigger, Worse,
};

/// One sweep's line in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRow {
    pub sweep: SweepId,
    pub trigger: Trigger,
    pub schedule: Option<String>,
    /// Of an escalation.
    pub cause: Option<Cause>,
    pub started: CollectorTime,
    /// `None` while it runs.
    pub ended: Option<CollectorTime>,
    pub elapsed: Option<Duration>,
    pub interrupted: bool,
    pub planned: u64,
    pub readings: u64,
    pub ok: u64,
    /// Bytes of its tar that the index holds.
    pub archived: u64,
    pub kept: Kept,
}

/// One reading's line in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingRow {
    pub sweep: SweepId,
    pub host: HostName,
    pub probe: ProbeName,
    pub outcome: Outcome,
    pub detail: Option<String>,
    pub exit: Option<i32>,
    pub started: CollectorTime,
    pub elapsed: Duration,
    pub bytes_wire: u64,
    pub bytes_raw: u64,
    pub cpu: Option<Duration>,
    pub samples: u64,
    pub faults: u64,
    pub truncated: bool,
    /// Where its member begins in the sweep's tar.
    pub offset: u64,
}

/// What one reading gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadingNumbers {
    /// `between` samples too.
    pub samples: Vec<Sample>,
    pub histograms: Vec<Histogram>,
    pub faults: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricRow {
    pub name: String,
    pub unit: String,
    pub kind: Kind,
    pub help: String,
    pub worse: Worse,
    pub warn: Option<f64>,
    pub resolution: Option<f64>,
    pub judged: Judging,
}

/// What a value is a value of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub metric: String,
    pub labels: Labels,
    pub kind: Kind,
    pub span: Span,
    pub probe: ProbeName,
}

/// One value of one host in one sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSample {
    pub host: HostName,
    pub series: Arc<Series>,
    pub value: f64,
}

/// One distribution of one host in one sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct HostHistogram {
    pub host: HostName,
    pub series: Arc<Series>,
    pub histogram: Histogram,
}

/// One value of one host over time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPoint {
    pub sweep: SweepId,
    /// When the sweep started.
    pub started: CollectorTime,
    pub series: Arc<Series>,
    pub value: f64,
}
