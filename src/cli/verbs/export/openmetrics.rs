//! Sweeps as an OpenMetrics exposition, metric by metric, and of each series point by point: no family is
//! begun twice in it. A rate is a gauge here: it is no total that a counter could go on from.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;

use super::totals::Totals;
use super::{Moments, Wanted};
use crate::cli::recorded::Recorded;
use crate::compare::Distribution;
use crate::model::{Bucket, HostName, Kind, ProbeName};
use crate::render::{Families, Lines, escape, foreign_label};
use crate::store::index::{HostHistogram, HostSample, MetricRow, Series, SweepRow};

/// What is exported of which sweeps, the oldest first.
pub(super) struct Exposition<'a> {
    pub recorded: &'a Recorded<'a>,
    pub sweeps: &'a [SweepRow],
    /// When the readings of each of them were taken.
    pub moments: &'a [Moments],
    pub wanted: &'a Wanted<'a>,
}

impl Exposition<'_> {
    /// Writes every metric that is wanted, and the counters' totals where those are.
    pub(super) fn write(&self, totals: Option<Totals>, out: &mut dyn Write) -> Result<()> {
        let mut families = Families::default();
        let metrics = self.recorded.metrics()?.0;
        for metric in metrics.iter().filter(|metric| self.wanted.metric(&metric.name)) {
            // One name is one family; the first kind that a metric had keeps it.
            if !families.take(&family(metric), metric.kind == Kind::Histogram) {
                continue;
            }
            let text = match metric.kind {
                Kind::Histogram => self.histograms(metric, &mut families)?,
                Kind::Counter | Kind::Gauge => self.numbers(metric)?,
            };
            out.write_all(text.as_bytes())?;
        }
        if let Some(totals) = totals {
            for metric in metrics.iter().filter(|metric| metric.kind == Kind::Counter) {
                let family = counter(metric);
                let Some(points) = totals.of(&metric.name).filter(|_| {
                    families.take(&family, false) && families.take(&format!("{family}_total"), false)
                }) else {
                    continue;
                };
                let mut text = String::new();
                head(&mut text, &family, "counter", &metric.help);
                points.write(&format!("{family}_total"), &mut text);
                out.write_all(text.as_bytes())?;
            }
        }
        Ok(out.write_all(b"# EOF\n")?)
    }

    fn numbers(&self, metric: &MetricRow) -> Result<String> {
        let mut points: Points<f64> = Points::default();
        for (sweep, moments) in self.sweeps.iter().zip(self.moments) {
            for HostSample { host, series, value } in
                self.recorded.reader.metric_at(&sweep.sweep, &metric.name)?
            {
                if series.kind == metric.kind && self.wanted.host(&host) {
                    let span = (metric.kind == Kind::Counter).then_some(("span", series.span.as_str()));
                    points.add(labels(&host, &series, span), moments.at(&host, &series.probe), value);
                }
            }
        }
        let mut text = String::new();
        if !points.is_empty() {
            let family = family(metric);
            head(&mut text, &family, "gauge", &metric.help);
            points.write(&family, &mut text);
        }
        Ok(text)
    }

    fn histograms(&self, metric: &MetricRow, families: &mut Families) -> Result<String> {
        let mut points: Points<HostHistogram> = Points::default();
        for (sweep, moments) in self.sweeps.iter().zip(self.moments) {
            for it in self.recorded.reader.histograms_at(&sweep.sweep, &metric.name)? {
                if self.wanted.host(&it.host) {
                    let ts = moments.at(&it.host, &it.series.probe);
                    points.add(labels(&it.host, &it.series, None), ts, it);
                }
            }
        }
        let mut text = String::new();
        if points.is_empty() {
            return Ok(text);
        }
        let family = family(metric);
        head(&mut text, &family, "histogram", &metric.help);
        points.each(&mut |_, ts, it| histogram(&mut text, &family, &stamp(ts), it));
        // OpenMetrics has no place for it within the family.
        let mut maxima: Points<f64> = Points::default();
        points.each(&mut |labels, ts, it| {
            it.histogram.max.into_iter().for_each(|max| maxima.add(labels.to_owned(), ts, max));
        });
        let largest = format!("{family}_max");
        if !maxima.is_empty() && families.take(&largest, false) {
            head(&mut text, &largest, "gauge", "the largest single observation");
            maxima.write(&largest, &mut text);
        }
        Ok(text)
    }
}

/// The points of one family: by series in the order in which they were first met, and in each by time.
#[derive(Debug)]
pub(super) struct Points<T> {
    places: HashMap<String, usize>,
    series: Vec<(String, Course<T>)>,
}

/// (time, value) of one series.
type Course<T> = Vec<(Option<i64>, T)>;

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), series: Vec::new() }
    }
}

impl<T> Points<T> {
    pub(super) fn add(&mut self, labels: String, ts: Option<i64>, value: T) {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.series.push((labels, Vec::new()));
        }
        let points = &mut self.series[place].1;
        // Time goes on in a series: of two readings in one second, the first.
        if points.last().is_none_or(|(last, _)| *last < ts) {
            points.push((ts, value));
        }
    }

    fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    fn each(&self, take: &mut dyn FnMut(&str, Option<i64>, &T)) {
        for (labels, points) in &self.series {
            points.iter().for_each(|(ts, value)| take(labels, *ts, value));
        }
    }
}

impl Points<f64> {
    pub(super) fn write(&self, name: &str, text: &mut String) {
        self.each(&mut |labels, ts, value| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}{labels} {}{}", number(*value), stamp(ts));
        });
    }
}

fn stamp(ts: Option<i64>) -> String {
    ts.map(|ts| format!(" {ts}")).unwrap_or_default()
}

/// Infinities as OpenMetrics spells them.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    format!("{value:?}")
}

/// `disk_busy_seconds_total` is the counter `disk_busy_seconds`.
fn counter(metric: &MetricRow) -> String {
    let name = plain(&metric.name);
    name.strip_suffix("_total").unwrap_or(&name).to_owned()
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' }).collect()
}

/// `disk_busy_seconds_total` is exported as `disk_busy_seconds:rate`.
fn family(metric: &MetricRow) -> String {
    match metric.kind {
        Kind::Counter => format!("{}:rate", counter(metric)),
        Kind::Gauge | Kind::Histogram => plain(&metric.name),
    }
}

fn head(text: &mut String, family: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# TYPE {family} {kind}");
    if !help.is_empty() {
        let _ = writeln!(text, "# HELP {family} {}", quoted(help));
    }
}

/// As it stands between quotes; what a terminal could act on is spelled out.
fn quoted(text: &str) -> String {
    escape(text, Lines::Single).replace('\\', "\\\\").replace('"', "\\\"")
}

fn labels(host: &HostName, series: &Series, own: Option<(&str, &str)>) -> String {
    let given = series.labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    labels_of((host, &series.probe), given, own)
}

pub(super) fn labels_of<'a>(
    (host, probe): (&HostName, &ProbeName),
    given: impl Iterator<Item = (&'a str, &'a str)>,
    own: Option<(&str, &str)>,
) -> String {
    let mut pairs = vec![format!("host=\"{host}\",probe=\"{probe}\"")];
    for (label, value) in given {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let label: String = foreign_label(label).chars().map(plain).collect();
        pairs.push(format!("{label}=\"{}\"", quoted(value)));
    }
    pairs.extend(own.map(|(label, value)| format!("{label}=\"{value}\"")));
    format!("{{{}}}", pairs.join(","))
}

fn histogram(text: &mut String, family: &str, ts: &str, it: &HostHistogram) {
    let Ok(distribution) = Distribution::try_from(&it.histogram) else { return };
    for (le, upto) in cumulative(distribution.buckets()) {
        let le = le.map_or("+Inf".to_owned(), bound);
        let labels = labels(&it.host, &it.series, Some(("le", &le)));
        let _ = writeln!(text, "{family}_bucket{labels} {upto}{ts}");
    }
    // Count and sum stand there together or not at all; the last bucket has the count, too.
    if let Some(sum) = distribution.sum() {
        let labels = labels(&it.host, &it.series, None);
        let _ = writeln!(text, "{family}_count{labels} {}{ts}", distribution.count());
        let _ = writeln!(text, "{family}_sum{labels} {}{ts}", number(sum));
    }
}

/// A bound as others write it (`0.001`, `1.0`, `1e-06`, `2.5e+06`): the text is the label, so one number
/// must have one text.
fn bound(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

/// (upper bound, observations up to it), the last without a bound. A bucket that does not begin where
/// the one before it ends gets a bound there: else its reader would take it to be wider.
fn cumulative(buckets: &[Bucket]) -> Vec<(Option<f64>, u64)> {
    let mut out = Vec::with_capacity(buckets.len() + 1);
    let (mut end, mut upto) = (0.0, 0_u64);
    for bucket in buckets {
        if bucket.lo.is_finite() && bucket.lo != end {
            out.push((Some(bucket.lo), upto));
        }
        upto = upto.saturating_add(bucket.count);
        if bucket.hi.is_finite() {
            out.push((Some(bucket.hi), upto));
        }
        end = bucket.hi;
    }
    out.push((None, upto));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bound_has_one_text() {
        let given = [0.0, 0.0001, 0.00005, 1e-6, 1.0, 2.5, 100_000.0, 2_500_000.0, 1e9, 0.1 + 0.2, -3.0];
        let texts = given.map(bound);
        let expected = [
            "0.0",
            "0.0001",
            "5e-05",
            "1e-06",
            "1.0",
            "2.5",
            "100000.0",
            "2.5e+06",
            "1e+09",
            "0.30000000000000004",
            "-3.0",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_series_goes_on_in_time() {
        let mut points = Points::default();
        for (labels, ts, value) in [("a", 1, 1.0), ("b", 1, 2.0), ("a", 1, 3.0), ("a", 5, f64::INFINITY)] {
            points.add(labels.to_owned(), Some(ts), value);
        }
        let mut text = String::new();
        points.write("x", &mut text);
        assert_eq!(text, "xa 1.0 1\nxa +Inf 5\nxb 2.0 1\n");
    }

    #[test]
    fn a_gap_gets_its_bound() {
        let check = |buckets: &[(f64, f64, u64)], expected: &[(Option<f64>, u64)]| {
            let buckets: Vec<Bucket> =
                buckets.iter().map(|&(lo, hi, count)| Bucket { lo, hi, count }).collect();
            assert_eq!(cumulative(&buckets), expected);
        };
        check(&[(0.0, 1.0, 2), (1.0, 2.0, 3)], &[(Some(1.0), 2), (Some(2.0), 5), (None, 5)]);
        check(
            &[(2.0, 4.0, 2), (8.0, f64::INFINITY, 1)],
            &[(Some(2.0), 0), (Some(4.0), 2), (Some(8.0), 2), (None, 3)],
        );
        check(&[(f64::NEG_INFINITY, -1.0, 2)], &[(Some(-1.0), 2), (None, 2)]);
        check(&[], &[(None, 0)]);
    }
}
