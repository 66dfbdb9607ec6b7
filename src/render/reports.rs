//! More shapes of `--json`, of the verbs that read what was recorded. The rules are those of
//! [`json`](super::json): nothing is left out, what is absent is `null`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::Schema;
use crate::model::{Cause, HostName, Kept, Kind, Labels, Outcome, ProbeName, Span, SweepId, Trigger, Worse};

/// `sweeps`, the newest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SweepsReport<'a> {
    pub schema: Schema,
    pub sweeps: Vec<SweepLine>,
    /// What was due since the oldest of them and not run, the newest first.
    pub not_run: Vec<NotRun<'a>>,
}

/// Ticks of a schedule that were not run.
#[derive(Debug, Clone, Serialize)]
pub struct NotRun<'a> {
    pub schedule: &'a str,
    /// RFC 3339: the first and the last of them.
    pub due: String,
    pub until: String,
    pub count: u64,
    /// `skipped` (its last sweep still ran), `missed` (nobody was there to run it) or `failed` (it could not
    /// begin: a full disk).
    pub fate: &'static str,
    pub why: &'a str,
}

#[derive(Debug, Clone, Serialize)]
pub struct SweepLine {
    pub sweep: SweepId,
    pub trigger: Trigger,
    pub schedule: Option<String>,
    /// How long after it was due it began, where that was late.
    pub late_s: Option<f64>,
    /// What made an escalation run; null for all others.
    pub cause: Option<Cause>,
    /// RFC 3339.
    pub started: String,
    /// Null while it runs, as is `elapsed_s`.
    pub ended: Option<String>,
    pub elapsed_s: Option<f64>,
    pub interrupted: bool,
    pub planned: u64,
    pub readings: u64,
    pub ok: u64,
    /// Every outcome, those that did not occur with 0.
    pub outcomes: BTreeMap<Outcome, u64>,
}

/// `top` without a metric.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MetricsReport<'a> {
    pub schema: Schema,
    pub metrics: Vec<MetricLine<'a>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct MetricLine<'a> {
    pub metric: &'a str,
    pub kind: Kind,
    pub unit: &'a str,
    pub worse: Worse,
    pub warn: Option<f64>,
    pub help: &'a str,
}

/// `top METRIC`.
#[derive(Debug, Clone, Serialize)]
pub struct TopReport<'a> {
    pub schema: Schema,
    pub metric: &'a str,
    pub kind: Kind,
    pub unit: &'a str,
    pub worse: Worse,
    pub span: Span,
    pub sweep: &'a SweepId,
    /// Which number of a distribution is ranked (`p99`); null for other kinds.
    pub statistic: Option<&'a str>,
    /// Hosts that have the metric.
    pub hosts: u64,
    /// The worst first.
    pub rows: Vec<TopRow>,
}

/// One host's worst series, or its distribution.
#[derive(Debug, Clone, Serialize)]
pub struct TopRow {
    pub host: HostName,
    /// Whose series it is: two probes may measure the same thing.
    pub probe: ProbeName,
    pub labels: Labels,
    /// Of a quantile the upper end of `interval`, or the lower one where that is open.
    pub value: f64,
    /// Between which bounds a distribution's number lies; an open end is null.
    pub interval: Option<(f64, f64)>,
    /// Observations in the distribution.
    pub observations: Option<u64>,
    /// The median of the other hosts.
    pub peers: Option<f64>,
    pub ratio: Option<f64>,
    /// How many series the row stands for.
    pub series: u64,
    /// The row's series over the last sweeps, the oldest first; null where a sweep has no value.
    pub history: Vec<Option<f64>>,
}

/// `check`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckAnswer<'a> {
    pub schema: Schema,
    pub clean: bool,
    pub sweeps: u64,
    /// Sweeps that are being recorded now.
    pub running: u64,
    pub readings: u64,
    pub bytes: u64,
    /// What was mended before the look.
    pub recovered: Vec<String>,
    pub findings: Vec<FindingLine<'a>>,
    /// Null where the index cannot be asked.
    pub health: Option<HealthAnswer>,
}

#[derive(Debug, Clone, Serialize)]
pub struct HealthAnswer {
    pub warnings: Vec<String>,
    pub disk: DiskAnswer,
    /// By what is there of them: `raw`, `numbers`, `merged`.
    pub archive: BTreeMap<Kept, StockAnswer>,
    pub index: IndexAnswer,
    /// What `prune` would do; null where the configuration cannot be read.
    pub due: Option<DueAnswer>,
    /// Each schedule's last sweep.
    pub schedules: Vec<ScheduleAnswer>,
    /// Probes that are held off a host.
    pub quarantined: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct DiskAnswer {
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub low: bool,
    /// Whether the reserve is there; null where none is wanted.
    pub reserve: Option<bool>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StockAnswer {
    pub sweeps: u64,
    pub bytes: u64,
    /// RFC 3339.
    pub oldest: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct IndexAnswer {
    /// What holds something; the rest of the file is used again.
    pub used_bytes: u64,
    pub file_bytes: u64,
}

/// Sweeps.
#[derive(Debug, Clone, Serialize)]
pub struct DueAnswer {
    pub drop: u64,
    pub thin: u64,
    pub merge: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ScheduleAnswer {
    pub schedule: String,
    pub sweep: SweepId,
    pub started: String,
    pub ended: Option<String>,
    pub interrupted: bool,
    pub planned: u64,
    pub ok: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct FindingLine<'a> {
    /// `note`, `index` or `archive`.
    pub severity: &'static str,
    pub sweep: Option<&'a SweepId>,
    pub what: &'a str,
    pub remedy: &'static str,
}

/// `reindex`.
#[derive(Debug, Clone, Serialize)]
pub struct ReindexAnswer<'a> {
    pub schema: Schema,
    pub sweeps: u64,
    pub readings: u64,
    pub damage: Vec<DamageLine<'a>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct DamageLine<'a> {
    pub sweep: &'a SweepId,
    pub what: &'a str,
}

/// `prune`.
#[derive(Debug, Clone, Serialize)]
pub struct PruneAnswer<'a> {
    pub schema: Schema,
    pub dry_run: bool,
    pub drop: PruneStep<'a>,
    pub thin: PruneStep<'a>,
    /// Each of these shares its numbers.
    pub merge: &'a [Vec<SweepId>],
    /// What was done; null with `--dry-run`.
    pub done: Option<PruneDone<'a>>,
}

/// What is due, as it was found.
#[derive(Debug, Clone, Serialize)]
pub struct PruneStep<'a> {
    pub sweeps: &'a [SweepId],
    /// Of their tars.
    pub bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct PruneDone<'a> {
    pub dropped: u64,
    pub thinned: u64,
    pub merged: u64,
    pub freed_bytes: u64,
    /// Sweeps that are damaged and keep their bytes.
    pub kept_back: Vec<DamageLine<'a>>,
}

/// `backup`.
#[derive(Debug, Clone, Serialize)]
pub struct BackupAnswer<'a> {
    pub schema: Schema,
    pub folder: &'a str,
    /// RFC 3339.
    pub taken: &'a str,
    pub sweeps: u64,
    /// Of the archive.
    pub bytes: u64,
    /// Whether the index is in it.
    pub index: bool,
}

/// `snapshot`.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotAnswer<'a> {
    pub schema: Schema,
    pub file: &'a str,
    pub bytes: u64,
}
