//! The collector's own machine: the same contract over pipes instead of a channel. It takes no short
//! cut around the supervisor, so that a probe behaves here as it does anywhere.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::{Exec, Transport};
use crate::wire::{Decoder, ExecEnd, Flow, HEARTBEAT};

/// How long a supervisor whose stdin was closed may take to clear up before its group is killed.
const FAREWELL: Duration = Duration::from_secs(8);

/// How long a killed group may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(2);

const PIECE: usize = 32 * 1024;

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Transport for Machine {
    async fn exec(&self, exec: Exec<'_>, decoder: &mut Decoder) -> ExecEnd {
        let mut child = match spawn(exec.command) {
            Ok(child) => child,
            Err(error) => return ExecEnd::Lost(format!("/bin/sh does not start: {error}")),
        };
        let end = converse(&mut child, exec, decoder).await;
        part(&mut child, end).await
    }

    async fn close(self) {}
}

/// The command line is the contract's own, as a login shell would get it.
fn spawn(command: &str) -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    // A group of its own: what is killed at the end, and what the supervisor takes for its own. It is
    // not killed when dropped: its stdin is closed then, and only alive can it clear up.
    shell.arg("-c").arg(command).process_group(0);
    // What sshd would give it, and no more: the collector's environment may hold tokens and sockets
    // that are no probe's business.
    shell.env_clear();
    for name in ["HOME", "LOGNAME", "PATH", "SHELL", "USER"] {
        if let Some(value) = std::env::var_os(name) {
            shell.env(name, value);
        }
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Feeds stdin and drains both outputs until they are closed or a limit is passed. Returns `None`
/// when the outputs ended by themselves. Stdin is closed on return.
async fn converse(child: &mut Child, exec: Exec<'_>, decoder: &mut Decoder) -> Option<ExecEnd> {
    let (Some(stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Some(ExecEnd::Lost("no pipes to /bin/sh".to_owned()));
    };
    let feed = feed(stdin, &exec);
    tokio::pin!(feed);
    let (mut out, mut err) = (Some(vec![0; PIECE]), Some(vec![0; PIECE]));
    let mut quiet = Quiet { until: Instant::now() + exec.first_byte, phase: "first byte" };
    while out.is_some() || err.is_some() {
        let limit = quiet.until.min(exec.deadline);
        tokio::select! {
            biased;
            () = sleep_until(limit) => {
                let phase = if limit == exec.deadline { "deadline" } else { quiet.phase };
                return Some(ExecEnd::TimedOut(phase));
            }
            read = fill(&mut stdout, &mut out) => {
                quiet = Quiet { until: Instant::now() + exec.idle, phase: "idle" };
                match (read, &out) {
                    (0, _) | (_, None) => out = None,
                    (n, Some(piece)) => if decoder.stdout(piece.get(..n).unwrap_or_default()) == Flow::Stop {
                        return Some(ExecEnd::DecoderStopped);
                    },
                }
            }
            read = fill(&mut stderr, &mut err) => {
                quiet = Quiet { until: Instant::now() + exec.idle, phase: "idle" };
                match (read, &err) {
                    (0, _) | (_, None) => err = None,
                    (n, Some(piece)) => if decoder.stderr(piece.get(..n).unwrap_or_default()) == Flow::Stop {
                        return Some(ExecEnd::DecoderStopped);
                    },
                }
            }
            () = &mut feed => {}
        }
    }
    None
}

/// Until when silence is allowed, and which limit that is.
struct Quiet {
    until: Instant,
    phase: &'static str,
}

/// Reads a piece; never ready once its buffer is gone. An error is the end, as on a closed channel.
async fn fill(from: &mut (impl AsyncRead + Unpin), piece: &mut Option<Vec<u8>>) -> usize {
    match piece {
        Some(piece) => from.read(piece).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Sends the request, then heartbeats; never ends, because ending it would close stdin.
async fn feed(mut stdin: ChildStdin, exec: &Exec<'_>) {
    // A write fails when the shell is gone; its closed outputs tell the rest.
    if stdin.write_all(&exec.stdin).await.is_ok() {
        let mut beats = interval_at(Instant::now() + exec.heartbeat, exec.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if stdin.write_all(HEARTBEAT).await.is_err() {
                break;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Waits for the shell to end by itself now that its stdin is closed, and sees to it that it does.
async fn part(child: &mut Child, end: Option<ExecEnd>) -> ExecEnd {
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let status = timeout(FAREWELL, child.wait()).await;
    if status.is_err() {
        if let Some(group) = group {
            // Failing means that there is nobody left to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // What is in D state, or runs as root under sudo, outlives the signal: it holds up nobody.
        let _ = timeout(AFTER_KILL, child.wait()).await;
    }
    match (end, status) {
        (Some(end), _) => end,
        (None, Ok(Ok(status))) => exit_of(status),
        (None, Ok(Err(error))) => ExecEnd::Lost(format!("/bin/sh cannot be waited for: {error}")),
        (None, Err(_)) => ExecEnd::TimedOut("close"),
    }
}

fn exit_of(status: std::process::ExitStatus) -> ExecEnd {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExecEnd::Exited(code as u32),
        (None, Some(signal)) => ExecEnd::Signalled(signal.to_string()),
        (None, None) => ExecEnd::NoStatus,
    }
}
