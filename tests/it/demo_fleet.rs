//! The synthetic fleet, reached with OpenSSH's client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::demo::{Demo, DemoOptions};
use dropsonde::model::{Host, Probe};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const COMMAND: &str = "exec /bin/sh -s";

/// A shipped probe with another script: one whose output shows where it ran.
fn probe(script: &str) -> Arc<Probe> {
    let shipped = Library::built_in().unwrap().get("uptime").unwrap().as_ref().clone();
    Arc::new(Probe { script: script.to_owned(), ..shipped })
}

async fn start(hosts: usize, dir: &Path, script: &str) -> Demo {
    let options = DemoOptions { hosts, seed: 1, dir: dir.to_owned(), probes: vec![probe(script)] };
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

/// What a collector would send for `script`.
fn payload(script: &str) -> Vec<u8> {
    script.as_bytes().to_vec()
}

/// Runs `script` and keeps stdin open until it has ended, as a collector does.
async fn run(host: &Host, script: &str) -> Output {
    let mut client = ssh(host, COMMAND);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&payload(script)).await.unwrap();
    let out = timeout(Duration::from_secs(60), client.wait_with_output()).await.expect("ssh ends").unwrap();
    drop(stdin);
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TWICE: &str =
    "echo $PROC; cat $PROC/sys/kernel/random/boot_id; cat $PROC/uptime; sleep 1; cat $PROC/uptime; exit\n";

#[tokio::test]
async fn every_host_shows_its_own_tree_in_which_time_passes() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(12, dir.path(), TWICE).await;
    let names: BTreeSet<&str> = demo.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names.len(), 12);
    assert!(names.contains(demo.sick.as_str()));
    assert!(demo.describe().contains("12 synthetic hosts") && demo.describe().contains(demo.sick.as_str()));
    let mut runs = JoinSet::new();
    for host in demo.hosts.clone() {
        runs.spawn(async move { run(&host, TWICE).await });
    }
    let (mut boots, mut roots) = (BTreeSet::new(), Vec::new());
    while let Some(out) = runs.join_next().await {
        let out = out.unwrap();
        assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(0), ""));
        let said = text(&out.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let uptime = |line: &str| -> f64 { line.split(' ').next().unwrap().parse().unwrap() };
        let passed_s = uptime(lines[3]) - uptime(lines[2]);
        // One second, less what a tree may be late; more if this machine was slow.
        assert!((0.7..20.0).contains(&passed_s), "{passed_s}");
        boots.insert(lines[1].to_owned());
        roots.push(PathBuf::from(lines[0]));
    }
    assert_eq!(boots.len(), 12);
    // A tree goes soon after its last reader, and everything goes with the demo.
    let started = Instant::now();
    while roots.iter().any(|root| root.exists()) {
        assert!(started.elapsed() < Duration::from_secs(10), "trees stay");
        sleep(Duration::from_millis(50)).await;
    }
    demo.shutdown().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(roots.iter().all(|root| !root.parent().unwrap().parent().unwrap().exists()));
}

#[tokio::test]
async fn only_the_given_probes_run_and_only_for_the_demos_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(1, dir.path(), "echo ran; exit\n").await;
    let host = &demo.hosts[0];
    assert_eq!(text(&run(host, "echo ran; exit\n").await.stdout), "ran\n");

    let out = run(host, "echo something else; exit\n").await;
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(126), ""));
    assert!(text(&out.stderr).contains("only bundled probes run here"), "{out:?}");

    let out = ssh(host, "echo ran").wait_with_output().await.unwrap();
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(255), ""));

    let other = start(1, dir.path(), "echo ran; exit\n").await;
    let stranger = Host { identity_files: other.hosts[0].identity_files.clone(), ..host.clone() };
    let out = run(&stranger, "echo ran; exit\n").await;
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains("Permission denied (publickey)"), "{out:?}");
    other.shutdown().await;
    // The first one's files are its own.
    assert_eq!(text(&run(host, "echo ran; exit\n").await.stdout), "ran\n");
    demo.shutdown().await;
}

#[tokio::test]
async fn a_killed_client_leaves_no_process_and_no_tree() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo $$ >$PROC/../pid; sleep 1000\n";
    let demo = start(1, dir.path(), &format!("echo $PROC; {script}")).await;
    let mut client = ssh(&demo.hosts[0], COMMAND);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&payload(&format!("echo $PROC; {script}"))).await.unwrap();
    let mut first = tokio::io::BufReader::new(client.stdout.take().unwrap());
    let mut proc = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut first, &mut proc).await.unwrap();
    let root = PathBuf::from(proc.trim_end()).parent().unwrap().to_owned();
    let pid = loop {
        match std::fs::read_to_string(root.join("pid")) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim_end().to_owned(),
            _ => sleep(Duration::from_millis(20)).await,
        }
    };
    let process = PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    client.kill().await.unwrap();
    let started = Instant::now();
    while process.exists() || root.exists() {
        assert!(started.elapsed() < Duration::from_secs(15), "{} {}", process.exists(), root.exists());
        sleep(Duration::from_millis(50)).await;
    }
    demo.shutdown().await;
}

#[tokio::test]
async fn a_demo_that_is_dropped_takes_its_folders_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(200, dir.path(), TWICE).await;
    let ports: BTreeSet<u16> = demo.hosts.iter().map(|host| host.port).collect();
    assert_eq!(ports.len(), 200);
    let known = std::fs::read_to_string(&demo.hosts[0].known_hosts[0]).unwrap();
    assert_eq!(known.lines().count(), 200);
    drop(demo);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
