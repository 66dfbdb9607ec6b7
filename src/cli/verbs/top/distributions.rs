//! The ranking of a metric that is a histogram. A host's distributions become one only where they have
//! the same buckets; it never makes up a number between two bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use super::{Line, Spread, Top, View, drop_empty_columns, ranked};
use crate::cli::Context;
use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::compare::{self, Distribution, Interval, Statistic};
use crate::model::{Histogram, HostName, Labels, ProbeName, Span, Worse};
use crate::render::counted;
use crate::store::index::{HostHistogram, MetricRow, Series, SweepRow};

use super::SWEEPS;

/// What a histogram is ranked by unless `--by` says otherwise.
const USUAL: &str = "p99";

impl Top {
    pub(super) fn distributions(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        (metric, sweep): (&MetricRow, &SweepRow),
    ) -> Result<View> {
        if self.span.is_some() {
            return Err(Usage(format!("{} is a histogram: it has one span", metric.name)).into());
        }
        let (numbers, by): (Vec<&String>, Vec<&String>) =
            self.by.iter().partition(|by| Statistic::parse(by).is_some());
        if let [first, second, ..] = numbers.as_slice() {
            return Err(Usage(format!("--by {first},{second}: hosts are ranked by one of them")).into());
        }
        let name = numbers.first().map_or(USUAL, |name| name.as_str());
        let statistic = Statistic::parse(name).unwrap_or(Statistic::P99);
        let by: Vec<String> = by.into_iter().cloned().collect();
        let mut found = recorded.reader.histograms_at(&sweep.sweep, &metric.name)?;
        self.narrow((recorded, metric, sweep), &by, &mut found, |it| (&it.host, &it.series))?;
        let (lines, left_out) = lines(found, statistic, &by, metric.worse);
        let too_few = format!("{name} takes {} observations", statistic.least_count());
        if lines.is_empty() {
            let why = match statistic {
                Statistic::Max => "the probe's tool does not say it".to_owned(),
                Statistic::Mean => "the probe's tool does not give a sum".to_owned(),
                _ => too_few,
            };
            let none = format!("no distribution of {} in sweep {} has a {name}", metric.name, sweep.sweep);
            return Err(Usage(format!("{none}: {why}; --by ranks by another number")).into());
        }
        if left_out > 0 {
            context.remark(&format!("left out: {}; {too_few}", counted(left_out, "row")));
        }
        let mut view = View::new(Span::Window, Some(name.to_owned()), lines);
        self.cut(context, &mut view);
        add_history(recorded, sweep, statistic, &mut view.lines)?;
        Ok(view)
    }
}

/// Distributions of one host, one probe and one set of labels that could be added up.
struct Sum {
    distribution: Distribution,
    members: Vec<Arc<Series>>,
}

/// One distribution that goes into a sum.
type Member = (Arc<Series>, Histogram);

/// Adds up what can be: one sum for each scheme of buckets.
fn sums(found: impl IntoIterator<Item = Member>) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for (series, histogram) in found {
        let Ok(distribution) = Distribution::try_from(&histogram) else { continue };
        match sums.iter_mut().find_map(|sum| sum.distribution.merge(&distribution).ok().map(|()| sum)) {
            Some(sum) => sum.members.push(series),
            None => sums.push(Sum { distribution, members: vec![series] }),
        }
    }
    sums
}

/// The lines, and how many have too few observations for a number.
fn lines(found: Vec<HostHistogram>, statistic: Statistic, by: &[String], worse: Worse) -> (Vec<Line>, usize) {
    // Two probes that measure the same thing saw the same events: added up, each would count twice.
    let mut hosts: BTreeMap<(ProbeName, Labels, HostName), Vec<Member>> = BTreeMap::new();
    for HostHistogram { host, series, histogram } in found {
        let kept = by.iter().filter_map(|label| Some((label.clone(), series.labels.get(label)?.clone())));
        hosts.entry((series.probe.clone(), kept.collect(), host)).or_default().push((series, histogram));
    }
    let mut groups: BTreeMap<(ProbeName, Labels), Vec<Line>> = BTreeMap::new();
    let mut left_out = 0;
    for ((probe, labels, host), found) in hosts {
        match worst(sums(found), statistic, worse) {
            Some((sum, interval)) => {
                let line = line((labels.clone(), host), sum, interval);
                groups.entry((probe, labels)).or_default().push(line);
            }
            None => left_out += 1,
        }
    }
    (ranked(groups.into_values(), worse), left_out)
}

/// The sum whose number is worst.
fn worst(sums: Vec<Sum>, statistic: Statistic, worse: Worse) -> Option<(Sum, Interval)> {
    let numbered = sums.into_iter().filter_map(|sum| {
        let interval = statistic.of(&sum.distribution)?;
        Some((sum, interval))
    });
    numbered.min_by(|(_, a), (_, b)| compare::worst_first(a.bound(), b.bound(), worse))
}

fn line((labels, host): (Labels, HostName), sum: Sum, interval: Interval) -> Line {
    let Sum { distribution, members } = sum;
    // A distribution that stands alone keeps its own labels.
    let series = match members.as_slice() {
        [only] => Arc::clone(only),
        all => Arc::new(Series { labels, ..Series::clone(&all[0]) }),
    };
    Line {
        host,
        series,
        count: members.len() as u64,
        value: interval.bound(),
        peers: None,
        ratio: None,
        history: Vec::new(),
        spread: Some(Spread { interval, observations: distribution.count(), members }),
    }
}

/// The same number in the last sweeps up to this one, the oldest first.
fn add_history(
    recorded: &Recorded<'_>,
    sweep: &SweepRow,
    statistic: Statistic,
    lines: &mut [Line],
) -> Result<()> {
    let sweeps = recorded.sweeps_until(sweep, SWEEPS)?;
    for line in lines.iter_mut() {
        let Some(spread) = &line.spread else { continue };
        let found = recorded.reader.histograms_over(&line.host, &spread.members, &sweeps)?;
        let number = |histograms: Vec<Histogram>| {
            let one = |histogram| (Arc::clone(&line.series), histogram);
            let mut sums = sums(histograms.into_iter().map(one)).into_iter();
            // One that changed its buckets on the way is not the one that this line is about.
            let sum = sums.next().filter(|_| sums.next().is_none())?;
            statistic.of(&sum.distribution).map(Interval::bound)
        };
        line.history = found.into_iter().map(number).collect();
    }
    drop_empty_columns(lines);
    Ok(())
}
