//! ProxyCommand: a process whose stdin and stdout are the connection, as ssh has it. It ends with the
//! connection, and what it writes to stderr ends up in the failure's words.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::failure::clip;

/// What is kept of its stderr; the end of it is what tells why.
const MAX_STDERR_BYTES: usize = 4 << 10;
/// How long it may take to end once its connection is closed, before it is killed.
const END_WAIT: Duration = Duration::from_secs(2);
/// How long its last words are waited for after it has closed its stdout.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// A running ProxyCommand. Dropping it ends it, with what it started.
pub(super) struct Process {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    group: Option<Group>,
    listening: Option<JoinHandle<()>>,
}

/// The process, and whatever it has started and not sent into a group of its own. As long as the process is not
/// reaped, its number is nobody else's, and neither is its group's.
struct Group {
    child: Child,
    id: Pid,
}

/// What a ProxyCommand said, for those who find out that its connection failed.
#[derive(Debug, Clone)]
pub(super) struct LastWords {
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Turns true when its stderr is at its end.
    ended: watch::Receiver<bool>,
}

/// Starts `command` in a process group of its own: a signal from our terminal is not for it, and all
/// that it starts can be ended with it.
pub(super) fn start(command: &str) -> std::io::Result<(Process, LastWords)> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("exec {command}"));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.process_group(0).kill_on_drop(true).spawn()?;
    let missing = || std::io::Error::other("its pipes are missing");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let (said, ended) = watch::channel(false);
    let words = LastWords { stderr: Arc::default(), ended };
    let listening = Some(tokio::spawn(listen(stderr, Arc::clone(&words.stderr), said)));
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let id = id.ok_or_else(|| std::io::Error::other("it has no number"))?;
    Ok((Process { stdin, stdout, group: Some(Group { child, id }), listening }, words))
}

async fn listen(mut stderr: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<u8>>>, said: watch::Sender<bool>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(MAX_STDERR_BYTES);
        kept.drain(..surplus);
    }
    // Nobody may be waiting for it.
    let _ = said.send(true);
}

impl LastWords {
    /// What it wrote to stderr, once it has ended or a moment has passed.
    pub async fn hear(&mut self) -> Option<String> {
        // A process that goes on after its stdout is closed has said what there is to say by then.
        let _ = timeout(LAST_WORDS_WAIT, self.ended.wait_for(|ended| *ended)).await;
        let kept = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        (!lines.is_empty()).then(|| clip(&lines.join("; ")))
    }
}

impl Group {
    /// An error says that all of them are gone: there is nobody to tell.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.id, signal);
    }

    /// Whether the process has ended. It is not reaped by that.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.id), options), Ok(None))
    }

    /// Waits until the process has ended by itself, and sees to it that all have.
    async fn part(&mut self) {
        let ends = async {
            while !self.has_ended() {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(END_WAIT, ends).await;
        self.signal(Signal::KILL);
        // Reaps it, so that a daemon gathers no zombies.
        let _ = self.child.wait().await;
    }
}

impl Drop for Group {
    /// Nobody waits for it any more: the program ends.
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.signal(Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let (Some(mut group), Some(listening)) = (self.group.take(), self.listening.take()) else { return };
        group.signal(Signal::HUP);
        // Where there is no runtime, the group is killed at once.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            group.part().await;
            // What has left the group, as a master connection of ssh does, may hold its stderr for as long as it
            // likes; we need not.
            let listens = listening.abort_handle();
            let _ = timeout(LAST_WORDS_WAIT, listening).await;
            listens.abort();
        });
    }
}
