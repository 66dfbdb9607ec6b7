//! One session channel: the request, the judgement on what came with it, and the process.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ServerSpec;
use super::server::Admission;

/// The largest payload there is to judge, and the most that waits for a child that does not read.
const MAX_PENDING_BYTES: usize = 1024 * 1024;
/// From the opened channel to a payload that was judged.
const PAYLOAD: Duration = Duration::from_secs(10);
/// What a client has for reading why it was refused.
const REFUSAL: Duration = Duration::from_secs(5);
/// SSH's only extended data stream.
const STDERR: u32 = 1;
/// What a shell says of a command it may not run.
const REFUSED: u32 = 126;

/// Serves one channel to its end. When it returns, nothing of it is left in this process, and its child
/// has been reaped.
pub(super) async fn serve(
    channel: Channel<Msg>,
    session: Handle,
    spec: Arc<ServerSpec>,
    hangup: CancellationToken,
) {
    let id = channel.id();
    let (inbox, outbox) = channel.split();
    let mut line = Line { id, inbox, session, command: spec.command };
    let judged = tokio::select! {
        () = hangup.cancelled() => Judged::Gone,
        judged = timeout(PAYLOAD, line.payload(&spec)) => judged.unwrap_or(Judged::Gone),
    };
    let end = match judged {
        Judged::Run(payload) => run(&mut line, &outbox, payload, (&spec, &hangup)).await,
        Judged::Refused(why) => End::Refused(why),
        Judged::Gone => End::Gone,
    };
    line.close(&outbox, end, &hangup).await;
}

enum Judged {
    Run(BytesMut),
    Refused(String),
    Gone,
}

enum End {
    Exited(ExitStatus),
    Refused(String),
    Gone,
}

/// The client's side of the channel.
struct Line {
    id: ChannelId,
    inbox: ChannelReadHalf,
    session: Handle,
    command: &'static str,
}

/// What the client sent, as far as anything is done with it.
enum Heard {
    Exec,
    Data(bytes::Bytes),
    Eof,
    Close,
}

impl Line {
    /// The next thing that matters. Requests nobody needs are refused here, so that the queue is always
    /// drained: a full one would stop the whole connection.
    async fn hear(&mut self) -> Heard {
        loop {
            // A failed reply means that the session is over, which the next turn hears.
            match self.inbox.wait().await {
                None | Some(ChannelMsg::Close) => return Heard::Close,
                Some(ChannelMsg::Eof) => return Heard::Eof,
                Some(ChannelMsg::Data { data }) => return Heard::Data(data),
                Some(ChannelMsg::Exec { command, .. }) if command == self.command.as_bytes() => {
                    return Heard::Exec;
                }
                Some(
                    ChannelMsg::Exec { .. }
                    | ChannelMsg::RequestPty { .. }
                    | ChannelMsg::RequestShell { .. }
                    | ChannelMsg::RequestSubsystem { .. }
                    | ChannelMsg::RequestX11 { .. },
                ) => drop(self.session.channel_failure(self.id).await),
                // Whoever sends a variable wants no answer; that it does is not to be seen here.
                Some(_) => {}
            }
        }
    }

    /// Waits for the request and for as much of stdin as the gate wants to see.
    async fn payload(&mut self, spec: &ServerSpec) -> Judged {
        loop {
            match self.hear().await {
                Heard::Exec => break,
                Heard::Data(_) | Heard::Eof => {}
                Heard::Close => return Judged::Gone,
            }
        }
        if self.session.channel_success(self.id).await.is_err() {
            return Judged::Gone;
        }
        let mut payload = BytesMut::new();
        loop {
            match self.hear().await {
                Heard::Data(data) => payload.extend_from_slice(&data),
                Heard::Exec => drop(self.session.channel_failure(self.id).await),
                Heard::Eof => return Judged::Refused("stdin ended before the payload did".to_owned()),
                Heard::Close => return Judged::Gone,
            }
            match (spec.gate)(&payload) {
                Admission::Run => return Judged::Run(payload),
                Admission::Refused(why) => return Judged::Refused(why),
                Admission::NeedMore if payload.len() > MAX_PENDING_BYTES => {
                    return Judged::Refused("the payload is larger than any bundled probe's".to_owned());
                }
                Admission::NeedMore => {}
            }
        }
    }

    /// Passes on what the client sends, beginning with `pending`, until it closes the channel or sends
    /// more than a child that does not read may owe.
    async fn feed(&mut self, stdin: ChildStdin, mut pending: BytesMut) {
        let mut stdin = Some(stdin);
        let mut ended = false;
        loop {
            if ended && pending.is_empty() {
                stdin = None;
            }
            let write = async {
                match stdin.as_mut() {
                    Some(pipe) if !pending.is_empty() => pipe.write(&pending).await,
                    _ => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                written = write => match written {
                    Ok(length) => {
                        pending.advance(length);
                        continue;
                    }
                    // The child closed its stdin: heartbeats go on coming, and go nowhere.
                    Err(_) => {
                        stdin = None;
                        pending.clear();
                        continue;
                    }
                },
                heard = self.hear() => heard,
            };
            match heard {
                Heard::Data(data) if stdin.is_some() => pending.extend_from_slice(&data),
                Heard::Data(_) => {}
                Heard::Exec => drop(self.session.channel_failure(self.id).await),
                Heard::Eof => ended = true,
                Heard::Close => return,
            }
            if pending.len() > 2 * MAX_PENDING_BYTES {
                return;
            }
        }
    }

    /// Says how it ended and closes the channel.
    async fn close(&mut self, outbox: &ChannelWriteHalf<Msg>, end: End, hangup: &CancellationToken) {
        let say = async {
            match end {
                End::Exited(status) => self.say_status(status).await,
                End::Refused(why) => {
                    let text = format!("REFUSED: {why}\n");
                    // If the client is gone there is nobody to tell.
                    let _ = outbox.make_writer_ext(Some(STDERR)).write_all(text.as_bytes()).await;
                    let _ = self.session.exit_status_request(self.id, REFUSED).await;
                }
                End::Gone => {}
            }
            let _ = self.session.eof(self.id).await;
            let _ = self.session.close(self.id).await;
        };
        tokio::select! {
            () = say => {}
            () = hangup.cancelled() => {}
            // A client that does not read the refusal is not waited for.
            () = tokio::time::sleep(REFUSAL) => {}
        }
    }

    async fn say_status(&self, status: ExitStatus) {
        // A session that is over needs no status.
        let _ = match (status.code(), status.signal()) {
            (Some(code), _) => self.session.exit_status_request(self.id, code.unsigned_abs()).await,
            (None, signal) => {
                let name = match signal.and_then(Signal::from_named_raw) {
                    Some(Signal::TERM) => Sig::TERM,
                    Some(Signal::HUP) => Sig::HUP,
                    Some(Signal::INT) => Sig::INT,
                    Some(Signal::PIPE) => Sig::PIPE,
                    _ => Sig::KILL,
                };
                self.session.exit_signal_request(self.id, name, false, String::new(), String::new()).await
            }
        };
    }
}

/// Runs a shell over `payload` with its three streams on the channel.
async fn run(
    line: &mut Line,
    outbox: &ChannelWriteHalf<Msg>,
    payload: BytesMut,
    (spec, hangup): (&Arc<ServerSpec>, &CancellationToken),
) -> End {
    let around = spec.around.clone();
    // Held for the run's whole length.
    let _around = match tokio::task::spawn_blocking(move || around()).await {
        Ok(Ok(around)) => around,
        Ok(Err(why)) => return End::Refused(why),
        Err(panicked) => return End::Refused(format!("prepare the host: {panicked}")),
    };
    let mut child = match shell(spec).spawn() {
        Ok(child) => child,
        Err(error) => return End::Refused(format!("start setsid /bin/sh: {error}")),
    };
    let (Some(stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return End::Refused("start /bin/sh: no pipes".to_owned());
    };
    let ended = {
        let (mut out, mut err) = (outbox.make_writer(), outbox.make_writer_ext(Some(STDERR)));
        // As sshd does, the end of a run is the shell's exit *and* the end of both streams. A failed
        // copy means that the client is gone, and `feed` says so.
        let whole = async {
            let copies = (tokio::io::copy(&mut stdout, &mut out), tokio::io::copy(&mut stderr, &mut err));
            let (_, _, status) = tokio::join!(copies.0, copies.1, child.wait());
            status
        };
        tokio::select! {
            status = whole => status.ok(),
            () = line.feed(stdin, payload) => None,
            () = hangup.cancelled() => None,
        }
    };
    match ended {
        Some(status) => End::Exited(status),
        None => {
            reap(child, spec.grace).await;
            End::Gone
        }
    }
}

/// A shell in a session of its own, as sshd gives it one: what runs in it may end its whole session, and
/// that must not be ours. `setsid` runs it in place, as its process leads no group yet.
fn shell(spec: &ServerSpec) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["/bin/sh", "-s"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Ends a child whose stdin is already closed: the supervisor takes that as the order to stop its probe
/// and clean up, so it gets the time for it before the group is killed.
async fn reap(mut child: Child, grace: Duration) {
    if timeout(grace, child.wait()).await.is_ok() {
        return;
    }
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have gone in this moment, which is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait().await;
}
