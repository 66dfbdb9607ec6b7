//! From maps to metrics: a map's name is `@PART_ROLE_UNIT`, each of the three optional, and the
//! probe's entries say which metric a part is. A part that counted nothing, in a run that came to its
//! end, is a true 0; of any other nothing is said.

use std::collections::HashMap;

use super::host::Host;
use super::map::{Entry, Row, Value, add_rows};
use super::names::Names;
use crate::model::{Bucket, Histogram, Kind, LabelPairs, MetricSpec, Probe, Sample, Span};
use crate::parse::sink::Sink;
use crate::parse::specs;

/// How many of a unit are a second.
pub(super) fn per_second(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nsecs" => 1e9,
        "us" | "usecs" => 1e6,
        "ms" | "msecs" => 1e3,
        "secs" => 1.0,
        _ => return None,
    })
}

/// What a map holds for its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Values,
    Max,
    Sum,
}

#[derive(Debug, PartialEq)]
struct Part<'m> {
    name: &'m str,
    role: Role,
    per_second: Option<f64>,
}

impl<'m> Part<'m> {
    fn of(map: &'m str) -> Self {
        let (rest, per_second) = match map.rsplit_once('_').unwrap_or(("", map)) {
            (rest, unit) if per_second(unit).is_some() => (rest, per_second(unit)),
            _ => (map, None),
        };
        let (name, role) = match rest.rsplit_once('_').unwrap_or(("", rest)) {
            (name, "max") => (name, Role::Max),
            (name, "sum") => (name, Role::Sum),
            _ => (rest, Role::Values),
        };
        Part { name, role, per_second }
    }
}

pub(super) fn emit(probe: &Probe, entries: Vec<Entry>, host: &Host, sink: &mut Sink) {
    let mut host_names = HashMap::new();
    let mut window_s = None;
    for entry in &entries {
        match (&entry.value, entry.keys.as_slice(), Part::of(&entry.map)) {
            (Value::Text(name), [irq], Part { name: "n" | "name" | "names", .. }) => {
                host_names.insert(irq.text.clone(), name.clone());
            }
            (Value::Number(window), [], Part { name: "window", per_second: Some(per_second), .. }) => {
                window_s = Some(window / per_second);
            }
            _ => {}
        }
    }
    let irqs = host.irqs.iter().map(|(irq, name)| (irq.clone(), name.clone())).chain(host_names).collect();
    let host = Host { irqs, ..host.clone() };
    let mut emitter =
        Emitter { probe, names: Names::on(&host), window_s, series: Vec::new(), places: HashMap::new() };
    for entry in entries {
        emitter.take(entry, sink);
    }
    emitter.finish(sink);
}

/// One series while it is put together.
struct Series<'p> {
    spec: &'p MetricSpec,
    labels: LabelPairs,
    rows: Vec<Row>,
    /// Of `stats()`, where there are no rows.
    count: u64,
    sum: Option<f64>,
    max: Option<f64>,
    number: f64,
}

struct Emitter<'p, 'h> {
    probe: &'p Probe,
    names: Names<'h>,
    window_s: Option<f64>,
    series: Vec<Series<'p>>,
    places: HashMap<(&'p str, LabelPairs), usize>,
}

impl<'p> Emitter<'p, '_> {
    fn take(&mut self, entry: Entry, sink: &mut Sink) {
        let part = Part::of(&entry.map);
        match entry.value {
            Value::Text(_) => {}
            Value::Number(_) if part.name == "window" => {}
            Value::Number(number) if part.role == Role::Values => {
                self.number(&entry.map, number, &entry, sink)
            }
            Value::Number(number) => match self.histogram_spec(part.name) {
                Some(spec) => {
                    let number = number / scale(spec, &part);
                    let series = self.series(spec, &entry);
                    match part.role {
                        Role::Max => series.max = Some(series.max.map_or(number, |max| max.max(number))),
                        _ => series.sum = Some(series.sum.unwrap_or(0.0) + number),
                    }
                }
                None => self.number(&entry.map, number, &entry, sink),
            },
            Value::Stats { count, total } => match self.histogram_spec(part.name) {
                Some(spec) => {
                    let total = total / scale(spec, &part);
                    let series = self.series(spec, &entry);
                    series.count = series.count.saturating_add(count);
                    series.sum = Some(series.sum.unwrap_or(0.0) + total);
                }
                None => self.undeclared(&entry.map, sink),
            },
            Value::Rows(ref rows) => match self.histogram_spec(part.name) {
                Some(spec) => {
                    if part.per_second.is_none() && spec.unit == "seconds" {
                        let map = &entry.map;
                        sink.fault(|| format!("map {:?} names no unit: taken as microseconds", short(map)));
                    }
                    let scale = scale(spec, &part);
                    let rows = rows.iter().map(|row| scaled(row, scale)).collect();
                    add_rows(&mut self.series(spec, &entry).rows, rows);
                }
                None => self.undeclared(&entry.map, sink),
            },
        }
    }

    /// A count: a gauge has it as it is, a counter as its rate.
    fn number(&mut self, map: &str, number: f64, entry: &Entry, sink: &mut Sink) {
        let fits = |spec: &&MetricSpec| spec.kind != Kind::Histogram && is_of(spec, map);
        let specs: Vec<&'p MetricSpec> = self.probe.metrics.iter().filter(fits).collect();
        if specs.is_empty() {
            self.undeclared(map, sink);
        }
        for spec in specs {
            self.series(spec, entry).number += number;
        }
    }

    fn histogram_spec(&self, part: &str) -> Option<&'p MetricSpec> {
        self.probe.metrics.iter().find(|spec| spec.kind == Kind::Histogram && is_of(spec, part))
    }

    fn undeclared(&self, map: &str, sink: &mut Sink) {
        specs::undeclared(self.probe, sink, "map", map);
    }

    fn series(&mut self, spec: &'p MetricSpec, entry: &Entry) -> &mut Series<'p> {
        let labels = self.names.labels(&spec.name, &entry.keys);
        let place = *self.places.entry((&spec.name, labels.clone())).or_insert(self.series.len());
        if place == self.series.len() {
            let (rows, count, sum, max, number) = (Vec::new(), 0, None, None, 0.0);
            self.series.push(Series { spec, labels, rows, count, sum, max, number });
        }
        &mut self.series[place]
    }

    fn finish(mut self, sink: &mut Sink) {
        if self.window_s.is_some() {
            self.add_zeros();
        }
        let window_s = self.window_s.or(self.probe.window.map(|window| window.as_secs_f64()));
        let window_s = window_s.filter(|window_s| *window_s > 0.0);
        for series in self.series {
            match series.spec.kind {
                Kind::Histogram => histogram(series, sink),
                Kind::Gauge => sink.gauge(series.spec.name.clone(), series.labels, series.number),
                Kind::Counter => {
                    let metric = series.spec.name.clone();
                    let Some(window_s) = window_s else {
                        sink.fault(|| format!("{metric}: no window is known, so there is no rate"));
                        continue;
                    };
                    let (kind, span) = (Kind::Counter, Span::Window);
                    let value = series.number / window_s;
                    sink.sample(Sample { metric: metric.into(), labels: series.labels, kind, span, value });
                }
            }
        }
    }

    /// What a program that came to its end did not see did not happen: without the labels that only
    /// what happened has.
    fn add_zeros(&mut self) {
        for spec in &self.probe.metrics {
            let is_seen = self.series.iter().any(|series| std::ptr::eq(series.spec, spec));
            // bcc's columns, which bpftrace's programs do not have.
            if !is_seen && spec.kind != Kind::Gauge {
                let nothing = Entry { map: String::new(), keys: Vec::new(), value: Value::Number(0.0) };
                self.series(spec, &nothing);
            }
        }
    }
}

/// Whether a map or a part of that name is this metric's.
fn is_of(spec: &MetricSpec, map: &str) -> bool {
    match &spec.source {
        Some(source) => source == map,
        None => map.is_empty() || spec.name == map,
    }
}

/// How many of the map's units are one of the metric's.
fn scale(spec: &MetricSpec, part: &Part) -> f64 {
    if spec.unit == "seconds" { part.per_second.unwrap_or(1e6) } else { 1.0 }
}

fn scaled(row: &Row, scale: f64) -> Row {
    Row { lo: row.lo / scale, hi: row.hi / scale, count: row.count }
}

fn histogram(series: Series, sink: &mut Sink) {
    let Series { spec, labels, rows, count, sum, max, .. } = series;
    let metric = spec.name.clone();
    let negative: u64 = rows.iter().filter(|row| row.hi <= 0.0).map(|row| row.count).sum();
    if negative > 0 {
        sink.fault(|| format!("{metric}: {negative} of its values are below 0: the host's clock went back"));
    }
    let filled = |row: &&Row| row.count > 0;
    let mut buckets: Vec<Bucket> =
        rows.iter().filter(filled).map(|row| Bucket { lo: row.lo, hi: row.hi, count: row.count }).collect();
    if rows.is_empty() && count > 0 {
        buckets.push(Bucket { lo: 0.0, hi: f64::INFINITY, count });
    }
    let count = buckets.iter().fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count));
    sink.histogram(Histogram { metric: metric.into(), labels, count, sum, max, buckets });
}

fn short(map: &str) -> String {
    map.chars().take(60).collect()
}
