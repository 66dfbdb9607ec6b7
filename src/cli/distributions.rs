//! Histograms for a person: their quantiles in a line each, and the buckets as bars. A quantile is shown
//! as the bounds it lies between, because nothing more is known.

use crate::compare::{Distribution, Statistic};
use crate::model::{Bucket, Histogram, LabelPairs};
use crate::render::{Cell, Column, Ink, Lines, Style, Table, escape, sparkline, squeeze, units};

/// With more than these the bars would fill pages; the line of each has its shape.
const CHARTS: usize = 8;

/// Columns of the longest bar.
const BAR: u64 = 30;

/// Columns of a shape.
const SHAPE: usize = 24;

/// A line for each, and below them, where they are few, the bars. `unit` says what a metric counts in.
pub fn text<'a>(histograms: &[Histogram], unit: impl Fn(&str) -> &'a str, style: &Style) -> String {
    if histograms.is_empty() {
        return String::new();
    }
    let mut text = summary(histograms, &unit).render(style);
    if histograms.len() <= CHARTS {
        for histogram in histograms.iter().filter(|histogram| !histogram.buckets.is_empty()) {
            text.push('\n');
            text.push_str(&chart(histogram, unit(&histogram.metric)).render(style));
        }
    }
    text
}

fn summary<'a>(histograms: &[Histogram], unit: &impl Fn(&str) -> &'a str) -> Table {
    let mut table = Table::new([
        Column::left("HISTOGRAM"),
        Column::left("LABELS").elastic(),
        Column::right("N"),
        Column::right("P50"),
        Column::right("P90"),
        Column::right("P99"),
        Column::right("MAX"),
        Column::right("MEAN"),
        Column::left("SHAPE"),
    ]);
    for histogram in histograms {
        let unit = unit(&histogram.metric);
        let distribution = Distribution::try_from(histogram).ok();
        let number = |statistic: Statistic| {
            let found = distribution.as_ref().and_then(|distribution| statistic.of(distribution));
            Cell::new(found.map_or("-".to_owned(), |it| units::interval(it.lo, it.hi, unit)))
        };
        table.row([
            Cell::from(histogram.metric.as_ref()),
            Cell::new(labels(&histogram.labels)),
            Cell::new(histogram.count.to_string()),
            number(Statistic::P50),
            number(Statistic::P90),
            number(Statistic::P99),
            number(Statistic::Max),
            number(Statistic::Mean),
            Cell::new(shape(histogram)),
        ]);
    }
    table
}

fn labels(labels: &LabelPairs) -> String {
    let pairs: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join(",")
}

/// The counts from the first bucket that has one to the last.
fn shape(histogram: &Histogram) -> String {
    let counts: Vec<u64> = histogram.buckets.iter().map(|bucket| bucket.count).collect();
    let first = counts.iter().position(|count| *count > 0).unwrap_or(counts.len());
    let last = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
    let heights: Vec<Option<f64>> =
        counts[first..last].iter().map(|count| (*count > 0).then_some(*count as f64)).collect();
    sparkline(&squeeze(&heights, SHAPE))
}

fn chart(histogram: &Histogram, unit: &str) -> Table {
    let mut title = histogram.metric.to_string();
    if !histogram.labels.is_empty() {
        title = format!("{title} {}", labels(&histogram.labels));
    }
    let title = escape(&title, Lines::Single).into_owned();
    let mut table = Table::new([Column::left(&title), Column::right("N"), Column::left("")]);
    let tallest = histogram.buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
    for Bucket { lo, hi, count } in &histogram.buckets {
        // The longest bar has BAR columns, and what is there at all has one.
        let columns = (u128::from(*count) * u128::from(BAR)).div_ceil(u128::from(tallest));
        table.row([
            Cell::new(units::interval(*lo, *hi, unit)),
            Cell::new(count.to_string()),
            Cell::new("▇".repeat(usize::try_from(columns).unwrap_or(0))).ink(Ink::Cyan),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_and_few_observations_have_none() {
        let buckets = [(0.0, 0.001, 30), (0.001, 0.002, 0), (0.002, f64::INFINITY, 10)];
        let buckets = buckets.map(|(lo, hi, count)| Bucket { lo, hi, count }).to_vec();
        let histogram = Histogram {
            metric: "wait_seconds".into(),
            labels: vec![("device".into(), "sda\u{7}".to_owned())],
            count: 40,
            sum: Some(0.8),
            max: Some(0.05),
            buckets,
        };
        let text = text(&[histogram], |_| "seconds", &Style::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "HISTOGRAM     LABELS           N        P50       P90  P99   MAX  MEAN  SHAPE",
                "wait_seconds  device=sda\\x07  40  up to 1ms  over 2ms    -  50ms  20ms  █ ▁",
                "",
                "wait_seconds device=sda\\x07   N",
            ],
            "{text}"
        );
        assert!(lines[4].starts_with("up to 1ms") && lines[4].ends_with(&"▇".repeat(30)), "{text}");
    }
}
