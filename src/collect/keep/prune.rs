//! A prune: what is over its time goes, one sweep or one group of sweeps at a time, so that it can be
//! stopped at any moment and a collector at work waits for moments only.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::finish::finish;
use super::merge::merge;
use super::plan::{Candidate, Steps, plan};
use super::thin::{Thinned, thin};
use crate::collect::recover::{self, Recovered};
use crate::collect::replay::Replay;
use crate::collect::{Caps, Stop};
use crate::config::Retention;
use crate::model::{CollectorTime, Kept, SweepId, Trigger};
use crate::store::archive::leftovers;
use crate::store::index::{Reader, SweepRow, Writer, prepare_baseline};
use crate::store::{Act, Journal, Locked, Sequence, Space, StateDir, StoreError, crash};

/// Sweeps that are dropped at a time.
const DROPPED_AT_ONCE: usize = 48;

/// The same where only room is wanted: no more than that.
const DROPPED_FOR_ROOM: usize = 4;

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub dropped: u64,
    pub thinned: u64,
    /// Sweeps that share numbers now.
    pub merged: u64,
    /// Of the archive.
    pub freed_bytes: u64,
    /// Sweeps that were due and whose tars are damaged, missing or cannot be read, and what is amiss.
    pub kept_back: Vec<(SweepId, String)>,
}

impl Pruned {
    /// Goes on without a sweep whose tar cannot be read: the others' time is over none the less. What speaks
    /// of the disk or of the index, and not of a tar of `sweeps`, is an error still. Returns which it was.
    fn keep_back(
        &mut self,
        state: &StateDir,
        sweeps: &[SweepId],
        error: StoreError,
    ) -> Result<SweepId, StoreError> {
        let whose = |path: &Path| sweeps.iter().find(|sweep| state.tar(sweep) == path);
        let (sweep, what) = match &error {
            StoreError::NoSweep { sweep } => (Some(sweep), "its tar is missing".to_owned()),
            StoreError::Damaged { path, what, .. } => (whose(path), what.clone()),
            StoreError::Io { action, path, source } => (whose(path), format!("{action} its tar: {source}")),
            _ => (None, String::new()),
        };
        let Some(sweep) = sweep.cloned() else { return Err(error) };
        self.kept_back.push((sweep.clone(), what));
        Ok(sweep)
    }
}

/// One that has the state directory open.
#[derive(Debug)]
pub struct Pruning {
    state: StateDir,
    sequence: Arc<Sequence>,
    index: Writer,
    caps: Caps,
    pub recovered: Vec<Recovered>,
    /// Whoever stops it finds what was done done, and nothing begun.
    pub stop: Stop,
    /// Held so that two prunes do not do the same, and a backup finds what it has listed.
    alone: Locked,
}

/// What would be done now. It writes nothing.
pub fn steps(root: &Path, retention: &Retention, now: CollectorTime) -> Result<Steps, StoreError> {
    let reader = Reader::open(root)?;
    Ok(plan(retention, now, &candidates(&StateDir::at(root), &reader)?, reader.used_bytes()?))
}

fn candidates(state: &StateDir, reader: &Reader) -> Result<Vec<Candidate>, StoreError> {
    let mut rows = reader.sweeps(usize::MAX)?;
    rows.reverse();
    let candidate = |row: SweepRow| {
        let scheduled = row.trigger == Trigger::Scheduled;
        Candidate {
            started: row.started,
            ended: row.ended,
            schedule: row.schedule.filter(|_| scheduled),
            kept: row.kept,
            // One that is gone is as good as one of no length.
            bytes: state.tar_len(&row.sweep).unwrap_or(0),
            readings: row.readings,
            sweep: row.sweep,
        }
    };
    Ok(rows.into_iter().map(candidate).collect())
}

/// Does all that is due. Blocks, for as long as there is something to do.
pub fn prune(root: &Path, retention: &Retention, now: CollectorTime) -> Result<Pruned, StoreError> {
    let mut pruning = Pruning::open(root)?;
    let mut done = Pruned::default();
    pruning.run(retention, now, &mut done)?;
    Ok(done)
}

impl Pruning {
    /// Opens the state directory, mends it as every collector does, and waits for another prune or a backup.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let state = StateDir::create(root)?;
        let alone = state.lock("prune.lock")?;
        Self::over(state, alone)
    }

    /// The same, unless somebody else is at it.
    pub(super) fn try_open(root: &Path) -> Result<Option<Self>, StoreError> {
        let state = StateDir::create(root)?;
        match state.try_lock("prune.lock")? {
            Some(alone) => Self::over(state, alone).map(Some),
            None => Ok(None),
        }
    }

    fn over(state: StateDir, alone: Locked) -> Result<Self, StoreError> {
        let caps = Caps::default();
        let (sequence, index, recovered) = recover::open_parts(&state, caps)?;
        for sweep in state.sweeps()? {
            leftovers(&state, &sweep)?;
        }
        Ok(Self { state, sequence, index, caps, recovered, stop: Stop::default(), alone })
    }

    /// Does what is due and says so in `done` as it goes on: what was done before an error is done.
    pub fn run(
        &mut self,
        retention: &Retention,
        now: CollectorTime,
        done: &mut Pruned,
    ) -> Result<(), StoreError> {
        let steps = steps(self.state.root(), retention, now)?;
        let stop = self.stop.clone();
        let go_on = || !stop.is_finishing();
        for sweeps in steps.drop.chunks(DROPPED_AT_ONCE).take_while(|_| go_on()) {
            if !self.drop_sweeps(sweeps, done)? {
                break;
            }
        }
        steps.thin.iter().take_while(|_| go_on()).try_for_each(|it| self.thin(it, done))?;
        steps.merge.iter().take_while(|_| go_on()).try_for_each(|it| self.merge(it, done))
    }

    /// Takes away the oldest until so much is free, or nothing is left but the newest sweep: bytes first.
    pub(super) fn make_room(&mut self, wanted_free: u64, done: &mut Pruned) -> Result<(), StoreError> {
        let root = self.state.root().to_owned();
        let enough = || Space::of(&root).map(|space| space.free_bytes >= wanted_free);
        let mut all = candidates(&self.state, &Reader::open(&root)?)?;
        all.truncate(all.len().saturating_sub(1));
        for it in all.iter().filter(|it| it.ended.is_some() && it.kept == Kept::Raw) {
            if enough()? || self.stop.is_finishing() {
                return Ok(());
            }
            match self.thin(&it.sweep, done) {
                // There is not even room for a small tar: whole ones have to go.
                Err(error) if error.is_full() => break,
                other => other?,
            }
        }
        let ended: Vec<SweepId> =
            all.into_iter().take_while(|it| it.ended.is_some()).map(|it| it.sweep).collect();
        for sweeps in ended.chunks(DROPPED_FOR_ROOM) {
            if enough()? || self.stop.is_finishing() {
                return Ok(());
            }
            if !self.drop_sweeps(sweeps, done)? {
                break;
            }
        }
        Ok(())
    }

    /// Notes when this was, for whoever asks whether a prune is due.
    pub(super) fn note_time(&self, now: CollectorTime) -> Result<(), StoreError> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(now.unix_ns()).unwrap_or(0));
        let noted = self.alone.note_time(at);
        noted
            .map_err(|error| StoreError::io("note the time of", &self.state.root().join("prune.lock"), error))
    }

    fn thin(&mut self, sweep: &SweepId, done: &mut Pruned) -> Result<(), StoreError> {
        let reader = Reader::open(self.state.root())?;
        let written = thin(&self.state, &reader, sweep, self.caps);
        drop(reader);
        match written {
            Ok(Thinned::Done { saved_bytes }) => {
                self.commit(Journal::new(Act::Thin, vec![sweep.clone()]))?;
                done.freed_bytes += saved_bytes;
                done.thinned += 1;
            }
            Ok(Thinned::Before) => self.commit(Journal::new(Act::Thin, vec![sweep.clone()]))?,
            Ok(Thinned::KeptBack(why)) => {
                leftovers(&self.state, sweep)?;
                done.kept_back.push((sweep.clone(), why));
            }
            Err(error) => {
                // Half a tar in the way of a full disk would be the last straw.
                leftovers(&self.state, sweep)?;
                done.keep_back(&self.state, std::slice::from_ref(sweep), error)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, sweeps: &[SweepId], done: &mut Pruned) -> Result<(), StoreError> {
        match merge(&self.state, sweeps) {
            Ok(Some(saved_bytes)) => {
                self.commit(Journal::new(Act::Merge, sweeps.to_vec()))?;
                done.freed_bytes += saved_bytes;
                done.merged += sweeps.len() as u64;
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => {
                sweeps.iter().try_for_each(|sweep| leftovers(&self.state, sweep))?;
                return done.keep_back(&self.state, sweeps, error).map(drop);
            }
        }
        sweeps.iter().try_for_each(|sweep| leftovers(&self.state, sweep))
    }

    /// Drops sweeps that are the first in the order of recording, up to one that cannot be read: only a
    /// beginning may go. Says whether all of them went.
    fn drop_sweeps(&mut self, sweeps: &[SweepId], done: &mut Pruned) -> Result<bool, StoreError> {
        let mut baseline = match self.replayed(sweeps) {
            Ok(baseline) => baseline,
            Err(error) => {
                let kept = done.keep_back(&self.state, sweeps, error)?;
                let before = sweeps.iter().take_while(|sweep| **sweep != kept).count();
                if before > 0 {
                    self.drop_sweeps(&sweeps[..before], done)?;
                }
                return Ok(false);
            }
        };
        let bytes: u64 = sweeps.iter().filter_map(|sweep| self.state.tar_len(sweep).ok()).sum();
        baseline.drop_sweeps(sweeps)?;
        baseline.compact()?;
        // Held to the end: an index that is being rebuilt now would still have the sweeps.
        let Some(built) = baseline.complete()? else { return Ok(true) };
        let _building = prepare_baseline(&self.state, built)?;
        self.commit_alone(Journal::new(Act::Drop, sweeps.to_vec()))?;
        done.freed_bytes += bytes;
        done.dropped += sweeps.len() as u64;
        Ok(true)
    }

    /// A baseline that has learnt what these sweeps say about later ones.
    fn replayed(&self, sweeps: &[SweepId]) -> Result<Writer, StoreError> {
        let mut baseline = Writer::fresh(&self.state)?;
        let (mut silent, all) = (|_, _| {}, u64::MAX);
        let (state, caps) = (&self.state, self.caps);
        Replay { state, caps, below: all, only: Some(sweeps), progress: &mut silent }.run(&mut baseline)?;
        Ok(baseline)
    }

    fn commit(&mut self, journal: Journal) -> Result<(), StoreError> {
        let _building = self.state.lock("reindex.lock")?;
        self.commit_alone(journal)
    }

    /// From the journal on, it will be done. The caller keeps others from building an index meanwhile.
    fn commit_alone(&mut self, journal: Journal) -> Result<(), StoreError> {
        let sequence = Arc::clone(&self.sequence);
        let _turn = sequence.turn()?;
        if self.index.is_replaced() {
            self.index = Writer::open(&self.state)?;
        }
        journal.write(&self.state)?;
        crash::point("prune.decided");
        finish(&self.state, &journal, &mut self.index)
    }
}
