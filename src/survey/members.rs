//! What of a metric is compared. A series that several hosts have is compared with the same one of the
//! others: disks of one name are of one kind. What too few hosts have, and what is only counted through
//! (CPU 3, IRQ 17), has no counterpart: of those each host stands for itself with its worst.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::compare::{About, Grid, LEAST_PEERS, Measure, Shape, Subject, resolution, step};
use crate::model::{Judging, Kind, Labels, Span};
use crate::store::index::{Described, MetricRow};

/// Numbers of a distribution that are compared.
const STATISTICS: [&str; 2] = ["p99", "p50"];

/// The step from nothing to what a metric warns at is this many of its smallest.
const TELLING: f64 = 5.0;

/// A subject and the series that it is made from.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub subject: Subject,
    pub about: About,
    /// What its probe says of it.
    pub resolution: Option<f64>,
    pub judged: Judging,
    pub series: Vec<Described>,
}

/// The subjects of one metric; `found` are its series and how many hosts have each in the sweep that is
/// judged. What no host has is none.
pub(super) fn members(found: Vec<(Described, usize)>) -> Vec<Member> {
    let mut found = one_span(found);
    found.retain(|(_, hosts)| *hosts > 0);
    let mut members: BTreeMap<Subject, Member> = BTreeMap::new();
    let most = found.iter().map(|(_, hosts)| *hosts).max().unwrap_or(0);
    for (described, hosts) in found {
        let named = hosts > LEAST_PEERS.min(most.saturating_sub(1));
        let numbered: Labels =
            described.series.labels.clone().into_iter().filter(|it| !is_number(&it.1)).collect();
        let counted = numbered.len() < described.series.labels.len();
        let (labels, worst_of) = match (counted, named) {
            (true, _) => (numbered, true),
            (false, true) => (numbered, false),
            (false, false) => (Labels::new(), true),
        };
        let statistics: Vec<Option<&'static str>> = match described.series.kind {
            Kind::Histogram => STATISTICS.iter().copied().map(Some).collect(),
            Kind::Counter | Kind::Gauge => vec![None],
        };
        for statistic in statistics {
            let series = &described.series;
            let subject = Subject {
                metric: series.metric.clone(),
                labels: labels.clone(),
                kind: series.kind,
                span: series.span,
                probe: series.probe.clone(),
                statistic,
                worst_of,
            };
            let metric = &described.metric;
            let new = || Member {
                subject: subject.clone(),
                about: about(metric),
                resolution: metric.resolution,
                judged: metric.judged,
                series: Vec::new(),
            };
            members.entry(subject.clone()).or_insert_with(new).series.push(described.clone());
        }
    }
    members.into_values().collect()
}

/// A counter has a rate over the probe's seconds and one since the sweep before, which says the same with
/// less noise and misses nothing: that one, unless most hosts have none because they booted.
fn one_span(found: Vec<(Described, usize)>) -> Vec<(Described, usize)> {
    let key = |described: &Described| {
        let series = &described.series;
        (series.labels.clone(), series.probe.clone(), Arc::as_ptr(&described.metric))
    };
    let mut hosts = BTreeMap::new();
    for (described, count) in &found {
        hosts.entry(key(described)).or_insert([0; 2])[usize::from(described.series.span == Span::Between)] +=
            count;
    }
    let kept = |(described, _): &(Described, usize)| {
        let [other, between] = hosts.get(&key(described)).copied().unwrap_or_default();
        described.series.kind != Kind::Counter
            || (described.series.span == Span::Between) == (between * 2 >= other && between > 0)
    };
    found.into_iter().filter(kept).collect()
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn about(metric: &MetricRow) -> About {
    About { unit: metric.unit.clone(), help: metric.help.clone(), worse: metric.worse, warn: metric.warn }
}

impl Member {
    /// How its numbers are compared; `looks_back` is how long a rate is made of.
    pub(super) fn measure(&self, grid: Grid<'_>, looks_back: Duration) -> Measure {
        let Self { subject, about, .. } = self;
        let mut values = (0..grid.hosts()).flat_map(|host| grid.host(host)).filter(|value| value.is_finite());
        let shape = match (subject.kind, about.unit.as_str()) {
            // A share of something else than a whole may be more than all of it.
            (Kind::Gauge, "ratio" | "fraction") if values.all(|it| (0.0..=1.0).contains(it)) => Shape::Share,
            (Kind::Counter, unit) if !matches!(unit, "seconds" | "bytes") => Shape::Events,
            _ => Shape::Amount,
        };
        let resolution = self.resolution.unwrap_or_else(|| self.usual_resolution(shape, grid, looks_back));
        Measure { shape, worse: about.worse, resolution }
    }

    /// By its unit, its warning and its values.
    fn usual_resolution(&self, shape: Shape, grid: Grid<'_>, looks_back: Duration) -> f64 {
        let Self { subject, about, .. } = self;
        let mut resolution = resolution(&about.unit, subject.kind, subject.span);
        // What warns at a single event tells single events apart.
        if let Some(warn) = about.warn.filter(|warn| *warn > 0.0) {
            resolution = resolution.min(warn / TELLING);
        }
        if shape == Shape::Events && subject.span == Span::Between {
            resolution = resolution.max(1.0 / looks_back.as_secs_f64().max(1.0));
        }
        if shape == Shape::Share
            && let Some(step) = step(grid)
        {
            resolution = resolution.max(step);
        }
        resolution
    }
}
