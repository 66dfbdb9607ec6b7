//! From lines to samples: which family a line belongs to, and what kind that makes it.

use std::collections::HashMap;

use crate::model::{Kind, LabelPairs, Probe};

use crate::parse::sink::Sink;
use crate::parse::specs;
use crate::parse::text::{excerpt, utf8_lines};

use super::histogram::Histograms;
use super::line::{Line, read_line};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    Unknown,
}

impl Type {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            // A state set is a gauge per state, 1 for those that hold.
            "gauge" | "stateset" => Self::Gauge,
            "histogram" | "gaugehistogram" => Self::Histogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }
}

pub(in crate::parse) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader {
        probe,
        types: HashMap::new(),
        histograms: Histograms::default(),
        ended: false,
        timed: false,
    };
    for (number, line) in utf8_lines(raw, sink) {
        reader.line(number, line, sink);
    }
    reader.histograms.finish(sink);
}

struct Series<'r> {
    name: &'r str,
    labels: LabelPairs,
}

struct Reader<'p, 'r> {
    probe: &'p Probe,
    types: HashMap<&'r str, Type>,
    histograms: Histograms,
    ended: bool,
    timed: bool,
}

impl<'r> Reader<'_, 'r> {
    fn line(&mut self, number: usize, line: &'r str, sink: &mut Sink) {
        if line.trim().is_empty() {
            return;
        }
        if self.ended {
            return sink.fault(|| format!("line {number}: expected nothing behind # EOF"));
        }
        match read_line(line) {
            Ok(Line::Eof) => self.ended = true,
            Ok(Line::Comment) => {}
            Ok(Line::Type { name, word }) => match Type::from_word(word) {
                Some(kind) => {
                    if self.types.insert(name, kind).is_some() {
                        sink.fault(|| format!("line {number}: expected one TYPE for {name}, found another"));
                    }
                    if kind == Type::Info {
                        sink.fault(|| {
                            format!("line {number}: {name} is an info, which is no number: left out")
                        });
                    }
                }
                None => sink.fault(|| {
                    format!("line {number}: expected a TYPE such as gauge or counter, found {word:?}")
                }),
            },
            Ok(Line::Sample { name, labels, value, has_timestamp }) => {
                if has_timestamp && !self.timed {
                    self.timed = true;
                    sink.fault(|| {
                        format!("line {number}: timestamps are ignored: a reading has one moment, its own")
                    });
                }
                match specs::sorted(labels) {
                    Ok(labels) => self.sample(number, Series { name, labels }, value, sink),
                    Err(words) => sink.fault(|| format!("line {number}: {words}")),
                }
            }
            Err(expected) => {
                sink.fault(|| {
                    format!("line {number}: expected {expected}, found {}", excerpt(line.as_bytes()))
                });
            }
        }
    }

    fn sample(&mut self, number: usize, Series { name, labels }: Series, value: f64, sink: &mut Sink) {
        let (family, kind) = self.family(name);
        match kind {
            Some(Type::Histogram) => {
                let part = &name[family.len()..];
                if let Err(words) = self.histograms.add(family, part, labels, value) {
                    sink.fault(|| format!("line {number}: {words}"));
                }
                return;
            }
            Some(Type::Info) => return,
            // When a counter began; a decrease already says that it began again.
            Some(_) if name.strip_suffix("_created") == Some(family) => return,
            _ => {}
        }
        if !value.is_finite() {
            return sink
                .fault(|| format!("line {number}: expected a finite number for {name}, found {value}"));
        }
        let declared = specs::of_key(self.probe, name);
        let own = match kind {
            Some(Type::Counter) => Some(Kind::Counter),
            Some(Type::Gauge) => Some(Kind::Gauge),
            Some(Type::Summary) if name.len() > family.len() => Some(Kind::Counter),
            Some(Type::Summary) => Some(Kind::Gauge),
            _ => None,
        };
        let Some(kind) = declared.map(|spec| spec.kind).or(own) else {
            return specs::undeclared(self.probe, sink, &format!("line {number}: no TYPE, and"), name);
        };
        if kind == Kind::Counter && value < 0.0 {
            return sink.fault(|| {
                format!("line {number}: expected a counter of at least 0 for {name}, found {value}")
            });
        }
        let stored = declared.map_or(name, |spec| specs::name_of(spec, name));
        specs::store(sink, stored, kind, labels, value);
    }

    /// The family that `name` belongs to, by its suffix where the family's TYPE allows that suffix.
    fn family<'n>(&self, name: &'n str) -> (&'n str, Option<Type>) {
        if let Some(kind) = self.types.get(name) {
            return (name, Some(*kind));
        }
        const SUFFIXES: [(&str, &[Type]); 8] = [
            ("_total", &[Type::Counter]),
            ("_created", &[Type::Counter, Type::Histogram, Type::Summary]),
            ("_bucket", &[Type::Histogram]),
            ("_sum", &[Type::Histogram, Type::Summary]),
            ("_count", &[Type::Histogram, Type::Summary]),
            ("_gsum", &[Type::Histogram]),
            ("_gcount", &[Type::Histogram]),
            ("_info", &[Type::Info]),
        ];
        for (suffix, allowed) in SUFFIXES {
            if let Some(family) = name.strip_suffix(suffix)
                && let Some(kind) = self.types.get(family).filter(|kind| allowed.contains(kind))
            {
                return (family, Some(*kind));
            }
        }
        (name, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Bucket, Kind};
    use crate::parse::testing::{faults, probe, series};

    fn read(metrics: &[(&str, Kind, Option<&str>)], raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("openmetrics", metrics), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn types_of_both_dialects() {
        let raw = "# HELP a help, anything goes\n# TYPE a_total counter\na_total 5\n\
                   # TYPE b counter\n# UNIT b seconds\nb_total{x=\"1\"} 6\nb_created{x=\"1\"} 1e9\n\
                   # TYPE g gauge\ng{z=\"1\",a=\"q\\\"\\\\\\n\",} -0.5\n\
                   # TYPE s summary\ns{quantile=\"0.99\"} 0.25\ns_sum 10\ns_count 4\n\
                   # TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n";
        let parsed = read(&[], raw);
        assert_eq!(
            series(&parsed),
            [
                "g{a=q\"\\\n,z=1} -0.5",
                "s{quantile=0.99} 0.25",
                "total a_total 5",
                "total b_total{x=1} 6",
                "total s_sum 10",
                "total s_count 4",
            ]
        );
        assert_eq!(faults(&parsed), ["line 14: i is an info, which is no number: left out"]);
    }

    #[test]
    fn the_probes_entry_stands_in_for_a_type() {
        let parsed = read(
            &[("spool_jobs_waiting", Kind::Gauge, None)],
            "spool_jobs_waiting 12\nspool_job_waiting 1\n",
        );
        assert_eq!(series(&parsed), ["spool_jobs_waiting 12"]);
        assert_eq!(
            faults(&parsed),
            ["line 2: no TYPE, and: \"spool_job_waiting\" has no [[metric]] entry in probe test; \
              did you mean \"spool_jobs_waiting\"?"]
        );
    }

    #[test]
    fn histograms_keep_their_bounds() {
        let raw = "# TYPE lat_seconds histogram\n\
                   lat_seconds_bucket{op=\"r\",le=\"0.1\"} 2\nlat_seconds_bucket{op=\"r\",le=\"0.5\"} 5\n\
                   lat_seconds_bucket{op=\"r\",le=\"+Inf\"} 6\nlat_seconds_sum{op=\"r\"} 1.5\nlat_seconds_count{op=\"r\"} 6\n";
        let parsed = read(&[], raw);
        assert_eq!(faults(&parsed), [""; 0]);
        let [histogram] = parsed.histograms.as_slice() else { panic!("{parsed:?}") };
        assert_eq!((histogram.count, histogram.sum, histogram.max), (6, Some(1.5), None));
        let buckets = [
            Bucket { lo: 0.0, hi: 0.1, count: 2 },
            Bucket { lo: 0.1, hi: 0.5, count: 3 },
            Bucket { lo: 0.5, hi: f64::INFINITY, count: 1 },
        ];
        assert_eq!(histogram.buckets, buckets);
        assert_eq!(histogram.labels, [("op".into(), "r".to_owned())]);
    }

    #[test]
    fn faults_name_the_line() {
        let raw = "# TYPE g gauge\ng NaN\ng +Inf\ng{a=\"1\",a=\"2\"} 1\ng{a=1} 1\ng\ng 1 1700000000\ng{b=\"\"} 2 1700000000\n\
                   # TYPE c counter\nc_total -1\n# TYPE h histogram\nh_bucket 1\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 3\n\
                   9bad 1\n# TYPE w wonder\n# EOF\ng 1\n";
        let parsed = read(&[], raw);
        assert_eq!(series(&parsed), ["g 1", "g{b=} 2"]);
        let starts: Vec<_> =
            faults(&parsed).iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect();
        let lines = [2, 3, 4, 5, 6, 7, 10, 12, 15, 16, 18].map(|n| format!("line {n}"));
        assert_eq!(starts[..lines.len()], lines, "{:#?}", faults(&parsed));
        assert!(
            faults(&parsed).last().unwrap().contains("h: expected counts that grow"),
            "{:#?}",
            faults(&parsed)
        );
    }
}
