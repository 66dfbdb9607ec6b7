//! Sums, counts and maxima of each case of the corpus, by splitting lines at blanks and bars.

use std::collections::BTreeMap;
use std::path::Path;

use dropsonde::config::Library;
use dropsonde::model::Parsed;
use dropsonde::parse::{Context, parse, stacks};

fn case(probe: &str, name: &str) -> (String, Parsed) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(probe).join(name).join("output");
    let raw = std::fs::read(path).unwrap();
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let parsed = parse(library.get(probe).unwrap(), &raw, &Context::default());
    (String::from_utf8(raw).unwrap(), parsed)
}

/// The value of a metric whose labels' values are these, in order.
fn value(parsed: &Parsed, metric: &str, labels: &[&str]) -> Option<f64> {
    let fits =
        |pairs: &[(_, String)]| pairs.iter().map(|(_, value)| value.as_str()).eq(labels.iter().copied());
    parsed.samples.iter().find(|s| s.metric == metric && fits(&s.labels)).map(|s| s.value)
}

fn sum(parsed: &Parsed, metric: &str) -> f64 {
    parsed.samples.iter().filter(|s| s.metric == metric).map(|s| s.value).sum()
}

fn near(found: Option<f64>, expected: f64, what: &str) {
    let found = found.unwrap_or_else(|| panic!("no {what}"));
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{what} is {found}, not {expected}");
}

fn number(text: &str) -> f64 {
    text.trim().trim_end_matches(" ms").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

#[test]
fn sched_latency_by_columns() {
    for name in ["perf_6_1_stress", "perf_6_1_sched_latency_without_wakeups", "perf_6_12_by_hand"] {
        let (raw, parsed) = case("runqueue_latency", name);
        let rows: Vec<Vec<&str>> = raw
            .lines()
            .filter(|line| line.contains("| avg:"))
            .map(|line| line.split('|').collect())
            .collect();
        assert!(rows.len() >= 3);
        let columns = |index: usize, label: &str| -> Vec<f64> {
            rows.iter().map(|row| number(row[index].trim().trim_start_matches(label))).collect()
        };
        let (runs, switches) = (columns(1, ""), columns(2, ""));
        let (avgs, maxima) = (columns(3, "avg:"), columns(4, "max:"));
        let longest = maxima.iter().copied().fold(0.0, f64::max);
        near(value(&parsed, "scheduler_runqueue_delay_max_seconds", &[]), longest / 1e3, name);
        let weighted: f64 = avgs.iter().zip(&switches).map(|(avg, count)| avg * count).sum();
        let all: f64 = switches.iter().sum();
        near(value(&parsed, "scheduler_runqueue_delay_avg_seconds", &[]), weighted / all / 1e3, name);
        near(Some(sum(&parsed, "scheduler_task_switches")), all, name);
        near(Some(sum(&parsed, "scheduler_task_run_seconds")), runs.iter().sum::<f64>() / 1e3, name);
        let total = raw.lines().find(|line| line.contains("TOTAL:")).unwrap().split('|').nth(2).unwrap();
        near(value(&parsed, "scheduler_switches", &[]), number(total), name);
    }
}

#[test]
fn counted_delays_are_the_histogram() {
    let (raw, parsed) = case("runqueue_latency", "perf_6_1_stress");
    let delays: Vec<(f64, u64)> = raw
        .lines()
        .skip_while(|line| *line != "@@@ delays")
        .skip(1)
        .map(|line| line.split_once(' ').unwrap())
        .filter(|(delay, _)| *delay != "unseen")
        .map(|(delay, count)| (number(delay), count.parse().unwrap()))
        .collect();
    let [histogram] = parsed.histograms.as_slice() else { panic!("{}", parsed.histograms.len()) };
    assert_eq!(histogram.count, delays.iter().map(|(_, count)| count).sum::<u64>());
    near(
        histogram.max,
        delays.iter().map(|(delay, _)| *delay).fold(0.0, f64::max) / 1e3,
        "the longest delay",
    );
    near(
        histogram.sum,
        delays.iter().map(|(delay, count)| delay * *count as f64).sum::<f64>() / 1e3,
        "their sum",
    );
    for bucket in &histogram.buckets {
        // Whole microseconds: [lo, hi) of them.
        let inside =
            |delay: f64| (bucket.lo * 1e6 - 0.5) < delay * 1e3 && delay * 1e3 < (bucket.hi * 1e6 - 0.5);
        let count: u64 = delays.iter().filter(|(delay, _)| inside(*delay)).map(|(_, count)| count).sum();
        assert_eq!(bucket.count, count, "{bucket:?}");
    }
}

#[test]
fn timehists_summary_by_columns() {
    let (raw, parsed) = case("runqueue_latency", "perf_6_1_timehist_summary");
    let (mut switches, mut runs) = (0.0, 0.0);
    for line in raw.lines().filter(|line| line.contains('[') && !line.contains("tid/pid")) {
        let columns: Vec<&str> = line.rsplit(']').next().unwrap().split_whitespace().collect();
        switches += number(columns[1]);
        runs += number(columns[2]) / 1e3;
    }
    near(Some(sum(&parsed, "scheduler_task_switches")), switches, "switches");
    near(Some(sum(&parsed, "scheduler_task_run_seconds")), runs, "run time");
    near(value(&parsed, "scheduler_switches", &[]), 226_634.0, "the total in the file");
    near(value(&parsed, "scheduler_task_longest_run_seconds", &["stress-ng-cpu"]), 0.016_338, "a maximum");
    near(value(&parsed, "scheduler_idle_ratio", &["0"]), 0.0014, "CPU 0 idle");
}

#[test]
fn replay_is_refused() {
    let (_, parsed) = case("runqueue_latency", "perf_6_1_replay");
    assert!(parsed.samples.is_empty() && parsed.histograms.is_empty());
    assert!(parsed.faults[0].0.contains("perf sched replay"), "{:?}", parsed.faults);
}

#[test]
fn trace_by_system_call() {
    for name in ["perf_6_1_stress", "perf_6_1_cut_off", "perf_6_12_by_hand"] {
        let (raw, parsed) = case("syscall_latency", name);
        let mut calls: BTreeMap<&str, (f64, f64, f64, f64)> = BTreeMap::new();
        for line in raw.lines().filter(|line| line.ends_with('%') && !line.contains("events")) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let entry = calls.entry(columns[0]).or_default();
            entry.0 += number(columns[1]);
            entry.1 += number(columns[2]);
            entry.2 += number(columns[3]) / 1e3;
            entry.3 = entry.3.max(number(columns[6]) / 1e3);
        }
        assert!(calls.len() > 2 && calls.len() <= 128);
        for (call, (count, errors, seconds, longest)) in calls {
            let of = |metric: &str| {
                let class = ["works", "may_wait", "waits"];
                class.iter().find_map(|class| value(&parsed, metric, &[class, call]))
            };
            near(of("syscall_calls"), count, call);
            near(of("syscall_errors"), errors, call);
            near(of("syscall_time_seconds"), seconds, call);
            near(of("syscall_max_seconds"), longest, call);
        }
        let class_sums = sum(&parsed, "syscall_class_seconds");
        near(Some(class_sums), sum(&parsed, "syscall_time_seconds"), "all classes");
        near(Some(sum(&parsed, "syscall_task_calls")), sum(&parsed, "syscall_calls"), "all tasks");
    }
}

/// The values of a row's labels, and its count.
type Counted = (Vec<String>, f64);

#[test]
fn stat_by_columns() {
    let check = |name: &str, cells: &dyn Fn(&str) -> Option<Counted>| {
        let (raw, parsed) = case("perf_counters", name);
        let mut counts: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        for (labels, count) in raw.lines().filter_map(cells) {
            *counts.entry(labels).or_default() += count;
        }
        assert!(!counts.is_empty(), "{name}");
        for (labels, count) in &counts {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            // Clocks are in milliseconds.
            let (metric, count) = match labels.last().is_some_and(|event| event.ends_with("-clock")) {
                true => ("perf_clock_seconds", count / 1e3),
                false => ("perf_event_count", *count),
            };
            near(value(&parsed, metric, &labels), count, &format!("{name} {labels:?}"));
        }
        let is_count = |metric: &str| ["perf_clock_seconds", "perf_event_count"].contains(&metric);
        let given = parsed.samples.iter().filter(|s| is_count(&s.metric)).count();
        assert_eq!(given, counts.len(), "{name}: what is not supported is absent");
    };
    let csv = |line: &str, value: usize, cpu: Option<usize>| {
        let cells: Vec<&str> = line.split(',').collect();
        let count = cells.get(value)?.parse().ok()?;
        let cpu = cpu.map(|cpu| cells[cpu].trim_start_matches("CPU").to_owned());
        Some((cpu.into_iter().chain([cells[value + 2].to_owned()]).collect(), count))
    };
    check("perf_6_1_csv", &|line| csv(line, 0, None));
    check("perf_6_1_stress", &|line| csv(line, 0, None));
    check("perf_6_1_csv_per_cpu", &|line| csv(line, 1, Some(0)));
    check("perf_6_1_csv_intervals", &|line| csv(line, 1, None));
    let json = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((vec![row["event"].as_str()?.to_owned()], row["counter-value"].as_str()?.parse().ok()?))
    };
    check("perf_6_1_json", &json);
    check("perf_6_12_by_hand", &json);
}

#[test]
fn rates_are_over_the_window() {
    let (_, parsed) = case("perf_counters", "perf_6_1_csv");
    // 4003.56 ms of CPU clock on 2.000 CPUs.
    near(value(&parsed, "perf_events_total", &["cs"]), 649.0 / (4.00356 / 2.0), "cs");
    let (_, parsed) = case("perf_counters", "perf_6_1_csv_intervals");
    near(value(&parsed, "perf_events_total", &["cs"]), (683.0 + 431.0 + 252.0) / 3.001_317_478, "cs");
}

#[test]
fn kwork_by_columns() {
    for name in ["perf_6_1_report", "perf_6_1_latency", "perf_6_1_stress"] {
        let (raw, parsed) = case("kwork", name);
        let mut table = "";
        let mut rows: BTreeMap<(&str, String), (f64, f64, f64)> = BTreeMap::new();
        for line in raw.lines().filter(|line| line.contains('|')) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            match columns[2] {
                "Avg delay" => table = "kwork_delays",
                "Total Runtime" => table = "kwork_runs",
                first => {
                    let (first, count) = (number(first) / 1e3, number(columns[3]));
                    let time = if table == "kwork_delays" { first * count } else { first };
                    let plain = columns[0].trim_start_matches("(w)").trim_start_matches("(s)");
                    let plain =
                        if columns[0].starts_with("(w)") { plain } else { plain.rsplit_once(':').unwrap().0 };
                    let row = rows.entry((table, plain.to_owned())).or_default();
                    *row = (row.0 + count, row.1 + time, row.2.max(number(columns[4]) / 1e3));
                }
            }
        }
        assert!(rows.len() > 10, "{name}");
        for ((table, plain), (count, time, longest)) in rows {
            let of = |metric: &str| {
                let classes = ["irq", "softirq", "workqueue"];
                classes.iter().find_map(|class| value(&parsed, metric, &[class, &plain]))
            };
            near(of(table), count, &plain);
            if table == "kwork_delays" {
                near(of("kwork_delay_max_seconds"), longest, &plain);
                let mean = (time / count).min(longest);
                near(of("kwork_delay_avg_seconds"), mean, &plain);
            } else {
                near(of("kwork_run_max_seconds"), longest, &plain);
                near(of("kwork_run_seconds"), time, &plain);
            }
        }
    }
}

#[test]
fn stacks_by_their_headers() {
    for name in ["perf_6_1_stress", "perf_6_1_pseudo_cpu_clock"] {
        let (raw, parsed) = case("cpu_profile", name);
        let headers: Vec<&str> =
            raw.lines().filter(|line| !line.starts_with('\t') && !line.is_empty()).collect();
        near(value(&parsed, "profile_samples", &[]), headers.len() as f64, name);
        let mut folded = stacks(raw.as_bytes());
        assert_eq!(folded.faults, Vec::<String>::new());
        assert_eq!(
            (folded.samples, folded.counts.values().sum::<u64>()),
            (headers.len() as u64, headers.len() as u64)
        );
        // Each frame of the file is in a stack as often.
        let frames = raw.lines().filter(|line| line.starts_with('\t')).count() as u64;
        let depth = |stack: &str| stack.matches(';').count() as u64;
        assert_eq!(folded.counts.iter().map(|(stack, count)| depth(stack) * count).sum::<u64>(), frames);
        let idle = folded.take_idle();
        near(value(&parsed, "profile_idle_ratio", &[]), idle as f64 / headers.len() as f64, "idle");
        for comm in ["stress-ng-cpu", "app1"] {
            let of_comm = headers.iter().filter(|line| line.starts_with(&format!("{comm} "))).count();
            let share = of_comm as f64 / folded.samples as f64;
            assert_eq!(value(&parsed, "profile_task_ratio", &[comm]).unwrap_or(0.0), share, "{name} {comm}");
        }
    }
}

#[test]
fn an_interrupt_of_all_cpus_counts_once() {
    let (_, parsed) = case("smi", "perf_6_1_by_hand");
    near(value(&parsed, "smi_total", &[]), 5.0 / 10.04, "smi_total");
    assert_eq!((parsed.samples.len(), parsed.faults.len()), (1, 0));
}
