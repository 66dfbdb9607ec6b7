//! The remote contract against real shells, real processes and a real sshd: whatever ends a run,
//! nothing of it is left.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dropsonde::model::{Cost, Outcome, Probe};

use crate::support::patience::wait_for;
use crate::support::runs::{Job, Line, probe, supervisor_of};
use crate::support::sshd::{Setup, Sshd, Userland, kill, parent_of};

const PROBES: [(&str, &str); 6] = [
    ("sleep", "sleep 300"),
    ("writer", "while :; do echo line; sleep 0.05; done"),
    ("term-ignoring", "trap '' TERM HUP INT; while :; do sleep 1; done"),
    ("perf", "exec perf record -q -a -F 99 -o /dev/null -- sleep 300"),
    ("double fork", "(setsid sleep 300 </dev/null >/dev/null 2>&1 &); sleep 300"),
    ("double fork that holds stdout", "(setsid sleep 300 &); sleep 300"),
];

#[derive(Debug, Clone, Copy)]
enum Fault {
    ClientKilled,
    SshdChildKilled,
    Deadline,
    HeartbeatMissed,
    SupervisorKilled,
}

const FAULTS: [Fault; 5] = [
    Fault::ClientKilled,
    Fault::SshdChildKilled,
    Fault::Deadline,
    Fault::HeartbeatMissed,
    Fault::SupervisorKilled,
];

fn sshd(userland: Userland) -> Sshd {
    let lines = vec!["AcceptEnv CELL".to_owned()];
    Sshd::start(Setup { lines, userland: Some(userland), ..Setup::default() })
}

fn with_shell(shell: &str) -> Userland {
    Userland { shell: Some(shell.into()), ..Userland::default() }
}

/// Every probe through every fault, every other one as a heavy probe (a session and a cgroup of its
/// own), a dozen at a time: more of them wait for two cores, not for each other.
fn matrix(userland: Userland) {
    let sshd = &sshd(userland);
    let faulty = PROBES.iter().enumerate().flat_map(|(i, probe)| {
        FAULTS.iter().enumerate().map(move |(k, fault)| (probe, *fault, (i + k) % 2 == 0))
    });
    let cells = &Mutex::new(faulty.collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(move || {
                while let Some(((name, script), fault, heavy)) = take(cells) {
                    let cost = if heavy { Cost::Heavy } else { Cost::Cheap };
                    cell(sshd, &format!("{name}, {fault:?}, {cost:?}"), script, (fault, cost));
                }
            });
        }
    });
}

fn take<T>(from: &Mutex<Vec<T>>) -> Option<T> {
    from.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn cell(sshd: &Sshd, what: &str, script: &str, (fault, cost): (Fault, Cost)) {
    let mut probe = probe(script);
    probe.cost = cost;
    if matches!(fault, Fault::Deadline) {
        probe.timeout = Duration::from_secs(8);
    }
    let job = Job::new(probe);
    let mut client = job.connect(sshd);
    let line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
    let running = wait_for(|| job.probes().len() >= if script.contains("setsid") { 2 } else { 1 });
    let why =
        if running { String::new() } else { format!("{:?} {}", job.decode(&mut client).detail, sshd.log()) };
    assert!(running, "{what}: the probe does not start: {why}");
    match fault {
        Fault::ClientKilled => client.kill().expect("kill"),
        Fault::SshdChildKilled => kill(session_of(&job), "KILL"),
        Fault::SupervisorKilled => kill(supervisor_of(&job), "KILL"),
        Fault::Deadline => {
            let decoded = job.decode(&mut client);
            assert_eq!(decoded.outcome, Outcome::TimedOut, "{what}: {:?}", decoded.detail);
            assert!(decoded.clock.is_some(), "{what}");
        }
        Fault::HeartbeatMissed => line.fall_silent(),
    }
    job.assert_gone(what);
    let _ = client.kill();
    let _ = client.wait();
    drop(line);
}

fn session_of(job: &Job) -> u32 {
    parent_of(supervisor_of(job)).expect("an sshd child")
}

#[test]
fn nothing_is_left_under_dash() {
    matrix(with_shell("/usr/bin/dash"));
}

#[test]
fn nothing_is_left_under_bash() {
    matrix(with_shell("/usr/bin/bash"));
}

#[test]
fn nothing_is_left_under_busybox_ash() {
    matrix(with_shell("/usr/bin/busybox"));
}

/// A probe that traces all of sched in its own instance, and stays.
const TRACER: &str = "I=/sys/kernel/tracing/instances/$DROPSONDE_INSTANCE
mkdir \"$I\" && echo 1 >\"$I/events/sched/enable\" && echo tracing && sleep 300";

#[test]
fn no_tracing_instance_and_no_cgroup_is_left() {
    let prepare =
        "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing".to_owned();
    let lines = vec!["AcceptEnv CELL".to_owned()];
    let sshd = Sshd::start(Setup { lines, prepare, userland: Some(Userland::default()), ..Setup::default() });
    let instances = format!("/proc/{}/root/sys/kernel/tracing/instances", sshd.pid());
    let of = |tag: &str| PathBuf::from(format!("{instances}/dropsonde.{tag}"));
    let stale = of("0123456789abcdef0123456789abcdef");
    std::fs::create_dir(&stale).expect("a tracing instance");
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let root = roots.iter().rfind(|root| root.join("cgroup.controllers").exists()).expect("cgroup v2");
    let stale_group = root.join("dropsonde.0123456789abcdef0123456789abcdef");
    std::fs::create_dir(&stale_group).expect("a cgroup");

    for fault in [Fault::ClientKilled, Fault::SupervisorKilled, Fault::Deadline] {
        let mut job = Job::new(Probe { cost: Cost::Heavy, ..probe(TRACER) });
        if matches!(fault, Fault::Deadline) {
            job.probe.timeout = Duration::from_secs(8);
        }
        let mut client = job.connect(&sshd);
        let line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
        let (instance, group) = (of(&job.tag.to_string()), root.join(format!("dropsonde.{}", job.tag)));
        assert!(wait_for(|| instance.is_dir() && group.is_dir()), "{fault:?}: the probe does not trace");
        assert!(!stale.exists() && !stale_group.exists(), "what an earlier run left is still there");
        match fault {
            Fault::SupervisorKilled => kill(supervisor_of(&job), "KILL"),
            Fault::ClientKilled => client.kill().expect("kill"),
            _ => {}
        }
        job.assert_gone("a tracer");
        assert!(
            wait_for(|| !instance.exists() && !group.exists()),
            "{fault:?}: {instance:?} or {group:?} is left"
        );
        let _ = client.kill();
        let _ = client.wait();
        drop(line);
    }
}
