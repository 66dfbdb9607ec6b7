//! What `--json` prints of the verbs that compare hosts over time. The rules are those of
//! [`json`](super::json): nothing is left out, what is absent is `null`.

use serde::Serialize;

use super::json::Schema;
use crate::model::{HostName, Kind, Labels, ProbeName, Span, SweepId, Worse};

/// `outliers`.
#[derive(Debug, Clone, Serialize)]
pub struct OutliersReport<'a> {
    pub schema: Schema,
    pub sweep: &'a SweepId,
    /// RFC 3339.
    pub started: String,
    /// Hosts that the sweep asked, and those that answered.
    pub planned: usize,
    pub answered: usize,
    pub metrics: usize,
    /// Of how many hosts and metrics no finding is good news.
    pub judged: JudgedReport,
    /// How many sweeps the history has, the judged one with it.
    pub sweeps: usize,
    /// The most important first.
    pub findings: Vec<FindingReport<'a>>,
    pub lacking: Vec<LackingReport<'a>>,
}

/// How much was judged, and how much was not and why.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct JudgedReport {
    pub hosts: JudgedHosts,
    pub metrics: JudgedMetrics,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct JudgedHosts {
    pub judged: usize,
    /// The sweep asked them and they did not answer.
    pub unanswered: usize,
    /// They answered, and have in no metric both a number and the peers that a lens needs.
    pub without_peers: usize,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct JudgedMetrics {
    pub judged: usize,
    /// There are too few sweeps to know a habit; those of which one direction is worse are judged by the
    /// peers alone.
    pub provisional: usize,
    /// No host has the peers that a lens needs: `changed` 3 and a past, `odd` 5.
    pub without_peers: usize,
    /// Nobody is named for them, as their probes say.
    pub unjudged: usize,
}

/// One metric in which some hosts differ. The numbers are those of the first host.
#[derive(Debug, Clone, Serialize)]
pub struct FindingReport<'a> {
    pub metric: &'a str,
    pub labels: &'a Labels,
    /// The strongest first.
    pub hosts: Vec<&'a HostName>,
    /// `changed` or `odd`.
    pub lens: &'static str,
    pub value: f64,
    /// The median of its peers.
    pub peers: f64,
    /// The value over the peers'; null where that says nothing.
    pub ratio: Option<f64>,
    /// RFC 3339; null when it began before the history.
    pub since: Option<String>,
    /// Too few sweeps to tell a change from a habit.
    pub provisional: bool,
    pub kind: Kind,
    pub unit: &'a str,
    pub span: Span,
    pub probe: &'a ProbeName,
    /// Which number of a distribution it is (`p99`).
    pub statistic: Option<&'static str>,
    /// Each host's worst series is meant.
    pub worst_of: bool,
    pub worse: Worse,
    /// A value is beyond what the metric warns at.
    pub warned: bool,
    pub score: f64,
    /// In the order of `hosts`.
    pub each: Vec<HostFinding<'a>>,
    /// The peers' median in each sweep, the oldest first.
    pub usual: &'a [Option<f64>],
}

#[derive(Debug, Clone, Serialize)]
pub struct HostFinding<'a> {
    pub host: &'a HostName,
    pub value: f64,
    pub peers: f64,
    /// What it would have if it stood to its peers as ever.
    pub expected: f64,
    pub ratio: Option<f64>,
    /// The value over the expected one.
    pub change: Option<f64>,
    pub since: Option<String>,
    /// How many of its usual scales it is off, and how many would have been enough.
    pub z: f64,
    pub limit: f64,
    /// Sweeps or peers that the judgement rests on.
    pub n: usize,
    pub history: &'a [Option<f64>],
}

/// What could not be judged.
#[derive(Debug, Clone, Serialize)]
pub struct LackingReport<'a> {
    /// `peers` or `sweeps`.
    pub what: &'static str,
    /// The lens that needs them; null for both.
    pub lens: Option<&'static str>,
    pub have: usize,
    pub need: usize,
    /// Which; empty for all.
    pub metrics: &'a [String],
    pub group: Option<&'a str>,
    /// RFC 3339.
    pub enough_at: Option<String>,
}

/// `explain METRIC`.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainReport<'a> {
    pub schema: Schema,
    pub metric: &'a str,
    /// The outliers that are explained, the strongest first.
    pub hosts: Vec<&'a HostName>,
    /// What they have in common beyond chance, the strongest first.
    pub shared: Vec<SharedReport<'a>>,
    pub sweep: &'a SweepId,
    /// RFC 3339; null when it began before the history.
    pub since: Option<String>,
    /// Hosts that have the metric, and the splits by labels that were tested.
    pub looked_at: usize,
    pub tested: usize,
    /// As `outliers` has them; the first is the one that is explained.
    pub findings: Vec<FindingReport<'a>>,
    /// What moved on the same hosts at about the same time.
    pub moved_with: Vec<CompanionReport<'a>>,
    pub kernel_log: Vec<KernelLineReport<'a>>,
    pub lacking: Vec<LackingReport<'a>>,
    /// `judged`; `unjudged`: nobody is named for it; `unread`: these hosts have none in this sweep.
    pub standing: &'static str,
    /// Where an unread one was read last.
    pub last_read: Option<&'a SweepId>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SharedReport<'a> {
    pub label: &'a str,
    pub value: &'a str,
    /// How many have it, of how many.
    pub outliers: [u64; 2],
    pub rest: [u64; 2],
    pub p: f64,
    pub p_holm: f64,
    /// Of the rest.
    pub without_trouble: &'a [HostName],
}

#[derive(Debug, Clone, Serialize)]
pub struct CompanionReport<'a> {
    pub metric: &'a str,
    pub labels: &'a Labels,
    pub statistic: Option<&'static str>,
    pub hosts: &'a [HostName],
    pub value: f64,
    pub peers: f64,
    pub ratio: Option<f64>,
    pub since: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct KernelLineReport<'a> {
    pub host: &'a HostName,
    pub sweep: &'a SweepId,
    /// About when, RFC 3339.
    pub at: String,
    /// What it means, where that is known.
    pub event: Option<&'static str>,
    pub text: &'a str,
}

/// `history METRIC`.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryReport<'a> {
    pub schema: Schema,
    pub metric: &'a str,
    pub labels: &'a Labels,
    pub kind: Kind,
    pub unit: &'a str,
    pub span: Span,
    pub statistic: Option<&'static str>,
    /// Each host's worst series is meant.
    pub worst_of: bool,
    /// The oldest first; every list below has one entry for each.
    pub sweeps: Vec<SweepTime<'a>>,
    pub hosts: Vec<HostHistory<'a>>,
    /// Of all hosts in each sweep; null where they are too few.
    pub p10: Vec<Option<f64>>,
    pub p50: Vec<Option<f64>>,
    pub p90: Vec<Option<f64>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SweepTime<'a> {
    pub sweep: &'a SweepId,
    /// RFC 3339.
    pub started: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct HostHistory<'a> {
    pub host: &'a HostName,
    pub values: Vec<Option<f64>>,
}

/// `fold PROBE`, the largest group first.
#[derive(Debug, Clone, Serialize)]
pub struct FoldReport<'a> {
    pub schema: Schema,
    pub probe: &'a ProbeName,
    pub sweep: &'a SweepId,
    pub groups: Vec<FoldGroup>,
    /// First words of the lines that were not compared, as each host has its own.
    pub left_out: Vec<&'a str>,
    /// Hosts without output, and why.
    pub without: Vec<WithoutOutput>,
}

/// Hosts whose output is the same.
#[derive(Debug, Clone, Serialize)]
pub struct FoldGroup {
    pub hosts: Vec<HostName>,
    /// The same, folded.
    pub folded: String,
    pub bytes: usize,
    /// What was compared; cut where it is long.
    pub text: String,
    /// Against the largest group, as `diff -u` writes it; null for that one.
    pub diff: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct WithoutOutput {
    pub hosts: Vec<HostName>,
    pub why: String,
}
