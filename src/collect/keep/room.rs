//! What a collector does for its disk before it begins something: it says when there is little room, takes
//! away once a day what is over its time, and makes room with the oldest where the configuration allows it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::prune::{Pruned, Pruning};
use crate::collect::{Recovered, Stop};
use crate::config::Retention;
use crate::model::{CollectorTime, SweepId};
use crate::render::units;
use crate::store::index::Reader;
use crate::store::{Space, StateDir, StoreError};

/// From one prune that nobody asked for to the next: daily, and not later each day.
const EVERY: Duration = Duration::from_secs(20 * 3_600);

/// A clock that says more than this after the newest sweep is not believed where it would cost data.
const BELIEVED: Duration = Duration::from_secs(2 * 86_400);

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
    now: CollectorTime,
    stop: &Stop,
) -> Result<Upkeep, StoreError> {
    StateDir::create(root)?;
    let space = Space::of(root)?;
    let wanted = wanted_free(retention, space);
    let make_room = retention.prune_when_low && space.free_bytes < wanted;
    let mut upkeep = Upkeep { space, low: space.free_bytes < wanted, pruned: None, recovered: Vec::new() };
    if !(make_room || is_due(root, now)) || !root.join("index.sqlite").exists() {
        return Ok(upkeep);
    }
    let Some(mut pruning) = Pruning::try_open(root)? else { return Ok(upkeep) };
    upkeep.recovered = std::mem::take(&mut pruning.recovered);
    pruning.stop = stop.clone();
    let mut done = Pruned::default();
    pruning.run(retention, believed(root, now)?, &mut done)?;
    if make_room {
        pruning.make_room(wanted, &mut done)?;
    }
    if !stop.is_finishing() {
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

fn believed(root: &Path, now: CollectorTime) -> Result<CollectorTime, StoreError> {
    let newest = Reader::open(root)?.sweeps(1)?.into_iter().next().map(|row| row.started);
    let limit_ns = i64::try_from(BELIEVED.as_nanos()).unwrap_or(i64::MAX);
    let latest =
        |newest: CollectorTime| CollectorTime::from_unix_ns(newest.unix_ns().saturating_add(limit_ns));
    Ok(newest.map_or(now, |newest| now.min(latest(newest))))
}
