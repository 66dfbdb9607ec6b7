//! The index, built again from the archive. It is built beside the live one and takes its place at once:
//! readers keep what they have open, and a collector that is at work goes on.

use std::collections::HashMap;
use std::path::Path;

use super::Caps;
use super::keep::finish_files;
use super::replay::{Lost, Replay};
use super::tail::close_holes;
use crate::model::SweepId;
use crate::store::index::{Reader, SwapOld, Writer, swap};
use crate::store::{Journal, Sequence, StateDir, StoreError};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub sweeps_done: u64,
    pub sweeps: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReindexReport {
    pub sweeps: u64,
    pub readings: u64,
    /// What could not be read, by sweep; everything else is indexed.
    pub damage: Vec<(SweepId, String)>,
}

/// Rebuilds the index of a state directory with the present parsers. Blocks.
pub fn reindex(
    root: &Path,
    caps: Caps,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReindexReport, StoreError> {
    let state = StateDir::create(root)?;
    let sequence = Sequence::open(&state)?;
    rebuild(&state, &sequence, caps, progress)
}

/// How far the index that is to be replaced has each tar, as far as it can be asked.
fn vouched(state: &StateDir) -> HashMap<SweepId, u64> {
    let rows = Reader::open(state.root()).and_then(|reader| reader.sweeps(usize::MAX)).unwrap_or_default();
    rows.into_iter().map(|row| (row.sweep, row.archived)).collect()
}

pub(super) fn rebuild(
    state: &StateDir,
    sequence: &Sequence,
    caps: Caps,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReindexReport, StoreError> {
    let journal = {
        // One that a prune at work has written is gone once we have the turn.
        let _turn = sequence.turn()?;
        let journal = Journal::read(state)?;
        journal.iter().try_for_each(|journal| finish_files(state, journal))?;
        // What is read now is where a later start finds it.
        close_holes(state, &vouched(state))?;
        journal
    };
    let mut index = Writer::fresh(state)?;
    let mut report = |sweeps_done, sweeps| progress(Progress { sweeps_done, sweeps });
    // The long part goes without the turn, up to what was written when it began.
    // A lost `seq` file says 1: then all is left to the pass that has the turn.
    let below = sequence.turn()?.next();
    let first = Replay { below, ..Replay::everything(state, caps, &mut report) }.run(&mut index)?;
    let mut turn = sequence.turn()?;
    let rest = Replay::everything(state, caps, &mut |_, _| {}).run(&mut index)?;
    turn.at_least(index.last_seq()? + 1);
    swap(state, index.complete()?, SwapOld::Remove)?;
    if journal.is_some() {
        Journal::remove(state)?;
    }
    turn.settle()?;
    let mut damage: Vec<(SweepId, String)> =
        first.lost.into_iter().chain(rest.lost).map(|Lost { sweep, what }| (sweep, what)).collect();
    damage.sort();
    damage.dedup();
    Ok(ReindexReport { sweeps: first.sweeps + rest.sweeps, readings: first.readings + rest.readings, damage })
}
