//! Doing what a prune has decided: the same for the prune itself and for whoever finds that one was
//! stopped. Each step may have been done before.

use std::sync::Arc;

use crate::collect::replay::{Opening, reading_of};
use crate::model::SweepId;
use crate::store::archive::{Entry, TarFile, rewritten};
use crate::store::index::{Take, Writer, install_baseline};
use crate::store::{Act, Journal, StateDir, StoreError, crash};

/// The zeros that end a tar.
const END_BLOCKS: u64 = 1_024;

/// Does all of it. The caller has the turn.
pub(in crate::collect) fn finish(
    state: &StateDir,
    journal: &Journal,
    index: &mut Writer,
) -> Result<(), StoreError> {
    match journal.act {
        Act::Thin | Act::Merge => {
            finish_files(state, journal)?;
            crash::point("prune.renamed");
            for sweep in &journal.sweeps {
                tell(state, (journal.act, sweep), index)?;
            }
        }
        Act::Drop => {
            // First what a rebuild begins from, then the rows, then the tars: whoever looks in between finds
            // rows with tars, or tars that the journal speaks of.
            install_baseline(state)?;
            crash::point("prune.baseline");
            index.drop_sweeps(&journal.sweeps)?;
            crash::point("prune.dropped");
            finish_files(state, journal)?;
        }
    }
    crash::point("prune.done");
    Journal::remove(state)
}

/// The part that is not about the index, for when there is none.
pub(in crate::collect) fn finish_files(state: &StateDir, journal: &Journal) -> Result<(), StoreError> {
    match journal.act {
        Act::Thin | Act::Merge => journal.sweeps.iter().try_for_each(|sweep| rewritten(state, sweep)),
        Act::Drop => {
            install_baseline(state)?;
            journal.sweeps.iter().try_for_each(|sweep| state.remove_tar(sweep))
        }
    }
}

/// Gives the index what a sweep's tar now says.
fn tell(state: &StateDir, (act, sweep): (Act, &SweepId), index: &mut Writer) -> Result<(), StoreError> {
    let tar = TarFile::open(state, sweep)?;
    let len = tar.size()?;
    let archived = len.saturating_sub(END_BLOCKS);
    if act == Act::Thin {
        return index.thinned(sweep, archived);
    }
    let Some(opening) = Opening::read(&tar, len)? else { return Ok(()) };
    index.merged(sweep, archived, &mut |take| each(&tar, &opening, len, take))
}

fn each(tar: &Arc<TarFile>, opening: &Opening, len: u64, take: &mut Take<'_>) -> Result<(), StoreError> {
    for step in tar.walk(opening.end, len) {
        let Ok(member) = step? else { continue };
        if !matches!(member.entry, Entry::Digest(_) | Entry::Merged(_)) {
            continue;
        }
        for digest in tar.digests(&member)? {
            let Some(reading) = reading_of(&digest) else { continue };
            let probe = opening.probes.iter().find(|probe| probe.name == reading.probe);
            take(&reading, probe.map(Arc::as_ref), &digest);
        }
    }
    Ok(())
}
