//! The collector's own machine: the same contract, no SSH.

use std::process::Command;
use std::time::Duration;

use dropsonde::model::{ByteSize, Outcome, Probe};
use dropsonde::transport::local::Machine;
use dropsonde::transport::{Exec, Transport};
use dropsonde::wire::{Decoded, Decoder};
use tokio::time::Instant;

use crate::support::patience::wait_for;
use crate::support::runs::{Job, Line, probe, spawn};

fn exec(job: &Job) -> Exec<'static> {
    Exec {
        command: job.request().command(),
        in_english: false,
        stdin: job.request().stdin(),
        heartbeat: job.limits.heartbeat_interval(),
        first_byte: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        deadline: Instant::now() + Duration::from_secs(20),
    }
}

/// Runs `job` here, with `change` made to its limits, and sees to it that nothing is left.
fn run(job: &Job, change: impl FnOnce(&mut Exec<'_>)) -> Decoded {
    let decoded = runtime().block_on(async {
        let mut exec = exec(job);
        change(&mut exec);
        let mut decoder = Decoder::new(&job.request());
        let end = Machine.exec(exec, &mut decoder).await;
        Machine.close().await;
        decoder.finish(end)
    });
    job.assert_gone(&job.probe.script);
    decoded
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_probe_runs_here_as_anywhere() {
    let decoded = run(&Job::new(probe("echo out; echo err >&2; exit 4")), |_| {});
    assert_eq!((decoded.outcome, decoded.exit), (Outcome::Failed, Some(4)), "{:?}", decoded.detail);
    assert_eq!((decoded.raw.as_slice(), decoded.stderr.as_str()), (&b"out\n"[..], "err\n"));
    assert!(decoded.clock.is_some());
}

#[test]
fn a_probe_outlasts_the_heartbeat_limit_because_heartbeats_come() {
    let decoded = run(&Job::new(probe("sleep 5; echo done")), |_| {});
    assert_eq!(
        (decoded.outcome, decoded.raw.as_slice()),
        (Outcome::Ok, &b"done\n"[..]),
        "{:?}",
        decoded.detail
    );
}

#[test]
fn every_limit_ends_it_and_leaves_nothing() {
    let check = |script: &str, change: fn(&mut Exec<'_>), words: &str| {
        let decoded = run(&Job::new(probe(script)), change);
        assert_eq!(decoded.outcome, Outcome::TimedOut, "{words}");
        assert!(decoded.detail.as_ref().is_some_and(|detail| detail.contains(words)), "{:?}", decoded.detail);
    };
    let leave = "(setsid sleep 300 &); sleep 300";
    check(leave, |exec| exec.idle = Duration::from_secs(1), "idle");
    check(leave, |exec| exec.deadline = Instant::now() + Duration::from_secs(1), "deadline");
    let silent = |exec: &mut Exec<'_>| {
        exec.command = "exec sleep 300";
        exec.first_byte = Duration::from_secs(1);
    };
    check(leave, silent, "first byte");
}

#[test]
fn an_answer_that_breaks_a_cap_stops_it() {
    let mut job = Job::new(Probe { max_output: ByteSize(1 << 30), ..probe("yes; sleep 300") });
    job.limits.max_ratio = 20;
    let decoded = run(&job, |_| {});
    assert_eq!(decoded.outcome, Outcome::Truncated, "{:?}", decoded.detail);
    assert!(decoded.detail.is_some_and(|detail| detail.contains("20 times")));
}

#[test]
fn dropping_the_future_leaves_nothing() {
    let job = Job::new(probe("(setsid sleep 300 &); trap '' TERM; sleep 300"));
    runtime().block_on(async {
        let mut decoder = Decoder::new(&job.request());
        let run = Machine.exec(exec(&job), &mut decoder);
        assert!(tokio::time::timeout(Duration::from_secs(1), run).await.is_err());
    });
    job.assert_gone("dropped");
}

/// `nohup`, and a shell's `&`, start a program that ignores HUP or INT, and so do all that it starts.
#[test]
fn who_may_not_hear_a_hangup_is_ended_all_the_same() {
    for shell in ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox ash"] {
        let job = Job::new(probe("(setsid sleep 300 &); sleep 300"));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("trap '' HUP INT; exec {shell} -s")).env("CELL", job.tag.to_string());
        let mut client = spawn(&mut command);
        let line = Line::open(client.stdin.take().expect("stdin"), &job.request().stdin());
        assert!(wait_for(|| job.probes().len() >= 2), "{shell}: the probe does not start");
        drop(line);
        job.assert_gone(shell);
        client.wait().expect("wait");
    }
}
