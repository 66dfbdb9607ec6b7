//! Signals: the first lets what is in flight finish, the second does not, and SIGKILL loses nothing that
//! was printed as recorded.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::support::program::{Ran, ended};
use crate::support::sshd::kill;

/// The outcomes of the only sweep, by host.
fn outcomes(program: &Program) -> Vec<[String; 4]> {
    let [sweep] = &program.sweeps()[..] else { panic!("one sweep") };
    program.ledger(sweep)
}

fn count(ledger: &[[String; 4]], outcome: &str) -> usize {
    ledger.iter().filter(|[_, _, it, _]| it == outcome).count()
}

/// Waits for the sessions that a sweep opens first.
fn wait_for_sessions(sshd: &Sshd, count: usize) {
    let limit = Instant::now() + Duration::from_secs(60);
    while sshd.log().matches("Starting session: command").count() < count {
        assert!(Instant::now() < limit, "{}", sshd.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn patient(script: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup { lines: vec!["LogLevel VERBOSE".to_owned()], ..Setup::default() });
    let mut program = Program::new();
    program.hosts("web[0001-2000]", &sshd);
    program.probe("slow", script, "format = \"text\"\ntimeout = \"60s\"\nmax_output = \"4MiB\"");
    (sshd, program)
}

const SWEEP: [&str; 6] = ["sweep", "--probe", "slow", "--json", "--set", "limits.concurrency=4"];

#[test]
fn after_one_signal_what_is_in_flight_finishes_and_the_rest_is_skipped() {
    for signal in ["INT", "TERM"] {
        let (sshd, program) = patient("sleep 3; echo done");
        let mut command = program.command(&SWEEP);
        command.args(["--set", "limits.signal_grace=60s"]);
        let child = command.spawn().unwrap();
        wait_for_sessions(&sshd, 4);
        let since = Instant::now();
        kill(child.id(), signal);
        let ran = ended(child, since);
        ran.expect(130, &["stopping", "a second signal aborts"]);
        assert!(ran.took < Duration::from_secs(300), "{:?}", ran.took);
        assert_eq!(ran.adds_up(), 2_000);
        let ledger = outcomes(&program);
        assert_eq!((ledger.len(), count(&ledger, "ok"), count(&ledger, "skipped")), (2_000, 4, 1_996));
        let words = ledger.iter().filter(|[_, _, _, detail]| detail == "interrupted before it began");
        assert_eq!(words.count(), 1_996);
        program.assert_clean();
    }
}

#[test]
fn after_two_signals_what_arrived_is_recorded_at_once() {
    let (sshd, program) = patient("head -c 300000 /dev/urandom | od -An -v -tx1; sleep 50");
    let child = program.command(&SWEEP).spawn().unwrap();
    wait_for_sessions(&sshd, 4);
    std::thread::sleep(Duration::from_secs(2));
    let since = Instant::now();
    kill(child.id(), "INT");
    std::thread::sleep(Duration::from_millis(300));
    kill(child.id(), "INT");
    let ran = ended(child, since);
    ran.expect(130, &[]);
    assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
    assert_eq!(ran.adds_up(), 2_000);
    let ledger = outcomes(&program);
    assert_eq!((count(&ledger, "incomplete"), count(&ledger, "skipped")), (4, 1_996));
    let cut = ledger.iter().find(|[_, _, outcome, _]| outcome == "incomplete").unwrap();
    assert_eq!(cut[3], "interrupted before it had ended");
    assert!(ran.reading(&cut[0], "slow")["bytes_wire"].as_u64() > Some(100_000));
    program.assert_clean();
    nothing_is_left(&sshd);
}

/// No session, and no process of a probe.
fn nothing_is_left(sshd: &Sshd) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !(sshd.sessions().is_empty() && in_network_of(sshd).is_empty()) {
        assert!(Instant::now() < limit, "left on the hosts: {:?}", in_network_of(sshd));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes that share a fleet's network namespace, but for its sshd: whatever runs on its hosts.
fn in_network_of(sshd: &Sshd) -> Vec<String> {
    let net = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (here, there) = (net(std::process::id()), net(sshd.pid()));
    if here == there {
        return Vec::new();
    }
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others = pids.filter(|pid| *pid != sshd.pid() && net(*pid) == there);
    others.map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()).collect()
}

const ROUNDS: u64 = 200;
const HOSTS: usize = 8;

#[test]
fn killed_at_any_moment_the_collector_loses_nothing_that_it_printed() {
    let sshd = Sshd::start(Setup { fleet: true, ..Setup::default() });
    let mut program = Program::alone();
    program.fleet("127.0.0.[2-9]", &sshd);
    program.probe("brief", "sleep 0.1; printf 'hello_value 2\\n'", "format = \"openmetrics\"");
    let sweep = ["sweep", "--probe", "hello", "--probe", "brief", "--ndjson"];
    let whole = ran(program.command_in(&sshd, &sweep));
    whole.expect(0, &[]);
    assert_eq!(whole.lines().len(), 2 * HOSTS);

    let (mut printed, mut cut_short) = (Vec::new(), 0u64);
    for round in 0..ROUNDS {
        let before: BTreeSet<_> = program.sweeps().into_iter().collect();
        let mut child = program.command_in(&sshd, &sweep).spawn().unwrap();
        // Every other time at a moment anywhere in the sweep, its beginning and its end included; else in its
        // middle, however fast this machine is just now: right after one of its lines.
        let spread = (round * 7919 + u64::from(std::process::id())) % ROUNDS;
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        if round % 2 == 0 {
            std::thread::sleep(whole.took.mul_f64((spread as f64 + 0.5) / ROUNDS as f64));
        } else {
            for _ in 0..=spread as usize % HOSTS {
                out.read_line(&mut text).unwrap();
            }
        }
        // A pid that was waited for is not one of ours any more.
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
        }
        out.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        let lines = heard(&text);
        let after = program.sweeps().into_iter().filter(|sweep| !before.contains(sweep));
        let new: Vec<_> = after.collect();
        assert!(new.len() <= 1, "{new:?}");
        assert!(!new.is_empty() || lines.is_empty(), "printed without an archive");
        cut_short += u64::from(!lines.is_empty() && lines.len() < 2 * HOSTS);
        printed.extend(new.into_iter().map(|sweep| (sweep, lines.clone())));
    }
    let last = ran(program.command_in(&sshd, &sweep));
    last.expect(0, &[]);
    program.assert_clean();
    for (sweep, lines) in &printed {
        let ledger = program.ledger(sweep);
        let kept: BTreeSet<(String, String)> = ledger
            .iter()
            .filter(|[_, _, outcome, _]| outcome == "ok")
            .map(|[host, probe, ..]| (host.clone(), probe.clone()))
            .collect();
        // Closed by the next start unless even its plan was cut.
        let planned: BTreeSet<_> = ledger.iter().map(|[host, probe, ..]| (host, probe)).collect();
        assert!(planned.len() == ledger.len(), "a reading stands there twice");
        assert!(ledger.is_empty() || ledger.len() == 2 * HOSTS, "{sweep}: {}", ledger.len());
        for line in lines {
            assert!(kept.contains(line), "{sweep} printed {line:?} and has lost it");
        }
    }
    assert!(cut_short >= ROUNDS / 4, "only {cut_short} of {ROUNDS} rounds were cut in the middle");
    nothing_is_left(&sshd);
}

/// The host and probe of every whole line that was printed.
fn heard(text: &str) -> Vec<(String, String)> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["outcome"], "ok", "{value}");
        (value["host"].as_str().unwrap().to_owned(), value["probe"].as_str().unwrap().to_owned())
    };
    whole.lines().map(line).collect()
}

/// A reader that has seen enough ends the sweep, and what it saw is recorded.
#[test]
fn a_closed_pipe_ends_the_sweep_in_peace() {
    let (sshd, mut program) = good("unused");
    program.hosts("web[01-40]", &sshd);
    let mut command = program.command(&["sweep", "-H", "web*", "--probe", "hello", "--ndjson"]);
    let mut child = command.args(["--set", "limits.concurrency=2"]).spawn().unwrap();
    let since = Instant::now();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ran: Ran = ended(child, since);
    ran.expect(0, &[]);
    let ledger = outcomes(&program);
    assert_eq!(ledger.len(), 40);
    assert!(count(&ledger, "ok") >= 1 && count(&ledger, "skipped") > 20, "{ledger:?}");
    program.assert_clean();
}

/// Nothing about progress is drawn where nobody looks.
#[test]
fn off_a_terminal_there_is_no_progress_and_on_one_there_is() {
    let (_sshd, program) = good("web[01-03]");
    program.probe("slow", "sleep 2; echo", "format = \"text\"");
    let piped = program.run(&["sweep", "--probe", "slow"]);
    piped.expect(0, &[]);
    assert_eq!(piped.err, "");
    let config = program.dir().join("config.toml");
    let line = format!(
        "{} --config {} --state {} sweep --probe slow --json",
        env!("CARGO_BIN_EXE_dropsonde"),
        config.display(),
        program.state().display()
    );
    let seen = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success() && text.contains("/3 hosts"), "{text}");
}
