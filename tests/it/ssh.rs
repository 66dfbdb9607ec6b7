//! The SSH transport against a real OpenSSH: keys, host keys, channels, and how each of them fails.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{Host, HostName, Outcome, Reach};
use dropsonde::transport::known_hosts::append;
use dropsonde::transport::ssh::{self, ConnectError, Output, Session, Settings, Timeouts};
use dropsonde::transport::{Exec, Transport};
use dropsonde::wire::{ExecEnd, Flow};
use tokio::time::Instant;

use crate::support::hostile::{Act, Conduct, Hostile};
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
        stdin: Vec::new(),
        heartbeat: Duration::from_secs(1),
        first_byte: limit,
        idle: limit,
        deadline: Instant::now() + limit,
    }
}

const SOON: Duration = Duration::from_secs(20);

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
    assert!(sshd.log().contains("Received disconnect"), "{}", sshd.log());
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
    let victim = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        kill(pid, "KILL");
    };
    let ((end, stdout, _), ()) = tokio::join!(run(&session, "echo before; sleep 60"), victim);
    assert_eq!(stdout, b"before\n");
    let peer = session.peer();
    assert_eq!(end, ExecEnd::Lost(format!("lost {peer}: it closed the connection")));
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
async fn every_type_of_key_logs_in() {
    let sshd = Sshd::start(Setup::default());
    for (name, args) in [
        ("ed25519", &["-N", "", "-t", "ed25519"][..]),
        ("ecdsa256", &["-N", "", "-t", "ecdsa", "-b", "256"]),
        ("ecdsa384", &["-N", "", "-t", "ecdsa", "-b", "384"]),
        ("ecdsa521", &["-N", "", "-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-N", "", "-t", "rsa", "-b", "3072"]),
        ("rsa_pem", &["-N", "", "-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa_pkcs8", &["-N", "", "-t", "ecdsa", "-m", "PKCS8"]),
    ] {
        let key = keygen(sshd.dir(), name, args);
        authorize(&sshd, &key);
        let host = Host { identity_files: vec![key], ..host(&sshd) };
        let session = connect(&host).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(run(&session, "true").await.0, ExecEnd::Exited(0), "{name}");
        session.close().await;
    }
}

#[tokio::test]
async fn rsa_keys_never_sign_with_sha1() {
    let old = "PubkeyAcceptedAlgorithms ssh-rsa".to_owned();
    let sshd = Sshd::start(Setup { lines: vec![old], ..Setup::default() });
    let key = keygen(sshd.dir(), "rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    authorize(&sshd, &key);
    let with_rsa = Host { identity_files: vec![key], ..host(&sshd) };
    refuses(&with_rsa, &settings(), Outcome::AuthFailed, &["(rsa-sha2-512)"]).await;
}

#[tokio::test]
async fn a_refused_key_is_named_with_what_the_server_accepts() {
    let sshd = Sshd::start(Setup::default());
    let other = keygen(sshd.dir(), "other", &["-N", "", "-t", "ed25519"]);
    let stranger = Host { identity_files: vec![other.clone()], ..host(&sshd) };
    let parts = [other.to_str().unwrap(), "(ssh-ed25519)", "it accepts publickey", "root@127.0.0.1:"];
    refuses(&stranger, &settings(), Outcome::AuthFailed, &parts).await;
    // The second key is tried after the first.
    let both = Host { identity_files: vec![other.clone(), sshd.identity()], ..host(&sshd) };
    connect(&both).await.unwrap().close().await;

    let sshd = Sshd::start(Setup { lines: vec!["MaxAuthTries 1".to_owned()], ..Setup::default() });
    let both = Host { identity_files: vec![other, sshd.identity()], ..host(&sshd) };
    refuses(&both, &settings(), Outcome::AuthFailed, &["Too many authentication failures"]).await;

    let lines = vec!["AuthenticationMethods publickey,keyboard-interactive".to_owned()];
    let lines =
        lines.into_iter().chain(["KbdInteractiveAuthentication yes".to_owned(), "UsePAM yes".to_owned()]);
    let sshd = Sshd::start(Setup { lines: lines.collect(), ..Setup::default() });
    let parts = ["not enough by itself", "it accepts keyboard-interactive"];
    refuses(&host(&sshd), &settings(), Outcome::AuthFailed, &parts).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_says_why() {
    let sshd = Sshd::start(Setup::default());
    let dir = sshd.dir();
    let with = |path: &Path| Host { identity_files: vec![path.to_owned()], ..host(&sshd) };
    let nothing = "no key to offer";
    let encrypted = ["-N", "secret", "-t", "rsa", "-b", "2048", "-m"];
    for format in ["RFC4716", "PEM", "PKCS8"] {
        let key = keygen(dir, &format!("encrypted-{format}"), &[&encrypted[..], &[format]].concat());
        let words = format!("{} is encrypted: add it to ssh-agent", key.display());
        refuses(&with(&key), &settings(), Outcome::AuthFailed, &[nothing, &words]).await;
    }
    let exposed = keygen(dir, "exposed", &["-N", "", "-t", "ed25519"]);
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o640)).unwrap();
    let words = format!("{} is open to others (mode 0640): chmod 600 it", exposed.display());
    refuses(&with(&exposed), &settings(), Outcome::AuthFailed, &[nothing, &words]).await;

    let half = exposed.with_extension("pub");
    fs::set_permissions(&half, fs::Permissions::from_mode(0o600)).unwrap();
    refuses(&with(&half), &settings(), Outcome::AuthFailed, &["it is the public half"]).await;
    refuses(&with(&dir.join("missing")), &settings(), Outcome::AuthFailed, &["cannot be read: No such file"])
        .await;
    refuses(&with(dir), &settings(), Outcome::AuthFailed, &["is open to others"]).await;
    for (name, text) in
        [("garbage", "\u{1b}[2Jnot a key"), ("torn", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")]
    {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        refuses(&with(&path), &settings(), Outcome::AuthFailed, &["is not a private key"]).await;
    }
    // A good key behind a bad one is still tried.
    let both = Host { identity_files: vec![exposed, sshd.identity()], ..host(&sshd) };
    connect(&both).await.unwrap().close().await;
}

/// A real ssh-agent, ended with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        let child =
            command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().expect("ssh-agent");
        let limit = std::time::Instant::now() + SOON;
        while !socket.exists() {
            assert!(std::time::Instant::now() < limit, "ssh-agent made no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        // An askpass program is how a passphrase gets in without a terminal.
        command.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS_REQUIRE", "force");
        let askpass = key.with_extension("askpass");
        fs::write(&askpass, "#!/bin/sh\necho secret\n").unwrap();
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
        let added = command.env("SSH_ASKPASS", askpass).arg("-q").arg(key).status();
        assert!(added.expect("ssh-add").success());
    }

    fn settings(&self) -> Settings {
        Settings::new(Timeouts::default(), Some(self.socket.clone()))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_agent_signs_after_the_files_or_alone() {
    let sshd = Sshd::start(Setup::default());
    let agent = Agent::start(sshd.dir());
    let alone = Host { identity_files: Vec::new(), ..host(&sshd) };
    refuses(&alone, &agent.settings(), Outcome::AuthFailed, &["no key to offer", "holds no key"]).await;

    let unknown = keygen(sshd.dir(), "unknown", &["-N", "", "-t", "ed25519"]);
    agent.add(&unknown);
    let parts = ["refused unknown from ssh-agent (ssh-ed25519)"];
    refuses(&alone, &agent.settings(), Outcome::AuthFailed, &parts).await;
    // A key that was refused as a file is not offered once more by the agent.
    let again = Host { identity_files: vec![unknown], ..host(&sshd) };
    let error = refuses(&again, &agent.settings(), Outcome::AuthFailed, &[]).await;
    assert!(!error.detail.contains("from ssh-agent"), "{error}");

    for (name, args) in [
        ("encrypted", &["-N", "secret", "-t", "ed25519"][..]),
        ("agent_rsa", &["-N", "", "-t", "rsa", "-b", "2048"]),
    ] {
        let key = keygen(sshd.dir(), name, args);
        authorize(&sshd, &key);
        agent.add(&key);
        let host = Host { identity_files: vec![key.clone()], ..host(&sshd) };
        let session = ssh::connect(&host, &agent.settings()).await;
        session.unwrap_or_else(|error| panic!("{name}: {error}")).close().await;
        let removed = Command::new("ssh-add")
            .env("SSH_AUTH_SOCK", &agent.socket)
            .arg("-q")
            .arg("-d")
            .arg(&key)
            .status();
        assert!(removed.expect("ssh-add").success());
    }
    let settings = agent.settings();
    drop(agent);
    refuses(&alone, &settings, Outcome::AuthFailed, &["ssh-agent at", "does not answer"]).await;
}

/// An agent's socket queues 128 connections and turns the next one away.
#[tokio::test]
async fn a_fleet_shares_one_agent() {
    let server = Hostile::start(Conduct::Ssh(Act::Honest)).await;
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path());
    agent.add(&keygen(dir.path(), "key", &["-N", "", "-t", "ed25519"]));
    let settings = Arc::new(agent.settings());
    let host = Arc::new(Host { identity_files: Vec::new(), ..server.host() });
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (settings, host) = (Arc::clone(&settings), Arc::clone(&host));
        visits.spawn(async move { ssh::connect(&host, &settings).await.unwrap().close().await });
    }
    while let Some(visit) = visits.join_next().await {
        visit.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_in_the_agent_logs_in() {
    let sshd = Sshd::start(Setup::default());
    let authority = keygen(sshd.dir(), "authority", &["-N", "", "-t", "ed25519"]);
    let key = keygen(sshd.dir(), "certified", &["-N", "", "-t", "ed25519"]);
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "test", "-n", "root", "-V", "-5m:+1h", "-s"]).arg(&authority);
    assert!(sign.arg(key.with_extension("pub")).status().expect("ssh-keygen").success());
    let file = sshd.dir().join("authorized_keys");
    fs::write(file, format!("cert-authority {}", public(&authority))).unwrap();
    let agent = Agent::start(sshd.dir());
    agent.add(&key);
    let alone = Host { identity_files: Vec::new(), ..host(&sshd) };
    ssh::connect(&alone, &agent.settings()).await.unwrap().close().await;
}

#[tokio::test]
async fn an_unknown_host_is_learned_on_purpose() {
    let rsa = tempfile::tempdir().unwrap();
    let rsa_key = keygen(rsa.path(), "host_rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    let ecdsa_key = keygen(rsa.path(), "host_ecdsa", &["-N", "", "-t", "ecdsa"]);
    let keys = [&rsa_key, &ecdsa_key].map(|path| format!("HostKey {}", path.display()));
    let sshd = Sshd::start(Setup { lines: keys.to_vec(), ..Setup::default() });
    let file = sshd.dir().join("new/known_hosts");
    let stranger = Host { known_hosts: vec![file.clone()], ..host(&sshd) };
    let parts = ["shows the key SHA256:", "run dropsonde hosts trust web01", file.to_str().unwrap()];
    refuses(&stranger, &settings(), Outcome::HostKeyUnknown, &parts).await;
    let none = Host { known_hosts: Vec::new(), ..host(&sshd) };
    refuses(&none, &settings(), Outcome::HostKeyUnknown, &["no known_hosts file is configured"]).await;

    let found = ssh::scan_host_key(&stranger, &settings()).await.unwrap();
    let algorithms: Vec<&str> = found.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
    for (key, path) in found.iter().skip(1).zip([&ecdsa_key, &rsa_key]) {
        let listed = Command::new("ssh-keygen").arg("-lf").arg(path).output().expect("ssh-keygen").stdout;
        assert!(String::from_utf8_lossy(&listed).contains(&key.fingerprint_sha256));
    }
    let lines: Vec<String> = found.into_iter().map(|key| key.line).collect();
    assert_eq!(append(&file, &lines).unwrap(), 3);
    connect(&stranger).await.unwrap().close().await;
    // OpenSSH reads them the same way.
    let mut client = sshd.ssh("127.0.0.1");
    client.arg("-o").arg(format!("UserKnownHostsFile={}", file.display())).arg("true");
    assert!(client.status().unwrap().success());
}

#[tokio::test]
async fn a_changed_key_names_the_line_and_the_command_that_mends_it() {
    let sshd = Sshd::start(Setup::default());
    let other = keygen(sshd.dir(), "other", &["-N", "", "-t", "ed25519"]);
    let file = sshd.dir().join("old hosts");
    let id = format!("[127.0.0.1]:{}", sshd.port());
    fs::write(&file, format!("# old\n{id} {}", public(&other))).unwrap();
    let changed = Host { known_hosts: vec![file.clone()], ..host(&sshd) };
    let mend = format!("ssh-keygen -R '{id}' -f '{}'", file.display());
    let place = format!("{}:2 has SHA256:", file.display());
    refuses(&changed, &settings(), Outcome::HostKeyChanged, &[&mend, &place, "hosts trust web01"]).await;
    // The command in the message does what the message says.
    assert!(Command::new("sh").args(["-c", &mend]).output().unwrap().status.success());
    refuses(&changed, &settings(), Outcome::HostKeyUnknown, &[]).await;
}

#[tokio::test]
async fn host_keys_in_every_kind_of_line() {
    let keys = tempfile::tempdir().unwrap();
    let ecdsa = keygen(keys.path(), "ecdsa", &["-N", "", "-t", "ecdsa"]);
    let sshd = Sshd::start(Setup { lines: vec![format!("HostKey {}", ecdsa.display())], ..Setup::default() });
    let id = format!("[127.0.0.1]:{}", sshd.port());
    let (mine, other) = (sshd.host_key(), public(&ecdsa));
    let elsewhere = keygen(keys.path(), "elsewhere", &["-N", "", "-t", "ed25519"]);
    let check = async |text: &str, hash: bool, expected: Result<(), Outcome>| {
        let file = sshd.dir().join("hosts");
        fs::write(&file, text).unwrap();
        if hash {
            let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output();
            assert!(hashed.unwrap().status.success());
            assert!(!fs::read_to_string(&file).unwrap().contains("127.0.0.1"));
        }
        let host = Host { known_hosts: vec![sshd.dir().join("missing"), file], ..host(&sshd) };
        let got = connect(&host).await.map(drop).map_err(|error| error.outcome);
        assert_eq!(got, expected, "{text}");
    };
    check(&format!("{id} {mine}\n"), true, Ok(())).await;
    check(&format!("[127.0.0.*]:* {mine}\n"), false, Ok(())).await;
    check(&format!("127.0.0.1 {mine}\n"), false, Ok(())).await;
    // The server prefers ed25519 and so do we, but ecdsa is what is known.
    check(&format!("{id} {other}"), false, Ok(())).await;
    check(&format!("{id} {other}"), true, Ok(())).await;
    // Hashed lines of several types do not say which one is this host's until its key is wrong.
    check(&format!("elsewhere {}{id} {other}", public(&elsewhere)), true, Ok(())).await;
    check(&format!("{id} {}", public(&elsewhere)), true, Err(Outcome::HostKeyChanged)).await;
    check(&format!("@revoked {id} {mine}\n{id} {mine}\n"), false, Err(Outcome::HostKeyChanged)).await;
    check(&format!("@cert-authority * {mine}\n"), false, Err(Outcome::HostKeyUnknown)).await;
    check(&format!("nonsense\n@what\n{id} {mine}\n"), false, Ok(())).await;
}

#[tokio::test]
async fn a_host_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sshd = Sshd::start(Setup::default());
    let closed = Host { port, ..host(&sshd) };
    refuses(
        &closed,
        &settings(),
        Outcome::Unreachable,
        &["connection refused", &format!("127.0.0.1:{port}")],
    )
    .await;
    let nameless = Host { address: "no-such-host.invalid".to_owned(), ..host(&sshd) };
    let timeouts = Timeouts { resolve: SOON, ..Timeouts::default() };
    let parts = ["resolving no-such-host.invalid"];
    refuses(&nameless, &Settings::new(timeouts, None), Outcome::Unreachable, &parts).await;
}

#[tokio::test]
async fn a_server_with_nothing_in_common_says_what_it_has() {
    let lines = vec!["KexAlgorithms diffie-hellman-group14-sha256".to_owned()];
    let sshd = Sshd::start(Setup { lines, ..Setup::default() });
    let parts = ["no key exchange in common", "diffie-hellman-group14-sha256"];
    refuses(&host(&sshd), &settings(), Outcome::Unreachable, &parts).await;
    for lines in [
        "KexAlgorithms ecdh-sha2-nistp384",
        "KexAlgorithms curve25519-sha256@libssh.org",
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes256-gcm@openssh.com",
    ] {
        let sshd = Sshd::start(Setup { lines: vec![lines.to_owned()], ..Setup::default() });
        connect(&host(&sshd)).await.unwrap_or_else(|error| panic!("{lines}: {error}")).close().await;
    }
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
