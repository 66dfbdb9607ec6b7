//! `json`: one value; each metric's `source` is a JSON pointer to its number.
//!
//! Without a `source` the metric's name is a key at the top. A segment `*` stands for every element
//! of a list or every member of an object, and becomes a label: `/disks/*/await` gives
//! `disks="0"` or `disks="sda"`, and `/disks/*name/await` gives `name="sda"`, from the element's
//! own member `name` where it has one. Nothing that has no entry is taken.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::{LabelPairs, MetricSpec, Probe};

use super::sink::Sink;
use super::specs;
use super::text::{decimal, excerpt};

/// Values that one entry may match.
const MAX_MATCHES: usize = 20_000;

pub(super) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    let root: Value = match serde_json::from_slice(raw) {
        Ok(root) => root,
        // The message says what was expected, and ends with line and column.
        Err(error) => return sink.fault(|| format!("expected one JSON value: {error}")),
    };
    for spec in &probe.metrics {
        let pointer = spec.source.clone().unwrap_or_else(|| format!("/{}", spec.name));
        let Some(segments) = segments(&pointer) else {
            sink.fault(|| {
                format!("metric {}: expected a source that starts with /, found {pointer:?}", spec.name)
            });
            continue;
        };
        let mut matches = Vec::new();
        walk(&root, &segments, None, &mut Vec::new(), &mut matches);
        if matches.is_empty() && !pointer.contains("/*") {
            let near = nearest(&root, &segments);
            sink.fault(|| {
                format!("metric {}: expected a number at {pointer}, found nothing{near}", spec.name)
            });
        }
        for (labels, value) in matches {
            take(spec, &pointer, labels, value, sink);
        }
    }
}

fn take(spec: &MetricSpec, pointer: &str, labels: LabelPairs, value: &Value, sink: &mut Sink) {
    let number = match value {
        // Said to be absent: that is no fault.
        Value::Null => return,
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        // Some tools quote their numbers in one version and not in the next.
        Value::String(text) => decimal(text.trim().as_bytes()),
        Value::Array(_) | Value::Object(_) => None,
    };
    let labels = specs::sorted(labels);
    match (number, labels) {
        (Some(number), Ok(labels)) => specs::store(sink, &spec.name, spec.kind, labels, number),
        (Some(_), Err(words)) => sink.fault(|| format!("metric {}: {words} in {pointer}", spec.name)),
        (None, _) => {
            let found = excerpt(value.to_string().as_bytes());
            sink.fault(|| format!("metric {}: expected a number at {pointer}, found {found}", spec.name));
        }
    }
}

/// The segments of a pointer (RFC 6901), unescaped; `*` and `*name` keep their star.
fn segments(pointer: &str) -> Option<Vec<String>> {
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
}

fn walk<'v>(
    value: &'v Value,
    segments: &[String],
    parent: Option<&str>,
    labels: &mut LabelPairs,
    matches: &mut Vec<(LabelPairs, &'v Value)>,
) {
    let Some((segment, rest)) = segments.split_first() else {
        if matches.len() < MAX_MATCHES {
            matches.push((labels.clone(), value));
        }
        return;
    };
    let Some(name) = segment.strip_prefix('*') else {
        let child = match value {
            Value::Array(list) => segment.parse().ok().and_then(|index: usize| list.get(index)),
            _ => value.get(segment.as_str()),
        };
        if let Some(child) = child {
            walk(child, rest, Some(segment), labels, matches);
        }
        return;
    };
    let children: Vec<(String, &Value)> = match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect()
        }
        Value::Object(members) => members.iter().map(|(key, child)| (key.clone(), child)).collect(),
        _ => return,
    };
    for (key, child) in children {
        labels.push((label_name(name, parent), label_value(name, child).unwrap_or(key)));
        walk(child, rest, None, labels, matches);
        labels.pop();
    }
}

fn label_name(name: &str, parent: Option<&str>) -> Cow<'static, str> {
    let given = if name.is_empty() { parent } else { Some(name) };
    let usable = given.filter(|name| specs::is_metric_name(name) && !name.contains(':'));
    usable.map_or(Cow::Borrowed("item"), |name| Cow::Owned(name.to_owned()))
}

fn label_value(name: &str, element: &Value) -> Option<String> {
    match element.get(name).filter(|_| !name.is_empty())? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The key that comes closest to the one that is missing, where the way to it exists.
fn nearest(root: &Value, segments: &[String]) -> String {
    let Some((last, way)) = segments.split_last() else { return String::new() };
    let parent = way.iter().try_fold(root, |value, segment| value.get(segment.as_str()));
    let keys = parent.and_then(Value::as_object).map(serde_json::Map::keys).into_iter().flatten();
    let scored = keys.take(200).map(|key| (strsim::jaro_winkler(key, last), key));
    let best = scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, key)| format!("; did you mean {}?", excerpt(key.as_bytes()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::model::Kind;
    use crate::parse::testing::{faults, probe, series};

    fn read(metrics: &[(&str, Kind, Option<&str>)], raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("json", metrics), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn pointers_and_stars() {
        let raw = r#"{"jobs": 3, "up": true, "a/b": {"~": "1.5"}, "gone": null,
            "disks": [{"name": "sda", "await": 1}, {"await": 2}], "by": {"x": {"n": 5}, "y": {"n": 6}}}"#;
        let parsed = read(
            &[
                ("jobs", Kind::Gauge, None),
                ("up", Kind::Gauge, None),
                ("odd", Kind::Gauge, Some("/a~1b/~0")),
                ("gone", Kind::Gauge, None),
                ("await_seconds", Kind::Gauge, Some("/disks/*name/await")),
                ("await_by_index", Kind::Gauge, Some("/disks/*/await")),
                ("first_await", Kind::Gauge, Some("/disks/0/await")),
                ("n_total", Kind::Counter, Some("/by/*/n")),
            ],
            raw,
        );
        assert_eq!(
            series(&parsed),
            [
                "jobs 3",
                "up 1",
                "odd 1.5",
                "await_seconds{name=sda} 1",
                "await_seconds{name=1} 2",
                "await_by_index{disks=0} 1",
                "await_by_index{disks=1} 2",
                "first_await 1",
                "total n_total{by=x} 5",
                "total n_total{by=y} 6",
            ]
        );
        assert_eq!(faults(&parsed), [""; 0]);
    }

    #[test]
    fn faults_say_where() {
        let metrics =
            [("jobs", Kind::Gauge, None), ("q", Kind::Gauge, Some("nopointer")), ("l", Kind::Gauge, None)];
        assert_eq!(
            faults(&read(&metrics, r#"{"job": 1, "l": [1]}"#)),
            [
                "metric jobs: expected a number at /jobs, found nothing; did you mean \"job\"?",
                "metric q: expected a source that starts with /, found \"nopointer\"",
                "metric l: expected a number at /l, found \"[1]\"",
            ]
        );
        let broken = read(&metrics, "{\"jobs\": \n oops}");
        assert!(faults(&broken)[0].contains("line 2 column"), "{broken:?}");
        let deep = "[".repeat(100_000);
        assert_eq!(faults(&read(&metrics, &deep)).len(), 1);
    }
}
