//! perf stat: events counted over a window, CSV or JSON, with or without -A and -I.
//!
//! It refuses to invent: an event that this machine cannot count has no sample, and a rate is given
//! only where the window's length stands in the output.

use std::collections::BTreeMap;

use super::lines::{each_line, number};
use super::stat_row::{Line, Row, Value, read};
use crate::model::{Kind, LabelPairs, Probe, Sample, Span};
use crate::parse::sink::Sink;
use crate::parse::text::excerpt;

/// What the probe's script writes below: how long it counted, by the host's own clock.
const WINDOW: &str = "@@@ window ";

/// A counter that ran for less of the window than this was scaled up by perf.
const WHOLE: f64 = 0.9995;

pub(in crate::parse) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    let mut counts = Counts::default();
    each_line(raw, sink, |line, _| counts.line(line));
    counts.give(probe, sink);
}

/// One event on one CPU, or on all.
#[derive(Debug, Default)]
struct Count {
    value: f64,
    unit: String,
    running: Option<f64>,
}

#[derive(Debug, Default)]
struct Counts {
    /// By (event, CPU).
    counts: BTreeMap<(String, Option<String>), Count>,
    absent: Vec<String>,
    window_s: Option<f64>,
    /// Of the last interval, and what the CPUs' clocks make the window.
    interval_s: Option<f64>,
    clock_s: Option<f64>,
}

impl Counts {
    /// The words of a fault, if the line is one.
    fn line(&mut self, line: &str) -> Option<String> {
        if let Some(window) = line.strip_prefix(WINDOW) {
            self.window_s = number(window).filter(|window_s| *window_s > 0.0);
            return self.window_s.is_none().then(|| "expected the window in seconds".to_owned());
        }
        match read(line) {
            Line::Row(row) => self.add(row),
            Line::Nothing => {}
            Line::Unread => return Some("expected an event of perf stat -x, or -j".to_owned()),
        }
        None
    }

    fn add(&mut self, row: Row<'_>) {
        self.interval_s = self.interval_s.into_iter().chain(row.interval_s).reduce(f64::max);
        let event = row.event.into_owned();
        let Value::Counted(value) = row.value else {
            if !self.absent.contains(&event) && self.absent.len() < 24 {
                self.absent.push(event);
            }
            return;
        };
        if let Some((used, _)) = row.metric.filter(|(used, unit)| unit == "CPUs utilized" && *used > 0.0) {
            self.clock_s = Some(value / 1e3 / used);
        }
        let count = self.counts.entry((event, row.cpu.map(|cpu| cpu.into_owned()))).or_default();
        count.value += value;
        count.running = count.running.into_iter().chain(row.running).reduce(f64::min);
        count.unit = row.unit.into_owned();
    }

    /// The window: as the script measured it, as -I counted it, or from the CPU clocks.
    fn window_s(&self) -> Option<f64> {
        self.window_s.or(self.interval_s).or(self.clock_s).filter(|window_s| *window_s > 0.0)
    }

    fn give(&self, probe: &Probe, sink: &mut Sink) {
        if self.counts.is_empty() && self.absent.is_empty() {
            return sink.fault(|| "expected the events of perf stat, found none".to_owned());
        }
        if !self.absent.is_empty() {
            let names: Vec<String> = self.absent.iter().map(|event| excerpt(event.as_bytes())).collect();
            sink.fault(|| format!("this machine does not count {}", names.join(", ")));
        }
        let window_s = self.window_s();
        if window_s.is_none() && !self.counts.is_empty() {
            sink.fault(|| "how long perf stat counted is not known: counts, no rates".to_owned());
        }
        let named = |event: &str| probe.metrics.iter().find(|spec| spec.source.as_deref() == Some(event));
        for ((event, cpu), count) in &self.counts {
            if named(event).is_some() {
                continue;
            }
            let labels = labels(event, cpu.as_deref());
            // Clocks come in milliseconds: what they count is time.
            let (gauge, counter, value) = match count.unit.as_str() {
                "msec" => ("perf_clock_seconds", "perf_clock_seconds_total", count.value / 1e3),
                _ => ("perf_event_count", "perf_events_total", count.value),
            };
            sink.gauge(gauge, labels.clone(), value);
            if let Some(window_s) = window_s {
                sink.sample(rate(counter.into(), labels.clone(), value / window_s));
            }
            if let Some(running) = count.running.filter(|running| *running < WHOLE) {
                sink.gauge("perf_event_running_ratio", labels, running);
            }
        }
        self.named(probe, window_s, sink);
        self.derived(sink);
    }

    /// An event that has a metric of its own is something that the whole machine goes through at
    /// once, as a system management interrupt: each CPU counts the same ones, so the largest counts.
    fn named(&self, probe: &Probe, window_s: Option<f64>, sink: &mut Sink) {
        for spec in &probe.metrics {
            let Some(source) = &spec.source else { continue };
            let of_source = self.counts.iter().filter(|((event, _), _)| event == source);
            let most = of_source.map(|(_, count)| count.value).reduce(f64::max);
            if let (Some(most), Some(window_s)) = (most, window_s) {
                sink.sample(rate(spec.name.clone().into(), vec![], most / window_s));
            }
        }
    }

    /// Quotients that people look at first. Of events counted side by side only: perf scales each of
    /// those that took turns, so their quotient is a guess.
    fn derived(&self, sink: &mut Sink) {
        let sum = |event: &str| {
            let of_event =
                || self.counts.iter().filter(|((name, _), _)| name == event).map(|(_, count)| count);
            let whole = of_event().all(|count| count.running.is_none_or(|running| running >= WHOLE));
            let sum = of_event().map(|count| count.value).reduce(|sum, value| sum + value);
            sum.filter(|sum| whole && *sum > 0.0)
        };
        if let (Some(instructions), Some(cycles)) = (sum("instructions"), sum("cycles")) {
            sink.gauge("perf_instructions_per_cycle", vec![], instructions / cycles);
        }
        let shares = [
            ("perf_branch_miss_ratio", "branch-misses", "branches"),
            ("perf_cache_miss_ratio", "cache-misses", "cache-references"),
        ];
        for (metric, part, whole) in shares {
            if let (Some(part), Some(whole)) = (sum(part), sum(whole)) {
                sink.gauge(metric, vec![], part / whole);
            }
        }
    }
}

fn labels(event: &str, cpu: Option<&str>) -> LabelPairs {
    let cpu = cpu.map(|cpu| ("cpu".into(), cpu.to_owned()));
    cpu.into_iter().chain([("event".into(), event.to_owned())]).collect()
}

fn rate(metric: std::borrow::Cow<'static, str>, labels: LabelPairs, value: f64) -> Sample {
    Sample { metric, labels, kind: Kind::Counter, span: Span::Window, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{faults, probe, series};

    fn read(text: &str, metrics: &[(&str, Kind, Option<&str>)]) -> crate::model::Parsed {
        let mut sink = Sink::default();
        parse(&probe("perf_stat", metrics), text.as_bytes(), &mut sink);
        sink.finish()
    }

    #[test]
    fn counts_become_rates_where_the_window_is_known() {
        let rows =
            "10,,cs,4000,100.00,,\n<not supported>,,cycles,0,100.00,,\n500.0,msec,cpu-clock,4000,50.00,,\n";
        let parsed = read(&format!("{rows}@@@ window 2.0\n"), &[]);
        assert_eq!(
            series(&parsed),
            [
                "perf_clock_seconds{event=cpu-clock} 0.5",
                "perf_clock_seconds_total{event=cpu-clock} 0.25",
                "perf_event_running_ratio{event=cpu-clock} 0.5",
                "perf_event_count{event=cs} 10",
                "perf_events_total{event=cs} 5",
            ]
        );
        assert_eq!(faults(&parsed), ["this machine does not count \"cycles\""]);
        let parsed = read(rows, &[]);
        assert!(!series(&parsed).iter().any(|line| line.contains("_total")));
        assert!(faults(&parsed)[1].starts_with("how long perf stat counted is not known"));
        assert_eq!(faults(&read("", &[])), ["expected the events of perf stat, found none"]);
    }

    #[test]
    fn intervals_and_clocks_are_windows() {
        let parsed = read("  1.000000000,3,,cs,1,100.00,,\n  4.000000000,5,,cs,1,100.00,,\n", &[]);
        assert_eq!(series(&parsed), ["perf_event_count{event=cs} 8", "perf_events_total{event=cs} 2"]);
        let parsed = read("8,,cs,1,100.00,,\n4000.0,msec,task-clock,1,100.00,2.000,CPUs utilized\n", &[]);
        assert!(series(&parsed).contains(&"perf_events_total{event=cs} 4".to_owned()));
    }

    #[test]
    fn what_all_cpus_go_through_counts_once() {
        let metrics = [("smi_total", Kind::Counter, Some("msr/smi/"))];
        let parsed =
            read("CPU0,4,,msr/smi/,1,100.00,,\nCPU1,6,,msr/smi/,1,100.00,,\n@@@ window 2\n", &metrics);
        assert_eq!(series(&parsed), ["smi_total 3"]);
        let absent = read("CPU0,<not counted>,,msr/smi/,0,0.00,,\n@@@ window 2\n", &metrics);
        assert_eq!(
            (series(&absent).len(), faults(&absent)),
            (0, vec!["this machine does not count \"msr/smi/\""])
        );
    }

    #[test]
    fn quotients() {
        let parsed = read(
            "30,,instructions,1,100.00,,\n20,,cycles,1,100.00,,\n1,,cache-misses,1,100.00,,\n4,,cache-references,1,100.00,,\n",
            &[],
        );
        let series = series(&parsed);
        assert_eq!(
            &series[series.len() - 2..],
            ["perf_instructions_per_cycle 1.5", "perf_cache_miss_ratio 0.25"]
        );
    }
}
