//! The shipped scripts with the perf of this machine, through the program: numbers, or a truthful word
//! about what is missing, and nothing left behind.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dropsonde::config::Library;
use serde_json::Value;

use super::svg::assert_well_formed;
use crate::support::patience::wait_for;
use crate::support::program::{Program, Ran};
use crate::support::sshd::kill;
use crate::support::tracer::{self, alone};

fn program() -> Program {
    let mut program = Program::new();
    program.configure("");
    program
}

/// Keeps a CPU busy and switches, until it is dropped.
struct Load(Child);

impl Load {
    fn start() -> Self {
        let script = "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 0.001; done";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::null()).process_group(0);
        Self(shell.spawn().expect("sh"))
    }

    /// Switches as often as a CPU can.
    fn storm() -> Self {
        let mut perf = Command::new("perf");
        perf.args(["bench", "sched", "pipe", "-l", "100000000"]);
        perf.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        Self(perf.spawn().expect("perf"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // With all that it started: half a benchmark goes on by itself.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Runs the probe here and reads its numbers back.
fn numbers(program: &Program, probe: &str) -> Value {
    let _load = Load::start();
    tracer::run(program, probe).ended(("localhost", probe), "ok", &[]);
    assert_no_files(program);
    let shown = program.run(&["show", "localhost", probe, "--json"]);
    shown.expect(0, &[]);
    shown.json()
}

fn value(shown: &Value, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |sample: &&Value| {
        sample["metric"] == metric && labels.iter().all(|(label, value)| sample["labels"][label] == *value)
    };
    shown["samples"].as_array().expect("samples").iter().find(fits)?["value"].as_f64()
}

/// No recording, and no cache of build ids. A recording of somebody else's has its name for a moment only.
fn assert_no_files(program: &Program) {
    let recordings = || {
        let entries = ["/dev/shm", "/tmp"].iter().flat_map(|folder| std::fs::read_dir(folder).expect(folder));
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "perf")).collect::<Vec<_>>()
    };
    let mut left = recordings();
    let gone = wait_for(|| {
        left.retain(|path| path.exists());
        left.is_empty()
    });
    assert!(gone, "{left:?}");
    assert!(!program.dir().join("home/.debug").exists());
}

fn cpus() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").expect("/proc/stat");
    stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as f64
}

#[test]
fn counters_count_what_this_machine_has() {
    let _alone = alone();
    let program = program();
    let shown = numbers(&program, "perf_counters");
    let rate = |event| value(&shown, "perf_events_total", &[("event", event)]);
    let clock = value(&shown, "perf_clock_seconds_total", &[("event", "cpu-clock")]).expect("a clock");
    assert!((clock - cpus()).abs() < 0.1 * cpus(), "{clock} CPUs, not {}", cpus());
    assert!(rate("context-switches").is_some_and(|rate| rate > 100.0), "{shown}");
    // Either counted or named as absent, and never 0.
    let faults = shown["faults"].to_string();
    for event in ["cycles", "instructions", "branches", "cache-references"] {
        let counted = rate(event);
        assert!(counted.is_some_and(|rate| rate > 0.0) != faults.contains(event), "{event}: {shown}");
    }
}

#[test]
fn run_queue_waits_have_a_distribution_and_names() {
    let _alone = alone();
    let program = program();
    let shown = numbers(&program, "runqueue_latency");
    let histogram = &shown["histograms"][0];
    assert_eq!(histogram["metric"], "scheduler_runqueue_latency_seconds", "{shown}");
    assert!(histogram["count"].as_u64().is_some_and(|count| count > 100), "{shown}");
    let longest = histogram["max"].as_f64().expect("a maximum");
    // Both reports are of one recording. timehist and latency disagree on tasks that changed their name or
    // were running at the beginning, so this is an order of magnitude.
    let of_tasks = value(&shown, "scheduler_runqueue_delay_max_seconds", &[]).expect("a longest wait");
    assert!(longest > 0.0 && of_tasks > 0.0 && longest <= 4.0 * of_tasks + 0.01, "{longest} {of_tasks}");
    assert!(value(&shown, "scheduler_task_switches", &[("task", "sh")]).is_some_and(|n| n > 10.0), "{shown}");
}

/// Ended by the supervisor's limit of file sizes instead of its own, perf leaves what nothing can read.
#[test]
fn a_storm_of_switches_is_cut_where_perf_can_still_end_its_recording() {
    let _alone = alone();
    let program = program();
    let _storm: Vec<Load> = (0..3).map(|_| Load::storm()).collect();
    tracer::run(&program, "runqueue_latency").ended(("localhost", "runqueue_latency"), "ok", &[]);
    let shown = program.run(&["show", "localhost", "runqueue_latency", "--json"]).json();
    assert!(shown["histograms"][0]["count"].as_u64().is_some_and(|count| count > 100), "{shown}");
    assert!(value(&shown, "scheduler_switches", &[]).is_some_and(|count| count > 10_000.0), "{shown}");
}

/// What perf has in its rings when it meets its limit comes on top, and no host gives much memory for them.
#[test]
fn a_recording_and_what_is_in_the_rings_fit_into_the_supervisors_limit() {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let folder = tempfile::tempdir().expect("a folder");
    let online = folder.path().join("devices/system/cpu/online");
    std::fs::create_dir_all(online.parent().expect("a parent")).expect("folders");
    let perf = folder.path().join("perf");
    std::fs::write(&perf, "#!/bin/sh\necho \"$*\" >>\"$0.log\"\nexit 1\n").expect("a perf");
    std::fs::set_permissions(&perf, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let sizes = |name: &str, cpus: &str| {
        std::fs::write(&online, format!("{cpus}\n")).expect("online");
        Command::new("sh")
            .args(["-c", &library.get(name).expect(name).script])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("SYS", folder.path())
            .env("DROPSONDE_INSTANCE", format!("dropsonde.{name}"))
            .output()
            .expect("sh");
        let log = std::fs::read_to_string(folder.path().join("perf.log")).expect("a log");
        let last = log.lines().last().expect("a call").replace("--max-size=", "--max-size ");
        let after = |option: &str| {
            let mut words = last.split_whitespace().skip_while(|word| *word != option);
            let size = words.nth(1).and_then(|word| word.strip_suffix('K')).expect("a size in KiB");
            size.parse::<u64>().expect("a number")
        };
        (after("-m"), after("--max-size"))
    };
    for name in ["runqueue_latency", "kwork"] {
        for (cpus, online) in [(1, "0"), (2, "0-1"), (12, "0-3,8-11"), (128, "0-127"), (512, "0-511")] {
            let (ring, recording) = sizes(name, online);
            let rings = ring * cpus;
            assert!(ring >= 16 && rings <= 8 * 1024, "{name}, {cpus} CPUs: {ring} KiB each");
            assert!(recording >= 8 * 1024 && recording + 3 * rings <= 64 * 1024, "{name}, {cpus} CPUs");
        }
    }
}

#[test]
fn softirqs_and_work_items_have_names() {
    let _alone = alone();
    let program = program();
    let shown = numbers(&program, "kwork");
    let timer = [("class", "softirq"), ("name", "TIMER")];
    for metric in ["kwork_runs", "kwork_run_max_seconds", "kwork_delays", "kwork_delay_max_seconds"] {
        assert!(value(&shown, metric, &timer).is_some_and(|value| value > 0.0), "{metric}: {shown}");
    }
}

#[test]
fn system_calls_have_classes() {
    let _alone = alone();
    let program = program();
    let shown = numbers(&program, "syscall_latency");
    let sleeping = [("class", "waits"), ("syscall", "clock_nanosleep"), ("task", "sleep")];
    assert!(value(&shown, "syscall_task_calls", &sleeping).is_some_and(|calls| calls > 5.0), "{shown}");
    // The longest: a `sleep` of anybody else's on this machine may well be one of 0 s.
    let waited = value(&shown, "syscall_task_max_seconds", &sleeping);
    assert!(waited.is_some_and(|seconds| seconds >= 0.001), "{waited:?}");
}

#[test]
fn management_interrupts_are_counted_or_said_to_be_out_of_sight() {
    let _alone = alone();
    let program = program();
    let ran = tracer::run(&program, "smi");
    let virtual_machine = std::fs::read_to_string("/proc/cpuinfo").expect("cpuinfo").contains(" hypervisor");
    let event = Path::new("/sys/bus/event_source/devices/msr/events/smi").exists();
    match (event, virtual_machine) {
        (false, _) => ran.ended(("localhost", "smi"), "unsupported", &["events/smi"]),
        (true, true) => ran.ended(("localhost", "smi"), "unsupported", &["virtual machine"]),
        (true, false) => ran.ended(("localhost", "smi"), "ok", &[]),
    }
}

#[test]
fn a_profile_becomes_a_flame_graph() {
    let _alone = alone();
    let program = program();
    let before = program.run(&["flame", "localhost"]);
    assert_eq!(before.code, Some(2), "{before:?}");
    let shown = numbers(&program, "cpu_profile");
    let samples = value(&shown, "profile_samples", &[]).expect("samples");
    // 99 a second of each CPU, where an idle one ticks; of the busy one in any case.
    assert!(samples > 100.0 && samples < 1.2 * 990.0 * cpus(), "{samples}");
    assert!(
        value(&shown, "profile_task_ratio", &[("task", "sh")]).is_some_and(|share| share > 0.05),
        "{shown}"
    );

    let flame = |arguments: &[&str]| -> Ran {
        let all: Vec<&str> = ["flame", "localhost"].iter().chain(arguments).copied().collect();
        program.run(&all)
    };
    let svg = flame(&[]);
    svg.expect(0, &[]);
    assert!(svg.out.starts_with("<?xml") && svg.out.contains("<title>sh ("), "{}", svg.out);
    assert_well_formed(&svg.out);
    let folded = flame(&["--folded", "--idle"]);
    folded.expect(0, &[]);
    let counts = folded.out.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    assert_eq!(counts.sum::<f64>(), samples);
    let path = program.dir().join("out.svg");
    flame(&["-o", path.to_str().unwrap()]).expect(0, &[]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), svg.out);
    flame(&["--vs", "localhost"]).expect(2, &["names no host but localhost itself"]);
    flame(&["--json"]).expect(2, &["--folded"]);
    flame(&["--reverse"]).expect(2, &["--vs"]);
}

/// What only root may do is said to be missing, in one line, to whoever is not.
#[test]
fn without_the_right_to_trace_a_script_says_so() {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    for name in ["cpu_profile", "kwork", "perf_counters", "runqueue_latency", "syscall_latency"] {
        let output = Command::new("setpriv")
            .args(["--bounding-set=-perfmon,-sys_admin,-sys_ptrace", "--inh-caps=-all"])
            .args(["sh", "-c", &library.get(name).expect(name).script])
            .env("DROPSONDE_INSTANCE", format!("dropsonde.{name}"))
            .stdin(Stdio::null())
            .output()
            .expect("setpriv");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").expect("the level");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0), "{name}: {said}");
        let reason = format!("perf needs CAP_PERFMON here: kernel.perf_event_paranoid is {}", level.trim());
        assert!(said.starts_with(&reason) && said.lines().count() == 1, "{name}: {said}");
    }
}

/// Whatever words a perf of some version has for it, each of the scripts knows that it was refused.
#[test]
fn each_way_to_be_refused_is_known_to_each_script() {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let folder = tempfile::tempdir().expect("a folder");
    let perf = folder.path().join("perf");
    for words in [
        "Access to performance monitoring and observability operations is limited.",
        "Error: Permission denied.",
        "You may not have permission to collect system-wide stats.",
        "sys_perf_event_open() syscall returned with 1 (Operation not permitted)",
    ] {
        std::fs::write(&perf, format!("#!/bin/sh\necho 'Error:\n{words}' >&2\nexit 255\n")).expect("a perf");
        std::fs::set_permissions(&perf, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        for name in ["cpu_profile", "kwork", "perf_counters", "runqueue_latency", "smi", "syscall_latency"] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &library.get(name).expect(name).script]);
            shell.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
            let output = shell.env("DROPSONDE_INSTANCE", format!("dropsonde.{name}")).output().expect("sh");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let refused = output.status.code() == Some(69) && said.starts_with("perf needs CAP_PERFMON");
            // What runs in no virtual machine says that before it asks.
            let before = name == "smi" && output.status.code() == Some(69);
            assert!(refused || before, "{name}: {words}: {said}");
        }
    }
}

/// Killed in its middle, perf and its recording go with the collector.
#[test]
fn a_killed_collector_leaves_no_perf_and_no_recording() {
    let _alone = alone();
    let program = program();
    for probe in ["runqueue_latency", "cpu_profile"] {
        let mut child = tracing(&program, probe);
        kill(child.id(), "KILL");
        child.wait().expect("an end");
        // The supervisor notices, asks, waits and kills; on a busy machine that takes its time.
        let until = Instant::now() + Duration::from_secs(60);
        while !perfs(&program).is_empty() {
            assert!(Instant::now() < until, "{probe} left {:?}", perfs(&program));
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_no_files(&program);
    }
}

/// A run whose perf is there: as long as somebody else traces this machine, one ends at once.
fn tracing(program: &Program, probe: &str) -> Child {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let mut child = program.command(&["run", probe, "--local"]).spawn().expect("the program");
        while child.try_wait().expect("its state").is_none() {
            if !perfs(program).is_empty() {
                return child;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(Instant::now() < until, "{probe}: perf never started");
    }
}

/// Processes of perf that a run of this program started, by the HOME it gave them.
fn perfs(program: &Program) -> Vec<String> {
    let home = format!("HOME={}", program.dir().join("home").display()).into_bytes();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let is_perf = |pid: &String| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("comm") == b"perf\n" && read("environ").split(|byte| *byte == 0).any(|entry| entry == home)
    };
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(is_perf).collect()
}
