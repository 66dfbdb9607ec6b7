//! The synthetic fleet, reached with OpenSSH's client.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::collect::clock::now;
use dropsonde::config::Library;
use dropsonde::demo::{Demo, DemoOptions};
use dropsonde::model::{ByteSize, Host, Outcome, Probe};
use dropsonde::parse::{Context, parse};
use dropsonde::wire::{Decoded, Decoder, ExecEnd, Limits, Nonce, Request, RunTag};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::patience::PATIENCE;

const COMMAND: &str = "exec /bin/sh -s";

/// A shipped probe with another script: one whose output shows where it ran.
fn probe(script: &str) -> Arc<Probe> {
    let shipped = Library::built_in().unwrap().get("uptime").unwrap().as_ref().clone();
    Arc::new(Probe { script: script.to_owned(), timeout: PATIENCE, ..shipped })
}

async fn start(hosts: usize, dir: &Path, probe: &Arc<Probe>) -> Demo {
    let probes = vec![probe.clone()];
    let options = DemoOptions { hosts, seed: 1, made: now(), dir: dir.to_owned(), probes };
    Demo::start(options).await.unwrap()
}

fn ssh(host: &Host, command: &str) -> Child {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i"])
        .arg(&host.identity_files[0])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", host.known_hosts[0].display()))
        .args(["-p", &host.port.to_string(), &format!("{}@{}", host.user, host.address), command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    ssh.spawn().unwrap()
}

fn request<'a>(host: &'a Host, probe: &'a Probe) -> Request<'a> {
    Request {
        probe,
        host,
        tag: RunTag::new(rand(host, 1)),
        nonce: Nonce::new(rand(host, 2)),
        limits: Limits {
            heartbeat: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            max_wire: ByteSize(1 << 20),
            max_ratio: 1_000,
            max_stderr: ByteSize(1 << 12),
        },
        cursor: None,
        become_root: false,
        only_check: false,
    }
}

/// Bytes that differ from run to run.
fn rand(host: &Host, stream: u8) -> [u8; 16] {
    use std::hash::BuildHasher;
    let bits = |half: u8| std::hash::RandomState::new().hash_one((host.port, stream, half)).to_be_bytes();
    [bits(0), bits(1)].concat().try_into().unwrap()
}

/// Runs `probe` as a collector does: stdin stays open until the end.
async fn run(host: &Host, probe: &Probe) -> Decoded {
    let request = request(host, probe);
    let mut client = ssh(host, request.command());
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&request.stdin()).await.unwrap();
    let out = timeout(Duration::from_secs(60), client.wait_with_output()).await.expect("ssh ends").unwrap();
    drop(stdin);
    let mut decoder = Decoder::new(&request);
    let _ = decoder.stdout(&out.stdout);
    let _ = decoder.stderr(&out.stderr);
    decoder.finish(ExecEnd::Exited(out.status.code().unwrap().unsigned_abs()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TWICE: &str = "echo $PROC; cat $PROC/sys/kernel/random/boot_id; first=$(cat $PROC/uptime); echo $first
    for try in 1 2 3 4 5 6 7 8 9; do sleep 1; second=$(cat $PROC/uptime); [ \"$second\" = \"$first\" ] || break; done
    echo $second\n";

/// The readings of `probe` from the whole fleet at once, in the order of the hosts.
async fn sweep(demo: &Demo, probe: &Arc<Probe>) -> Vec<Decoded> {
    let mut runs = JoinSet::new();
    for (index, host) in demo.hosts.iter().cloned().enumerate() {
        let probe = probe.clone();
        runs.spawn(async move { (index, run(&host, &probe).await) });
    }
    let mut readings: Vec<(usize, Decoded)> = runs.join_all().await;
    readings.sort_by_key(|(index, _)| *index);
    readings.into_iter().map(|(_, decoded)| decoded).collect()
}

#[tokio::test]
async fn every_host_shows_its_own_tree_in_which_time_passes() {
    let dir = tempfile::tempdir().unwrap();
    let twice = probe(TWICE);
    let demo = start(12, dir.path(), &twice).await;
    let names: BTreeSet<&str> = demo.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names.len(), 12);
    assert!(names.contains(demo.sick.as_str()));
    assert!(demo.describe().contains("12 synthetic hosts") && demo.describe().contains(demo.sick.as_str()));
    let (mut boots, mut roots) = (BTreeSet::new(), Vec::new());
    for decoded in sweep(&demo, &twice).await {
        assert_eq!((decoded.outcome, decoded.stderr.trim()), (Outcome::Ok, ""), "{:?}", decoded.detail);
        let said = text(&decoded.raw);
        let lines: Vec<&str> = said.lines().collect();
        let uptime = |line: &str| -> f64 { line.split(' ').next().unwrap().parse().unwrap() };
        let passed_s = uptime(lines[3]) - uptime(lines[2]);
        // One second, less what a tree may be late; more if this machine was slow.
        assert!((0.3..300.0).contains(&passed_s), "{passed_s}");
        boots.insert(lines[1].to_owned());
        roots.push(PathBuf::from(lines[0]));
    }
    assert_eq!(boots.len(), 12);
    // A tree goes soon after its last reader, and everything goes with the demo.
    let started = Instant::now();
    while roots.iter().any(|root| root.exists()) {
        assert!(started.elapsed() < PATIENCE, "trees stay");
        sleep(Duration::from_millis(50)).await;
    }
    demo.shutdown().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(roots.iter().all(|root| !root.parent().unwrap().parent().unwrap().exists()));
}

#[tokio::test]
async fn the_shipped_probe_finds_the_sick_host_over_ssh() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Library::built_in().unwrap().get("proc").unwrap().clone();
    let demo = start(12, dir.path(), &shipped).await;
    let readings = sweep(&demo, &shipped).await;
    let metric = "scheduler_runqueue_wait_per_slice_seconds";
    let value = |decoded: &Decoded| {
        assert_eq!(decoded.outcome, Outcome::Ok, "{:?} {}", decoded.detail, decoded.stderr);
        let context = Context { clock: decoded.clock.as_ref(), cursor: None };
        let parsed = parse(&shipped, &decoded.raw, &context);
        assert_eq!(parsed.faults, []);
        parsed.samples.iter().find(|sample| sample.metric == metric).unwrap().value
    };
    let values: Vec<(&Host, f64)> = demo.hosts.iter().zip(readings.iter().map(value)).collect();
    let slow = &demo.incidents[0].1;
    let largest = |of: &dyn Fn(&Host) -> bool| {
        values.iter().filter(|(host, _)| of(host)).map(|(_, value)| *value).fold(0.0, f64::max)
    };
    let sick = largest(&|host| host.name == demo.sick);
    let also_slow = largest(&|host| host.name != demo.sick && slow.contains(&host.name));
    let healthy = largest(&|host| !slow.contains(&host.name));
    assert!(sick > also_slow && sick >= 3.0 * healthy, "{sick} {also_slow} {healthy}");
    demo.shutdown().await;
}

#[tokio::test]
async fn only_the_given_probes_run_and_only_for_the_demos_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let ours = probe("echo ran\n");
    let demo = start(1, dir.path(), &ours).await;
    let host = &demo.hosts[0];
    assert_eq!(text(&run(host, &ours).await.raw), "ran\n");

    let out = run(host, &probe("echo something else\n")).await;
    assert_eq!((out.outcome, out.raw.len()), (Outcome::Denied, 0), "{out:?}");
    assert!(out.stderr.contains("\"uptime\" is not a bundled probe"), "{out:?}");
    // Another supervisor around the same script is another program.
    let mut client = ssh(host, COMMAND);
    client.stdin.take().unwrap().write_all(b"id #\n").await.unwrap();
    let out = client.wait_with_output().await.unwrap();
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(126), ""));
    assert!(text(&out.stderr).starts_with("REFUSED: "), "{out:?}");

    let out = ssh(host, "echo ran").wait_with_output().await.unwrap();
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(255), ""));

    let other = start(1, dir.path(), &ours).await;
    let stranger = Host { identity_files: other.hosts[0].identity_files.clone(), ..host.clone() };
    let out = ssh(&stranger, COMMAND).wait_with_output().await.unwrap();
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains("Permission denied (publickey)"), "{out:?}");
    other.shutdown().await;
    // The first one's files are its own.
    assert_eq!(text(&run(host, &ours).await.raw), "ran\n");
    demo.shutdown().await;
}

#[tokio::test]
async fn a_killed_client_leaves_no_process_and_no_tree() {
    let dir = tempfile::tempdir().unwrap();
    // It ignores what it can, and half of it leaves the session.
    let script = "trap '' HUP TERM; setsid sleep 1000 & pids=\"$$ $!\"\n\
                  echo $pids >$PROC/../new; mv $PROC/../new $PROC/../pids; echo $PROC >&2; sleep 1000; wait\n";
    let stubborn = probe(script);
    let demo = start(1, dir.path(), &stubborn).await;
    let request = request(&demo.hosts[0], &stubborn);
    let mut client = ssh(&demo.hosts[0], COMMAND);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&request.stdin()).await.unwrap();
    let mut stderr = BufReader::new(client.stderr.take().unwrap());
    let mut proc = String::new();
    // Before it stands the supervisor's own line.
    while !proc.starts_with('/') {
        proc.clear();
        assert_ne!(timeout(PATIENCE, stderr.read_line(&mut proc)).await.unwrap().unwrap(), 0);
    }
    let root = PathBuf::from(proc.trim_end()).parent().unwrap().to_owned();
    let pids = std::fs::read_to_string(root.join("pids")).unwrap();
    let processes: Vec<PathBuf> = pids.split_whitespace().map(|pid| Path::new("/proc").join(pid)).collect();
    assert!(processes.len() == 2 && processes.iter().all(|process| process.exists()), "{pids}");
    client.kill().await.unwrap();
    let started = Instant::now();
    while root.exists() || processes.iter().any(|process| process.exists()) {
        assert!(started.elapsed() < PATIENCE, "{} {processes:?}", root.exists());
        sleep(Duration::from_millis(50)).await;
    }
    demo.shutdown().await;
}

#[tokio::test]
async fn a_demo_that_is_dropped_takes_its_folders_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(200, dir.path(), &probe(TWICE)).await;
    let ports: BTreeSet<u16> = demo.hosts.iter().map(|host| host.port).collect();
    assert_eq!(ports.len(), 200);
    let known = std::fs::read_to_string(&demo.hosts[0].known_hosts[0]).unwrap();
    assert_eq!(known.lines().count(), 200);
    drop(demo);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
