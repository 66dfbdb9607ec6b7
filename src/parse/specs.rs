//! A probe's `[[metric]]` entries, as the parsers of user formats ask for them.

use crate::model::{Kind, LabelPairs, MetricSpec, Probe, Total};

use super::sink::Sink;

/// Below this likeness (Jaro-Winkler) a suggestion would be noise.
const ALIKE: f64 = 0.8;

/// Puts one value where its declared kind belongs: a gauge is a sample; a counter that is read
/// once is only a total, which the next reading of the same boot turns into a rate.
pub(super) fn store(sink: &mut Sink, metric: &str, kind: Kind, labels: LabelPairs, value: f64) {
    match kind {
        Kind::Counter => sink.total(Total { metric: metric.to_owned().into(), labels, value }),
        Kind::Gauge | Kind::Histogram => sink.gauge(metric.to_owned(), labels, value),
    }
}

/// The entry for `key` as it stands in the output: by its `source`, else by its name.
pub(super) fn of_key<'p>(probe: &'p Probe, key: &str) -> Option<&'p MetricSpec> {
    let sourced = probe.metrics.iter().find(|spec| spec.source.as_deref() == Some(key));
    sourced.or_else(|| probe.spec(key).filter(|spec| spec.source.is_none()))
}

/// The name a value is stored under: the entry's, unless that is a pattern.
pub(super) fn name_of<'a>(spec: &'a MetricSpec, key: &'a str) -> &'a str {
    if spec.name.contains('*') { key } else { &spec.name }
}

/// Notes that `key` has no entry, with the closest one there is.
pub(super) fn undeclared(probe: &Probe, sink: &mut Sink, place: &str, key: &str) {
    sink.fault(|| {
        let short: String = key.chars().take(60).collect();
        let known = probe.metrics.iter().map(|spec| spec.source.as_deref().unwrap_or(&spec.name));
        let scored = known.map(|name| (strsim::jaro_winkler(name, &short), name));
        let best = scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = best.map(|(_, name)| format!("; did you mean {name:?}?")).unwrap_or_default();
        format!("{place}: {short:?} has no [[metric]] entry in probe {}{hint}", probe.name)
    });
}

/// Whether `name` can name a metric or, without colons, a label.
pub(super) fn is_metric_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Sorts labels by name and refuses a name that comes twice.
pub(super) fn sorted(mut labels: LabelPairs) -> Result<LabelPairs, String> {
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("expected each label once, found {:?} twice", pair[0].0)),
        None => Ok(labels),
    }
}
