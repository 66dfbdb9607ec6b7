//! The in-process SSH server against OpenSSH's client.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dropsonde::transport::served::{Admission, KeyPair, ServedHost, ServerSpec, serve};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::support::patience::PATIENCE;

const COMMAND: &str = "exec /bin/sh -s";

struct Served {
    host: ServedHost,
    dir: TempDir,
}

impl Served {
    /// A server that runs what begins with `#ok` once it has seen `#end`.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (host_key, user_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        user_key.write_private(&dir.path().join("id")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = |payload: &[u8]| {
            if !payload.starts_with(&b"#ok"[..payload.len().min(3)]) {
                Admission::Refused("not one of ours".to_owned())
            } else if payload.windows(4).any(|bytes| bytes == b"#end") {
                Admission::Run
            } else {
                Admission::NeedMore
            }
        };
        let spec = ServerSpec {
            host_key: host_key.clone(),
            authorized: user_key.public(),
            command: COMMAND,
            gate: Arc::new(gate),
            around: Arc::new(|| Ok(Box::new(()))),
            grace: Duration::from_secs(2),
            env: vec![("PROC", PathBuf::from("/synthetic/proc"))],
        };
        let host = serve(listener, spec).unwrap();
        let line = format!("[127.0.0.1]:{} {}\n", host.address.port(), host_key.public().to_line().unwrap());
        std::fs::write(dir.path().join("known_hosts"), line).unwrap();
        Self { host, dir }
    }

    fn ssh(&self, key: &Path) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ClearAllForwardings=no"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.dir.path().join("known_hosts").display()))
            .arg("-i")
            .arg(key)
            .args(["-p", &self.host.address.port().to_string(), "probe@127.0.0.1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        ssh
    }

    fn with_key(&self) -> Command {
        self.ssh(&self.dir.path().join("id"))
    }
}

/// Writes `stdin`, closes it, and waits for the end.
async fn finish(mut client: Child, stdin: &str) -> Output {
    let mut pipe = client.stdin.take().unwrap();
    // A client that was refused may be gone before it reads.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    timeout(PATIENCE, client.wait_with_output()).await.expect("ssh ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn run(served: &Served, arguments: &[&str], stdin: &str) -> Output {
    finish(served.with_key().args(arguments).spawn().unwrap(), stdin).await
}

#[tokio::test]
async fn an_admitted_script_runs_with_its_streams_its_status_and_a_clean_environment() {
    let served = Served::start().await;
    // The fourth field after the name is the session.
    let script = "#ok\n#end\nread -r line </proc/$$/stat; set -- ${line##*)}; [ $4 = $$ ] || echo $4 of $$\n\
                  unset line; echo out; echo err >&2; env | sort; exit 7\n";
    let out = run(&served, &[COMMAND], script).await;
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    let lines = text(&out.stdout);
    let names: Vec<&str> = lines.lines().skip(1).map(|line| line.split('=').next().unwrap()).collect();
    assert!(lines.starts_with("out\n"), "{lines}");
    // What a shell sets for itself, and nothing of this process.
    assert!(
        names.iter().all(|name| ["PATH", "PROC", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
        "{lines}"
    );
    assert!(lines.contains("PROC=/synthetic/proc\n"));
    assert_eq!(text(&out.stderr), "err\n");
    served.host.shutdown().await;
}

#[tokio::test]
async fn output_larger_than_every_window_and_buffer_arrives_whole() {
    let served = Served::start().await;
    let script = "#ok\n#end\nhead -c 9000000 /dev/zero; head -c 3000000 /dev/zero >&2\n";
    let out = run(&served, &[COMMAND], script).await;
    assert_eq!((out.stdout.len(), out.stderr.len()), (9_000_000, 3_000_000));
    assert_eq!(out.status.code(), Some(0));
    served.host.shutdown().await;
}

#[tokio::test]
async fn everything_else_is_refused() {
    let served = Served::start().await;
    for arguments in [&["id"][..], &["exec /bin/sh -s; id"], &["-s", "sftp"], &["-tt", "id"], &[]] {
        let out = run(&served, arguments, "#ok\n#end\nid\n").await;
        assert_eq!(out.status.code(), Some(255), "{arguments:?} {out:?}");
        assert!(out.stdout.is_empty(), "{arguments:?} {out:?}");
    }
    let out = run(&served, &[COMMAND], "id\n").await;
    assert_eq!(out.status.code(), Some(126));
    assert_eq!(text(&out.stderr), "REFUSED: not one of ours\n");
    let out = run(&served, &[COMMAND], "#ok but no more").await;
    assert_eq!(out.status.code(), Some(126));
    assert_eq!(text(&out.stderr), "REFUSED: stdin ended before the payload did\n");
    // Forwarding, both ways: the first is refused at once, the second when it is used.
    let out = run(&served, &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", COMMAND], "").await;
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    let out = run(&served, &["-W", "127.0.0.1:1"], "").await;
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    assert!(text(&out.stderr).contains("administratively prohibited"), "{out:?}");
    served.host.shutdown().await;
}

#[tokio::test]
async fn another_key_does_not_open_it_and_another_host_key_is_seen() {
    let served = Served::start().await;
    let stranger = served.dir.path().join("stranger");
    KeyPair::generate().unwrap().write_private(&stranger).unwrap();
    let out = finish(served.ssh(&stranger).arg(COMMAND).spawn().unwrap(), "#ok\n#end\nid\n").await;
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains("Permission denied (publickey)"), "{out:?}");

    let other = KeyPair::generate().unwrap().public().to_line().unwrap();
    let line = format!("[127.0.0.1]:{} {other}\n", served.host.address.port());
    std::fs::write(served.dir.path().join("known_hosts"), line).unwrap();
    let out = run(&served, &[COMMAND], "#ok\n#end\nid\n").await;
    assert_eq!(out.status.code(), Some(255));
    assert!(text(&out.stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{out:?}");
    served.host.shutdown().await;
}

/// A client whose script printed the process ids of a shell and a sleep that ignores TERM, and runs on.
async fn stubborn(served: &Served) -> (Child, Vec<u32>) {
    let mut client = served.with_key().arg(COMMAND).spawn().unwrap();
    let script = "#ok\n#end\ntrap '' TERM HUP\nsleep 1000 &\necho $$; echo $!\nwait\n";
    client.stdin.as_mut().unwrap().write_all(script.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut pids = Vec::new();
    while pids.len() < 2 {
        pids.push(lines.next_line().await.unwrap().expect("two pids").parse().unwrap());
    }
    assert!(pids.iter().all(|pid| alive(*pid)));
    (client, pids)
}

/// Whether a process runs; one that only waits to be reaped does not.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

async fn assert_gone(pids: &[u32], within: Duration) {
    let started = Instant::now();
    while pids.iter().any(|pid| alive(*pid)) {
        assert!(started.elapsed() < within, "{pids:?} still run after {within:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_killed_client_leaves_no_process() {
    let served = Served::start().await;
    let (mut client, pids) = stubborn(&served).await;
    client.kill().await.unwrap();
    assert_gone(&pids, Duration::from_secs(30)).await;
    // The host still serves.
    let out = run(&served, &[COMMAND], "#ok\n#end\necho again\n").await;
    assert_eq!(text(&out.stdout), "again\n");
    served.host.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_what_runs_and_waits_for_it() {
    let served = Served::start().await;
    let (mut client, pids) = stubborn(&served).await;
    let address = served.host.address;
    served.host.shutdown().await;
    assert_gone(&pids, Duration::from_millis(200)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let status = timeout(PATIENCE, client.wait()).await.expect("ssh ends").unwrap();
    assert!(!status.success());
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_delay_shutdown() {
    let served = Served::start().await;
    let silent = tokio::net::TcpStream::connect(served.host.address).await.unwrap();
    let half = served.with_key().arg(COMMAND).spawn().unwrap();
    sleep(Duration::from_millis(500)).await;
    timeout(PATIENCE, served.host.shutdown()).await.expect("shutdown is bounded");
    drop((silent, half));
}
