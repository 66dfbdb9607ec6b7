//! What is kept of readings whose bytes were pruned: their facts, and everything that was once read out of
//! them. One gzip stream of JSON lines for some hundred readings, so that names stand in it once. Numbers are
//! text in it, because a JSON reader may be off by one unit in the last place.

use std::collections::HashMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Facts;
use crate::model::{
    Bucket, Fault, Histogram, HostName, Kind, LabelPairs, Labels, Parsed, ProbeName, Sample, Span, Total,
};

/// Readings, and bytes of lines, that one member takes.
const MAX_READINGS: usize = 512;
const MAX_BYTES: usize = 4 << 20;

/// More than a member of ours ever inflates to: one reading may pass [`MAX_BYTES`] by far.
const MAX_INFLATED: u64 = 1 << 30;

/// One reading without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    pub host: HostName,
    pub probe: ProbeName,
    /// As its member had them: its place in the order of recording and the hash of the bytes, too.
    pub facts: Facts,
    pub parsed: Parsed,
    /// The rates since the reading before it, which no longer follow from anything.
    pub between: Vec<Sample>,
    /// A cap cut what was parsed.
    pub truncated: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Names that the readings below refer to, counted from 0 in each member.
    Series(Vec<Name>),
    Reading(Box<ReadingLine>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Name(String, Vec<(String, String)>, Kind, Span);

#[derive(Serialize, Deserialize)]
struct ReadingLine {
    host: HostName,
    probe: ProbeName,
    facts: Facts,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    samples: Numbers,
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    totals: Numbers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totals_uptime_s: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totals_boot_id: Option<String>,
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    between: Numbers,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    histograms: Vec<HistogramLine>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

/// Which series, `0-299,305`, and their values between blanks.
#[derive(Default, Serialize, Deserialize)]
struct Numbers(String, String);

#[derive(Serialize, Deserialize)]
struct HistogramLine {
    series: u32,
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<String>,
    /// Both ends of each bucket.
    bounds: String,
    counts: Vec<u64>,
}

/// Gathers digests into members.
pub(super) struct Digester {
    table: HashMap<Name, u32>,
    /// Names that no line has told yet.
    new: Vec<Name>,
    lines: Vec<u8>,
    readings: usize,
}

impl Digester {
    pub fn new() -> Self {
        Self { table: HashMap::new(), new: Vec::new(), lines: Vec::new(), readings: 0 }
    }

    /// Adds a reading and says whether the member is full.
    pub fn push(&mut self, digest: &Digest) -> bool {
        let parsed = &digest.parsed;
        let line = ReadingLine {
            host: digest.host.clone(),
            probe: digest.probe.clone(),
            facts: digest.facts.clone(),
            truncated: digest.truncated,
            samples: self.samples(&parsed.samples),
            totals: self.totals(&parsed.totals),
            totals_uptime_s: parsed.totals_uptime_s.map(exact),
            totals_boot_id: parsed.totals_boot_id.clone(),
            between: self.samples(&digest.between),
            histograms: parsed.histograms.iter().map(|it| self.histogram(it)).collect(),
            labels: parsed.facts.clone(),
            cursor: parsed.cursor.clone(),
            faults: parsed.faults.iter().map(|fault| fault.0.clone()).collect(),
        };
        if !self.new.is_empty() {
            let names = std::mem::take(&mut self.new);
            self.line(&Line::Series(names));
        }
        self.line(&Line::Reading(Box::new(line)));
        self.readings += 1;
        self.readings >= MAX_READINGS || self.lines.len() >= MAX_BYTES
    }

    /// The member's bytes; begins the next one.
    pub fn take(&mut self) -> Vec<u8> {
        let lines = std::mem::take(&mut self.lines);
        self.table.clear();
        self.readings = 0;
        let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::default());
        // Writing into a Vec cannot fail.
        let _ = encoder.write_all(&lines);
        encoder.finish().unwrap_or_default()
    }

    fn line(&mut self, line: &Line) {
        // Strings, whole numbers and maps of strings always have a JSON form.
        let _ = serde_json::to_writer(&mut self.lines, line);
        self.lines.push(b'\n');
    }

    fn name(&mut self, metric: &str, labels: &LabelPairs, (kind, span): (Kind, Span)) -> u32 {
        let labels = labels.iter().map(|(label, value)| (label.to_string(), value.clone())).collect();
        let name = Name(metric.to_owned(), labels, kind, span);
        if let Some(number) = self.table.get(&name) {
            return *number;
        }
        let number = self.table.len() as u32;
        self.new.push(name.clone());
        self.table.insert(name, number);
        number
    }

    fn samples(&mut self, samples: &[Sample]) -> Numbers {
        let pairs = samples
            .iter()
            .map(|it| (self.name(&it.metric, &it.labels, (it.kind, it.span)), it.value))
            .collect::<Vec<_>>();
        Numbers::of(&pairs)
    }

    fn totals(&mut self, totals: &[Total]) -> Numbers {
        let pairs = totals
            .iter()
            .map(|it| (self.name(&it.metric, &it.labels, (Kind::Counter, Span::Between)), it.value))
            .collect::<Vec<_>>();
        Numbers::of(&pairs)
    }

    fn histogram(&mut self, it: &Histogram) -> HistogramLine {
        let bounds = it.buckets.iter().flat_map(|bucket| [bucket.lo, bucket.hi]);
        HistogramLine {
            series: self.name(&it.metric, &it.labels, (Kind::Histogram, Span::Window)),
            count: it.count,
            sum: it.sum.map(exact),
            max: it.max.map(exact),
            bounds: texts(bounds),
            counts: it.buckets.iter().map(|bucket| bucket.count).collect(),
        }
    }
}

/// The shortest text that is read as exactly this number.
fn exact(value: f64) -> String {
    format!("{value:?}")
}

fn texts(values: impl Iterator<Item = f64>) -> String {
    values.map(exact).collect::<Vec<_>>().join(" ")
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_ascii_whitespace().map(|text| text.parse().ok()).collect()
}

impl Numbers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(pairs: &[(u32, f64)]) -> Self {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (number, _) in pairs {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => runs.push((*number, *number)),
            }
        }
        let run = |(first, last): &(u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let runs: Vec<String> = runs.iter().map(run).collect();
        Self(runs.join(","), texts(pairs.iter().map(|(_, value)| *value)))
    }

    /// Each value with its name; `None` when they do not fit each other.
    fn named<'a>(&self, table: &'a [Name]) -> Option<Vec<(&'a Name, f64)>> {
        let mut names = Vec::new();
        for run in self.0.split(',').filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            names.extend(table.get(first.parse().ok()?..=last.parse().ok()?)?);
        }
        let values = numbers(&self.1)?;
        (names.len() == values.len()).then(|| names.into_iter().zip(values).collect())
    }
}

/// The readings of one member.
pub(super) fn decode(gz: &[u8]) -> Result<Vec<Digest>, String> {
    let mut text = String::new();
    let read = GzDecoder::new(gz).take(MAX_INFLATED).read_to_string(&mut text);
    read.map_err(|error| format!("its lines cannot be inflated: {error}"))?;
    let mut table: Vec<Name> = Vec::new();
    let mut digests = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        match line {
            Line::Series(names) => table.extend(names),
            Line::Reading(line) => digests.push(
                line.digest(&table)
                    .ok_or_else(|| format!("line {number}: its numbers do not fit its names"))?,
            ),
        }
    }
    Ok(digests)
}

impl Name {
    fn labels(&self) -> LabelPairs {
        self.1.iter().map(|(label, value)| (label.clone().into(), value.clone())).collect()
    }

    fn sample(&self, value: f64) -> Sample {
        let metric = self.0.clone().into();
        Sample { metric, labels: self.labels(), kind: self.2, span: self.3, value }
    }
}

impl ReadingLine {
    fn digest(self, table: &[Name]) -> Option<Digest> {
        let samples = |numbers: &Numbers| -> Option<Vec<Sample>> {
            Some(numbers.named(table)?.into_iter().map(|(name, value)| name.sample(value)).collect())
        };
        let total = |(name, value): (&Name, f64)| Total {
            metric: name.0.clone().into(),
            labels: name.labels(),
            value,
        };
        let totals_uptime_s = match &self.totals_uptime_s {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let parsed = Parsed {
            samples: samples(&self.samples)?,
            totals: self.totals.named(table)?.into_iter().map(total).collect(),
            totals_uptime_s,
            totals_boot_id: self.totals_boot_id,
            histograms: self.histograms.iter().map(|line| line.histogram(table)).collect::<Option<_>>()?,
            facts: self.labels,
            cursor: self.cursor,
            faults: self.faults.into_iter().map(Fault).collect(),
        };
        let between = samples(&self.between)?;
        let Self { host, probe, facts, truncated, .. } = self;
        Some(Digest { host, probe, facts, parsed, between, truncated })
    }
}

impl HistogramLine {
    fn histogram(&self, table: &[Name]) -> Option<Histogram> {
        let name = table.get(usize::try_from(self.series).ok()?)?;
        let bounds = numbers(&self.bounds)?;
        if bounds.len() != self.counts.len() * 2 {
            return None;
        }
        let bucket = |(ends, count): (&[f64], &u64)| Bucket { lo: ends[0], hi: ends[1], count: *count };
        let number = |text: &Option<String>| match text {
            Some(text) => text.parse().ok().map(Some),
            None => Some(None),
        };
        Some(Histogram {
            metric: name.0.clone().into(),
            labels: name.labels(),
            count: self.count,
            sum: number(&self.sum)?,
            max: number(&self.max)?,
            buckets: bounds.chunks_exact(2).zip(&self.counts).map(bucket).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(label: &str, span: Span, value: f64) -> Sample {
        let kind = if span == Span::Instant { Kind::Gauge } else { Kind::Counter };
        Sample {
            metric: "disk_busy".into(),
            labels: vec![("disk".into(), label.to_owned())],
            kind,
            span,
            value,
        }
    }

    fn digest(host: &str) -> Digest {
        let histogram = Histogram {
            metric: "wait_seconds".into(),
            labels: Vec::new(),
            count: 7,
            sum: Some(0.1 + 0.2),
            max: None,
            buckets: vec![
                Bucket { lo: 0.0, hi: 1e-6, count: 3 },
                Bucket { lo: 0.1, hi: f64::INFINITY, count: 4 },
            ],
        };
        let total = Total { metric: "disk_busy".into(), labels: Vec::new(), value: 123_456_789_012.5 };
        Digest {
            host: HostName::new(host).unwrap(),
            probe: ProbeName::new("proc").unwrap(),
            facts: Facts::plain(17, b"x"),
            parsed: Parsed {
                samples: vec![
                    sample("a", Span::Instant, f64::MIN_POSITIVE),
                    sample("b", Span::Window, -0.0),
                    sample("a", Span::Instant, 1e300),
                ],
                totals: vec![total],
                totals_uptime_s: Some(1.0 / 3.0),
                totals_boot_id: Some("01234567-89ab-cdef-0123-456789abcdef".to_owned()),
                histograms: vec![histogram],
                facts: [("kernel".to_owned(), "6.1".to_owned())].into(),
                cursor: Some("s=1".to_owned()),
                faults: vec![Fault("line 3: \"x\"\n".to_owned())],
            },
            between: vec![sample("b", Span::Between, 0.1)],
            truncated: true,
        }
    }

    #[test]
    fn a_digest_comes_back_to_the_bit() {
        let mut digester = Digester::new();
        let given: Vec<Digest> = ["web01", "web02"].map(digest).into();
        assert!(given.iter().all(|digest| !digester.push(digest)));
        assert_eq!(decode(&digester.take()).unwrap(), given);
        // Names do not go over from one member to the next.
        assert!(!digester.push(&given[0]));
        assert_eq!(decode(&digester.take()).unwrap(), given[..1]);
        assert_eq!(decode(&digester.take()).unwrap(), []);
    }

    #[test]
    fn what_is_broken_is_said_and_never_half_a_reading() {
        let mut digester = Digester::new();
        digester.push(&digest("web01"));
        let gz = digester.take();
        assert!(decode(&gz[..gz.len() / 2]).unwrap_err().contains("inflated"));
        let lines = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            decode(&encoder.finish().unwrap()).unwrap_err()
        };
        assert!(lines("{\"series\":[]}\nnonsense").starts_with("line 2: "));
        let facts = serde_json::to_string(&Facts::plain(1, b"")).unwrap();
        let reading = |samples: &str| {
            format!(
                "{{\"reading\":{{\"host\":\"a\",\"probe\":\"p\",\"facts\":{facts},\"samples\":{samples}}}}}"
            )
        };
        for bad in ["[\"0-4\",\"1\"]", "[\"0\",\"1\"]", "[\"\",\"1\"]", "[\"9-2\",\"\"]", "[\"0\",\"x\"]"] {
            assert!(lines(&reading(bad)).contains("do not fit"), "{bad}");
        }
    }
}
