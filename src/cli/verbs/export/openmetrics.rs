//! One sweep as an OpenMetrics exposition, metric by metric. A rate is a gauge here: it is no total that
//! a counter could go on from.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;

use super::{Moments, Wanted};
use crate::cli::recorded::Recorded;
use crate::compare::Distribution;
use crate::model::{Bucket, HostName, Kind};
use crate::render::{Lines, escape};
use crate::store::index::{HostHistogram, HostSample, MetricRow, Series, SweepRow};

/// Labels that the exposition itself gives.
const OWN: [&str; 4] = ["host", "probe", "span", "le"];

/// Writes every metric that is wanted.
pub(super) fn write(
    recorded: &Recorded<'_>,
    sweep: &SweepRow,
    (wanted, moments): (&Wanted<'_>, &Moments),
    out: &mut dyn Write,
) -> Result<()> {
    let mut families = BTreeSet::new();
    for metric in recorded.metrics()?.0.iter().filter(|metric| wanted.metric(&metric.name)) {
        // One name is one family; the first kind that a metric had keeps it.
        if !families.insert(family(metric)) {
            continue;
        }
        let text = match metric.kind {
            Kind::Histogram => {
                let mut found = recorded.reader.histograms_at(&sweep.sweep, &metric.name)?;
                found.retain(|it| wanted.host(&it.host));
                histograms(metric, &found, moments, &mut families)
            }
            Kind::Counter | Kind::Gauge => {
                let mut found = recorded.reader.metric_at(&sweep.sweep, &metric.name)?;
                found.retain(|it| it.series.kind == metric.kind && wanted.host(&it.host));
                numbers(metric, &found, moments)
            }
        };
        out.write_all(text.as_bytes())?;
    }
    Ok(out.write_all(b"# EOF\n")?)
}

/// `disk_busy_seconds_total` is exported as `disk_busy_seconds:rate`.
fn family(metric: &MetricRow) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' };
    let name: String = metric.name.chars().map(plain).collect();
    match metric.kind {
        Kind::Counter => format!("{}:rate", name.strip_suffix("_total").unwrap_or(&name)),
        Kind::Gauge | Kind::Histogram => name,
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
    let mut pairs = vec![format!("host=\"{host}\",probe=\"{}\"", series.probe)];
    for (label, value) in &series.labels {
        let clash = if OWN.contains(&label.as_str()) { "exported_" } else { "" };
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let label: String = label.chars().map(plain).collect();
        pairs.push(format!("{clash}{label}=\"{}\"", quoted(value)));
    }
    pairs.extend(own.map(|(label, value)| format!("{label}=\"{value}\"")));
    format!("{{{}}}", pairs.join(","))
}

fn numbers(metric: &MetricRow, found: &[HostSample], moments: &Moments) -> String {
    let mut text = String::new();
    if found.is_empty() {
        return text;
    }
    let family = family(metric);
    head(&mut text, &family, "gauge", &metric.help);
    for HostSample { host, series, value } in found {
        let span = (metric.kind == Kind::Counter).then_some(("span", series.span.as_str()));
        let ts = moments.text(host, &series.probe);
        let _ = writeln!(text, "{family}{} {value:?}{ts}", labels(host, series, span));
    }
    text
}

fn histograms(
    metric: &MetricRow,
    found: &[HostHistogram],
    moments: &Moments,
    families: &mut BTreeSet<String>,
) -> String {
    let mut text = String::new();
    if found.is_empty() {
        return text;
    }
    let family = family(metric);
    head(&mut text, &family, "histogram", &metric.help);
    for it in found {
        let Ok(distribution) = Distribution::try_from(&it.histogram) else { continue };
        let ts = moments.text(&it.host, &it.series.probe);
        for (le, upto) in cumulative(distribution.buckets()) {
            let le = le.map_or("+Inf".to_owned(), |le| format!("{le:?}"));
            let labels = labels(&it.host, &it.series, Some(("le", &le)));
            let _ = writeln!(text, "{family}_bucket{labels} {upto}{ts}");
        }
        let labels = labels(&it.host, &it.series, None);
        let _ = writeln!(text, "{family}_count{labels} {}{ts}", distribution.count());
        if let Some(sum) = distribution.sum() {
            let _ = writeln!(text, "{family}_sum{labels} {sum:?}{ts}");
        }
    }
    // OpenMetrics has no place for it within the family.
    let largest = format!("{family}_max");
    let maxima: Vec<_> = found.iter().filter_map(|it| Some((it, it.histogram.max?))).collect();
    if !maxima.is_empty() && families.insert(largest.clone()) {
        head(&mut text, &largest, "gauge", "the largest single observation");
        for (it, max) in maxima {
            let ts = moments.text(&it.host, &it.series.probe);
            let _ = writeln!(text, "{largest}{} {max:?}{ts}", labels(&it.host, &it.series, None));
        }
    }
    text
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
