//! Where parsers put what they read. The caps are here, once: a hostile host can fill neither the
//! index with series nor the screen with faults.

use std::borrow::Cow;
use std::collections::HashSet;

use super::specs::is_metric_name;
use super::text::is_boot_id;
use crate::model::{Fault, Histogram, Kind, LabelPairs, Parsed, Sample, Span, Total};

/// Samples, totals and histograms of one reading.
const MAX_SERIES: usize = 20_000;
/// Metrics of one reading. Each that was ever met is looked at wherever all of them are: a host that made up
/// thousands at every sweep would make them all slower for as long as they are kept.
const MAX_METRICS: usize = 2_000;
/// Faults kept word for word; the rest are counted.
const MAX_FAULTS: usize = 50;
const MAX_NAME_BYTES: usize = 200;
const MAX_LABELS: usize = 32;
const MAX_LABEL_VALUE_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Sink {
    parsed: Parsed,
    metrics: HashSet<String>,
    metrics_dropped: usize,
    series: usize,
    series_dropped: usize,
    faults_dropped: usize,
}

impl Sink {
    pub(super) fn gauge(&mut self, metric: impl Into<Cow<'static, str>>, labels: LabelPairs, value: f64) {
        self.sample(Sample { metric: metric.into(), labels, kind: Kind::Gauge, span: Span::Instant, value });
    }

    pub(super) fn sample(&mut self, sample: Sample) {
        if self.admits(&sample.metric, &sample.labels, sample.value) {
            self.parsed.samples.push(sample);
        }
    }

    pub(super) fn total(&mut self, total: Total) {
        if self.admits(&total.metric, &total.labels, total.value) {
            self.parsed.totals.push(total);
        }
    }

    pub(super) fn histogram(&mut self, histogram: Histogram) {
        if self.admits(&histogram.metric, &histogram.labels, histogram.sum.unwrap_or(0.0)) {
            self.parsed.histograms.push(histogram);
        }
    }

    /// The host's uptime at the moment the totals were read, and the boot that it is of.
    pub(super) fn totals_read_at(&mut self, uptime_s: f64, boot_id: Option<&[u8]>) {
        self.parsed.totals_uptime_s = Some(uptime_s);
        let boot_id = boot_id.filter(|id| is_boot_id(id));
        self.parsed.totals_boot_id = boot_id.map(|id| String::from_utf8_lossy(id).into_owned());
    }

    pub(super) fn fact(&mut self, key: &str, value: &str) {
        if self.parsed.facts.insert(key.to_owned(), value.to_owned()).is_some() {
            self.fault(|| format!("fact {key:?} is given twice: the last one is kept"));
        }
    }

    pub(super) fn cursor(&mut self, cursor: String) {
        self.parsed.cursor = Some(cursor);
    }

    /// Notes a fault; the words are made only when there is room for them.
    pub(super) fn fault(&mut self, words: impl FnOnce() -> String) {
        if self.parsed.faults.len() < MAX_FAULTS {
            self.parsed.faults.push(Fault(words()));
        } else {
            self.faults_dropped += 1;
        }
    }

    pub(super) fn finish(mut self) -> Parsed {
        self.drop_repeats();
        if self.series_dropped > 0 {
            let (kept, dropped) = (MAX_SERIES, self.series_dropped);
            self.parsed.faults.push(Fault(format!(
                "{dropped} series beyond the first {kept} were dropped: fewer labels, or fewer metrics, would keep them"
            )));
        }
        if self.metrics_dropped > 0 {
            self.parsed.faults.push(Fault(format!(
                "{} series of metrics beyond the first {MAX_METRICS} were dropped: labels tell them apart better than names",
                self.metrics_dropped
            )));
        }
        if self.faults_dropped > 0 {
            self.parsed.faults.push(Fault(format!("and {} more", self.faults_dropped)));
        }
        self.parsed
    }

    /// A series has one value in a reading: the first is kept.
    fn drop_repeats(&mut self) {
        let mut samples = std::mem::take(&mut self.parsed.samples);
        let mut totals = std::mem::take(&mut self.parsed.totals);
        let mut histograms = std::mem::take(&mut self.parsed.histograms);
        self.unique(&mut samples, |sample| (&sample.metric, &sample.labels, sample.span as u8));
        self.unique(&mut totals, |total| (&total.metric, &total.labels, 0));
        self.unique(&mut histograms, |histogram| (&histogram.metric, &histogram.labels, 0));
        (self.parsed.samples, self.parsed.totals, self.parsed.histograms) = (samples, totals, histograms);
    }

    fn unique<T>(&mut self, values: &mut Vec<T>, series: fn(&T) -> (&Cow<'static, str>, &LabelPairs, u8)) {
        let mut seen = HashSet::with_capacity(values.len());
        let first: Vec<bool> = values.iter().map(|value| seen.insert(series(value))).collect();
        if first.iter().all(|first| *first) {
            return;
        }
        for (value, _) in values.iter().zip(&first).filter(|(_, first)| !**first) {
            let (metric, labels, _) = series(value);
            self.fault(|| format!("{metric} with labels {labels:?} comes more than once: the first is kept"));
        }
        let mut keep = first.into_iter();
        values.retain(|_| keep.next().unwrap_or(true));
    }

    fn admits(&mut self, metric: &str, labels: &LabelPairs, value: f64) -> bool {
        if !value.is_finite() {
            self.fault(|| format!("{metric}: expected a finite number, found {value}"));
            return false;
        }
        // A pattern among a probe's entries takes any name, and a host gives any.
        if !is_metric_name(metric) {
            let name: String = metric.chars().take(60).collect();
            self.fault(|| format!("{name:?}: expected a metric name of A-Z a-z 0-9 _ :"));
            return false;
        }
        let fits = metric.len() <= MAX_NAME_BYTES
            && labels.len() <= MAX_LABELS
            && labels.iter().all(|(k, v)| k.len() <= MAX_NAME_BYTES && v.len() <= MAX_LABEL_VALUE_BYTES);
        if !fits {
            let name: String = metric.chars().take(60).collect();
            self.fault(|| {
                format!(
                    "{name}: expected a name of at most {MAX_NAME_BYTES} bytes and at most {MAX_LABELS} labels \
                     whose values have at most {MAX_LABEL_VALUE_BYTES} bytes"
                )
            });
            return false;
        }
        if self.series >= MAX_SERIES {
            self.series_dropped += 1;
            return false;
        }
        if !self.metrics.contains(metric) {
            if self.metrics.len() >= MAX_METRICS {
                self.metrics_dropped += 1;
                return false;
            }
            self.metrics.insert(metric.to_owned());
        }
        self.series += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_and_say_what_they_cut() {
        let mut sink = Sink::default();
        for i in 0..MAX_SERIES + 7 {
            sink.gauge("a", vec![("i".into(), i.to_string())], 1.0);
        }
        for i in 0..MAX_FAULTS + 3 {
            sink.fault(|| format!("fault {i}"));
        }
        let parsed = sink.finish();
        assert_eq!(parsed.samples.len(), MAX_SERIES);
        assert_eq!(parsed.faults.len(), MAX_FAULTS + 2);
        assert!(parsed.faults[MAX_FAULTS].0.starts_with("7 series beyond"));
        assert_eq!(parsed.faults[MAX_FAULTS + 1].0, "and 3 more");
    }

    #[test]
    fn metrics_without_end_are_cut() {
        let mut sink = Sink::default();
        for round in 0..2 {
            for i in 0..MAX_METRICS + 5 {
                sink.gauge(format!("m{i}"), vec![("round".into(), round.to_string())], 1.0);
            }
        }
        let parsed = sink.finish();
        assert_eq!(parsed.samples.len(), 2 * MAX_METRICS);
        assert!(parsed.faults[0].0.starts_with("10 series of metrics beyond the first 2000"), "{parsed:?}");
    }

    #[test]
    fn what_no_metric_can_be_called_is_a_fault_and_no_sample() {
        let mut sink = Sink::default();
        for name in ["", "9a", "a b", "a\u{1b}[31m", "a\u{202e}", "a\"", "ä", "a:b_9"] {
            sink.gauge(name, vec![], 1.0);
        }
        let parsed = sink.finish();
        assert_eq!(parsed.samples.iter().map(|sample| &*sample.metric).collect::<Vec<_>>(), ["a:b_9"]);
        assert_eq!(parsed.faults.len(), 7);
    }

    #[test]
    fn a_series_has_one_value() {
        let mut sink = Sink::default();
        for value in [1.0, 2.0] {
            sink.gauge("a", vec![("l".into(), "x".into())], value);
            sink.gauge("a", vec![("l".into(), value.to_string())], value);
        }
        let parsed = sink.finish();
        assert_eq!(parsed.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 1.0, 2.0]);
        assert_eq!(parsed.faults.len(), 1);
    }

    #[test]
    fn what_is_no_number_or_too_long_is_a_fault_and_no_sample() {
        let mut sink = Sink::default();
        sink.gauge("nan", vec![], f64::NAN);
        sink.gauge("inf", vec![], f64::INFINITY);
        sink.gauge("long", vec![("l".into(), "x".repeat(MAX_LABEL_VALUE_BYTES + 1))], 1.0);
        sink.gauge("fits", vec![("l".into(), "x".repeat(MAX_LABEL_VALUE_BYTES))], 1.0);
        let parsed = sink.finish();
        assert_eq!(parsed.samples.len(), 1);
        assert_eq!(parsed.faults.len(), 3);
    }
}
