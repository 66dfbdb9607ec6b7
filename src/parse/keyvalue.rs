//! `keyvalue`: a line a number, as `key=value`, `key: value` or `key value`.
//!
//! The key ends at the first `=` or `:`, else at the first blank. It guesses no unit: what stands
//! behind the number is a fault, because `12 kB` is not 12.

use crate::model::Probe;

use super::sink::Sink;
use super::specs;
use super::text::{decimal, excerpt, utf8_lines};

pub(super) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    for (number, line) in utf8_lines(raw, sink) {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((key, value)) = split(text) else {
            sink.fault(|| {
                format!(
                    "line {number}: expected key=value, key: value or key value, found {}",
                    excerpt(text.as_bytes())
                )
            });
            continue;
        };
        let Some(spec) = specs::of_key(probe, key) else {
            specs::undeclared(probe, sink, &format!("line {number}"), key);
            continue;
        };
        match decimal(value.as_bytes()) {
            Some(value) => specs::store(sink, specs::name_of(spec, key), spec.kind, vec![], value),
            None => sink.fault(|| {
                format!(
                    "line {number}: expected a finite number behind {key:?}, found {}",
                    excerpt(value.as_bytes())
                )
            }),
        }
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.find(['=', ':']).or_else(|| text.find([' ', '\t']))?;
    let (key, value) = (text[..at].trim_end(), text[at + 1..].trim());
    (!key.is_empty()).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use crate::model::Kind;
    use crate::parse::testing::{faults, probe, series};

    #[test]
    fn three_ways_to_write_it() {
        let probe =
            probe("keyvalue", &[("jobs", Kind::Gauge, None), ("sent_total", Kind::Counter, Some("tx sent"))]);
        let parsed = crate::parse::parse(&probe, b"# spool\njobs=3\n\ntx sent: 9\r\n", &Default::default());
        assert_eq!(series(&parsed), ["jobs 3", "total sent_total 9"]);
        assert_eq!(faults(&parsed), [""; 0]);
        let parsed = crate::parse::parse(&probe, b"jobs \t -0.5\n", &Default::default());
        assert_eq!(series(&parsed), ["jobs -0.5"]);
    }

    #[test]
    fn faults_name_the_line() {
        let probe = probe("keyvalue", &[("jobs_waiting", Kind::Gauge, None)]);
        let raw = b"jobs_wating 1\njobs_waiting 12 kB\nalone\njobs_waiting nan\n=3\n\xff 1\n";
        let parsed = crate::parse::parse(&probe, raw, &Default::default());
        assert_eq!(parsed.samples, []);
        assert_eq!(
            faults(&parsed),
            [
                "line 6: expected UTF-8, found \"\u{fffd} 1\"",
                "line 1: \"jobs_wating\" has no [[metric]] entry in probe test; did you mean \"jobs_waiting\"?",
                "line 2: expected a finite number behind \"jobs_waiting\", found \"12 kB\"",
                "line 3: expected key=value, key: value or key value, found \"alone\"",
                "line 4: expected a finite number behind \"jobs_waiting\", found \"nan\"",
                "line 5: expected key=value, key: value or key value, found \"=3\"",
            ]
        );
    }
}
