//! Counts, sums and largest values of the corpus, counted a second time in the plainest way.

use std::collections::BTreeMap;
use std::path::Path;

use dropsonde::config::Library;
use dropsonde::model::{Histogram, Parsed};
use dropsonde::parse::{Context, parse};
use serde_json::Value;

fn corpus(case: &str) -> (String, Parsed) {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(case).join("output");
    let raw = std::fs::read_to_string(path).unwrap();
    let probe = library.get(case.split('/').next().unwrap()).unwrap();
    let parsed = parse(probe, raw.as_bytes(), &Context::default());
    (raw, parsed)
}

fn counted(parsed: &Parsed, metric: &str) -> u64 {
    let of_it = parsed.histograms.iter().filter(|histogram| histogram.metric == metric);
    of_it.map(|histogram| histogram.count).sum()
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs()
}

fn check_near(what: &str, found: f64, expected: f64) {
    assert!(near(found, expected), "{what}: {found} is not {expected}");
}

/// Every number behind `"count": ` in the lines of a map.
fn json_counts(raw: &str, map: &str) -> u64 {
    let lines = raw.lines().filter(|line| line.contains(&format!("\"{map}\":")) && line.contains("\"hist\""));
    let counts = lines.flat_map(|line| line.split("\"count\": ").skip(1));
    counts.map(|rest| rest.split('}').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Every number of a map that is not a histogram.
fn json_numbers(raw: &str, map: &str) -> Vec<f64> {
    let lines = raw.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let values = lines.filter_map(|line| line["data"].get(map).cloned());
    let flat = values.flat_map(|value| match value {
        Value::Object(members) => members.into_iter().map(|(_, value)| value).collect(),
        one => vec![one],
    });
    flat.filter_map(|value| value.as_f64()).collect()
}

#[test]
fn bpftrace_in_json() {
    for (case, metric, map, part) in [
        ("bpf_runq/bpftrace_0_17", "scheduler_runqueue_latency_seconds", "@us", "@"),
        ("bpf_syscall/bpftrace_0_17", "syscall_latency_seconds", "@ns", "@"),
        ("bpf_hardirq/bpftrace_0_17", "irq_handler_duration_seconds", "@us", "@"),
        ("bpf_softirq/bpftrace_0_17", "softirq_duration_seconds", "@us", "@"),
        ("bpf_softirq/bpftrace_0_17", "softirq_raise_latency_seconds", "@raise_us", "@raise_"),
        ("bpf_biolatency/bpftrace_0_17", "blockio_latency_seconds", "@us", "@"),
        ("bpf_reclaim/bpftrace_0_17_group_limit", "memcg_reclaim_latency_seconds", "@memcg_us", "@memcg_"),
        ("bpf_runq/bpftrace_0_17_in_microseconds", "scheduler_runqueue_latency_seconds", "@us", ""),
        ("bpf_syscall/bpftrace_0_17_in_microseconds", "syscall_latency_seconds", "@us", ""),
        ("bpf_hardirq/bpftrace_0_17_with_names", "irq_handler_duration_seconds", "@us", ""),
        ("bpf_biolatency/bpftrace_0_17_in_microseconds", "blockio_latency_seconds", "@us", ""),
    ] {
        let (raw, parsed) = corpus(case);
        let expected = json_counts(&raw, map);
        assert!(expected > 0, "{case}");
        assert_eq!(counted(&parsed, metric), expected, "{case} {metric}");
        assert_eq!(parsed.faults, [], "{case}");
        if part.is_empty() {
            continue;
        }
        let of_it: Vec<&Histogram> = parsed.histograms.iter().filter(|each| each.metric == metric).collect();
        let sum: f64 = of_it.iter().filter_map(|each| each.sum).sum();
        check_near(case, sum, json_numbers(&raw, &format!("{part}sum_ns")).iter().sum::<f64>() / 1e9);
        let max = of_it.iter().filter_map(|each| each.max).fold(0.0, f64::max);
        let expected = json_numbers(&raw, &format!("{part}max_ns")).into_iter().fold(0.0, f64::max);
        check_near(case, max, expected / 1e9);
        for each in of_it {
            sum_and_max_fit_the_buckets(case, each);
        }
    }
}

/// The sum lies between those of the lower and of the upper bounds, the largest in the last bucket:
/// three numbers that the tool kept apart.
fn sum_and_max_fit_the_buckets(case: &str, histogram: &Histogram) {
    let Histogram { sum: Some(sum), max: Some(max), buckets, .. } = histogram else { return };
    let at = |bound: fn(&dropsonde::model::Bucket) -> f64| {
        buckets.iter().map(|bucket| bound(bucket) * bucket.count as f64).sum::<f64>()
    };
    // Each map is read at a moment of its own: a few events may be in one and not yet in the other.
    assert!(at(|b| b.lo) <= sum * 1.05 && sum * 0.95 <= at(|b| b.hi), "{case}: {histogram:?}");
    let last = buckets.iter().rfind(|bucket| bucket.count > 0).unwrap();
    assert!(last.lo <= *max && *max <= last.hi * 2.0, "{case}: {histogram:?}");
}

#[test]
fn counts_by_reason_and_state() {
    let (raw, parsed) = corpus("skb_drop/bpftrace_0_17");
    let window_s = json_numbers(&raw, "@window_ns")[0] / 1e9;
    let events: f64 = json_numbers(&raw, "@").iter().sum();
    let sum = |metric: &str| {
        let of_it = parsed.samples.iter().filter(|sample| sample.metric == metric);
        of_it.map(|sample| sample.value).sum::<f64>()
    };
    assert!(events > 0.0);
    check_near("events", sum("skb_drop_events"), events);
    check_near("rate", sum("skb_drops_total"), events / window_s);
    // The kernel's own table stands in the file: 3 is a port that nobody listens on.
    let (_, name) = raw.split_once("{ 3, \"").unwrap();
    let name = name.split('"').next().unwrap();
    assert!(parsed.samples.iter().any(|sample| sample.labels.iter().any(|(_, value)| value == name)));
}

/// Rows of `[a, b)  n |` and of `a -> b : n |`, whatever they belong to.
fn text_counts(raw: &str) -> u64 {
    let rows = raw.lines().filter(|line| line.contains('|') && !line.contains("distribution"));
    let before_bar = rows.map(|line| line.split('|').next().unwrap());
    before_bar.map(|row| row.split_ascii_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn histograms_in_text() {
    for case in [
        "bpf_softirq/bpftrace_0_17_text",
        "bpf_softirq/libbpf_tools_0_26",
        "bpf_runq/libbpf_tools_0_26",
        "bpf_hardirq/libbpf_tools_0_26",
        "bpf_biolatency/libbpf_tools_0_26",
    ] {
        let (raw, parsed) = corpus(case);
        let found: u64 = parsed.histograms.iter().map(|histogram| histogram.count).sum();
        assert_eq!(found, text_counts(&raw), "{case}");
        assert_eq!(parsed.faults, [], "{case}");
    }
    let (_, parsed) = corpus("bpf_biolatency/libbpf_tools_0_26_refused");
    assert!(parsed.histograms.is_empty() && !parsed.faults.is_empty());
}

#[test]
fn tables_of_totals() {
    let (raw, parsed) = corpus("bpf_syscall/libbpf_tools_0_26_totals");
    let mut rows = 0;
    for line in raw.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, calls, us] = words[..] else { continue };
        let (Ok(calls), Ok(us)) = (calls.parse::<f64>(), us.parse::<f64>()) else { continue };
        let value = |metric: &str| {
            let of_it =
                |sample: &&dropsonde::model::Sample| sample.metric == metric && sample.labels[0].1 == name;
            parsed.samples.iter().find(of_it).unwrap().value
        };
        check_near(name, value("syscall_calls"), calls);
        check_near(name, value("syscall_time_seconds"), us / 1e6);
        rows += 1;
    }
    assert_eq!((rows, parsed.samples.len()), (10, 20));
}

#[test]
fn cyclictest_by_columns() {
    for case in ["timer_latency/cyclictest_2_40", "timer_latency/cyclictest_2_40_few_rows"] {
        let (raw, parsed) = corpus(case);
        let rows = || raw.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let said = |name: &str, cpu: usize| -> f64 {
            let line = raw.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_ascii_whitespace().nth(cpu).unwrap().parse().unwrap()
        };
        assert_eq!(parsed.faults, [], "{case}");
        for (cpu, histogram) in parsed.histograms.iter().enumerate() {
            let column =
                rows().map(|row| row.split_ascii_whitespace().nth(cpu + 1).unwrap().parse::<f64>().unwrap());
            let in_rows: f64 = column.sum();
            assert_eq!(in_rows, said("# Total:", cpu), "{case}");
            assert_eq!(histogram.count as f64, in_rows + said("# Histogram Overflows:", cpu), "{case}");
            check_near(case, histogram.max.unwrap(), said("# Max Latencies:", cpu) / 1e6);
        }
        assert_eq!(parsed.histograms.len(), 2);
    }
}

#[test]
fn rtla_by_columns() {
    let (raw, parsed) = corpus("timer_latency/rtla_6_12");
    let line =
        |name: &str| raw.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_ascii_whitespace();
    for (place, histogram) in parsed.histograms.iter().enumerate() {
        let number = |name: &str| line(name).nth(place).unwrap().parse::<f64>().unwrap();
        assert_eq!(histogram.count as f64, number("count:"));
        check_near("max", histogram.max.unwrap(), number("max:") / 1e6);
    }
    assert_eq!(parsed.histograms.len(), line("Index").count());
}

#[test]
fn chisels_row_by_row() {
    let (raw, parsed) = corpus("syscall_capture/sysdig_0_29_json_topscalls_time");
    let json: Value = serde_json::from_str(&raw).unwrap();
    let is_syscall = |row: &&Value| row[0] != "switch";
    let rows = json["data"].as_array().unwrap().iter().filter(is_syscall);
    let ns: f64 = rows.map(|row| row[1].as_f64().unwrap()).sum();
    check_near("ns", parsed.samples.iter().map(|sample| sample.value).sum(), ns / 1e9);

    let (raw, parsed) = corpus("syscall_capture/sysdig_0_29_topscalls");
    let calls = raw
        .lines()
        .filter(|line| !line.ends_with("procinfo"))
        .filter_map(|line| line.split_ascii_whitespace().next()?.parse::<f64>().ok());
    check_near("calls", parsed.samples.iter().map(|sample| sample.value).sum(), calls.sum());

    // The same capture in text has fewer digits and the same syscalls.
    let names = |case: &str| -> BTreeMap<String, f64> {
        let samples = corpus(case).1.samples.into_iter();
        samples.map(|sample| (sample.labels[0].1.clone(), sample.value)).collect()
    };
    let exact = names("syscall_capture/sysdig_0_29_json_topscalls_time");
    let short = names("syscall_capture/sysdig_0_29_topscalls_time");
    assert_eq!(exact.keys().collect::<Vec<_>>(), short.keys().collect::<Vec<_>>());
    assert!(exact.iter().all(|(name, seconds)| (seconds - short[name]).abs() <= 0.1 * seconds), "{short:?}");

    let (raw, parsed) = corpus("syscall_capture/sysdig_0_29_scallslower_1");
    let ms: Vec<f64> =
        raw.lines().skip(2).filter_map(|line| line.split_ascii_whitespace().nth(3)?.parse().ok()).collect();
    let [poll] = &parsed.histograms[..] else { panic!("{parsed:?}") };
    assert_eq!(poll.count, ms.len() as u64);
    check_near("sum", poll.sum.unwrap(), ms.iter().sum::<f64>() / 1e3);
    check_near("max", poll.max.unwrap(), ms.iter().fold(0.0, |a: f64, b| a.max(*b)) / 1e3);
    let (raw, parsed) = corpus("syscall_capture/sysdig_0_29_fileslower_0");
    assert_eq!(
        counted(&parsed, "file_slow_call_seconds"),
        raw.lines().filter(|l| l.contains("read")).count() as u64
    );

    let (_, parsed) = corpus("syscall_capture/sysdig_0_29_no_driver");
    assert!(parsed.samples.is_empty() && parsed.faults[0].0.contains("Unable to load the driver"));
}

#[test]
fn disks_by_hand() {
    let (_, parsed) = corpus("storage_health/smartctl_7_4");
    let value = |metric: &str, device: &str| {
        let is_it =
            |sample: &&dropsonde::model::Sample| sample.metric == metric && sample.labels[0].1 == device;
        parsed.samples.iter().find(is_it).map(|sample| sample.value)
    };
    assert_eq!(value("storage_pending_sectors", "sda"), Some(16.0));
    assert_eq!(value("storage_power_on_seconds", "sda"), Some(37_215.0 * 3600.0));
    assert_eq!(value("storage_temperature_celsius", "sda"), Some(34.0));
    assert_eq!(value("storage_reallocated_sectors", "sdb"), Some(2.0));
    assert_eq!(value("storage_read_uncorrected_errors", "sdb"), Some(1.0));
    assert_eq!(value("storage_media_errors", "sdb"), None);
    assert_eq!(value("storage_health_passed", "nvme0"), Some(0.0));
    assert_eq!(value("storage_used_ratio", "nvme0"), Some(0.96));
    assert_eq!(value("storage_asleep", "sdc"), Some(1.0));
    assert_eq!(value("storage_health_passed", "sdc"), None);
    assert_eq!(parsed.faults.len(), 1, "{:?}", parsed.faults);
}
