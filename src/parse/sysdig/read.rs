//! JSON or text, and slow calls added up. What sysdig says instead of a table (no driver, no such
//! chisel) is a fault.

use std::collections::BTreeMap;

use super::json;
use super::text::{self, Slow, Table};
use crate::model::Histogram;
use crate::parse::sink::Sink;
use crate::parse::text::{excerpt, utf8_lines};

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    if raw.trim_ascii_start().first() == Some(&b'{') { read_json(raw, sink) } else { read_text(raw, sink) }
}

/// One print after another where an interval was asked for: the numbers of a syscall add up.
fn read_json(raw: &[u8], sink: &mut Sink) {
    let mut sums = Sums::default();
    for (number, table) in (1..).zip(serde_json::Deserializer::from_slice(raw).into_iter::<json::Table>()) {
        match table.map(json::rows) {
            Ok(Ok((metric, rows))) => {
                rows.iter()
                    .filter(|(_, value)| *value >= 0.0)
                    .for_each(|(name, value)| sums.add(metric, name, *value));
            }
            Ok(Err(expected)) => sink.fault(|| format!("table {number}: expected {expected}")),
            Err(error) => {
                sink.fault(|| format!("table {number}: expected the JSON of topscalls_time: {error}"))
            }
        }
    }
    sums.emit(sink);
}

fn read_text(raw: &[u8], sink: &mut Sink) {
    let mut table = None;
    let mut sums = Sums::default();
    let mut slow = SlowCalls::default();
    for (number, line) in utf8_lines(raw, sink) {
        let line = text::plain(line);
        let line = line.trim();
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        let is_rule = line.chars().all(|c| c == '-' || c == ' ');
        if is_rule || ["real", "user", "sys"].contains(&first) {
            continue;
        }
        if let Some(header) = text::header(line) {
            table = Some(header);
            continue;
        }
        let taken = match table {
            None => None,
            Some(Table::Time) => {
                text::time(line).map(|(name, seconds)| sums.add("syscall_time_seconds", name, seconds))
            }
            Some(Table::Calls) => {
                text::calls(line).map(|(name, calls)| sums.add("syscall_calls", name, calls))
            }
            Some(of @ (Table::SlowCalls | Table::SlowFiles)) => {
                text::slow(of, line).map(|call| slow.add(of, call))
            }
        };
        if taken.is_none() {
            sink.fault(|| format!("line {number}: no row of a table: {}", excerpt(line.as_bytes())));
        }
    }
    if table.is_none() {
        sink.fault(|| {
            "expected a table of topscalls_time, topscalls, scallslower or fileslower, found none".into()
        });
    }
    sums.emit(sink);
    slow.emit(sink);
}

/// Numbers by metric and syscall.
#[derive(Default)]
struct Sums(BTreeMap<(&'static str, String), f64>);

impl Sums {
    fn add(&mut self, metric: &'static str, syscall: &str, value: f64) {
        *self.0.entry((metric, syscall.to_owned())).or_default() += value;
    }

    fn emit(self, sink: &mut Sink) {
        for ((metric, syscall), value) in self.0 {
            sink.gauge(metric, vec![("syscall".into(), syscall)], value);
        }
    }
}

/// Slow calls by metric, command and syscall: how many, how long together, the longest.
#[derive(Default)]
struct SlowCalls(BTreeMap<(&'static str, String, String), (u64, f64, f64)>);

impl SlowCalls {
    fn add(&mut self, table: Table, Slow { command, syscall, seconds }: Slow) {
        let metric =
            if table == Table::SlowFiles { "file_slow_call_seconds" } else { "syscall_slow_call_seconds" };
        let (count, sum, max) = self.0.entry((metric, command, syscall.to_owned())).or_default();
        (*count, *sum, *max) = (*count + 1, *sum + seconds, max.max(seconds));
    }

    fn emit(self, sink: &mut Sink) {
        for ((metric, command, syscall), (count, sum, max)) in self.0 {
            let labels = vec![("command".into(), command), ("syscall".into(), syscall)];
            let (sum, max) = (Some(sum), Some(max));
            sink.histogram(Histogram { metric: metric.into(), labels, count, sum, max, buckets: Vec::new() });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::testing::{faults, probe, series};

    fn read(raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("sysdig", &[]), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn json_by_its_description() {
        let raw = "{\n \"data\":[[\"poll\",80263495],[\"switch\",5]],\n \"info\":[{\"desc\":\"Syscall\",\"is_key\":true,\"name\":\"evt.type\"},\
                   null,{\"desc\":\"Time\",\"is_key\":false,\"name\":\"evt.latency\"}],\n \"ts\":\"1\"\n}\n\
                   {\"data\":[[\"poll\",5]]}\n";
        let parsed = read(raw);
        assert_eq!(faults(&parsed), [""; 0]);
        assert_eq!(
            series(&parsed),
            [
                "syscall_time_seconds{syscall=poll} 0.0802635",
                "syscall_time_seconds{syscall=switch} 0.000000005"
            ]
        );
        let raw = r#"{"data":[["a",1]],"info":[{"is_key":true,"name":"fd.name"},{"is_key":false,"name":"evt.latency"}]}"#;
        assert_eq!(faults(&read(raw)), ["table 1: expected syscalls by time or number"]);
        assert_eq!(faults(&read("{\"data\":3}")).len(), 1);
    }

    #[test]
    fn what_sysdig_says_instead_of_a_table() {
        let parsed = read("Unable to load the driver\nTime                Syscall             \n------\n");
        assert_eq!(faults(&parsed), ["line 1: no row of a table: \"Unable to load the driver\""]);
        assert_eq!(faults(&read("can't open file latency")).len(), 2);
        assert_eq!(faults(&read("")).len(), 1);
    }
}
