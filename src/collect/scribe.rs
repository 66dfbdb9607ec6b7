//! The writer thread: it takes what is queued, appends it, makes it durable with one fdatasync per
//! sweep, answers, and then tells the index. It never answers before the sync, and never waits for the
//! index to answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Caps;
use super::record::{Finished, Recorded};
use super::replay::Replay;
use super::reread::read;
use super::sweeping::Sweeping;
use crate::model::{Plan, Probe, Reading, SweepEnd, SweepId};
use crate::store::index::{Event, EventKind, Writer};
use crate::store::{Reserve, Sequence, StateDir, StoreError, Turn, crash};

/// Why a reading that nobody recorded has nothing.
const NEVER_RUN: &str = "the sweep ended before this reading was taken";

/// After a failure of the index it is left alone for this long: what it lacks is read again from the
/// archive, and a full disk does not empty itself between two readings.
const INDEX_PAUSE: Duration = Duration::from_secs(5);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
pub(super) enum Job {
    Begin {
        plan: Arc<Plan>,
        probes: Arc<[Arc<Probe>]>,
        reply: Answer<()>,
    },
    Record {
        sweep: SweepId,
        reading: Box<Reading>,
        raw: Bytes,
        /// Held until the reading is indexed.
        permit: OwnedSemaphorePermit,
        reply: Answer<Recorded>,
    },
    Finish {
        sweep: SweepId,
        end: SweepEnd,
        reply: Answer<Finished>,
    },
    /// Nobody will finish it.
    Abandon {
        sweep: SweepId,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
pub(super) struct Scribe {
    state: StateDir,
    reserve: Reserve,
    sequence: Arc<Sequence>,
    caps: Caps,
    /// `None` after it failed.
    index: Option<Writer>,
    index_failed: Option<(Instant, StoreError)>,
    open: BTreeMap<SweepId, Sweeping>,
}

/// What somebody waits for, once the group is on the disk.
enum Waiting {
    Begun(Answer<()>),
    /// `at`: which of the group's events is the reading.
    Recorded {
        at: usize,
        raw: Bytes,
        permit: OwnedSemaphorePermit,
        reply: Answer<Recorded>,
    },
    Finished {
        end: SweepEnd,
        reply: Option<Answer<Finished>>,
    },
}

/// One group: its events in the order of their numbers, and who waits.
#[derive(Default)]
struct Group {
    events: Vec<Event>,
    waiting: Vec<(SweepId, Waiting)>,
}

impl Scribe {
    pub(super) fn new(
        (state, reserve): (StateDir, Reserve),
        sequence: Arc<Sequence>,
        index: Writer,
        caps: Caps,
    ) -> Self {
        Self { state, reserve, sequence, caps, index: Some(index), index_failed: None, open: BTreeMap::new() }
    }

    /// Works until [`Job::Close`] or until nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = queue.blocking_recv() else { break };
            let mut jobs = vec![first];
            while let Ok(job) = queue.try_recv() {
                jobs.push(job);
            }
            if let Some(at) = jobs.iter().position(|job| matches!(job, Job::Close { .. })) {
                // What stands behind it is dropped, and its sender told that we have stopped.
                jobs.truncate(at + 1);
                if let Some(Job::Close { reply }) = jobs.pop() {
                    closing = Some(reply);
                }
            }
            self.group(jobs);
        }
        let unfinished = self.open.keys().map(|sweep| Job::Abandon { sweep: sweep.clone() }).collect();
        self.group(unfinished);
        // SQLite empties its log as it closes: then a reader of a read-only directory needs none.
        drop(self);
        if let Some(reply) = closing {
            answer(reply, ());
        }
    }

    fn group(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let sequence = Arc::clone(&self.sequence);
        let mut turn = match sequence.turn() {
            Ok(turn) => turn,
            Err(error) => return jobs.into_iter().for_each(|job| job.refuse(&error)),
        };
        self.ready_index(&mut turn);
        let mut group = Group::default();
        for job in jobs {
            self.encode(job, &mut turn, &mut group);
        }
        if group.waiting.is_empty() {
            return;
        }
        // Written with the numbers already taken: nobody gives them again, whatever happens now.
        let failed = self.make_durable(turn.pending().err(), &group);
        let mut done = self.acknowledge(group, &failed);
        crash::point("record.acknowledged");
        self.tell_index(&done.events, &mut turn);
        drop(turn);
        done.events.clear();
        self.finish(done);
    }

    /// Opens the index again after a failure or when another took its place, and gives it what it
    /// lacks: an earlier reading must be indexed before a later one.
    fn ready_index(&mut self, turn: &mut Turn<'_>) {
        if self.index_failed.as_ref().is_some_and(|(since, _)| since.elapsed() < INDEX_PAUSE) {
            return;
        }
        if self.index.as_ref().is_some_and(Writer::is_replaced) {
            self.index = None;
        }
        if self.index.is_some() && turn.settled() {
            return;
        }
        match self.catch_up(turn) {
            Ok(()) => self.index_failed = None,
            Err(error) => self.index_fails(error),
        }
    }

    fn catch_up(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let index = match &mut self.index {
            Some(index) => index,
            empty => empty.insert(Writer::open(&self.state)?),
        };
        let replayed = Replay::everything(&self.state, self.caps, &mut |_, _| {}).run(index)?;
        turn.at_least(replayed.last_seq.max(index.last_seq()?) + 1);
        turn.settle()
    }

    fn index_fails(&mut self, error: StoreError) {
        tracing::error!(%error, "the index lacks what was just recorded; the archive has it");
        self.index = None;
        self.index_failed = Some((Instant::now(), error));
    }

    /// Numbers and encodes a job. Nothing is written yet, so what is wrong with one does not touch the
    /// others.
    fn encode(&mut self, job: Job, turn: &mut Turn<'_>, group: &mut Group) {
        match job {
            Job::Begin { plan, probes, reply } => {
                let sweep = plan.sweep.clone();
                // A disk that is all but full is not begun to be filled, and no host is asked in vain.
                let begun =
                    self.reserve.ensure().and_then(|()| Sweeping::begin(&self.state, plan, probes, turn));
                match begun {
                    Ok((sweeping, event)) => {
                        self.open.insert(sweep.clone(), sweeping);
                        group.events.push(event);
                        group.waiting.push((sweep, Waiting::Begun(reply)));
                    }
                    Err(error) => answer(reply, Err(error)),
                }
            }
            Job::Record { sweep, reading, raw, permit, reply } => {
                let event = self.sweeping(&sweep).and_then(|sweeping| sweeping.record(reading, turn));
                match event {
                    Ok(event) => {
                        let at = group.events.len();
                        group.events.push(event);
                        group.waiting.push((sweep, Waiting::Recorded { at, raw, permit, reply }));
                    }
                    Err(error) => answer(reply, Err(error)),
                }
            }
            Job::Finish { sweep, end, reply } => self.end((sweep, end, Some(reply)), turn, group),
            Job::Abandon { sweep } => {
                if let Some(sweeping) = self.open.get(&sweep) {
                    let end = sweeping.ledger().interrupted();
                    self.end((sweep, end, None), turn, group);
                }
            }
            // Taken out by `run`.
            Job::Close { .. } => {}
        }
    }

    fn end(
        &mut self,
        (sweep, end, reply): (SweepId, SweepEnd, Option<Answer<Finished>>),
        turn: &mut Turn<'_>,
        group: &mut Group,
    ) {
        let ended = self.sweeping(&sweep).and_then(|sweeping| sweeping.end(end, NEVER_RUN, turn));
        match (ended, reply) {
            (Ok((end, events)), reply) => {
                group.events.extend(events);
                group.waiting.push((sweep, Waiting::Finished { end, reply }));
            }
            (Err(error), reply) => {
                // Its tar goes to whoever starts next; what was acknowledged is in it.
                self.open.remove(&sweep);
                if let Some(reply) = reply {
                    answer(reply, Err(error));
                }
            }
        }
    }

    fn sweeping(&mut self, sweep: &SweepId) -> Result<&mut Sweeping, StoreError> {
        self.open.get_mut(sweep).ok_or(StoreError::Stopped)
    }

    /// Appends what is still owed to the sweep's file in one write and one sync each. Returns the sweeps
    /// of which nothing in this group counts, and why.
    fn make_durable(
        &mut self,
        announced: Option<StoreError>,
        group: &Group,
    ) -> BTreeMap<SweepId, StoreError> {
        let touched: BTreeSet<&SweepId> = group.waiting.iter().map(|(sweep, _)| sweep).collect();
        let mut failed = BTreeMap::new();
        for sweep in touched {
            let Some(sweeping) = self.open.get_mut(sweep) else { continue };
            if let Some(error) = &announced {
                sweeping.fail(error.clone());
            }
            if let Err(error) = sweeping.write(|| self.reserve.release()) {
                tracing::error!(%sweep, %error, "nothing more of this sweep is recorded");
                failed.insert(sweep.clone(), error);
            }
        }
        failed
    }

    /// Reads and answers every reading that is on the disk now.
    fn acknowledge(&mut self, group: Group, failed: &BTreeMap<SweepId, StoreError>) -> Done {
        let mut done = Done { events: group.events, permits: Vec::new(), finished: Vec::new() };
        for (sweep, waiting) in group.waiting {
            let durable = failed.get(&sweep).cloned().map_or(Ok(()), Err);
            match waiting {
                Waiting::Begun(reply) => {
                    if durable.is_err() {
                        // There is no handle that could end it.
                        if let Some(unbegun) = self.open.remove(&sweep) {
                            unbegun.discard();
                        }
                    }
                    answer(reply, durable);
                }
                Waiting::Recorded { at, raw, permit, reply } => {
                    let recorded = durable.map(|()| read_into(&mut done.events[at], &raw, self.caps));
                    done.permits.push(permit);
                    answer(reply, recorded);
                }
                Waiting::Finished { end, reply } => {
                    done.finished.push(Ended { sweep, end: durable.map(|()| end), reply });
                }
            }
        }
        done.events.retain(|event| !failed.contains_key(&event.sweep));
        done
    }

    fn tell_index(&mut self, events: &[Event], turn: &mut Turn<'_>) {
        // What it lacks from before comes first: this waits in the archive with it.
        let Some(index) = self.index.as_mut().filter(|_| !events.is_empty()) else { return };
        let told = index.ingest(events);
        crash::point("record.indexed");
        if let Err(error) = told.and_then(|()| turn.settle()) {
            self.index_fails(error);
        }
    }

    /// Turns the ended sweeps' samples into blocks and answers whoever ended them.
    fn finish(&mut self, done: Done) {
        for Ended { sweep, end, reply } in done.finished {
            crash::point("sweep.ended");
            self.open.remove(&sweep);
            if let Some(index) = self.index.as_mut().filter(|_| end.is_ok())
                && let Err(error) = index.pivot(&sweep)
            {
                self.index_fails(error);
            }
            let unindexed = self.index_failed.as_ref().map(|(_, error)| error.clone());
            if let Some(reply) = reply {
                answer(reply, end.map(|end| Finished { end, unindexed }));
            }
        }
    }
}

/// A group that is on the disk.
struct Done {
    events: Vec<Event>,
    /// Held until the index has been told.
    permits: Vec<OwnedSemaphorePermit>,
    finished: Vec<Ended>,
}

struct Ended {
    sweep: SweepId,
    end: Result<SweepEnd, StoreError>,
    reply: Option<Answer<Finished>>,
}

/// Reads a reading's output into its event.
fn read_into(event: &mut Event, raw: &[u8], caps: Caps) -> Recorded {
    let EventKind::Reading { reading, probe, parsed, truncated, .. } = &mut event.kind else {
        return Recorded { parsed: Arc::default(), truncated: false, samples: 0 };
    };
    let reread = read(probe.as_deref(), reading, raw, caps);
    *truncated = reread.truncated;
    *parsed = Arc::new(reread.parsed);
    Recorded { parsed: Arc::clone(parsed), truncated: *truncated, samples: parsed.samples.len() }
}

/// Whoever asked may have gone away: what was recorded stays recorded.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    let _ = reply.send(value);
}

impl Job {
    fn refuse(self, error: &StoreError) {
        let error = error.clone();
        match self {
            Self::Begin { reply, .. } => answer(reply, Err(error)),
            Self::Record { reply, .. } => answer(reply, Err(error)),
            Self::Finish { reply, .. } => answer(reply, Err(error)),
            Self::Abandon { .. } | Self::Close { .. } => {}
        }
    }
}
