//! What a collector does for its disk before it begins something: it says when there is little room, takes
//! away once a day what is over its time, and makes room with the oldest where the configuration allows it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::prune::{Pruned, Pruning};
use super::trust::{self, Judged};
use crate::collect::clock::Clocks;
use crate::collect::{Recovered, Stop};
use crate::config::Retention;
use crate::model::{CollectorTime, SweepId};
use crate::render::units;
use crate::store::{Space, StateDir, StoreError};

/// From one prune that nobody asked for to the next: daily, and not later each day.
const EVERY: Duration = Duration::from_secs(20 * 3_600);

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    pub space: Space,
    /// There is less room than `retention.low_space`, or than a tenth of a small disk.
    pub low: bool,
    /// `None` when nothing was due, or somebody else is at it.
    pub pruned: Option<Pruned>,
    /// What was found to be mended on the way.
    pub recovered: Vec<Recovered>,
    /// Said once when the clock begins to be doubted.
    pub doubt: Option<String>,
}

impl Upkeep {
    /// What was taken away, for a person; `None` when nothing was.
    pub fn done(&self) -> Option<String> {
        let pruned = self.pruned.as_ref().filter(|pruned| **pruned != Pruned::default())?;
        let Pruned { dropped, thinned, merged, freed_bytes, .. } = pruned;
        Some(format!(
            "pruned: {dropped} sweeps dropped, {thinned} without their bytes now, {merged} share numbers; {} freed",
            bytes(*freed_bytes)
        ))
    }

    /// What somebody should know, or do something about.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.recovered.iter().map(ToString::to_string).collect();
        let kept_back = |(sweep, what): &(SweepId, String)| {
            format!("sweep {sweep} is due and was not pruned: {what}; `dropsonde check` says more")
        };
        warnings.extend(self.doubt.clone());
        warnings.extend(self.pruned.iter().flat_map(|pruned| &pruned.kept_back).map(kept_back));
        if self.low {
            warnings.push(format!(
                "little room: {} of {} free; `dropsonde prune --dry-run` says what is due, \
                 `retention.prune_when_low` lets the oldest go before",
                bytes(self.space.free_bytes),
                bytes(self.space.total_bytes)
            ));
        }
        warnings
    }
}

fn bytes(bytes: u64) -> String {
    units::value(bytes as f64, "bytes")
}

/// How much should be free: on a small disk not more than a tenth of it.
pub fn wanted_free(retention: &Retention, space: Space) -> u64 {
    retention.low_space.0.min(space.total_bytes / 10)
}

/// Looks after the state directory. Blocks while it prunes, which ends early once `stop` says so; cheap
/// when there is nothing to do.
pub fn upkeep(
    root: &Path,
    retention: &Retention,
    clocks: &Clocks,
    stop: &Stop,
) -> Result<Upkeep, StoreError> {
    let state = StateDir::create(root)?;
    let space = Space::of(root)?;
    let wanted = wanted_free(retention, space);
    let low = space.free_bytes < wanted;
    let make_room = retention.prune_when_low && low;
    let Judged { believed, doubt } = trust::look(&state, clocks)?;
    let mut upkeep = Upkeep { space, low, pruned: None, recovered: Vec::new(), doubt };
    let due = believed.is_some() && is_due(root, clocks.wall);
    if !(make_room || due) || !root.join("index.sqlite").exists() {
        return Ok(upkeep);
    }
    let Some(mut pruning) = Pruning::try_open(root)? else { return Ok(upkeep) };
    upkeep.recovered = std::mem::take(&mut pruning.recovered);
    pruning.stop = stop.clone();
    let mut done = Pruned::default();
    if let Some(now) = believed {
        pruning.run(retention, now, &mut done)?;
    }
    if make_room {
        pruning.make_room(wanted, &mut done)?;
    }
    if let Some(now) = believed.filter(|_| !stop.is_finishing()) {
        pruning.note_time(now)?;
    }
    upkeep.space = Space::of(root)?;
    upkeep.low = upkeep.space.free_bytes < wanted;
    upkeep.pruned = Some(done);
    Ok(upkeep)
}

/// Whether the last prune was long enough ago; one that a clock since set back says is to come, too.
fn is_due(root: &Path, now: CollectorTime) -> bool {
    let Ok(last) = root.join("prune.lock").metadata().and_then(|metadata| metadata.modified()) else {
        return true;
    };
    let last = last.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_nanos(u64::try_from(now.unix_ns()).unwrap_or(0));
    now.checked_sub(last).is_none_or(|since| since >= EVERY)
}
