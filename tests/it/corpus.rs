//! Every case of `tests/corpus`: what is read out of it, that each number has an entry in its
//! probe's file, and, for values derived by hand from the file, that they are right.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dropsonde::config::Library;
use dropsonde::model::{Kind, LabelPairs, Parsed, Probe, Span};
use dropsonde::parse::{Context, parse};

struct Case {
    name: String,
    folder: PathBuf,
    probe: Probe,
    raw: Vec<u8>,
    parsed: Parsed,
}

fn library() -> Library {
    Library::built_in().unwrap_or_else(|faults| panic!("{faults}"))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn cases() -> Vec<Case> {
    let library = library();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases = Vec::new();
    for probe_folder in folders(&root) {
        let probe_name = probe_folder.file_name().unwrap().to_str().unwrap().to_owned();
        let probe = library.get(&probe_name).unwrap();
        for folder in folders(&probe_folder) {
            let raw = std::fs::read(folder.join("output")).unwrap();
            let cursor = std::fs::read_to_string(folder.join("cursor")).ok();
            let parsed = parse(probe, &raw, &Context { clock: None, cursor: cursor.as_deref() });
            let name = format!("{probe_name}/{}", folder.file_name().unwrap().to_str().unwrap());
            cases.push(Case { name, folder, probe: Probe::clone(probe), raw, parsed });
        }
    }
    assert!(cases.len() >= 6);
    cases
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn labels(labels: &LabelPairs) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn text(parsed: &Parsed) -> String {
    let mut text = String::new();
    for sample in &parsed.samples {
        let (kind, span) = (sample.kind.as_str(), sample.span.as_str());
        writeln!(text, "{kind} {span} {}{} {}", sample.metric, labels(&sample.labels), sample.value).unwrap();
    }
    for total in &parsed.totals {
        writeln!(text, "total {}{} {}", total.metric, labels(&total.labels), total.value).unwrap();
    }
    for histogram in &parsed.histograms {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
        let (sum, max) = (number(histogram.sum), number(histogram.max));
        let place = format!("{}{}", histogram.metric, labels(&histogram.labels));
        write!(text, "histogram {place} count {} sum {sum} max {max}", histogram.count).unwrap();
        for bucket in &histogram.buckets {
            write!(text, " {}..{}:{}", bucket.lo, bucket.hi, bucket.count).unwrap();
        }
        text.push('\n');
    }
    if let Some(uptime_s) = parsed.totals_uptime_s {
        writeln!(text, "totals read at {uptime_s}").unwrap();
    }
    for (key, value) in &parsed.facts {
        writeln!(text, "fact {key} {value}").unwrap();
    }
    if let Some(cursor) = &parsed.cursor {
        writeln!(text, "cursor {cursor}").unwrap();
    }
    for fault in &parsed.faults {
        writeln!(text, "fault {}", fault.0).unwrap();
    }
    text
}

impl Case {
    /// The one value of a series, written as in `expected`: `span metric{label="value"}`.
    fn value(&self, series: &str) -> Option<f64> {
        let mut values = self.parsed.samples.iter().filter_map(|sample| {
            let this = format!("{} {}{}", sample.span.as_str(), sample.metric, labels(&sample.labels));
            (this == series).then_some(sample.value)
        });
        let value = values.next();
        assert!(values.next().is_none(), "{series} twice");
        value
    }

    fn total(&self, series: &str) -> Option<f64> {
        let mut totals = self.parsed.totals.iter();
        totals
            .find(|total| format!("{}{}", total.metric, labels(&total.labels)) == series)
            .map(|total| total.value)
    }

    fn check(&self, series: &str, expected: f64) {
        let value = self.value(series).unwrap_or_else(|| panic!("{}: no {series}", self.name));
        assert!(
            (value - expected).abs() <= 1e-9 * expected.abs(),
            "{}: {series} is {value}, not {expected}",
            self.name
        );
    }
}

#[test]
fn each_case_reads_as_expected() {
    for case in cases() {
        let path = case.folder.join("expected");
        let found = text(&case.parsed);
        if std::env::var_os("DROPSONDE_WRITE_EXPECTED").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{} line {}", path.display(), number + 1);
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{}", path.display());
    }
}

#[test]
fn each_number_has_an_entry_of_its_kind_and_a_sane_value() {
    for case in cases() {
        for sample in &case.parsed.samples {
            let spec =
                case.probe.spec(&sample.metric).unwrap_or_else(|| panic!("no entry for {}", sample.metric));
            assert_eq!(spec.kind, sample.kind, "{}", sample.metric);
            assert!(!spec.help.is_empty(), "{}", sample.metric);
            assert!(sample.value >= 0.0, "{sample:?}");
            assert_eq!(sample.span == Span::Instant, sample.kind == Kind::Gauge, "{sample:?}");
            let in_order = sample.labels.windows(2).all(|pair| pair[0].0 < pair[1].0);
            assert!(in_order, "{sample:?}");
            let is_share = sample.metric.ends_with("_ratio")
                && !["disk_util_ratio", "storage_used_ratio"].contains(&&*sample.metric);
            assert!(!is_share || sample.value <= 1.0, "{sample:?}");
        }
        for total in &case.parsed.totals {
            let spec =
                case.probe.spec(&total.metric).unwrap_or_else(|| panic!("no entry for {}", total.metric));
            assert_eq!(spec.kind, Kind::Counter, "{}", total.metric);
        }
        for histogram in &case.parsed.histograms {
            let metric = &histogram.metric;
            let spec = case.probe.spec(metric).unwrap_or_else(|| panic!("no entry for {metric}"));
            assert_eq!((spec.kind, spec.help.is_empty()), (Kind::Histogram, false), "{metric}");
            let counted: u64 = histogram.buckets.iter().map(|bucket| bucket.count).sum();
            assert_eq!(counted, histogram.count, "{metric}");
            let in_order = histogram.buckets.windows(2).all(|pair| pair[0].hi <= pair[1].lo);
            assert!(in_order && histogram.buckets.iter().all(|b| 0.0 <= b.lo && b.lo < b.hi), "{metric}");
        }
    }
}

#[test]
fn a_small_host_stays_near_three_hundred_series() {
    let case = case("proc/vm_6_18");
    let series = case.parsed.samples.len();
    assert!((150..=320).contains(&series), "{series}");
}

/// uptime 2715.77 → 2720.93, so 5.16 s; numbers by hand from the file.
#[test]
fn values_of_a_busy_machine() {
    let case = case("proc/vm_6_18_per_task");
    let raw = String::from_utf8(case.raw.clone()).unwrap();
    let field = |prefix: &str, column: usize| -> Vec<f64> {
        let lines = raw.lines().filter(|line| line.starts_with(prefix));
        lines.map(|line| line.split_ascii_whitespace().nth(column).unwrap().parse().unwrap()).collect()
    };
    let up: Vec<f64> = raw
        .lines()
        .filter_map(|line| line.strip_prefix("uptime:")?.split(' ').next()?.parse().ok())
        .collect();
    let window_s = up[1] - up[0];
    let delta = |prefix: &str, column: usize| field(prefix, column)[1] - field(prefix, column)[0];
    case.check("window node_context_switches_total", delta("stat:ctxt ", 1) / window_s);
    case.check(
        r#"window node_cpu_seconds_total{cpu="1",mode="system"}"#,
        delta("stat:cpu1 ", 3) / 100.0 / window_s,
    );
    case.check(
        r#"window node_disk_read_bytes_total{device="vda"}"#,
        delta("diskstats: 254       0 vda", 6) * 512.0 / window_s,
    );
    let reads = delta("diskstats: 254       0 vda", 4);
    case.check(
        r#"instant disk_r_await_seconds{device="vda"}"#,
        delta("diskstats: 254       0 vda", 7) / 1000.0 / reads,
    );
    case.check(
        r#"instant disk_aqu_sz{device="vda"}"#,
        delta("diskstats: 254       0 vda", 14) / 1000.0 / window_s,
    );
    case.check("window node_vmstat_pgfault", delta("vmstat:pgfault ", 1) / window_s);
    case.check("instant node_memory_MemAvailable_bytes", field("meminfo:MemAvailable:", 1)[1] * 1024.0);
    assert_eq!(case.parsed.totals_uptime_s, Some(up[1]));
    let boot_id = raw.lines().find_map(|line| line.strip_prefix("sys/kernel/random/boot_id:"));
    assert!(boot_id.is_some() && case.parsed.totals_boot_id.as_deref() == boot_id);
    let stalls: Vec<f64> = raw
        .lines()
        .filter_map(|line| line.strip_prefix("pressure/cpu:some ")?.split_once("total=")?.1.parse().ok())
        .collect();
    case.check("window node_pressure_cpu_waiting_seconds_total", (stalls[1] - stalls[0]) / 1e6 / window_s);
    assert_eq!(case.total("node_pressure_cpu_waiting_seconds_total"), Some(stalls[1] / 1e6));
    // What this kernel does not have is not there, as opposed to 0.
    assert_eq!(case.value("window node_pressure_irq_stalled_seconds_total"), None);
    // A sum over tasks loses those that exited, so it has no total to compare readings by.
    assert!(case.value("window node_schedstat_waiting_seconds_total").is_some());
    assert_eq!(case.total("node_schedstat_waiting_seconds_total"), None);
}

/// Matched in the plainest way: a task that is not in the first snapshot began at 0.
#[test]
fn task_sums_match_by_pid_and_tid() {
    let case = case("proc/vm_6_18_per_task");
    let raw = String::from_utf8(case.raw.clone()).unwrap();
    let mut parts = raw.split("@@@ snapshot\n").skip(1).map(|part| {
        let tasks = part.lines().filter_map(|line| line.split_once("/schedstat:"));
        tasks.map(|(id, text)| {
            (id.to_owned(), text.split(' ').map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>())
        })
    });
    let (first, second): (Vec<_>, Vec<_>) =
        (parts.next().unwrap().collect(), parts.next().unwrap().collect());
    let sum = |column: usize| {
        let step = |(id, new): &(String, Vec<u64>)| {
            new[column] - first.iter().find(|(other, _)| other == id).map_or(0, |(_, old)| old[column])
        };
        second.iter().map(step).sum::<u64>() as f64
    };
    assert!(first.iter().any(|(id, _)| !second.iter().any(|(other, _)| other == id)), "no task exited");
    assert!(second.iter().any(|(id, _)| !first.iter().any(|(other, _)| other == id)), "no task began");
    case.check("instant scheduler_runqueue_wait_per_slice_seconds", sum(1) / 1e9 / sum(2));
    case.check("instant scheduler_runqueue_wait_ratio", sum(1) / (sum(0) + sum(1)));
    let busy = ["user", "nice", "system", "irq", "softirq", "steal"]
        .map(|mode| case.value(&format!("window cpu_mean_seconds_total{{mode={mode:?}}}")).unwrap());
    let rate = case.value("window node_schedstat_running_seconds_total").unwrap();
    let coverage = rate / (busy.iter().sum::<f64>() * 2.0);
    let found = case.value("instant scheduler_schedstat_task_coverage_ratio").unwrap();
    assert!((found - coverage).abs() < 1e-6, "{found} is not {coverage}");
}

/// The window is 2 s; each line of the file is there for one of these.
#[test]
fn an_old_kernel_and_its_traps() {
    let case = case("proc/old_3_10");
    // Beyond 2^53: 9007199254740993 → …999.
    case.check("window node_context_switches_total", 3.0);
    // cpu line: user 100, system 50, idle 250, iowait -10 (known to go back: no fault) ticks.
    case.check(r#"window cpu_mean_seconds_total{mode="user"}"#, 1.0 / 2.0 / 2.0);
    assert_eq!(case.value(r#"window cpu_mean_seconds_total{mode="iowait"}"#), None);
    assert_eq!(case.value(r#"window node_cpu_seconds_total{cpu="0",mode="steal"}"#), None);
    assert_eq!(case.value("instant cpu_steal_ratio"), None);
    // cpu0: user 90 of 190 ticks that went forward.
    case.check(r#"instant cpu_busiest_ratio{mode="user"}"#, 90.0 / 190.0);
    // 1.5 s + 0.5 s ran, 0.3 s + 0.1 s waited, 400 slices.
    case.check("window node_schedstat_waiting_seconds_total", 0.2);
    case.check("instant scheduler_runqueue_wait_per_slice_seconds", 0.001);
    case.check("instant scheduler_runqueue_wait_ratio", 0.4 / 2.4);
    assert_eq!(case.total("node_schedstat_running_seconds_total"), Some(5.0));
    // One allocstall for all zones; oom_kill restarted.
    case.check("window node_vmstat_allocstall", 2.0);
    assert_eq!(case.value("window node_vmstat_oom_kill"), None);
    assert_eq!(case.total("node_vmstat_oom_kill"), Some(0.0));
    // No MemAvailable before 3.14, so nothing that is made from it.
    assert_eq!(case.value("instant memory_used_ratio"), None);
    // 8 + 2*4 + 8*1 pages, of which the last are contiguous.
    case.check("instant memory_free_contiguous_ratio", 8.0 / 24.0);
    // eth0-rx-0 on CPU 0 wraps: 200, and 50 of eth0-rx-1 on CPU 1.
    case.check(r#"window node_interrupts_total{devices="eth0-rx",type="irq"}"#, 125.0);
    case.check("instant interrupts_busiest_cpu_ratio", 200.0 / 250.0);
    case.check(r#"window node_interrupts_total{type="ERR"}"#, 1.0);
    assert_eq!(case.value(r#"window node_interrupts_total{type="NMI"}"#), None);
    case.check(r#"window node_softirqs_functions_total{type="NET_RX"}"#, 50.0);
    // fffffff0 → 10 is 32 across the wrap, and 8.
    case.check("window node_softnet_processed_total", 20.0);
    case.check("window node_softnet_dropped_total", 2.0);
    // 100 ms over 10 reads; no write ended, so there is no w_await; 2000 ms weighted.
    case.check(r#"instant disk_r_await_seconds{device="sda"}"#, 0.01);
    assert_eq!(case.value(r#"instant disk_w_await_seconds{device="sda"}"#), None);
    case.check(r#"instant disk_aqu_sz{device="sda"}"#, 1.0);
    case.check(r#"instant disk_util_ratio{device="sda"}"#, 0.25);
    for device in ["sda1", "loop0", "ram0"] {
        assert_eq!(case.total(&format!("node_disk_reads_completed_total{{device={device:?}}}")), None);
    }
    // The columns of netstat changed places between the snapshots.
    case.check("window node_netstat_TcpExt_ListenDrops", 1.0);
    case.check("window node_netstat_TcpExt_ListenOverflows", 0.5);
    case.check("instant tcp_retransmit_ratio", 8.0 / 400.0);
    case.check(r#"instant network_error_ratio{device="eth0"}"#, 10.0 / 100.0);
    assert_eq!(case.total(r#"node_network_receive_bytes_total{device="eth1"}"#), None);
    assert_eq!(case.total(r#"node_network_receive_bytes_total{device="veth12"}"#), None);
    // fffffffe → 2 on one CPU.
    case.check("window node_nf_conntrack_stat_drop", 2.0);
    case.check("window node_nf_conntrack_stat_insert_failed", 1.0);
    case.check("instant nf_conntrack_used_ratio", 0.9);
    // cgroup v1: nanoseconds; `/` is the sum; a name may have a colon.
    case.check(r#"window cgroup_cpu_throttled_seconds_total{cgroup="docker/0a1b"}"#, 0.5);
    case.check(r#"instant cgroup_cpu_throttled_ratio{cgroup="docker/0a1b"}"#, 0.25);
    case.check(r#"instant cgroup_cpu_throttled_ratio{cgroup="/"}"#, 5.0 / 40.0);
    case.check(r#"instant cgroup_cpu_throttled_ratio{cgroup="a:b"}"#, 0.0);
    // Two tasks in D; one of them was given a CPU in between.
    case.check("instant blocked_tasks", 2.0);
    case.check("instant blocked_tasks_stuck", 1.0);
    case.check("instant blocked_task_age_seconds", 2.0);
    case.check(r#"instant blocked_tasks_stuck_by_wchan{wchan="rpc_wait_bit_killable"}"#, 1.0);
    let faults: Vec<_> = case.parsed.faults.iter().map(|fault| fault.0.as_str()).collect();
    assert_eq!(faults, ["node_vmstat_oom_kill went from 1 to 0 in the window: no rate"]);
}
