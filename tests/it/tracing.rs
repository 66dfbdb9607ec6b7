//! Tracing on a host: never two tracers at once, and nothing of one is left whatever ends it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::model::{Cost, Outcome, Probe};

use crate::support::patience::{PATIENCE, wait_for};
use crate::support::program::Program;
use crate::support::runs::{Job, Line, probe, spawn, supervisor_of};
use crate::support::sshd::{Setup, Sshd, Userland, kill, parent_of};
use crate::support::tracer::{alone, looking_for};

const TRACEFS: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing";

fn host(userland: Userland, prepare: &str) -> Sshd {
    let lines = vec!["AcceptEnv CELL".to_owned()];
    Sshd::start(Setup { lines, prepare: prepare.to_owned(), userland: Some(userland), ..Setup::default() })
}

fn with_shell(shell: &str) -> Userland {
    Userland { shell: Some(shell.into()), ..Userland::default() }
}

/// Commands that put a tracefs of plain files over the real one, so that a test can say what it says
/// without switching anything on.
fn pretend(folder: &Path, current_tracer: &str, set_event: &str) -> String {
    for part in ["events", "instances"] {
        std::fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    std::fs::write(folder.join("current_tracer"), current_tracer).expect("a tracer");
    std::fs::write(folder.join("set_event"), set_event).expect("events");
    format!("mkdir -p /sys/kernel/tracing\nmount --bind '{}' /sys/kernel/tracing", folder.display())
}

fn tracer(script: &str) -> Job {
    Job::new(Probe { tracer: true, cost: Cost::Moderate, ..probe(script) })
}

fn stands_back(sshd: &Sshd, what: &str, why: &str) {
    let decoded = tracer("echo ran").over(sshd);
    let expected = format!("host is being traced already: {why}");
    assert_eq!((decoded.outcome, decoded.detail), (Outcome::Skipped, Some(expected)), "{what}");
    assert_eq!((decoded.raw.as_slice(), decoded.exit), (&b""[..], None), "{what}");
    let other = Job::new(probe("echo ran")).over(sshd);
    assert_eq!(
        (other.outcome, &*other.raw),
        (Outcome::Ok, &b"ran\n"[..]),
        "{what}: what does not trace runs"
    );
}

fn runs(sshd: &Sshd, what: &str) {
    let decoded = tracer("echo ran").over(sshd);
    assert_eq!(
        (decoded.outcome, &*decoded.raw),
        (Outcome::Ok, &b"ran\n"[..]),
        "{what}: {:?}",
        decoded.detail
    );
}

/// One tracer at work, another comes; then the first is ended by `fault`, and a third one may run at once.
fn one_at_a_time(userland: &Userland) {
    let what = format!("{:?} without {:?}", userland.shell, userland.without);
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = host(userland.clone(), &pretend(folder.path(), "nop\n", ""));
    runs(&sshd, &what);
    let faults: [fn(&Job, &mut Child); 3] = [
        |_, client| client.kill().expect("kill"),
        |job, _| kill(supervisor_of(job), "KILL"),
        |job, _| job.probes().into_iter().for_each(|pid| kill(pid, "KILL")),
    ];
    for fault in faults {
        let first = tracer("mkdir \"/sys/kernel/tracing/instances/$DROPSONDE_INSTANCE\" && sleep 300");
        let mut client = first.connect(&sshd);
        let line = Line::open(client.stdin.take().expect("stdin"), &first.request().stdin());
        let instance = folder.path().join(format!("instances/dropsonde.{}", first.tag));
        assert!(wait_for(|| instance.is_dir()), "{what}: the first tracer does not start");
        stands_back(&sshd, &what, "another run traces it");
        fault(&first, &mut client);
        first.assert_gone(&what);
        // In a tracefs of plain files, what the supervisor switches off becomes a file in the way.
        let _ = std::fs::remove_dir_all(&instance);
        runs(&sshd, &what);
        let _ = client.kill();
        let _ = client.wait();
        drop(line);
    }
}

#[test]
fn two_tracers_are_never_at_work_at_once() {
    std::thread::scope(|scope| {
        for shell in ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox"] {
            scope.spawn(move || one_at_a_time(&with_shell(shell)));
        }
        // Where there is no `flock`, the instance tells.
        scope.spawn(|| one_at_a_time(&Userland { without: vec!["flock"], ..with_shell("/usr/bin/dash") }));
    });
}

#[test]
fn a_tracer_stands_back_for_a_foreign_one() {
    let check = |current_tracer: &str, set_event: &str, why: Option<&str>| {
        for shell in ["/usr/bin/dash", "/usr/bin/busybox"] {
            let folder = tempfile::tempdir().expect("a folder");
            let sshd = host(with_shell(shell), &pretend(folder.path(), current_tracer, set_event));
            match why {
                Some(why) => stands_back(&sshd, shell, why),
                None => runs(&sshd, shell),
            }
        }
    };
    check("function_graph\n", "", Some("its tracer function_graph is switched on"));
    check(
        "nop\n",
        "irq:softirq_entry\nirq:softirq_exit\n",
        Some("event irq:softirq_entry is enabled in its global buffer"),
    );
    // Events that are to be enabled when a module comes are enabled nowhere yet.
    check("nop\n", ":mod:xfs\n", None);
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    ProbeKilled,
    ClientKilled,
    SshdChildKilled,
    SupervisorKilled,
    HeartbeatMissed,
    Deadline,
}

const FAULTS: [Fault; 6] = [
    Fault::ProbeKilled,
    Fault::ClientKilled,
    Fault::SshdChildKilled,
    Fault::SupervisorKilled,
    Fault::HeartbeatMissed,
    Fault::Deadline,
];

/// Everything on the machine that bears the run's tag and is no process.
fn left_of(tag: &str, sshd: &Sshd) -> Vec<PathBuf> {
    let root = PathBuf::from(format!("/proc/{}/root", sshd.pid()));
    let folders = ["sys/kernel/tracing/instances", "sys/fs/cgroup", "sys/fs/cgroup/unified"];
    let temporary = ["tmp", "var/tmp", "dev/shm", "run", "root", ""];
    let entries =
        folders.iter().chain(&temporary).filter_map(|folder| std::fs::read_dir(root.join(folder)).ok());
    let names = entries.flatten().flatten().map(|entry| entry.path());
    names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(tag))).collect()
}

fn inflict(fault: Fault, job: &Job, (client, line): (&mut Child, &Line)) {
    match fault {
        // A process that is just being made or in the middle of an exec is not seen, nor what began after the
        // last look: until there was one, and none is left.
        Fault::ProbeKilled => {
            assert!(wait_for(|| !job.probes().is_empty()), "the probe is not to be seen");
            let killed = || {
                let pids = job.probes();
                pids.iter().for_each(|pid| kill(*pid, "KILL"));
                pids.is_empty()
            };
            assert!(wait_for(killed), "the probe lives on");
        }
        Fault::ClientKilled => client.kill().expect("kill"),
        Fault::SshdChildKilled => kill(parent_of(supervisor_of(job)).expect("an sshd child"), "KILL"),
        Fault::SupervisorKilled => kill(supervisor_of(job), "KILL"),
        Fault::HeartbeatMissed => line.fall_silent(),
        Fault::Deadline => {}
    }
}

/// Whether its instance has events, or one of its processes has the kernel's end of a trace open.
fn is_tracing(job: &Job, sshd: &Sshd) -> bool {
    let root = format!("/proc/{}/root/sys/kernel/tracing/instances", sshd.pid());
    let events = std::fs::read_to_string(format!("{root}/dropsonde.{}/set_event", job.tag));
    let is_trace = |path: PathBuf| {
        let target = path.to_string_lossy().into_owned();
        target.contains("[perf_event]") || target.contains("bpf-prog") || target.contains("bpf_link")
            // cyclictest's, which it opens after its object in /dev/shm.
            || target.contains("cpu_dma_latency")
    };
    let files = job.probes().into_iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let mut targets = files.flatten().flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    events.is_ok_and(|events| !events.is_empty()) || targets.any(is_trace)
}

fn cell(sshd: &Sshd, name: &str, fault: Fault) {
    let what = format!("{name}, {fault:?}");
    // In the middle of its window, which does not end. That tracers keep out of each other's way is tested
    // apart; here several run at once.
    let mut probe = looking_for(name, 300);
    probe.timeout = if matches!(fault, Fault::Deadline) { Duration::from_secs(20) } else { PATIENCE * 4 };
    let job = Job::new(probe);
    let mut client = job.connect(sshd);
    let line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
    let tag = job.tag.to_string();
    let traces = || is_tracing(&job, sshd);
    assert!(wait_for(traces), "{what}: the probe does not trace");
    inflict(fault, &job, (&mut client, &line));
    match fault {
        Fault::ProbeKilled => assert_eq!(job.decode(&mut client).outcome, Outcome::Failed, "{what}"),
        Fault::Deadline => assert_eq!(job.decode(&mut client).outcome, Outcome::TimedOut, "{what}"),
        _ => {}
    }
    job.assert_gone(&what);
    // The instance, its buffers and its enabled events are one.
    assert!(wait_for(|| left_of(&tag, sshd).is_empty()), "{what}: left {:?}", left_of(&tag, sshd));
    let _ = client.kill();
    let _ = client.wait();
    drop(line);
}

/// Each of `probes` meets some of the faults under each of the shells, and each shell meets each fault.
fn nothing_is_left_of(probes: [&str; 3]) {
    for (turn, shell) in ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox"].into_iter().enumerate() {
        let sshd = &host(with_shell(shell), TRACEFS);
        std::thread::scope(|scope| {
            for (place, fault) in FAULTS.into_iter().enumerate() {
                let name = probes[(place + turn) % probes.len()];
                scope.spawn(move || cell(sshd, name, fault));
            }
        });
    }
}

#[test]
fn nothing_of_a_tracer_is_left() {
    let _alone = alone();
    nothing_is_left_of(["irq_softirq_latency", "block_rq_latency", "direct_reclaim_latency"]);
}

#[test]
fn nothing_of_perf_or_bpftrace_is_left() {
    let _alone = alone();
    nothing_is_left_of(["runqueue_latency", "bpf_softirq", "kwork"]);
}

/// Its objects in /dev/shm are named after its pid alone.
#[test]
fn nothing_of_cyclictest_is_left() {
    let _alone = alone();
    let sshd = host(with_shell("/usr/bin/dash"), TRACEFS);
    let objects = || -> BTreeSet<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/root/dev/shm", sshd.pid())).expect("/dev/shm");
        let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("cyclictest")).collect()
    };
    let before = objects();
    for fault in [Fault::ProbeKilled, Fault::SupervisorKilled, Fault::ClientKilled, Fault::Deadline] {
        cell(&sshd, "timer_latency", fault);
        let left = || objects().difference(&before).cloned().collect::<Vec<_>>();
        assert!(wait_for(|| left().is_empty()), "{fault:?}: left {:?}", left());
    }
}

/// A container shares tracefs with its host, and sees none of the host's processes.
#[test]
fn what_runs_in_a_container_leaves_the_hosts_tracer_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = host(Userland::default(), &pretend(folder.path(), "nop\n", ""));
    let first = tracer("mkdir \"/sys/kernel/tracing/instances/$DROPSONDE_INSTANCE\" && sleep 300");
    let mut client = first.connect(&sshd);
    let line = Line::open(client.stdin.take().expect("stdin"), &first.request().stdin());
    let instance = folder.path().join(format!("instances/dropsonde.{}", first.tag));
    assert!(wait_for(|| instance.is_dir()), "the tracer does not start");
    let is_swept = || instance.join("tracing_on").exists();
    let inside = || {
        let job = Job::new(probe("echo ran"));
        let mut command = Command::new("nsenter");
        command.args(["--target", &sshd.pid().to_string(), "--mount", "--root", "--"]);
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c"]);
        let mut client = spawn(command.arg(job.request().command()));
        let _line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
        let decoded = job.decode(&mut client);
        assert_eq!((decoded.outcome, &*decoded.raw), (Outcome::Ok, &b"ran\n"[..]), "{:?}", decoded.detail);
    };
    inside();
    assert!(!is_swept(), "a run in a container took the instance of a living tracer");
    // The probe, too, has the lock: whatever ends the run, the lock goes with its last process.
    kill(supervisor_of(&first), "KILL");
    first.assert_gone("a tracer");
    let _ = std::fs::remove_file(instance.join("tracing_on"));
    inside();
    assert!(is_swept(), "what is left of a dead tracer is left for ever");
    let _ = client.kill();
    let _ = client.wait();
    drop(line);
}

/// A probe may be killed before it has taken the name off its file.
#[test]
fn files_with_the_name_of_a_run_go_with_it() {
    let script = "for folder in /dev/shm /tmp; do : >\"$folder/$DROPSONDE_INSTANCE.test\"; done; sleep 300";
    let stale = PathBuf::from(format!("/dev/shm/dropsonde.{:032x}.test", std::process::id()));
    for shell in ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox"] {
        let sshd = host(with_shell(shell), TRACEFS);
        for fault in FAULTS {
            std::fs::write(&stale, "").expect("a file of a run that is long gone");
            let what = format!("{shell}, {fault:?}");
            let mut job = Job::new(Probe { cost: Cost::Moderate, ..probe(script) });
            if matches!(fault, Fault::Deadline) {
                job.probe.timeout = Duration::from_secs(8);
            }
            let tag = job.tag.to_string();
            let mut client = job.connect(&sshd);
            let line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
            assert!(wait_for(|| left_of(&tag, &sshd).len() >= 2), "{what}: the probe does not start");
            assert!(!stale.exists(), "{what}: an earlier run's file is still there");
            if matches!(fault, Fault::ClientKilled) {
                // Another run comes and looks for what is stale.
                Job::new(Probe { cost: Cost::Moderate, ..probe("true") }).over(&sshd);
                let files = left_of(&tag, &sshd).iter().filter(|path| path.extension().is_some()).count();
                assert!(files >= 2, "{what}: a living run's files were taken away");
            }
            inflict(fault, &job, (&mut client, &line));
            job.assert_gone(&what);
            assert!(wait_for(|| left_of(&tag, &sshd).is_empty()), "{what}: left {:?}", left_of(&tag, &sshd));
            let _ = client.kill();
            let _ = client.wait();
            drop(line);
        }
    }
}

/// The whole of a run by itself, under each shell: its own events, and none of them lost or left over.
#[test]
fn the_tracers_run_to_their_end_and_leave_the_global_buffer_alone() {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let sshd = host(with_shell("/usr/bin/busybox"), TRACEFS);
    for name in ["irq_softirq_latency", "block_rq_latency"] {
        let probe = Probe { tracer: false, ..Probe::clone(library.get(name).expect("a shipped probe")) };
        let job = Job::new(probe);
        let decoded = job.over(&sshd);
        assert_eq!(
            (decoded.outcome, decoded.stderr.as_str()),
            (Outcome::Ok, ""),
            "{name}: {:?}",
            decoded.detail
        );
        let text = String::from_utf8_lossy(&decoded.raw);
        let order = [
            "@@@ events\n",
            "@@@ stats\n",
            "@@@ trace\n",
            "tracing_mark_write: begin",
            "tracing_mark_write: end",
        ];
        let places: Vec<_> = order.iter().map(|mark| text.find(mark)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {places:?}");
        assert_eq!(left_of(&job.tag.to_string(), &sshd), Vec::<PathBuf>::new(), "{name}");
    }
}

/// Within a visit the second tracer waits for the first, longer than a visit may take otherwise.
#[test]
fn the_tracers_of_a_visit_run_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = host(with_shell("/usr/bin/dash"), &pretend(folder.path(), "nop\n", ""));
    let mut program = Program::alone();
    program.hosts("traced", &sshd);
    let log = folder.path().join("log");
    let script = format!("echo begin >>'{0}'\nsleep 2\necho end >>'{0}'", log.display());
    let keys = "format = \"text\"\ntracer = true\ntimeout = \"20s\"";
    let names = ["first_tracer", "second_tracer", "third_tracer"];
    for name in names {
        program.probe(name, &script, keys);
    }
    let probes = names.iter().flat_map(|name| ["--probe", name]);
    let arguments: Vec<&str> =
        ["sweep", "--json", "--set", "limits.visit_timeout=4s"].into_iter().chain(probes).collect();
    let swept = program.run(&arguments);
    for name in names {
        swept.ended(("traced", name), "ok", &[]);
    }
    let order = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(order, "begin\nend\n".repeat(names.len()));
}
