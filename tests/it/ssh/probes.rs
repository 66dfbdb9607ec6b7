//! Probes over a real connection: the contract's two ends with sshd between them.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use dropsonde::model::{ByteSize, Host, Outcome, Probe, ProbeName};
use dropsonde::transport::ssh::Session;
use dropsonde::transport::{Exec, Transport};
use dropsonde::wire::{Decoded, Decoder, Limits, Nonce, Request, RunTag};
use tokio::time::Instant;

use super::{SOON, connect, eventually, host};
use crate::support::sshd::{Setup, Sshd};

fn probe(script: &str) -> Probe {
    Probe {
        timeout: SOON,
        max_output: ByteSize(1 << 20),
        ..Probe::new(ProbeName::new("test").unwrap(), script)
    }
}

async fn run(session: &Session, host: &Host, probe: &Probe, within: Duration) -> Decoded {
    // Each run its own, or one would take another's processes for its leftovers.
    static RUNS: AtomicU8 = AtomicU8::new(1);
    let mut tag = [7; 16];
    tag[0] = RUNS.fetch_add(1, Ordering::Relaxed);
    let request = Request {
        probe,
        host,
        tag: RunTag::new(tag),
        nonce: Nonce::new([9; 16]),
        limits: Limits {
            heartbeat: Duration::from_secs(6),
            grace: Duration::from_secs(1),
            max_wire: ByteSize(1 << 20),
            max_ratio: 1000,
            max_stderr: ByteSize(4096),
        },
        cursor: None,
        become_root: false,
        only_check: false,
    };
    let mut decoder = Decoder::new(&request);
    let exec = Exec {
        command: request.command(),
        in_english: request.become_root,
        stdin: request.stdin(),
        heartbeat: request.limits.heartbeat_interval(),
        first_byte: within,
        idle: within,
        deadline: Instant::now() + within,
    };
    let end = session.exec(exec, &mut decoder).await;
    decoder.finish(end)
}

#[tokio::test]
async fn four_probes_share_a_connection() {
    let sshd = Sshd::start(Setup { lines: vec!["MaxSessions 2".to_owned()], ..Setup::default() });
    let host = host(&sshd);
    let session = connect(&host).await.unwrap();
    let probes = ["echo a", "echo b; echo c >&2", "seq 200000", "exit 5"].map(probe);
    let [a, b, c, d] = &probes;
    let (a, b, c, d) = tokio::join!(
        run(&session, &host, a, SOON),
        run(&session, &host, b, SOON),
        run(&session, &host, c, SOON),
        run(&session, &host, d, SOON)
    );
    session.close().await;
    assert_eq!((a.outcome, a.raw.as_slice(), a.exit), (Outcome::Ok, &b"a\n"[..], Some(0)), "{:?}", a.detail);
    assert_eq!((b.outcome, b.raw.as_slice(), b.stderr.trim()), (Outcome::Ok, &b"b\n"[..], "c"));
    assert!(a.clock.is_some());
    assert_eq!((c.outcome, c.raw.len()), (Outcome::Truncated, 1 << 20), "{:?}", c.detail);
    assert_eq!((d.outcome, d.exit), (Outcome::Failed, Some(5)), "{:?}", d.detail);
}

/// P7, from this end: what is given up is gone from the host soon after, by either way of giving up.
#[tokio::test]
async fn a_probe_that_is_given_up_leaves_no_process() {
    let sshd = Sshd::start(Setup::default());
    let host = host(&sshd);
    for (drops, seconds) in [(false, "86391"), (true, "86392")] {
        let session = connect(&host).await.unwrap();
        let sleeper = probe(&format!("sleep {seconds}"));
        let limit = if drops { SOON } else { Duration::from_secs(6) };
        let running = run(&session, &host, &sleeper, limit);
        if drops {
            let started = eventually("the probe to start", || is_running(seconds));
            tokio::select! {
                decoded = running => panic!("{:?}", decoded.detail),
                () = started => {}
            }
            drop(session);
        } else {
            let (decoded, ()) =
                tokio::join!(running, eventually("the probe to start", || is_running(seconds)));
            assert_eq!(decoded.outcome, Outcome::TimedOut);
        }
        eventually("the probe to be gone", || !is_running(seconds)).await;
    }
}

/// Whether there is a `sleep` for that long.
fn is_running(seconds: &str) -> bool {
    let expected = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut commands = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands.any(|command| command == expected.as_bytes())
}
