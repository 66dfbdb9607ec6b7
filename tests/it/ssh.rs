//! The SSH transport against a real OpenSSH: keys, host keys, channels, and how each of them fails.

mod host_certificates;
mod host_keys;
mod jump;
mod login;
mod options;
mod probes;
mod proxy_command;
mod user_certificates;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{Host, HostName, Outcome, Reach, RootBy};
use dropsonde::transport::ssh::{self, ConnectError, Output, Session, Settings, Timeouts};
use dropsonde::transport::{Exec, Transport};
use dropsonde::wire::{ExecEnd, Flow};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::sshd::{Setup, Sshd, children, kill};

/// The host that `sshd` plays, reached with the key that it accepts.
fn host(sshd: &Sshd) -> Host {
    Host {
        name: HostName::new("web01").unwrap(),
        address: "127.0.0.1".to_owned(),
        port: sshd.port(),
        user: sshd.user().to_owned(),
        labels: BTreeMap::new(),
        reach: Reach::Ssh,
        identity_files: vec![sshd.identity()],
        known_hosts: vec![sshd.known_hosts()],
        ssh: Arc::default(),
        consult: None,
        root_by: RootBy::default(),
        proc_root: None,
        sys_root: None,
    }
}

fn settings() -> Settings {
    Settings::new(Timeouts::default(), None)
}

fn exec(command: &str, limit: Duration) -> Exec<'_> {
    Exec {
        command,
        in_english: false,
        stdin: Vec::new(),
        heartbeat: Duration::from_secs(1),
        first_byte: limit,
        idle: limit,
        deadline: Instant::now() + limit,
    }
}

/// Far more than anything here takes, even on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(60);

/// Runs `command` and returns its end, stdout and stderr.
async fn run(session: &Session, command: &str) -> (ExecEnd, Vec<u8>, String) {
    collect(session, exec(command, SOON)).await
}

async fn collect(session: &Session, exec: Exec<'_>) -> (ExecEnd, Vec<u8>, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let end = session
        .run(exec, |output| {
            match output {
                Output::Stdout(bytes) => stdout.extend_from_slice(bytes),
                Output::Stderr(bytes) => stderr.extend_from_slice(bytes),
            }
            Flow::Continue
        })
        .await;
    (end, stdout, String::from_utf8_lossy(&stderr).into_owned())
}

async fn connect(host: &Host) -> Result<Session, ConnectError> {
    ssh::connect(host, &settings()).await
}

/// Connecting must fail with that outcome and a detail that has all of `parts`.
async fn refuses(host: &Host, settings: &Settings, outcome: Outcome, parts: &[&str]) -> ConnectError {
    match ssh::connect(host, settings).await {
        Ok(_) => panic!("connected to {}", host.address),
        Err(error) => {
            assert_eq!(error.outcome, outcome, "{error}");
            for part in parts {
                assert!(error.detail.contains(part), "{part:?} is not in {error}");
            }
            error
        }
    }
}

/// Makes a key pair and returns the path of its private half.
fn keygen(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-C", name]).args(args).arg("-f").arg(&path).status();
    assert!(made.expect("ssh-keygen").success());
    path
}

fn public(path: &Path) -> String {
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

fn authorize(sshd: &Sshd, path: &Path) {
    let file = sshd.dir().join("authorized_keys");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text + &public(path)).unwrap();
}

#[tokio::test]
async fn a_command_has_stdin_output_errors_and_an_end() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    assert_eq!(session.peer(), format!("127.0.0.1:{}", sshd.port()));
    let (end, stdout, stderr) = run(&session, "echo out; echo err >&2; exit 3").await;
    assert_eq!((end, stdout.as_slice(), stderr.as_str()), (ExecEnd::Exited(3), &b"out\n"[..], "err\n"));
    let (end, ..) = run(&session, "kill -9 $$").await;
    assert_eq!(end, ExecEnd::Signalled("KILL".to_owned()));
    let (end, stdout, _) = run(&session, "head -c 5000000 /dev/zero").await;
    assert_eq!((end, stdout.len()), (ExecEnd::Exited(0), 5_000_000));
    // More than any window, so that it goes out in parts while output comes back.
    let echoed = Exec { stdin: vec![b'x'; 6_000_000], ..exec("head -c 6000000 | tr x y", SOON) };
    let (end, stdout, _) = collect(&session, echoed).await;
    assert_eq!((end, stdout.len()), (ExecEnd::Exited(0), 6_000_000));
    assert!(stdout.iter().all(|byte| *byte == b'y'));
    session.close().await;
    eventually("our goodbye in the log", || sshd.log().contains("Received disconnect")).await;
}

#[tokio::test]
async fn heartbeats_arrive_and_stop_with_the_command() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    let beating = Exec { heartbeat: Duration::from_millis(50), ..exec("head -c 5 | wc -c", SOON) };
    let (end, stdout, _) = collect(&session, beating).await;
    assert_eq!((end, String::from_utf8_lossy(&stdout).trim()), (ExecEnd::Exited(0), "5"));
}

#[tokio::test]
async fn output_that_comes_late_or_slowly_is_waited_for_and_a_stall_is_not() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    let (brief, start) = (Duration::from_millis(600), Instant::now());
    let slow = Exec { idle: brief, ..exec("for i in 1 2 3 4; do echo $i; sleep 0.3; done", SOON) };
    assert_eq!(collect(&session, slow).await.0, ExecEnd::Exited(0));
    let stalled = Exec { idle: brief, ..exec("echo a; sleep 60", SOON) };
    assert_eq!(collect(&session, stalled).await.0, ExecEnd::TimedOut("idle"));
    let silent = Exec { first_byte: brief, ..exec("sleep 60", SOON) };
    assert_eq!(collect(&session, silent).await.0, ExecEnd::TimedOut("first byte"));
    let endless = exec("while :; do echo x; sleep 0.05; done", brief);
    assert_eq!(collect(&session, endless).await.0, ExecEnd::TimedOut("deadline"));
    assert!(start.elapsed() < SOON / 2, "{:?}", start.elapsed());
    // The session is as good as before.
    assert_eq!(run(&session, "exit 4").await.0, ExecEnd::Exited(4));
}

#[tokio::test]
async fn an_abandoned_command_finds_its_stdin_closed() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    let mark = sshd.dir().join("gone");
    let command = format!("cat >/dev/null; echo $? > '{}'", mark.display());
    let (end, ..) = collect(&session, exec(&command, Duration::from_millis(300))).await;
    assert_eq!(end, ExecEnd::TimedOut("deadline"));
    eventually("the command to see the end of its stdin", || mark.exists()).await;
    let end = session.run(exec("yes", SOON), |_| Flow::Stop).await;
    assert_eq!(end, ExecEnd::DecoderStopped);
    assert_eq!(run(&session, "true").await.0, ExecEnd::Exited(0));
}

/// A command that nobody reads any more does not hold up the others on its connection.
#[tokio::test]
async fn a_flood_on_one_channel_leaves_the_others_alone() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    let flood = |limit: usize| {
        let mut left = limit;
        session.run(exec("yes", SOON), move |piece| {
            let (Output::Stdout(bytes) | Output::Stderr(bytes)) = piece;
            left = left.saturating_sub(bytes.len());
            if left == 0 { Flow::Stop } else { Flow::Continue }
        })
    };
    let ends =
        tokio::join!(flood(1), flood(4 << 20), flood(100_000), flood(8 << 20), run(&session, "echo a"));
    let stopped = ExecEnd::DecoderStopped;
    let echoed = (ExecEnd::Exited(0), b"a\n".to_vec(), String::new());
    assert_eq!(ends, (stopped.clone(), stopped.clone(), stopped.clone(), stopped, echoed));
    session.close().await;
}

#[tokio::test]
async fn dropping_a_session_ends_it_at_the_server() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    assert_eq!(sshd.sessions().len(), 1);
    drop(session);
    eventually("sshd to end the session", || sshd.sessions().is_empty()).await;
}

#[tokio::test]
async fn a_connection_that_dies_is_lost_and_says_so() {
    let sshd = Sshd::start(Setup::default());
    let session = connect(&host(&sshd)).await.unwrap();
    let pid = sshd.sessions()[0];
    let arrived = Notify::new();
    let running = session.run(exec("echo before; sleep 60", SOON), |output| {
        assert_eq!(output, Output::Stdout(b"before\n"));
        arrived.notify_one();
        Flow::Continue
    });
    let (end, ()) = tokio::join!(running, async {
        arrived.notified().await;
        kill(pid, "KILL");
    });
    // A kernel resets a connection that is closed with bytes unread: here, a heartbeat.
    let ways = ["closed", "reset"].map(|way| format!("lost {}: it {way} the connection", session.peer()));
    assert!(ways.map(ExecEnd::Lost).contains(&end), "{end:?}");
    assert!(matches!(run(&session, "true").await.0, ExecEnd::Lost(_)));
    session.close().await;
}

#[tokio::test]
async fn one_channel_at_a_time_is_enough_for_four_probes() {
    for limit in [1, 2] {
        let sshd = Sshd::start(Setup { lines: vec![format!("MaxSessions {limit}")], ..Setup::default() });
        let session = connect(&host(&sshd)).await.unwrap();
        let commands = ["sleep 0.1; echo 1", "sleep 0.1; echo 2", "sleep 0.1; echo 3", "sleep 0.1; echo 4"];
        let [a, b, c, d] = commands.map(|command| run(&session, command));
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        for (got, expected) in [a, b, c, d].into_iter().zip(["1\n", "2\n", "3\n", "4\n"]) {
            assert_eq!((got.0, got.1.as_slice()), (ExecEnd::Exited(0), expected.as_bytes()));
        }
        // After one that was given up, its place on the server is free a little later.
        let (end, ..) =
            collect(&session, exec("cat >/dev/null; sleep 0.3", Duration::from_millis(100))).await;
        assert_eq!(end, ExecEnd::TimedOut("deadline"));
        assert_eq!(run(&session, "true").await.0, ExecEnd::Exited(0));
    }
}

#[tokio::test]
async fn a_server_that_grants_no_channel_is_not_asked_for_ever() {
    let sshd = Sshd::start(Setup { lines: vec!["MaxSessions 0".to_owned()], ..Setup::default() });
    let session = connect(&host(&sshd)).await.unwrap();
    let (end, ..) = run(&session, "true").await;
    let ExecEnd::Lost(text) = end else { panic!("{end:?}") };
    assert!(text.contains("refused a channel") && text.contains("MaxSessions"), "{text}");
}

#[tokio::test]
async fn a_sweep_of_visits_shares_its_settings() {
    let sshd = Sshd::start(Setup::default());
    let (settings, host) = (Arc::new(settings()), Arc::new(host(&sshd)));
    let mut visits = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (settings, host) = (Arc::clone(&settings), Arc::clone(&host));
        visits.spawn(async move {
            let session = ssh::connect(&host, &settings).await.unwrap();
            let (end, stdout, _) = run(&session, &format!("echo {n}")).await;
            session.close().await;
            assert_eq!((end, stdout), (ExecEnd::Exited(0), format!("{n}\n").into_bytes()));
        });
    }
    // Keys and known_hosts are in memory: what happens to the files does not matter any more.
    let first = visits.join_next().await.unwrap();
    first.unwrap();
    fs::remove_file(sshd.identity()).unwrap();
    fs::remove_file(sshd.known_hosts()).unwrap();
    while let Some(visit) = visits.join_next().await {
        visit.unwrap();
    }
    let session = ssh::connect(&host, &settings).await.unwrap();
    drop(session);
    eventually("the sessions to end", || children(sshd.pid()).is_empty()).await;
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < limit, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
