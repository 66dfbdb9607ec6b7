//! The totals of a sweep's counters, out of the archive: out of the bytes, or out of what is kept of them.

use std::sync::Arc;

use super::Caps;
use super::replay::{Opening, reading_of};
use super::reread::reread;
use crate::model::{Parsed, Reading, SweepId, Total};
use crate::store::archive::{Entry, TarFile};
use crate::store::{StateDir, StoreError};

/// Calls `take` for every total of every reading that can be read. What is damaged is left out, as it is
/// in the index.
pub fn each_total(
    state: &StateDir,
    sweep: &SweepId,
    caps: Caps,
    take: &mut dyn FnMut(&Reading, &Total),
) -> Result<(), StoreError> {
    let tar = TarFile::open(state, sweep)?;
    let len = tar.size()?;
    let Some(opening) = Opening::read(&tar, len)? else { return Ok(()) };
    let mut each = |reading: &Reading, parsed: &Parsed| {
        parsed.totals.iter().for_each(|total| take(reading, total));
    };
    for step in tar.walk(opening.end, len) {
        let Ok(member) = step? else { continue };
        match &member.entry {
            Entry::Reading(_, name) => {
                let Ok(reading) = tar.reading(&member) else { continue };
                let probe = opening.probes.iter().find(|probe| probe.name == *name);
                each(&reading, &reread(probe.map(Arc::as_ref), &reading, caps).parsed);
            }
            Entry::Digest(_) | Entry::Merged(_) => {
                for digest in tar.digests(&member).unwrap_or_default() {
                    if let Some(reading) = reading_of(&digest) {
                        each(&reading, &digest.parsed);
                    }
                }
            }
            Entry::Plan | Entry::Probe(_) | Entry::End => {}
        }
    }
    Ok(())
}
