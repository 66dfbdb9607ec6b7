//! The shipped probes over the synthetic trees: what a demo shows, without the SSH in between.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::demo::{FleetShape, HostModel, Incident, PROBES, Tree, fleet};
use dropsonde::model::{CollectorTime, Outcome, Parsed, Probe, Sample};
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

/// Parses what [`run`] gives.
fn read(probe: &Probe, hosts: &[HostModel]) -> Vec<Parsed> {
    let context = Context { clock: None, cursor: None };
    run(probe, hosts, NOW_S).iter().map(|output| parse(probe, output.as_bytes(), &context)).collect()
}

/// Runs `probe` over all hosts at once. While it sleeps, exactly two seconds of theirs pass, however long
/// this machine takes for it. A host's folder is cut off the paths in the output.
fn run(probe: &Probe, hosts: &[HostModel], at_s: i64) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::write(tools.join("sleep"), SLEEP).unwrap();
    std::fs::set_permissions(tools.join("sleep"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", tools.display());
    let one = |host: &HostModel| {
        let root = dir.path().join(host.name.as_str());
        let mut tree = Tree::create(root.clone(), host, CollectorTime::from_unix_s(at_s)).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&probe.script).env("PROC", Tree::proc(&root)).env("SYS", Tree::sys(&root));
        shell.env("PATH", &path).env("GATE", &root).env("LC_ALL", "C");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        // A probe writes less than a pipe holds before it sleeps, or never sleeps.
        while child.try_wait().unwrap().is_none() && !root.join("asleep").exists() {
            sleep(Duration::from_millis(5));
        }
        tree.refresh(host, CollectorTime::from_unix_s(at_s + 2)).unwrap();
        std::fs::write(root.join("awake"), "").unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
        String::from_utf8(out.stdout).unwrap().replace(root.to_str().unwrap(), "")
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
    // Any other probe that reads $PROC works there, too.
    assert_eq!(read(library.get("uptime").unwrap(), &made()[..1])[0].faults, []);
}

#[test]
fn a_past_answer_is_what_the_script_prints() {
    let hosts = made();
    // A day ago, too: some hosts have booted in between, and nobody was in trouble.
    for at_s in [NOW_S, NOW_S - 86_400] {
        let time = CollectorTime::from_unix_s(at_s);
        for (host, printed) in hosts.iter().zip(run(&shipped("proc"), &hosts, at_s)) {
            let answer = host.answer("proc", time, None).unwrap();
            let differ =
                printed.lines().zip(answer.output.lines()).find(|(printed, answer)| printed != answer);
            assert_eq!(differ, None, "{}", host.name);
            assert_eq!(printed.len(), answer.output.len(), "{}", host.name);
        }
        for (host, printed) in hosts.iter().zip(run(&shipped("host_context"), &hosts, at_s)) {
            let answer = host.answer("host_context", time, None).unwrap().output;
            // What stands on this machine's PATH and around it is no fact of the synthetic host.
            let own = |line: &&str| !line.starts_with("tool_") && !line.starts_with("container ");
            let printed: Vec<&str> = printed.lines().filter(own).collect();
            assert_eq!(answer.lines().collect::<Vec<_>>(), printed, "{}", host.name);
        }
    }
    assert_eq!(hosts[0].answer("cpu_profile", CollectorTime::from_unix_s(NOW_S), None), None);
}

#[test]
fn the_log_goes_on_where_it_was_read_to() {
    let probe = shipped("kernel_log");
    let hour = |nth: i64| CollectorTime::from_unix_s(NOW_S - 20 * 3_600 + nth * 3_600);
    for host in made() {
        let (mut cursor, mut errors) = (None::<String>, 0.0);
        for nth in 0..20 {
            let (reading, raw) = host.reading(&probe, hour(nth), cursor.as_deref()).unwrap();
            assert_eq!((reading.outcome, reading.cursor.as_deref()), (Outcome::Ok, cursor.as_deref()));
            let context = Context { clock: reading.clock.as_ref(), cursor: cursor.as_deref() };
            let parsed = parse(&probe, &raw, &context);
            let same_boot = cursor.as_ref().is_some_and(|it| it.starts_with(host.boot_id(hour(nth))));
            // Nothing but that a boot's first reading has nothing to go on from.
            assert_eq!(parsed.faults.len(), usize::from(!same_boot), "{} {:?}", host.name, parsed.faults);
            let rate = |s: &&Sample| s.labels.iter().any(|(_, value)| value == "io_error");
            errors += parsed.samples.iter().find(rate).unwrap().value * 3_600.0;
            cursor = parsed.cursor.clone();
        }
        let dying = host.incident == Some(Incident::DyingDisk);
        assert_eq!(errors > 20.0, dying, "{} {errors}", host.name);
        assert!(dying || errors == 0.0, "{} {errors}", host.name);
    }
}

#[test]
fn the_sick_host_leads_and_each_trouble_has_its_own_metrics() {
    let hosts = made();
    let parsed = read(&shipped("proc"), &hosts);
    for (incident, metric, times) in [
        (Incident::SlowKernel, "scheduler_runqueue_wait_per_slice_seconds", 3.0),
        (Incident::SlowKernel, "node_pressure_cpu_waiting_seconds_total", 3.0),
        (Incident::NoisyNeighbour, "cpu_steal_ratio", 100.0),
        (Incident::NoisyNeighbour, "tcp_retransmit_ratio", 3.0),
        (Incident::NoisyNeighbour, "node_softnet_times_squeezed_total", 3.0),
        (Incident::DyingDisk, "disk_r_await_seconds", 3.0),
        (Incident::DyingDisk, "node_pressure_io_stalled_seconds_total", 3.0),
    ] {
        let of = |ill: bool| {
            let both = hosts.iter().zip(&parsed);
            both.filter(move |(host, _)| (host.incident == Some(incident)) == ill)
                .map(move |(host, parsed)| (host, sum(parsed, metric).unwrap()))
        };
        let next = of(false).map(|(_, value)| value).fold(0.0, f64::max);
        for (host, value) in of(true) {
            assert!(value >= times * next && value > 0.0, "{} {metric}: {value} {next}", host.name);
        }
        if incident == Incident::SlowKernel {
            let worst = of(true).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            assert!(worst.sick, "{metric}: {}", worst.name);
        }
    }
}

#[test]
fn hosts_say_what_they_are_and_some_share_the_sick_ones_driver() {
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
        assert_eq!(parsed.facts["boot_id"], host.boot_id(CollectorTime::from_unix_s(NOW_S)));
        assert_eq!(parsed.facts["cpus_online"], format!("0-{}", host.cpus - 1));
    }
    let shared = |fact: &str| parsed.iter().filter(|p| p.facts[fact] == parsed[sick].facts[fact]).count();
    assert_eq!(parsed[sick].facts["nic_driver"], "ena 2.13.0g");
    // The driver is that of all of the platform; the kernel is that of those in trouble.
    let slow = hosts.iter().filter(|host| host.incident == hosts[sick].incident).count();
    assert_eq!((shared("nic_driver"), shared("kernel"), slow), (4, 2, 2));
}
