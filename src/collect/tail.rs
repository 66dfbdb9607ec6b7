//! The tar of a sweep whose collector was stopped. What was synced is whole; of what was appended after the
//! last sync a power cut leaves anything: some of it, all of it, or holes in it. Every member that is whole
//! stays, and nothing else.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::ledger::Ledger;
use super::replay::Opening;
use super::sweeping::Sweeping;
use crate::model::{Kept, SweepId};
use crate::store::archive::{Damage, Entry, TarFile, Unclosed};
use crate::store::{StateDir, StoreError};

/// What was found of a sweep.
pub(super) enum Tail {
    Cut(Box<Dead>),
    NoPlan(Option<PathBuf>),
    /// A tar that was closed once, or it would not have been pruned: a collector's kill has not done this,
    /// and nothing is cut.
    Pruned,
}

/// A sweep whose tail has been cut and that still owes outcomes.
pub(super) struct Dead {
    pub sweeping: Sweeping,
    pub cut_bytes: u64,
    pub kept: u64,
}

/// Keeps everything that is whole. `vouched` is how far the index has the tar: holes before that were synced
/// once, are damage, and stay for `check` to name.
pub(super) fn cut_tail(unclosed: Unclosed, vouched: u64) -> Result<Tail, StoreError> {
    let tar = unclosed.tar()?;
    let len = tar.size()?;
    let Some(opening) = Opening::read(&tar, len)? else {
        let damage = (len > 0).then(|| Damage { offset: 0, end: len, what: String::new() });
        return unclosed.discard(damage.as_ref()).map(Tail::NoPlan);
    };
    if opening.kept != Kept::Raw {
        return Ok(Tail::Pruned);
    }
    let Whole { ledger, pieces, kept } = whole(&tar, &opening, len, vouched)?;
    let tape = unclosed.keep(&pieces)?;
    let cut_bytes = len - tape.position();
    Ok(Tail::Cut(Box::new(Dead { sweeping: Sweeping::over(ledger, tape), cut_bytes, kept })))
}

/// Closes the holes that a power cut has left, without closing the sweeps: for whoever reads all tars anew,
/// before an index says where their members stand. The caller has the turn.
pub(super) fn close_holes(state: &StateDir, vouched: &HashMap<SweepId, u64>) -> Result<(), StoreError> {
    for sweep in state.sweeps()? {
        let Some(unclosed) = Unclosed::take(state, &sweep)? else { continue };
        let tar = unclosed.tar()?;
        let len = tar.size()?;
        let Some(opening) = Opening::read(&tar, len)?.filter(|opening| opening.kept == Kept::Raw) else {
            unclosed.release();
            continue;
        };
        let Whole { pieces, .. } = whole(&tar, &opening, len, vouched.get(&sweep).copied().unwrap_or(0))?;
        if pieces.len() > 1 {
            unclosed.keep(&pieces)?.release();
        } else {
            unclosed.release();
        }
    }
    Ok(())
}

struct Whole {
    ledger: Ledger,
    /// What stays of the tar, from its beginning; more than one where holes are between them.
    pieces: Vec<Range<u64>>,
    kept: u64,
}

fn whole(tar: &Arc<TarFile>, opening: &Opening, len: u64, vouched: u64) -> Result<Whole, StoreError> {
    let mut ledger = Ledger::new(Arc::clone(&opening.plan), Arc::clone(&opening.probes));
    let (mut pieces, mut kept) = (Vec::new(), 0);
    let mut piece = 0..opening.first.end;
    for step in tar.walk(opening.first.end, len) {
        let Ok(member) = step? else { continue };
        match &member.entry {
            Entry::Probe(_) if unless_damaged(tar.data(&member))?.is_some() => {}
            Entry::Reading(..) => match unless_damaged(tar.reading(&member))? {
                // One that stands there twice or unplanned stays for `check` to name.
                Some(reading) => {
                    let _ = ledger.settle(&reading);
                    kept += 1;
                }
                None => continue,
            },
            // An end without the blocks behind it is written again.
            _ => continue,
        }
        if member.offset > piece.end.max(vouched) {
            pieces.push(std::mem::replace(&mut piece, member.offset..member.end));
        } else {
            piece.end = member.end;
        }
    }
    pieces.push(piece);
    Ok(Whole { ledger, pieces, kept })
}

/// What can be read of a member; `None` when its bytes are not what they were.
fn unless_damaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
