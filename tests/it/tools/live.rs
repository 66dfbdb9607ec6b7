//! Each shipped script for real: numbers, or a truthful word about what this machine has not; and
//! nothing of it is left, whatever ends it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::program::Program;
use crate::support::tracer::{self, alone};

fn program() -> Program {
    let mut program = Program::new();
    program.configure("");
    program
}

/// The numbers of a reading that must be ok.
fn numbers(program: &Program, probe: &str) -> Value {
    tracer::run(program, probe).ended(("localhost", probe), "ok", &[]);
    let shown = program.run(&["show", "localhost", probe, "--json"]);
    shown.expect(0, &[]);
    let shown = shown.json();
    assert_eq!(shown["faults"], serde_json::json!([]), "{probe}");
    shown
}

fn counted(shown: &Value, metric: &str) -> u64 {
    let histograms = shown["histograms"].as_array().expect("histograms").iter();
    let of_it: Vec<&Value> = histograms.filter(|each| each["metric"] == metric).collect();
    assert!(!of_it.is_empty(), "no {metric} in {shown}");
    of_it.iter().map(|each| each["count"].as_u64().expect("a count")).sum()
}

/// Each program compiles, is taken by this kernel, and sees what this test does meanwhile.
#[test]
fn tracepoint_programs() {
    let _alone = alone();
    let program = program();
    for (probe, metric) in [
        ("bpf_runq", "scheduler_runqueue_latency_seconds"),
        ("bpf_syscall", "syscall_latency_seconds"),
        ("bpf_softirq", "softirq_duration_seconds"),
    ] {
        assert!(counted(&numbers(&program, probe), metric) > 0, "{probe}");
    }
    // Nothing need happen in these while they look: 0 of them is an answer as well.
    for (probe, metric) in [
        ("bpf_hardirq", "irq_handler_duration_seconds"),
        ("bpf_biolatency", "blockio_latency_seconds"),
        ("bpf_reclaim", "direct_reclaim_latency_seconds"),
    ] {
        counted(&numbers(&program, probe), metric);
    }
    for (probe, metric) in [("tcp_retransmit", "tcp_retransmits_total"), ("skb_drop", "skb_drops_total")] {
        let shown = numbers(&program, probe);
        let samples = shown["samples"].as_array().expect("samples");
        assert!(samples.iter().any(|sample| sample["metric"] == metric), "{shown}");
    }
}

#[test]
fn timers_on_each_cpu() {
    let _alone = alone();
    let program = program();
    let shown = numbers(&program, "timer_latency");
    let cpus = std::thread::available_parallelism().expect("CPUs").get();
    assert_eq!(shown["histograms"].as_array().expect("histograms").len(), cpus);
    // Three seconds, a thousand times a second on the first CPU; a busy machine misses some.
    assert!(counted(&shown, "timer_latency_seconds") > 1_000);
}

/// What this machine may or may not have: numbers, or the missing thing by name.
#[test]
fn what_is_missing_is_named() {
    let _alone = alone();
    let program = program();
    for (probe, words) in [
        ("edac_thermal", &["thermal throttling"][..]),
        ("storage_health", &["no disk here answers", "smartctl"]),
        ("syscall_capture", &["sysdig"]),
    ] {
        let ran = tracer::run(&program, probe);
        let reading = ran.reading("localhost", probe);
        if reading["outcome"] == "ok" {
            assert!(reading["samples"].as_u64().expect("samples") > 0, "{reading}");
        } else {
            ran.ended(("localhost", probe), "unsupported", words);
        }
    }
}

/// The collector dies while a program traces: bpftrace goes, and its programs with it.
#[test]
fn a_tracer_does_not_outlive_its_collector() {
    let _alone = alone();
    let program = program();
    tracer::run(&program, "tcp_retransmit").expect(0, &[]);
    let mut child = program.command(&["run", "tcp_retransmit", "--local"]).spawn().expect("the program");
    let until = Instant::now() + Duration::from_secs(60);
    let ours = loop {
        let found = tracers_below(child.id());
        if !found.is_empty() {
            break found;
        }
        assert!(Instant::now() < until, "bpftrace does not start");
        std::thread::sleep(Duration::from_millis(20));
    };
    child.kill().expect("kill");
    child.wait().expect("wait");
    let until = Instant::now() + Duration::from_secs(60);
    while ours.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(Instant::now() < until, "{ours:?} live on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The bpftrace processes that descend from `ancestor`.
fn tracers_below(ancestor: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_tracer = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "bpftrace" && descends(*pid, ancestor)
    };
    pids.filter(is_tracer).collect()
}

fn descends(pid: u32, ancestor: u32) -> bool {
    let mut pid = pid;
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        pid = parent.unwrap_or(0);
    }
    false
}
