//! Mending what a collector that was stopped has left: torn tails, readings without an outcome, an index
//! behind its archive. It removes nothing that was acknowledged, and says all that it did.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Caps;
use super::keep::finish;
use super::reindex::rebuild;
use super::replay::{Lost, Replay, Replayed};
use super::scribe::Scribe;
use super::tail::{Dead, Tail, cut_tail};
use crate::model::SweepId;
use crate::store::archive::Unclosed;
use crate::store::index::{Mark, SwapOld, Writer, swap};
use crate::store::{Journal, Reserve, Sequence, StateDir, StoreError, Turn};

/// Why a reading has nothing that the collector could not take any more.
const STOPPED: &str = "the collector stopped before this reading was recorded";

/// What was found at the start and mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// A sweep whose collector was stopped was closed.
    Closed {
        sweep: SweepId,
        /// Bytes of a member that was not whole; it was never acknowledged.
        cut_bytes: u64,
        kept: u64,
        /// Readings that got the outcome `skipped`.
        skipped: u64,
    },
    /// A tar without even a whole plan: removed when it was empty, else kept under this name.
    Discarded { sweep: SweepId, kept_as: Option<PathBuf> },
    /// The index lacked readings that the archive has.
    CaughtUp { readings: u64 },
    /// There was no index, or a broken one, kept under this name.
    Rebuilt { readings: u64, kept_as: Option<PathBuf>, why: String },
    /// A prune that was stopped in the middle was finished.
    Pruned { sweeps: u64 },
    /// Something in the archive that cannot be read; `check` says more.
    Damaged { sweep: SweepId, what: String },
}

impl std::fmt::Display for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed { sweep, cut_bytes, kept, skipped } => write!(
                f,
                "closed sweep {sweep}, whose collector was stopped: {kept} readings kept, {skipped} marked \
                 skipped, {cut_bytes} bytes of an unfinished one cut"
            ),
            Self::Discarded { sweep, kept_as: None } => {
                write!(f, "removed the empty archive of sweep {sweep}, which never began")
            }
            Self::Discarded { sweep, kept_as: Some(path) } => {
                write!(f, "the archive of sweep {sweep} has no readable plan: moved to {}", path.display())
            }
            Self::CaughtUp { readings } => {
                write!(f, "indexed {readings} readings that the archive had and the index lacked")
            }
            Self::Rebuilt { readings, kept_as, why } => {
                write!(f, "rebuilt the index from the archive ({readings} readings): {why}")?;
                match kept_as {
                    Some(path) => write!(f, "; the old one is {}", path.display()),
                    None => Ok(()),
                }
            }
            Self::Pruned { sweeps } => {
                write!(f, "finished a prune of {sweeps} sweeps that was stopped in the middle")
            }
            Self::Damaged { sweep, what } => write!(f, "the archive of sweep {sweep} is damaged: {what}"),
        }
    }
}

/// Opens the state directory to write.
pub(super) fn open(
    state: StateDir,
    caps: Caps,
    reserve: Reserve,
) -> Result<(Scribe, Vec<Recovered>), StoreError> {
    let mut opened = open_parts(&state, caps);
    // A disk that was full when the last collector stopped: there is that much to do it with.
    if opened.as_ref().is_err_and(StoreError::is_full) && reserve.release() {
        opened = open_parts(&state, caps);
    }
    let (sequence, index, found) = opened?;
    Ok((Scribe::new((state, reserve), sequence, index, caps), found))
}

/// What a writer works with.
pub(super) type Parts = (Arc<Sequence>, Writer, Vec<Recovered>);

/// Mends the state directory.
pub(super) fn open_parts(state: &StateDir, caps: Caps) -> Result<Parts, StoreError> {
    let sequence = Arc::new(Sequence::open(state)?);
    let mut found = Vec::new();
    let mut index = open_index(state, &sequence, caps, &mut found)?;
    let mut turn = sequence.turn()?;
    let first = Recovery { state, caps }.mend(&mut index, &mut turn, &mut found);
    if let Err(error) = first {
        if !error.is_corrupt_index() {
            return Err(error);
        }
        // It opened, and broke when it was used.
        drop(turn);
        drop(index);
        index = replace_index(state, &sequence, caps, (error.to_string(), &mut found))?;
        turn = sequence.turn()?;
        Recovery { state, caps }.mend(&mut index, &mut turn, &mut found)?;
    }
    drop(turn);
    Ok((sequence, index, found))
}

fn open_index(
    state: &StateDir,
    sequence: &Sequence,
    caps: Caps,
    found: &mut Vec<Recovered>,
) -> Result<Writer, StoreError> {
    if !state.index().exists() && !state.sweeps()?.is_empty() {
        return replace_index(state, sequence, caps, ("there was none".to_owned(), found));
    }
    let opened = Writer::open(state).and_then(|index| index.marks().map(|_| index));
    match opened {
        Err(error) if error.is_corrupt_index() => {
            replace_index(state, sequence, caps, (error.to_string(), found))
        }
        opened => opened,
    }
}

/// Sets a broken index aside and builds a new one. Two collectors may find it broken at once: the second
/// sees, once it has the turn, that the first has replaced it.
fn replace_index(
    state: &StateDir,
    sequence: &Sequence,
    caps: Caps,
    (why, found): (String, &mut Vec<Recovered>),
) -> Result<Writer, StoreError> {
    let mut kept_as = None;
    {
        let _turn = sequence.turn()?;
        if let Ok(index) = existing_and_sound(state) {
            return Ok(index);
        }
        if state.index().exists() {
            let mark = format!("corrupt-{}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ"));
            kept_as = swap(state, None, SwapOld::KeepAs(&mark))?;
        }
    }
    let report = rebuild(state, sequence, caps, &mut |_| {})?;
    found.push(Recovered::Rebuilt { readings: report.readings, kept_as, why });
    found.extend(report.damage.into_iter().map(damaged));
    Writer::open(state)
}

fn existing_and_sound(state: &StateDir) -> Result<Writer, StoreError> {
    if !state.index().exists() {
        return Err(StoreError::NoIndex { path: state.root().to_owned() });
    }
    let index = Writer::open(state)?;
    index.quick_check()?;
    Ok(index)
}

fn damaged((sweep, what): (SweepId, String)) -> Recovered {
    Recovered::Damaged { sweep, what }
}

/// What one pass over the state directory needs.
struct Recovery<'a> {
    state: &'a StateDir,
    caps: Caps,
}

impl Recovery<'_> {
    fn mend(
        &self,
        index: &mut Writer,
        turn: &mut Turn<'_>,
        found: &mut Vec<Recovered>,
    ) -> Result<(), StoreError> {
        if let Some(journal) = Journal::read(self.state)? {
            finish(self.state, &journal, index)?;
            found.push(Recovered::Pruned { sweeps: journal.sweeps.len() as u64 });
        }
        let dead = self.cut_tails(&index.marks()?, found)?;
        // New numbers are given only after all old ones are known.
        let replayed = self.catch_up(index)?;
        turn.at_least(replayed.last_seq.max(index.last_seq()?) + 1);
        if replayed.readings > 0 {
            found.push(Recovered::CaughtUp { readings: replayed.readings });
        }
        found.extend(replayed.lost.into_iter().map(|Lost { sweep, what }| damaged((sweep, what))));
        for dead in dead {
            found.push(close(dead, turn)?);
        }
        self.catch_up(index)?;
        turn.settle()
    }

    fn catch_up(&self, index: &mut Writer) -> Result<Replayed, StoreError> {
        Replay::everything(self.state, self.caps, &mut |_, _| {}).run(index)
    }

    fn cut_tails(
        &self,
        marks: &HashMap<SweepId, Mark>,
        found: &mut Vec<Recovered>,
    ) -> Result<Vec<Dead>, StoreError> {
        let mut dead = Vec::new();
        for sweep in self.state.sweeps()? {
            let mark = marks.get(&sweep);
            if mark.is_some_and(|mark| mark.ended) {
                continue;
            }
            let Some(unclosed) = Unclosed::take(self.state, &sweep)? else { continue };
            match cut_tail(unclosed, mark.map_or(0, |mark| mark.archived))? {
                Tail::Cut(sweep) => dead.push(*sweep),
                Tail::NoPlan(kept_as) => found.push(Recovered::Discarded { sweep, kept_as }),
                Tail::Pruned => {
                    let what = "its bytes were pruned, and now it has no end: restore it from a backup";
                    found.push(damaged((sweep, what.to_owned())));
                }
            }
        }
        Ok(dead)
    }
}

fn close(dead: Dead, turn: &mut Turn<'_>) -> Result<Recovered, StoreError> {
    let Dead { mut sweeping, cut_bytes, kept } = dead;
    let end = sweeping.ledger().interrupted();
    let sweep = sweeping.ledger().plan().sweep.clone();
    let (_, events) = sweeping.end(end, STOPPED, turn)?;
    turn.pending()?;
    sweeping.write(|| false)?;
    Ok(Recovered::Closed { sweep, cut_bytes, kept, skipped: events.len() as u64 - 1 })
}
