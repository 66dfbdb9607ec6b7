//! The shipped probes over the synthetic trees: what a demo shows, without the SSH in between.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::demo::{FleetShape, HostModel, PROBES, Tree, fleet};
use dropsonde::model::{CollectorTime, Parsed, Probe};
use dropsonde::parse::{Context, parse};

const NOW_S: i64 = 1_795_381_601;

fn made() -> Vec<HostModel> {
    fleet(FleetShape { hosts: 12, seed: 1, now: CollectorTime::from_unix_s(NOW_S) }).unwrap()
}

fn shipped(name: &str) -> Probe {
    Library::built_in().unwrap().get(name).unwrap().as_ref().clone()
}

/// A `sleep` that says it was called and returns when it is told to.
const SLEEP: &str =
    "#!/bin/sh\n: >\"$GATE/asleep\"\nuntil [ -e \"$GATE/awake\" ]; do /bin/sleep 0.02; done\n";

/// Runs `probe` over all hosts at once. While it sleeps, exactly two seconds of theirs pass, however long
/// this machine takes for it.
fn read(probe: &Probe, hosts: &[HostModel]) -> Vec<Parsed> {
    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::write(tools.join("sleep"), SLEEP).unwrap();
    std::fs::set_permissions(tools.join("sleep"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", tools.display());
    let one = |host: &HostModel| {
        let root = dir.path().join(host.name.as_str());
        let mut tree = Tree::create(root.clone(), host, CollectorTime::from_unix_s(NOW_S)).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&probe.script).env("PROC", Tree::proc(&root)).env("SYS", Tree::sys(&root));
        shell.env("PATH", &path).env("GATE", &root);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        // A probe writes less than a pipe holds before it sleeps, or never sleeps.
        while child.try_wait().unwrap().is_none() && !root.join("asleep").exists() {
            sleep(Duration::from_millis(5));
        }
        tree.refresh(host, CollectorTime::from_unix_s(NOW_S + 2)).unwrap();
        std::fs::write(root.join("awake"), "").unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
        parse(probe, &out.stdout, &Context { clock: None, cursor: None })
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = hosts.iter().map(|host| scope.spawn(|| one(host))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

/// The sum of a metric over its labels, `None` where the host does not have it.
fn sum(parsed: &Parsed, metric: &str) -> Option<f64> {
    let values: Vec<f64> = parsed.samples.iter().filter(|s| s.metric == metric).map(|s| s.value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// A metric of each family that every synthetic host has, and three that only some kernels have.
const EVERYWHERE: [&str; 20] = [
    "node_cpu_seconds_total",
    "node_schedstat_waiting_seconds_total",
    "scheduler_runqueue_wait_per_slice_seconds",
    "node_pressure_cpu_waiting_seconds_total",
    "node_pressure_io_stalled_seconds_total",
    "node_pressure_memory_waiting_seconds_total",
    "node_interrupts_total",
    "node_softirqs_functions_total",
    "node_softnet_times_squeezed_total",
    "node_vmstat_allocstall",
    "disk_w_await_seconds",
    "tcp_retransmit_ratio",
    "node_netstat_TcpExt_ListenDrops",
    "node_network_receive_bytes_total",
    "blocked_tasks_stuck",
    "node_memory_MemAvailable_bytes",
    "memory_free_contiguous_ratio",
    "cgroup_cpu_throttled_ratio",
    "node_sysctl_net_core_somaxconn",
    "node_load1",
];
const SOMEWHERE: [&str; 3] = [
    "node_pressure_irq_stalled_seconds_total",
    "node_nf_conntrack_entries",
    // Only where the kernel has no /proc/schedstat, and the tasks' own stand in.
    "scheduler_schedstat_task_coverage_ratio",
];

#[test]
fn every_family_is_read_from_every_host_without_a_fault() {
    let hosts = made();
    let parsed = read(&shipped("proc"), &hosts);
    for (host, parsed) in hosts.iter().zip(&parsed) {
        assert_eq!(parsed.faults, [], "{}", host.name);
        for metric in EVERYWHERE {
            assert!(sum(parsed, metric).is_some(), "{} has no {metric}", host.name);
        }
        // Of two seconds on each CPU, none is lost and none is made up, but for what rounding takes.
        let cpu_s = sum(parsed, "cpu_mean_seconds_total").unwrap();
        assert!((cpu_s - 1.0).abs() < 0.04, "{} {cpu_s}", host.name);
    }
    for metric in SOMEWHERE {
        let count = parsed.iter().filter(|parsed| sum(parsed, metric).is_some()).count();
        assert!((3..=9).contains(&count), "{metric} on {count} of 12");
    }
}

#[test]
fn the_demos_probes_are_shipped_and_read_nothing_but_the_tree() {
    let library = Library::built_in().unwrap();
    for name in PROBES {
        let probe = library.get(name).unwrap();
        let lines = probe.script.lines().filter(|line| !line.trim_start().starts_with('#'));
        let reads_log = lines.flat_map(str::split_whitespace).any(|word| word == "dmesg");
        assert!(!reads_log, "{name} reads this machine's log");
    }
    assert_eq!(read(library.get("uptime").unwrap(), &made()[..1])[0].faults, []);
}

#[test]
fn the_sick_host_leads_in_every_symptom() {
    let hosts = made();
    let parsed = read(&shipped("proc"), &hosts);
    let sick = hosts.iter().position(|host| host.sick).unwrap();
    for metric in [
        "scheduler_runqueue_wait_per_slice_seconds",
        "scheduler_runqueue_wait_ratio",
        "node_pressure_cpu_waiting_seconds_total",
        "cpu_steal_ratio",
        "tcp_retransmit_ratio",
        "node_softnet_times_squeezed_total",
    ] {
        let values: Vec<f64> = parsed.iter().map(|parsed| sum(parsed, metric).unwrap()).collect();
        let healthy = values.iter().enumerate().filter(|(i, _)| *i != sick).map(|(_, value)| *value);
        let next = healthy.fold(0.0, f64::max);
        assert!(values[sick] >= 3.0 * next, "{metric}: {} against {next}", values[sick]);
    }
    // What is not ill stays in its range: a neighbour that takes CPU time does not slow the disk.
    let awaits: Vec<f64> = parsed.iter().map(|parsed| sum(parsed, "disk_w_await_seconds").unwrap()).collect();
    assert!(awaits.iter().all(|wait| *wait < 2.0 * awaits[sick] && *wait > 0.5 * awaits[sick]), "{awaits:?}");
}

#[test]
fn hosts_say_what_they_are_and_some_share_the_sick_ones_kernel() {
    let hosts = made();
    let parsed = read(&shipped("host_context"), &hosts);
    let sick = hosts.iter().position(|host| host.sick).unwrap();
    for (host, parsed) in hosts.iter().zip(&parsed) {
        assert_eq!(parsed.faults, [], "{}", host.name);
        for fact in
            ["kernel", "distro", "cpu_model", "microcode", "clocksource", "nic_driver", "virtualisation"]
        {
            assert!(parsed.facts.contains_key(fact), "{} does not say {fact}: {:?}", host.name, parsed.facts);
        }
        assert_eq!(parsed.facts["boot_id"], host.boot_id);
        assert_eq!(parsed.facts["cpus_online"], format!("0-{}", host.cpus - 1));
    }
    let shared = |fact: &str| parsed.iter().filter(|p| p.facts[fact] == parsed[sick].facts[fact]).count();
    assert_eq!(parsed[sick].facts["nic_driver"], "ena 2.13.0g");
    for fact in ["kernel", "nic_driver"] {
        assert!((3..=6).contains(&shared(fact)), "{fact} on {}", shared(fact));
    }
}
