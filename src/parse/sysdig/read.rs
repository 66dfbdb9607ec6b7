//! JSON or text, and slow calls added up. What sysdig says instead of a table (no driver, no such
//! chisel) is a fault.

use std::collections::BTreeMap;

use super::json;
use super::text::{self, Slow, Table};
use crate::model::{Bucket, Histogram};
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
                sink.fault(|| {
                    let short: String = error.to_string().chars().take(200).collect();
                    format!("table {number}: expected the JSON of topscalls_time: {short}")
                });
                break;
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

/// Events of sysdig's own among the syscalls: a switch of tasks lasts until the task runs again.
const NO_SYSCALLS: [&str; 2] = ["switch", "procinfo"];

/// Numbers by metric and syscall.
#[derive(Default)]
struct Sums(BTreeMap<(&'static str, String), f64>);

impl Sums {
    fn add(&mut self, metric: &'static str, syscall: &str, value: f64) {
        if NO_SYSCALLS.contains(&syscall) {
            return;
        }
        *self.0.entry((metric, syscall.to_owned())).or_default() += value;
    }

    fn emit(self, sink: &mut Sink) {
        for ((metric, syscall), value) in self.0 {
            sink.gauge(metric, vec![("syscall".into(), syscall)], value);
        }
    }
}

const SLOW_CALLS: &str = "syscall_slow_call_seconds";
const SLOW_FILES: &str = "file_slow_call_seconds";

/// The unit that the chisel is exact to: fileslower cuts its times to whole milliseconds, which add up
/// to no sum.
fn per_second(metric: &str) -> f64 {
    if metric == SLOW_FILES { 1e3 } else { 1e6 }
}

/// Slow calls by metric, command and syscall.
#[derive(Default)]
struct SlowCalls(BTreeMap<(&'static str, String, String), Latencies>);

#[derive(Default)]
struct Latencies {
    /// By the power of two that is above it, in the chisel's unit.
    counts: BTreeMap<u32, u64>,
    sum_s: f64,
    max_s: f64,
}

impl SlowCalls {
    fn add(&mut self, table: Table, Slow { command, syscall, seconds }: Slow) {
        if NO_SYSCALLS.contains(&syscall) {
            return;
        }
        let metric = if table == Table::SlowFiles { SLOW_FILES } else { SLOW_CALLS };
        let latencies = self.0.entry((metric, command, syscall.to_owned())).or_default();
        let power = u64::BITS - ((seconds * per_second(metric)) as u64).leading_zeros();
        *latencies.counts.entry(power).or_default() += 1;
        latencies.sum_s += seconds;
        latencies.max_s = latencies.max_s.max(seconds);
    }

    fn emit(self, sink: &mut Sink) {
        for ((metric, command, syscall), Latencies { counts, sum_s, max_s }) in self.0 {
            let bound = |power: u32| 2_f64.powi(power.cast_signed()) / per_second(metric);
            let bucket = |(power, count): (&u32, &u64)| {
                let lo = power.checked_sub(1).map_or(0.0, bound);
                Bucket { lo, hi: bound(*power), count: *count }
            };
            sink.histogram(Histogram {
                metric: metric.into(),
                labels: vec![("command".into(), command), ("syscall".into(), syscall)],
                count: counts.values().sum(),
                sum: (metric == SLOW_CALLS).then_some(sum_s),
                // Less than a millisecond, cut to 0, is no maximum.
                max: Some(max_s).filter(|max_s| *max_s > 0.0),
                buckets: counts.iter().map(bucket).collect(),
            });
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
        let raw = "{\n \"data\":[[\"poll\",80263495],[\"switch\",5],[\"procinfo\",9],[\"read\",7]],\n \"info\":[{\"desc\":\"Syscall\",\"is_key\":true,\"name\":\"evt.type\"},\
                   null,{\"desc\":\"Time\",\"is_key\":false,\"name\":\"evt.latency\"}],\n \"ts\":\"1\"\n}\n\
                   {\"data\":[[\"poll\",5]]}\n";
        let parsed = read(raw);
        assert_eq!(faults(&parsed), [""; 0]);
        assert_eq!(
            series(&parsed),
            [
                "syscall_time_seconds{syscall=poll} 0.0802635",
                "syscall_time_seconds{syscall=read} 0.000000007"
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
