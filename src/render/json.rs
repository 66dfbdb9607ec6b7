//! The shapes that `--json` prints: a contract with other programs, released with `"schema": 1`. A
//! field is never left out: what is absent is `null`, as is a number that is none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use super::escape::is_unprintable;
use crate::model::{
    Cause, CollectorTime, Histogram, Host, HostName, Kind, LabelPairs, Labels, Outcome, Parsed, ProbeName,
    Reading, Sample, Span, SweepId, Trigger,
};

/// The version of these shapes: the number 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

/// `sweep` and `run`.
#[derive(Debug, Clone, Serialize)]
pub struct SweepReport {
    pub schema: Schema,
    pub sweep: SweepId,
    pub trigger: Trigger,
    /// What made an escalation run; null for all others.
    pub cause: Option<Cause>,
    /// RFC 3339.
    pub started: String,
    pub elapsed_s: f64,
    pub planned: u64,
    /// Every outcome, those that did not occur with 0.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Sweeps that this one called for, as they were run.
    pub escalated: Vec<SweepId>,
    pub readings: Vec<ReadingReport>,
}

impl SweepReport {
    /// A report of nothing yet: `elapsed_s`, `planned` and the readings are still to be filled in.
    pub fn new(sweep: SweepId, trigger: Trigger, started: CollectorTime) -> Self {
        Self {
            schema: Schema,
            sweep,
            trigger,
            cause: None,
            started: started.rfc3339(),
            elapsed_s: 0.0,
            planned: 0,
            outcomes: Outcome::ALL.into_iter().map(|outcome| (outcome, 0)).collect(),
            escalated: Vec::new(),
            readings: Vec::new(),
        }
    }

    /// Adds a reading and counts its outcome.
    pub fn push(&mut self, reading: ReadingReport) {
        *self.outcomes.entry(reading.outcome).or_default() += 1;
        self.readings.push(reading);
    }
}

/// One reading of a [`SweepReport`]; with `--ndjson`, a line of its own.
#[derive(Debug, Clone, Serialize)]
pub struct ReadingReport {
    pub host: HostName,
    pub probe: ProbeName,
    pub outcome: Outcome,
    pub detail: Option<String>,
    pub exit: Option<i32>,
    pub elapsed_s: f64,
    pub bytes_wire: u64,
    pub bytes_raw: u64,
    /// How many numbers were read out of it, and how many distributions.
    pub samples: u64,
    /// `null` where only the index was asked, which does not count them.
    pub histograms: Option<u64>,
}

impl ReadingReport {
    pub fn new(reading: &Reading, samples: usize) -> Self {
        Self {
            host: reading.host.clone(),
            probe: reading.probe.clone(),
            outcome: reading.outcome,
            detail: reading.detail.clone(),
            exit: reading.exit,
            elapsed_s: reading.elapsed.as_secs_f64(),
            bytes_wire: reading.wire.len() as u64,
            bytes_raw: reading.bytes_raw,
            samples: samples as u64,
            histograms: None,
        }
    }
}

/// `probes parse` and `show`.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeReport<'a> {
    pub schema: Schema,
    pub probe: &'a str,
    pub outcome: Outcome,
    pub samples: Vec<SampleReport<'a>>,
    pub histograms: Vec<HistogramReport<'a>>,
    pub faults: Vec<&'a str>,
}

impl<'a> ProbeReport<'a> {
    pub fn new(probe: &'a ProbeName, outcome: Outcome, parsed: &'a Parsed) -> Self {
        Self {
            schema: Schema,
            probe: probe.as_str(),
            outcome,
            samples: parsed.samples.iter().map(SampleReport::from).collect(),
            histograms: parsed.histograms.iter().map(HistogramReport::from).collect(),
            faults: parsed.faults.iter().map(|fault| fault.0.as_str()).collect(),
        }
    }
}

/// One number. A counter's `value` is its increase per second over the span.
#[derive(Debug, Clone, Serialize)]
pub struct SampleReport<'a> {
    pub metric: &'a str,
    pub labels: LabelObject<'a>,
    pub kind: Kind,
    pub span: Span,
    pub value: f64,
}

impl<'a> From<&'a Sample> for SampleReport<'a> {
    fn from(sample: &'a Sample) -> Self {
        Self {
            metric: &sample.metric,
            labels: (&sample.labels).into(),
            kind: sample.kind,
            span: sample.span,
            value: sample.value,
        }
    }
}

/// A distribution; bounds are in the metric's unit, an infinite one is null.
#[derive(Debug, Clone, Serialize)]
pub struct HistogramReport<'a> {
    pub metric: &'a str,
    pub labels: LabelObject<'a>,
    pub count: u64,
    pub sum: Option<f64>,
    pub max: Option<f64>,
    /// `[lo, hi, n]` each.
    pub buckets: Vec<(f64, f64, u64)>,
}

impl<'a> From<&'a Histogram> for HistogramReport<'a> {
    fn from(histogram: &'a Histogram) -> Self {
        Self {
            metric: &histogram.metric,
            labels: (&histogram.labels).into(),
            count: histogram.count,
            sum: histogram.sum,
            max: histogram.max,
            buckets: histogram.buckets.iter().map(|bucket| (bucket.lo, bucket.hi, bucket.count)).collect(),
        }
    }
}

/// `compare A B`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CompareReport {
    pub schema: Schema,
    /// Sweeps of each side.
    pub sweeps: [usize; 2],
    /// Each host is compared with itself, at two times.
    pub same_hosts: bool,
    /// The sides are of the same hours of the day; else there is no p.
    pub same_hours: bool,
    pub rows: Vec<CompareRow>,
}

/// One metric of two sides.
#[derive(Debug, Clone, Serialize)]
pub struct CompareRow {
    pub metric: String,
    /// Whose series it is: two probes may measure the same thing.
    pub probe: ProbeName,
    pub labels: LabelObject<'static>,
    pub a: Option<f64>,
    pub b: Option<f64>,
    /// `b` over `a`.
    pub ratio: Option<f64>,
    /// How many hosts each side has.
    pub n: [u64; 2],
    /// `[k, of]`: in how many sweeps, or on how many hosts that are compared with themselves, `b` is above `a`.
    pub above: Option<[u64; 2]>,
    /// Lower bound, estimate and upper bound of the shift from `a` to `b`.
    pub shift: Option<[f64; 3]>,
    pub delta: Option<f64>,
    /// Null where no p would be true.
    pub p: Option<f64>,
    pub p_bh: Option<f64>,
    /// Of a histogram, whose `a` and `b` are 99th percentiles; null for other kinds.
    pub distribution: Option<CompareDistribution>,
}

/// Two sides of a histogram, `[a, b]` each. A quantile is the bounds that it lies between; an open end is
/// null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompareDistribution {
    pub p50: [Option<(f64, f64)>; 2],
    pub p99: [Option<(f64, f64)>; 2],
    pub max: [Option<f64>; 2],
    pub observations: [u64; 2],
    /// 0 for the same shape, 1 when all of one side lies below all of the other.
    pub distance: Option<f64>,
}

/// `hosts list`.
#[derive(Debug, Clone, Serialize)]
pub struct HostsReport<'a> {
    pub schema: Schema,
    pub hosts: Vec<HostReport<'a>>,
    /// Other programs' lists.
    pub inventories: Vec<InventoryReport<'a>>,
}

/// Another program's list of hosts.
#[derive(Debug, Clone, Serialize)]
pub struct InventoryReport<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    /// Those of its hosts that are wanted.
    pub hosts: usize,
    /// When it was read. RFC 3339.
    pub answered: String,
    /// Why it cannot be read any more.
    pub trouble: Option<String>,
}

/// Who names a host.
#[derive(Debug, Clone, Serialize)]
pub struct FromReport<'a> {
    /// The list's name; null for the configuration.
    pub inventory: Option<&'a str>,
    pub file: &'a str,
    pub line: Option<usize>,
}

#[derive(Debug, Clone, Serialize)]
pub struct HostReport<'a> {
    pub name: &'a str,
    pub address: &'a str,
    pub port: u16,
    pub user: &'a str,
    pub reach: &'static str,
    pub labels: &'a Labels,
    pub from: Vec<FromReport<'a>>,
}

impl<'a> HostReport<'a> {
    pub fn new(host: &'a Host, from: Vec<FromReport<'a>>) -> Self {
        Self {
            from,
            name: host.name.as_str(),
            address: &host.address,
            port: host.port,
            user: &host.user,
            reach: host.reach.as_str(),
            labels: &host.labels,
        }
    }
}

/// A series' labels as an object, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelObject<'a>(pub Cow<'a, [(Cow<'static, str>, String)]>);

impl<'a> From<&'a LabelPairs> for LabelObject<'a> {
    fn from(labels: &'a LabelPairs) -> Self {
        Self(Cow::Borrowed(labels))
    }
}

impl From<LabelPairs> for LabelObject<'_> {
    fn from(labels: LabelPairs) -> Self {
        Self(Cow::Owned(labels))
    }
}

impl Serialize for LabelObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// `value` as one line of JSON that is safe to look at: in strings, every character that a terminal
/// may act on is a `\u` escape, which any reader turns back into the character.
pub fn to_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Printable(CompactFormatter)))?;
    // The formatter is handed whole strings only, so what it wrote is UTF-8.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

struct Printable(CompactFormatter);

impl Formatter for Printable {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unprintable(*c)) {
            self.0.write_string_fragment(writer, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
