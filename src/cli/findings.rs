//! What the verbs that show outliers have in common: the question, and how its answer is spelled.

use std::path::Path;

use anyhow::Result;

use super::failure::Usage;
use super::recorded::{Metrics, Recorded, labels_text};
use crate::compare::{Lacking, Lens, Moment, Outlier, OutlierHost, Outliers, Shortage, Subject, Tally};
use crate::model::CollectorTime;
use crate::render::findings::{
    FindingReport, HostFinding, JudgedHosts, JudgedMetrics, JudgedReport, LackingReport,
};
use crate::render::{Lines, escape, units};
use crate::report;
use crate::select::matches_mask;
use crate::survey::{self, Question};

/// What a person said of it.
pub struct Scope<'a> {
    pub hosts: Option<&'a str>,
    pub sweep: Option<&'a str>,
    pub peers: Option<&'a str>,
}

/// A question about all metrics.
pub fn question<'a>(recorded: &Recorded<'_>, root: &'a Path, scope: &Scope<'_>) -> Result<Question<'a>> {
    let sweep = match scope.sweep {
        Some(text) => recorded.sweep(text)?,
        None => survey::usual_sweep(&recorded.reader)?
            .ok_or_else(|| Usage("no sweep was recorded yet; `dropsonde sweep` runs one".to_owned()))?,
    };
    let hosts = scope.hosts.map(|selector| recorded.hosts(selector, Some(&sweep))).transpose()?;
    if let Some(label) = scope.peers {
        known_label(recorded, &sweep, label)?;
    }
    let peers_by = scope.peers.map(str::to_owned);
    Ok(Question { root, sweep, hosts, peers_by, metrics: Vec::new(), lens: None })
}

fn known_label(
    recorded: &Recorded<'_>,
    sweep: &crate::store::index::SweepRow,
    label: &str,
) -> Result<(), Usage> {
    let end = sweep.ended.unwrap_or(CollectorTime::from_unix_ns(i64::MAX));
    let labels = recorded.reader.labels(end).map_err(|error| Usage(error.to_string()))?;
    let mut known: Vec<&str> = labels.values().flat_map(|labels| labels.keys()).map(String::as_str).collect();
    known.sort_unstable();
    known.dedup();
    if known.contains(&label) {
        return Ok(());
    }
    let near = crate::select::nearest(label, known.iter().copied());
    let hint = super::recorded::did_you_mean(&near);
    Err(Usage(format!("--peers {label}: no host had this label{hint}")))
}

/// A mask that fits no metric is a slip, and would look like a fleet without trouble.
pub fn known_mask(known: &Metrics, mask: &str) -> Result<(), Usage> {
    if known.0.iter().any(|row| matches_mask(mask, &row.name)) {
        return Ok(());
    }
    known.find(mask).map(|_| ())
}

/// `disk_await_seconds p99 device=sda`.
pub fn subject_text(subject: &Subject) -> String {
    let mut text = subject.metric.clone();
    for more in [subject.statistic.unwrap_or_default(), &labels_text(&subject.labels)] {
        if !more.is_empty() {
            text = format!("{text} {more}");
        }
    }
    text
}

pub fn lens_text(it: &Outlier) -> &'static str {
    match (it.lens, it.provisional) {
        (Lens::Changed, _) => "changed",
        (Lens::Odd, false) => "odd",
        (Lens::Odd, true) => "odd (provisional)",
    }
}

/// The hour, with its day where that is another one; how long at least, when it is older than the history.
pub fn since(since: Option<CollectorTime>, sweeps: &[Moment]) -> String {
    let Some(last) = sweeps.last() else { return String::new() };
    match since {
        Some(at) if at.utc().date_naive() == last.started.utc().date_naive() => {
            at.utc().format("%H:%M").to_string()
        }
        Some(at) => at.utc().format("%m-%d %H:%M").to_string(),
        None => {
            let ns = last.started.unix_ns().saturating_sub(sweeps[0].started.unix_ns());
            let age = std::time::Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
            if age.is_zero() { "-".to_owned() } else { format!("{}+", units::age(age)) }
        }
    }
}

pub fn finding(it: &Outlier) -> FindingReport<'_> {
    let first = it.first();
    FindingReport {
        metric: &it.subject.metric,
        labels: &it.subject.labels,
        hosts: it.hosts.iter().map(|it| &it.host).collect(),
        lens: match it.lens {
            Lens::Changed => "changed",
            Lens::Odd => "odd",
        },
        value: first.value,
        peers: first.peers,
        ratio: first.ratio,
        since: it.since().map(CollectorTime::rfc3339),
        provisional: it.provisional,
        kind: it.subject.kind,
        unit: &it.about.unit,
        span: it.subject.span,
        probe: &it.subject.probe,
        statistic: it.subject.statistic,
        worst_of: it.subject.worst_of,
        worse: it.about.worse,
        warned: it.warned,
        score: it.score,
        each: it.hosts.iter().map(host).collect(),
        usual: &it.usual,
    }
}

fn host(it: &OutlierHost) -> HostFinding<'_> {
    HostFinding {
        host: &it.host,
        value: it.value,
        peers: it.peers,
        expected: it.expected,
        ratio: it.ratio,
        change: it.change,
        since: it.since.map(CollectorTime::rfc3339),
        z: it.z,
        limit: it.limit,
        n: it.n,
        history: &it.history,
    }
}

/// How much was judged, and why the rest was not.
pub fn judged(it: &Outliers) -> JudgedReport {
    let Tally { hosts, metrics, provisional } = it.judged;
    JudgedReport {
        hosts: JudgedHosts {
            judged: hosts,
            unanswered: it.planned - it.answered,
            without_peers: it.answered.saturating_sub(hosts),
        },
        metrics: JudgedMetrics {
            judged: metrics,
            provisional,
            without_peers: it.metrics - metrics - provisional - it.unjudged.len(),
            unjudged: it.unjudged.len(),
        },
    }
}

/// What is missing, a line each.
pub fn shortages(all: &[Shortage]) -> String {
    let line = |it: String| format!("{}\n", escape(&it, Lines::Single));
    report::shortages(all).into_iter().map(line).collect()
}

pub fn lacking(it: &Shortage) -> LackingReport<'_> {
    let (what, lens, have, need) = match it.lacking {
        Lacking::Peers { have, need } => ("peers", None, have, need),
        Lacking::OddPeers { have, need } => ("peers", Some("odd"), have, need),
        Lacking::Sweeps { have, need } => ("sweeps", Some("changed"), have, need),
    };
    LackingReport {
        what,
        lens,
        have,
        need,
        metrics: &it.metrics,
        group: it.group.as_deref(),
        enough_at: it.enough_at.map(CollectorTime::rfc3339),
    }
}
