//! One command on one channel: stdin and heartbeats out, output in, a deadline over every wait.

use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::transport::Exec;
use crate::wire::{ExecEnd, Flow, HEARTBEAT};

/// Closing a channel is one message to russh's task. It waits longer only if that task cannot write,
/// and then nothing we say would arrive.
const CLOSE_WAIT: Duration = Duration::from_millis(200);

/// A piece of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    Stdout(&'a [u8]),
    Stderr(&'a [u8]),
}

/// What became of a channel.
pub(super) enum Ran {
    Ended(ExecEnd),
    /// The server closed it before it had agreed to run anything on it.
    NotBegun,
    /// The connection is gone.
    Lost,
}

/// Runs `exec` on `channel`, with `stdin` in place of its own.
pub(super) async fn run(
    channel: Channel<Msg>,
    (exec, stdin): (&Exec<'_>, Bytes),
    close: Duration,
    sink: impl FnMut(Output<'_>) -> Flow,
) -> Ran {
    let (read, write) = channel.split();
    let mut watch = Watch::new(exec, close);
    let end = {
        let feeding = feed(&write, exec, stdin);
        listen(read, feeding, &mut watch, sink).await
    };
    if !watch.closed {
        // The server then ends the command's stdin, which is how a host learns to clean up. The reading
        // half is gone by now: what still arrives is thrown away and holds up no other channel.
        let _ = timeout(CLOSE_WAIT, write.close()).await;
    }
    match end {
        Some(_) if watch.closed && !watch.has_begun => Ran::NotBegun,
        Some(end) => Ran::Ended(end),
        None => Ran::Lost,
    }
}

/// Sends the request, all of stdin, and then heartbeats until it is dropped or the connection is gone.
async fn feed(write: &ChannelWriteHalf<Msg>, exec: &Exec<'_>, stdin: Bytes) {
    let send = async {
        // Most servers take LC_* from their clients, and those that do not are silent about it. But a server
        // that answers what wants no answer is only asked where it matters.
        if exec.in_english {
            write.set_env(false, "LC_ALL", "C").await?;
        }
        // The server's answer to the request is not waited for: that would be a round trip.
        write.exec(true, exec.command).await?;
        write.data_bytes(stdin).await?;
        loop {
            sleep(exec.heartbeat).await;
            write.data_bytes(Bytes::from_static(HEARTBEAT)).await?;
        }
    };
    // That the connection is gone is for the reading side to notice: it may still have output.
    let _: Result<(), russh::Error> = send.await;
}

async fn listen(
    mut read: ChannelReadHalf,
    feeding: impl Future<Output = ()>,
    watch: &mut Watch,
    mut sink: impl FnMut(Output<'_>) -> Flow,
) -> Option<ExecEnd> {
    tokio::pin!(feeding);
    let timer = sleep_until(watch.due().0);
    tokio::pin!(timer);
    let mut fed = false;
    loop {
        tokio::select! {
            // Reading first: what has arrived counts, even if a deadline has passed meanwhile.
            message = read.wait() => {
                let Some(message) = message else { return watch.finished() };
                if let Some(end) = watch.take(message, &mut sink) {
                    return Some(end);
                }
                let (due, _) = watch.due();
                if watch.deadline <= Instant::now() {
                    return Some(watch.expire("deadline"));
                }
                if due < timer.deadline() {
                    timer.as_mut().reset(due);
                }
            }
            () = &mut feeding, if !fed => fed = true,
            // A deadline that has moved away is set when the old one fires, not for each message.
            () = &mut timer => match watch.due() {
                (due, phase) if due <= Instant::now() => return Some(watch.expire(phase)),
                (due, _) => timer.as_mut().reset(due),
            },
        }
    }
}

/// What has come so far, and which deadline is next.
struct Watch {
    first_byte: Duration,
    idle: Duration,
    deadline: Instant,
    close: Duration,
    /// The last arrival, or the request.
    since: Instant,
    has_output: bool,
    /// The server has agreed to run it, or has said something of it.
    has_begun: bool,
    /// The first sign of the end: an exit status, or the end of output.
    ending: Option<Instant>,
    end: Option<ExecEnd>,
    has_eof: bool,
    closed: bool,
}

impl Watch {
    fn new(exec: &Exec<'_>, close: Duration) -> Self {
        Self {
            first_byte: exec.first_byte,
            idle: exec.idle,
            deadline: exec.deadline,
            close,
            since: Instant::now(),
            has_output: false,
            has_begun: false,
            ending: None,
            end: None,
            has_eof: false,
            closed: false,
        }
    }

    fn due(&self) -> (Instant, &'static str) {
        let next = match self.ending {
            Some(since) => (since + self.close, "close"),
            None if self.has_output => (self.since + self.idle, "idle"),
            None => (self.since + self.first_byte, "first byte"),
        };
        if next.0 < self.deadline { next } else { (self.deadline, "deadline") }
    }

    /// Takes a message in; the end of the command if this was it.
    fn take(&mut self, message: ChannelMsg, sink: &mut impl FnMut(Output<'_>) -> Flow) -> Option<ExecEnd> {
        self.has_begun |=
            !matches!(message, ChannelMsg::Close | ChannelMsg::Eof | ChannelMsg::WindowAdjusted { .. });
        let flow = match message {
            ChannelMsg::Data { data } => self.output(Output::Stdout(&data), sink),
            ChannelMsg::ExtendedData { data, ext: 1 } => self.output(Output::Stderr(&data), sink),
            ChannelMsg::Failure => {
                return Some(ExecEnd::Lost("the server refused to run the command".to_owned()));
            }
            ChannelMsg::ExitStatus { exit_status } => self.ends(ExecEnd::Exited(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => self.ends(ExecEnd::Signalled(name(&signal_name))),
            ChannelMsg::Eof => {
                self.has_eof = true;
                self.ending.get_or_insert_with(Instant::now);
                Flow::Continue
            }
            ChannelMsg::Close => {
                self.closed = true;
                return Some(self.end.take().unwrap_or(ExecEnd::NoStatus));
            }
            _ => Flow::Continue,
        };
        (flow == Flow::Stop).then_some(ExecEnd::DecoderStopped)
    }

    fn output(&mut self, output: Output<'_>, sink: &mut impl FnMut(Output<'_>) -> Flow) -> Flow {
        (self.since, self.has_output) = (Instant::now(), true);
        sink(output)
    }

    /// Output may still follow an exit status, so this is not the end yet.
    fn ends(&mut self, end: ExecEnd) -> Flow {
        self.ending.get_or_insert_with(Instant::now);
        self.end.get_or_insert(end);
        Flow::Continue
    }

    /// A deadline passed. A server that owes us nothing but the end of its channel owes us nothing.
    fn expire(&mut self, phase: &'static str) -> ExecEnd {
        self.finished().unwrap_or(ExecEnd::TimedOut(phase))
    }

    /// The end, if all of the output and the status are here.
    fn finished(&mut self) -> Option<ExecEnd> {
        if self.has_eof { self.end.take() } else { None }
    }
}

fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => super::failure::clip(name),
        known => format!("{known:?}"),
    }
}
