//! What a look over all metrics found, for whoever shows it: the terminal, JSON and the page say the same.
//! One incident is one line, so a host stands once under each metric, with its most telling series.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Lacking, Lens};
use crate::model::{CollectorTime, HostName, Kind, Labels, ProbeName, Span, SweepId, Worse};

/// The answer of `outliers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// The sweep that was judged, and when it started.
    pub sweep: SweepId,
    pub started: CollectorTime,
    /// Hosts that were asked in it, and those of them that answered.
    pub planned: usize,
    pub answered: usize,
    /// Metrics that have a value in it.
    pub metrics: usize,
    pub judged: Tally,
    /// Those of them that nobody is named for, as their probes say.
    pub unjudged: Vec<String>,
    /// The label whose values make the groups of peers.
    pub peers_by: Option<String>,
    /// The sweeps of the history, the oldest first, the judged one last.
    pub sweeps: Vec<Moment>,
    /// The most important first.
    pub findings: Vec<Outlier>,
    /// What could not be judged.
    pub lacking: Vec<Shortage>,
}

/// How much of what was asked the findings speak of: no finding is good news of these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Hosts that stand beside enough others in some metric.
    pub hosts: usize,
    /// Metrics with enough of a past.
    pub metrics: usize,
    /// Metrics of which the hosts could at most be put beside each other: their past is too short.
    pub provisional: usize,
}

/// A sweep of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub sweep: SweepId,
    pub started: CollectorTime,
}

/// What is compared: one series, or the worst of a host's series that have no peers of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    pub metric: String,
    pub labels: Labels,
    pub kind: Kind,
    pub span: Span,
    pub probe: ProbeName,
    /// Which number of a distribution (`p99`); `None` for other kinds.
    pub statistic: Option<&'static str>,
    /// Each host's worst series is meant, of those that too few hosts have.
    pub worst_of: bool,
}

/// What is known about a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    pub unit: String,
    pub help: String,
    pub worse: Worse,
    pub warn: Option<f64>,
}

/// One metric in which some hosts differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    pub subject: Subject,
    pub about: About,
    pub lens: Lens,
    /// Too few sweeps yet to tell a change from a habit.
    pub provisional: bool,
    /// Above the usual, or below it.
    pub higher: bool,
    /// The strongest first; never empty.
    pub hosts: Vec<OutlierHost>,
    /// A value of theirs is beyond what its metric warns at.
    pub warned: bool,
    /// The median of the peers of the first host, sweep by sweep.
    pub usual: Vec<Option<f64>>,
    /// Effect × confidence × the metric's weight.
    pub score: f64,
}

/// A host that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct OutlierHost {
    pub host: HostName,
    /// Its last value.
    pub value: f64,
    /// The median of its peers.
    pub peers: f64,
    /// What it would have if it stood to its peers as ever.
    pub expected: f64,
    /// The value over the peers', and over the expected one; where both are on one side of zero.
    pub ratio: Option<f64>,
    pub change: Option<f64>,
    /// The first sweep of the present run; `None` when it is older than the history.
    pub since: Option<CollectorTime>,
    /// How many of its usual scales it is off, and how many would have been enough.
    pub z: f64,
    pub limit: f64,
    /// Sweeps of history, or peers, that the judgement rests on.
    pub n: usize,
    pub score: f64,
    /// Its values, sweep by sweep.
    pub history: Vec<Option<f64>>,
}

/// What is missing, for how many metrics or groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortage {
    pub lacking: Lacking,
    /// Where that is the same for all metrics: empty.
    pub metrics: Vec<String>,
    /// The group of peers, where there are several.
    pub group: Option<String>,
    /// When it will be enough, if sweeps go on as they did.
    pub enough_at: Option<CollectorTime>,
}

impl Outlier {
    /// The middle one of its hosts' beginnings; `None` when that is older than the history.
    pub fn since(&self) -> Option<CollectorTime> {
        since(&self.hosts)
    }

    pub fn first(&self) -> &OutlierHost {
        &self.hosts[0]
    }
}

/// When it began for most of some hosts: one that was in trouble before does not make the others' older.
pub fn since<'a>(hosts: impl IntoIterator<Item = &'a OutlierHost>) -> Option<CollectorTime> {
    let mut all: Vec<Option<CollectorTime>> = hosts.into_iter().map(|host| host.since).collect();
    all.sort_unstable();
    all.get(all.len().saturating_sub(1) / 2).copied().flatten()
}

/// A finding in one subject, before those of one metric are put together.
#[derive(Debug, Clone)]
pub struct Single {
    pub subject: Subject,
    pub about: About,
    pub lens: Lens,
    pub provisional: bool,
    pub higher: bool,
    pub host: OutlierHost,
    pub usual: Arc<[Option<f64>]>,
}

/// Puts the findings of one metric together: the series that says most about most hosts takes them, the next
/// one those that are left. So an incident that shows in ten series of a host is one line, and two
/// incidents of different hosts are two.
pub fn gather(mut singles: Vec<Single>) -> Vec<Outlier> {
    let mut lines = Vec::new();
    while !singles.is_empty() {
        let mut sums: BTreeMap<(&Subject, Lens, bool), f64> = BTreeMap::new();
        for single in &singles {
            *sums.entry((&single.subject, single.lens, single.higher)).or_default() += single.host.score;
        }
        let strongest = sums.into_iter().reduce(|best, it| if it.1 > best.1 { it } else { best });
        let Some(((subject, lens, higher), _)) = strongest else { break };
        let subject = subject.clone();
        let same = |it: &Single| it.subject == subject && it.lens == lens && it.higher == higher;
        let (taken, mut rest): (Vec<Single>, Vec<Single>) = singles.into_iter().partition(same);
        rest.retain(|it| taken.iter().all(|taken| taken.host.host != it.host.host));
        singles = rest;
        lines.extend(outlier(taken));
    }
    lines
}

fn outlier(mut singles: Vec<Single>) -> Option<Outlier> {
    singles.sort_by(|a, b| b.host.score.total_cmp(&a.host.score).then_with(|| a.host.host.cmp(&b.host.host)));
    let first = singles.first()?.clone();
    let provisional = singles.iter().any(|it| it.provisional);
    let hosts: Vec<OutlierHost> = singles.into_iter().map(|it| it.host).collect();
    let warned = hosts.iter().any(|host| warns(&first.about, host.value));
    let score = hosts[0].score * weight(&first, warned);
    let Single { subject, about, lens, higher, usual, .. } = first;
    let usual = usual.to_vec();
    Some(Outlier { subject, about, lens, provisional, higher, hosts, warned, usual, score })
}

/// Whether a value is worth a look on its own.
pub fn warns(about: &About, value: f64) -> bool {
    about.warn.is_some_and(|warn| match about.worse {
        Worse::Lower => value <= warn,
        Worse::Higher | Worse::Either => value >= warn,
    })
}

/// How much a metric matters: beyond its warning it is trouble by itself; of one that may go either way a
/// difference is a hint.
fn weight(single: &Single, warned: bool) -> f64 {
    let metric = match (warned, single.about.worse) {
        (true, _) => 2.0,
        (false, Worse::Either) => 0.5,
        (false, _) => 1.0,
    };
    // What is so for a week is no news.
    let lasting = single.lens == Lens::Odd && !single.provisional && single.host.since.is_none();
    if lasting { metric / 2.0 } else { metric }
}

/// The order in which a person should look.
pub fn most_important_first(findings: &mut [Outlier]) {
    findings.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.subject.cmp(&b.subject)));
}
