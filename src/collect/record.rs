//! The only way into the archive and the index. A reading is acknowledged when it is on the disk, and
//! never before; that it could not be indexed does not take that back. Nothing here waits on a host.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::scribe::Job;
use super::{Caps, Recovered, recover};
use crate::model::{ByteSize, HostName, Parsed, Plan, Probe, ProbeName, Reading, SweepEnd, SweepId};
use crate::store::{Claim, Claimed, Reserve, StateDir, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of readings, on the wire and inflated, that wait to be written; more make the callers wait.
    pub queue: ByteSize,
    pub caps: Caps,
    /// Kept free by a file that is given up when the disk is full; 0 is none.
    pub reserve: ByteSize,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: ByteSize(32 << 20), caps: Caps::default(), reserve: ByteSize(0) }
    }
}

/// What an acknowledged reading gave.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub parsed: Arc<Parsed>,
    /// A cap on samples or labels cut what was parsed.
    pub truncated: bool,
    pub samples: usize,
}

/// How a sweep ended, as its archive says it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The outcomes as they were recorded, those of readings that nobody recorded included.
    pub end: SweepEnd,
    /// Why the index lacks something; the next start, or `reindex`, gives it.
    pub unindexed: Option<StoreError>,
}

/// Jobs that wait in the channel; their bytes are bounded apart.
const QUEUED_JOBS: usize = 1_024;

/// Bytes are counted in pages: a semaphore's permits are few.
const PAGE: usize = 4_096;

/// Records sweeps into one state directory, with one thread that writes.
#[derive(Debug)]
pub struct Recorder {
    state: StateDir,
    jobs: mpsc::Sender<Job>,
    room: Room,
    thread: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Room {
    pages: Arc<Semaphore>,
    all: u32,
}

impl Recorder {
    /// Opens the state directory, makes it where it is missing, and mends what a collector that was
    /// stopped has left: the answer says what. Blocks: call it before the runtime's work begins, or on a
    /// blocking thread.
    pub fn open(root: &Path, options: Options) -> Result<(Self, Vec<Recovered>), StoreError> {
        let state = StateDir::create(root)?;
        Claim::tidy(&state)?;
        let reserve = Reserve::new(&state, options.reserve);
        let (scribe, recovered) = recover::open(state.clone(), options.caps, reserve)?;
        let (jobs, queue) = mpsc::channel(QUEUED_JOBS);
        let thread = std::thread::Builder::new()
            .name("dropsonde-record".to_owned())
            .spawn(move || scribe.run(queue))
            .map_err(|error| StoreError::io("start the writer thread of", root, error))?;
        let all = u32::try_from(options.queue.0.div_ceil(PAGE as u64)).unwrap_or(u32::MAX >> 4).max(1);
        let room = Room { pages: Arc::new(Semaphore::new(all as usize)), all };
        Ok((Self { state, jobs, room, thread }, recovered))
    }

    /// Starts a sweep's archive; the plan is on the disk when this returns. `probes` are the definitions
    /// of every probe that the plan names.
    pub async fn begin(&self, plan: Plan, probes: Vec<Arc<Probe>>) -> Result<SweepHandle, StoreError> {
        let sweep = plan.sweep.clone();
        let (reply, answer) = oneshot::channel();
        let job = Job::Begin { plan: Arc::new(plan), probes: probes.into(), reply };
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)??;
        let (state, jobs, room) = (self.state.clone(), self.jobs.clone(), self.room.clone());
        Ok(SweepHandle { sweep, state, jobs, room, finished: false })
    }

    /// Writes what is queued and stops. Sweeps that were not finished are closed as interrupted.
    pub async fn close(self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Close { reply }).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?;
        // The answer was the thread's last act.
        self.thread.join().map_err(|_| StoreError::Stopped)
    }
}

/// A sweep that is being recorded. Shared by its visits; dropped unfinished, it ends as interrupted.
#[derive(Debug)]
pub struct SweepHandle {
    sweep: SweepId,
    state: StateDir,
    jobs: mpsc::Sender<Job>,
    room: Room,
    finished: bool,
}

impl SweepHandle {
    pub fn sweep(&self) -> &SweepId {
        &self.sweep
    }

    /// The right to run a probe on a host, which only one sweep has at a time.
    pub fn claim(&self, host: &HostName, probe: &ProbeName) -> Result<Claimed, StoreError> {
        Claim::take(&self.state, (host, probe), &self.sweep)
    }

    /// Returns when the reading is on the disk. `raw` is its output without the trailer. After an error
    /// of the disk the sweep takes nothing more: every further call returns that error.
    pub async fn record(&self, reading: Reading, raw: impl Into<Bytes>) -> Result<Recorded, StoreError> {
        let raw = raw.into();
        let permit = self.room.take(reading.wire.len() + raw.len()).await?;
        let (reply, answer) = oneshot::channel();
        let sweep = self.sweep.clone();
        let job = Job::Record { sweep, reading: Box::new(reading), raw, permit, reply };
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Ends the sweep: readings that were planned and not recorded become `skipped`, and the outcomes are
    /// counted from what was recorded. Returns when all of it can be asked for in the index.
    pub async fn finish(mut self, end: SweepEnd) -> Result<Finished, StoreError> {
        self.finished = true;
        let (reply, answer) = oneshot::channel();
        let job = Job::Finish { sweep: self.sweep.clone(), end, reply };
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

impl Drop for SweepHandle {
    fn drop(&mut self) {
        if !self.finished {
            // With a full queue the next start closes it instead.
            let _ = self.jobs.try_send(Job::Abandon { sweep: self.sweep.clone() });
        }
    }
}

impl Room {
    /// A reading larger than the whole queue waits until it has the queue to itself.
    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let pages = u32::try_from(bytes / PAGE + 1).unwrap_or(u32::MAX).min(self.all);
        Arc::clone(&self.pages).acquire_many_owned(pages).await.map_err(|_| StoreError::Stopped)
    }
}
