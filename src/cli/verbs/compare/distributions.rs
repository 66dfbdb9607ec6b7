//! Histograms of two sides. The hosts of a side are added up where they have the same buckets; sides with
//! other buckets are compared only where both know how many observations lie below.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;

use super::is_ambiguous;
use super::numbers::labels_of;
use super::sides::Sides;
use crate::cli::recorded::{Metrics, Recorded, labels_text};
use crate::compare::{Distribution, Interval, Statistic, least_distance, ratio};
use crate::model::{HostName, Kind, SweepId, Worse};
use crate::render::json::{CompareDistribution, CompareRow};
use crate::render::{Cell, Column, Ink, Table, units};
use crate::store::index::{HostHistogram, Series};

/// One side of a series: its hosts' distributions added up, and of how many.
#[derive(Default)]
struct Side {
    sum: Option<Distribution>,
    hosts: BTreeSet<HostName>,
    /// Hosts whose buckets are others than the first's: not in the sum.
    left_out: u64,
}

pub(super) struct Line {
    series: Arc<Series>,
    sides: [Side; 2],
    distance: Option<f64>,
}

/// Every distribution that either side has, the most different first.
pub(super) fn lines(
    recorded: &Recorded<'_>,
    sides: &Sides,
    wanted: impl Fn(&Series) -> bool,
) -> Result<Vec<Line>> {
    let mut found: BTreeMap<Arc<Series>, [Side; 2]> = BTreeMap::new();
    let sweeps: BTreeSet<&SweepId> = sides.a.sweeps.iter().chain(&sides.b.sweeps).collect();
    for sweep in sweeps {
        let here = [&sides.a, &sides.b].map(|side| side.sweeps.contains(sweep));
        recorded.reader.each_histogram(sweep, &mut |it| {
            if !wanted(&it.series) {
                return;
            }
            for (at, side) in [&sides.a, &sides.b].into_iter().enumerate() {
                if here[at] && side.hosts.contains(&it.host) {
                    found.entry(Arc::clone(&it.series)).or_default()[at].add(&it);
                }
            }
        })?;
    }
    let line = |(series, sides): (Arc<Series>, [Side; 2])| {
        let [a, b] = sides.each_ref().map(|side| side.sum.as_ref());
        let distance = a.zip(b).and_then(|(a, b)| a.distance(b));
        Line { series, sides, distance }
    };
    let mut lines: Vec<Line> = found.into_iter().map(line).collect();
    lines.sort_by(|x, y| {
        let farther = y.distance.unwrap_or(-1.0).total_cmp(&x.distance.unwrap_or(-1.0));
        farther.then_with(|| x.series.cmp(&y.series))
    });
    Ok(lines)
}

impl Side {
    fn add(&mut self, it: &HostHistogram) {
        let Ok(distribution) = Distribution::try_from(&it.histogram) else {
            self.left_out += 1;
            return;
        };
        match &mut self.sum {
            None => self.sum = Some(distribution),
            Some(sum) => {
                if sum.merge(&distribution).is_err() {
                    self.left_out += 1;
                    return;
                }
            }
        }
        self.hosts.insert(it.host.clone());
    }

    fn of(&self, statistic: Statistic) -> Option<Interval> {
        statistic.of(self.sum.as_ref()?)
    }

    fn count(&self) -> u64 {
        self.sum.as_ref().map_or(0, Distribution::count)
    }
}

impl Line {
    /// Whether more than chance sets the sides apart.
    pub(super) fn differs(&self) -> bool {
        let [a, b] = self.sides.each_ref().map(Side::count);
        self.distance.is_some_and(|distance| distance > least_distance(a, b))
    }

    /// Hosts that are not in the sums.
    pub(super) fn left_out(&self) -> u64 {
        self.sides.iter().map(|side| side.left_out).sum()
    }

    fn both(&self, statistic: Statistic) -> [Option<Interval>; 2] {
        self.sides.each_ref().map(|side| side.of(statistic))
    }

    /// `a` and `b` are the sides' 99th percentiles.
    pub(super) fn row(&self) -> CompareRow {
        let pair = |it: Option<Interval>| it.map(|it| (it.lo, it.hi));
        let [a, b] = self.both(Statistic::P99).map(|it| it.map(Interval::bound));
        CompareRow {
            metric: self.series.metric.clone(),
            probe: self.series.probe.clone(),
            labels: labels_of(&self.series).into(),
            a,
            b,
            ratio: a.zip(b).and_then(|(a, b)| ratio(a, b)),
            n: self.sides.each_ref().map(|side| side.hosts.len() as u64),
            above: None,
            shift: None,
            delta: None,
            p: None,
            p_bh: None,
            distribution: Some(CompareDistribution {
                p50: self.both(Statistic::P50).map(pair),
                p99: self.both(Statistic::P99).map(pair),
                max: self.both(Statistic::Max).map(|it| it.map(|it| it.hi)),
                observations: self.sides.each_ref().map(Side::count),
                distance: self.distance,
            }),
        }
    }
}

pub(super) fn table(lines: &[Line], metrics: &Metrics) -> Table {
    let labelled = lines.iter().any(|line| !line.series.labels.is_empty());
    let ambiguous = is_ambiguous(lines.iter().map(|line| &*line.series));
    let mut columns = vec![Column::left("HISTOGRAM")];
    columns.extend(ambiguous.then(|| Column::left("PROBE")));
    columns.extend(labelled.then(|| Column::left("LABELS").elastic()));
    columns
        .extend(["A P50", "B P50", "A P99", "B P99", "A MAX", "B MAX", "DISTANCE", "N"].map(Column::right));
    let mut table = Table::new(columns);
    for line in lines {
        let (name, unit) = (&line.series.metric, metrics.unit(&line.series.metric, Kind::Histogram));
        let text = |it: Option<Interval>| it.map_or("-".to_owned(), |it| units::interval(it.lo, it.hi, unit));
        let mut cells = vec![Cell::from(name.as_str())];
        cells.extend(ambiguous.then(|| Cell::from(line.series.probe.as_str())));
        cells.extend(labelled.then(|| Cell::new(labels_text(&line.series.labels))));
        for statistic in [Statistic::P50, Statistic::P99, Statistic::Max] {
            cells.extend(line.both(statistic).map(|it| Cell::new(text(it))));
        }
        let mut distance = Cell::new(units::value(line.distance, "ratio"));
        let worse = metrics.of(name, Kind::Histogram).map_or(Worse::Either, |row| row.worse);
        if line.differs() && line.is_worse(worse) {
            distance = distance.ink(Ink::Red);
        }
        cells.extend([
            distance,
            Cell::new(format!("{}:{}", line.sides[0].hosts.len(), line.sides[1].hosts.len())),
        ]);
        table.row(cells);
    }
    table
}

impl Line {
    fn is_worse(&self, worse: Worse) -> bool {
        let beyond = |statistic| {
            let [a, b] = self.both(statistic).map(|it| it.map(Interval::bound));
            a.zip(b).is_some_and(|(a, b)| match worse {
                Worse::Higher => b > a,
                Worse::Lower => b < a,
                Worse::Either => false,
            })
        };
        beyond(Statistic::P99) || beyond(Statistic::P50)
    }
}
