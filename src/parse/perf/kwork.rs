//! perf kwork report and latency: what interrupts, softirqs and work items took, and how long they
//! waited to be run. One entry for each, over all CPUs: a fleet's hosts differ in how many they have.
//! It refuses to read a number out of a name's place: columns count from the end of the line.

use std::collections::BTreeMap;

use super::lines::{count, each_line, ms_cell};
use super::tally::{OTHERS, Tally, worst};
use crate::model::LabelPairs;
use crate::parse::sink::Sink;

/// Names that are shown by themselves, in each table.
const MAX_NAMES: usize = 100;

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader::default();
    each_line(raw, sink, |line, sink| reader.line(line, sink));
    if reader.table.is_none() {
        return sink.fault(|| "expected a table of perf kwork report or latency, found none".to_owned());
    }
    give(&DELAY, reader.delays, sink);
    give(&RUN, reader.runs, sink);
}

#[derive(Debug, Clone, Copy)]
enum Table {
    Report,
    Latency,
}

/// (class, name) → all its rows.
type Rows = BTreeMap<(&'static str, String), Tally>;

#[derive(Debug, Default)]
struct Reader {
    table: Option<Table>,
    delays: Rows,
    runs: Rows,
}

impl Reader {
    /// The words of a fault, if the line is one.
    fn line(&mut self, line: &str, sink: &mut Sink) -> Option<String> {
        let text = line.trim();
        if text.is_empty() || text.starts_with("---") || text.starts_with("Total ") {
            return None;
        }
        if text.starts_with("Kwork Name") {
            self.table = Some(if text.contains("Avg delay") { Table::Latency } else { Table::Report });
            return None;
        }
        if let Some(info) = text.strip_prefix("INFO: ") {
            sink.fault(|| format!("perf could not pair all events, so counts are too low: {info:?}"));
            return None;
        }
        let Some((key, tally, table)) = self.row(text) else {
            return Some("expected a row of perf kwork".to_owned());
        };
        let rows = match table {
            Table::Report => &mut self.runs,
            Table::Latency => &mut self.delays,
        };
        rows.entry(key).or_default().add(tally);
        None
    }

    /// `(s)NET_RX:3 | 0001 | 0.041 ms | 80 | 3.024 ms | 1020.3 s | 1020.3 s |`
    fn row(&self, text: &str) -> Option<((&'static str, String), Tally, Table)> {
        let table = self.table?;
        let cells: Vec<&str> = text.strip_suffix('|')?.rsplitn(7, '|').collect();
        let [_end, _start, max, times, first, _cpu, name] = cells.as_slice() else { return None };
        let (first_s, times, max_s) = (ms_cell(first)?, count(times)?, ms_cell(max)?);
        let tally = match table {
            Table::Latency => Tally::of(times, first_s, max_s),
            Table::Report => Tally { count: times, sum_s: first_s, max_s },
        };
        Some((named(name.trim()), tally, table))
    }
}

/// `(w)vmstat_update`, `(s)TIMER:1`, `virtio1-req.0:36`: what it is, and its name without its number.
fn named(name: &str) -> (&'static str, String) {
    if let Some(work) = name.strip_prefix("(w)") {
        return ("workqueue", work.to_owned());
    }
    let (class, rest) = match name.strip_prefix("(s)") {
        Some(rest) => ("softirq", rest),
        None => ("irq", name),
    };
    let plain = rest.rsplit_once(':').filter(|(_, number)| count(number).is_some());
    (class, plain.map_or(rest, |(plain, _)| plain).to_owned())
}

/// How many, all time, mean, longest.
struct Names {
    count: &'static str,
    sum: Option<&'static str>,
    avg: Option<&'static str>,
    max: &'static str,
}

const DELAY: Names = Names {
    count: "kwork_delays",
    sum: None,
    avg: Some("kwork_delay_avg_seconds"),
    max: "kwork_delay_max_seconds",
};
const RUN: Names =
    Names { count: "kwork_runs", sum: Some("kwork_run_seconds"), avg: None, max: "kwork_run_max_seconds" };

fn give(names: &Names, rows: Rows, sink: &mut Sink) {
    let (kept, rest) = worst(rows, MAX_NAMES, |tally| tally.max_s);
    for ((class, name), tally) in kept {
        names.give(class, &name, &tally, sink);
    }
    if !rest.is_empty() {
        let mut sum = Tally::default();
        rest.into_iter().for_each(|(_, tally)| sum.add(tally));
        names.give(OTHERS, OTHERS, &sum, sink);
    }
}

impl Names {
    fn give(&self, class: &str, name: &str, tally: &Tally, sink: &mut Sink) {
        let labels =
            || -> LabelPairs { vec![("class".into(), class.to_owned()), ("name".into(), name.to_owned())] };
        sink.gauge(self.count, labels(), tally.count as f64);
        if let Some(sum) = self.sum {
            sink.gauge(sum, labels(), tally.sum_s);
        }
        if let (Some(avg), Some(avg_s)) = (self.avg, tally.avg_s()) {
            sink.gauge(avg, labels(), avg_s);
        }
        sink.gauge(self.max, labels(), tally.max_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{faults, series};

    fn read(text: &str) -> crate::model::Parsed {
        let mut sink = Sink::default();
        parse(text.as_bytes(), &mut sink);
        sink.finish()
    }

    #[test]
    fn both_tables_over_all_cpus() {
        let parsed = read(
            "  Kwork Name | Cpu | Avg delay | Count | Max delay | Max delay start | Max delay end |\n ---\n\
               (s)NET_RX:3 | 0001 | 0.500 ms | 3 | 3.000 ms | 1.0 s | 1.1 s |\n\
               (s)NET_RX:3 | 0000 | 0.500 ms | 1 | 0.500 ms | 1.0 s | 1.1 s |\n ---\n\
               INFO: 1.662% skipped events (97 including 6 raise, 91 entry, 0 exit)\n\
               Kwork Name | Cpu | Total Runtime | Count | Max runtime | Max runtime start | Max runtime end |\n\
               a|b:c:36 | 0001 | 0.330 ms | 78 | 0.013 ms | 1.0 s | 1.1 s |\n\
               (w)x:y:1 | 0001 | 1.000 ms | 2 | 0.900 ms | 1.0 s | 1.1 s |\n\
               (w)cut | 0001 | 1.000\n",
        );
        assert_eq!(
            series(&parsed),
            [
                "kwork_delays{class=softirq,name=NET_RX} 4",
                "kwork_delay_avg_seconds{class=softirq,name=NET_RX} 0.0005",
                "kwork_delay_max_seconds{class=softirq,name=NET_RX} 0.003",
                "kwork_runs{class=irq,name=a|b:c} 78",
                "kwork_run_seconds{class=irq,name=a|b:c} 0.00033",
                "kwork_run_max_seconds{class=irq,name=a|b:c} 0.000013",
                "kwork_runs{class=workqueue,name=x:y:1} 2",
                "kwork_run_seconds{class=workqueue,name=x:y:1} 0.001",
                "kwork_run_max_seconds{class=workqueue,name=x:y:1} 0.0009",
            ]
        );
        let faults = faults(&parsed);
        assert!(
            faults[0].contains("could not pair all events")
                && faults[1].starts_with("line 10: expected a row")
        );
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn no_table_is_a_fault() {
        assert_eq!(faults(&read("")), ["expected a table of perf kwork report or latency, found none"]);
    }
}
