//! Writing down ticks, on a thread of its own: the loop must not wait for a disk. What a full disk refuses
//! is kept and written when there is room again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::DaemonError;
use crate::model::Tick;
use crate::store::{StateDir, StoreError, ticks};

/// Ticks that wait for room on the disk; of more the oldest are given up.
const OWED: usize = 10_000;

/// How long until what was refused is tried again.
const AGAIN: Duration = Duration::from_secs(5);

type Entry = (Vec<Tick>, oneshot::Sender<()>);

#[derive(Debug)]
pub(super) struct Book {
    entries: Sender<Entry>,
    thread: JoinHandle<()>,
}

impl Book {
    pub fn open(state: StateDir) -> Result<Self, DaemonError> {
        let (entries, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("dropsonde-ticks".to_owned())
            .spawn(move || Writer { state, owed: Vec::new(), failed: None }.run(&queue))
            .map_err(DaemonError::Thread)?;
        Ok(Self { entries, thread })
    }

    /// The answer comes when the ticks were written, or when it is clear that they cannot be yet.
    pub fn write(&self, ticks: Vec<Tick>) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        // A thread that is gone drops the reply: nobody waits for ever.
        let _ = self.entries.send((ticks, reply));
        answer
    }

    /// Writes what is left. Blocks for as long as that takes.
    pub fn close(self) {
        let Self { entries, thread } = self;
        drop(entries);
        let _ = thread.join();
    }
}

struct Writer {
    state: StateDir,
    owed: Vec<Tick>,
    /// What was last said about a failure: a full disk is not worth a line every five seconds.
    failed: Option<String>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Entry>) {
        loop {
            match queue.recv_timeout(AGAIN) {
                Ok((ticks, reply)) => {
                    self.owed.extend(ticks);
                    self.settle();
                    let _ = reply.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.settle(),
                Err(RecvTimeoutError::Disconnected) => return self.settle(),
            }
        }
    }

    fn settle(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        match ticks::append(&self.state, &self.owed) {
            Ok(()) => {
                self.owed.clear();
                self.failed = None;
            }
            Err(error) => self.keep(&error),
        }
    }

    fn keep(&mut self, error: &StoreError) {
        let text = error.to_string();
        if self.failed.as_ref() != Some(&text) {
            tracing::error!("what became of {} ticks is not written down yet: {text}", self.owed.len());
            self.failed = Some(text);
        }
        let excess = self.owed.len().saturating_sub(OWED);
        self.owed.drain(..excess);
    }
}
