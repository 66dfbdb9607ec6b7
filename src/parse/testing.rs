//! Probes and parse results as test tables write them.

use std::time::Duration;

use crate::model::{
    ByteSize, Format, Judging, Kind, LabelPairs, MetricSpec, Parsed, Probe, ProbeName, Worse,
};

/// A probe named `test` with the given (metric, kind, source) entries.
pub(super) fn probe(format: &str, metrics: &[(&str, Kind, Option<&str>)]) -> Probe {
    let format = Format::ALL.into_iter().find(|(name, _)| *name == format).unwrap().1;
    let spec = |(name, kind, source): &(&str, Kind, Option<&str>)| MetricSpec {
        name: (*name).to_owned(),
        unit: String::new(),
        kind: *kind,
        help: String::new(),
        worse: Worse::Either,
        warn: None,
        why: None,
        resolution: None,
        judged: Judging::Changed,
        source: source.map(str::to_owned),
    };
    Probe {
        format,
        timeout: Duration::from_secs(1),
        max_output: ByteSize(1 << 20),
        metrics: metrics.iter().map(spec).collect(),
        ..Probe::new(ProbeName::new("test").unwrap(), "")
    }
}

/// Samples, then totals, each as `metric{label=value} number`.
pub(super) fn series(parsed: &Parsed) -> Vec<String> {
    let samples = parsed.samples.iter().map(|s| format!("{}{} {}", s.metric, braces(&s.labels), s.value));
    let totals = parsed.totals.iter().map(|t| format!("total {}{} {}", t.metric, braces(&t.labels), t.value));
    samples.chain(totals).collect()
}

pub(super) fn faults(parsed: &Parsed) -> Vec<&str> {
    parsed.faults.iter().map(|fault| fault.0.as_str()).collect()
}

fn braces(labels: &LabelPairs) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}
