//! The question that is asked after each sweep.

use super::WatchError;
use super::escalation::escalations;
use super::sight::Sight;
use crate::collect::Errand;
use crate::config::Settings;
use crate::model::{CollectorTime, SweepId};
use crate::store::index::Reader;

/// What follows a sweep.
#[derive(Debug, Default)]
pub struct Followed {
    /// Sweeps to run now, one after the other. Their cursors and what is held are the caller's to fill in.
    pub errands: Vec<Errand>,
    /// What a person should know, for the log or the terminal.
    pub remarks: Vec<String>,
}

/// Holds a sweep that has ended against the configuration's rules. What it decides is on the disk when it
/// returns. Blocks: it reads the index, all of the last week's if a rule asks what changed.
pub fn after_sweep(settings: &Settings, sweep: &SweepId, now: CollectorTime) -> Result<Followed, WatchError> {
    let mut followed = Followed::default();
    let Some(row) = Reader::open(&settings.state_dir)?.sweep(sweep)? else {
        followed.remarks.push(format!("sweep {sweep} is not indexed, so no rule was held against it"));
        return Ok(followed);
    };
    let conditions = settings.escalations.iter().map(|rule| &rule.when);
    let sight = Sight::open(&settings.state_dir, row, conditions)?;
    match escalations(settings, &sight, now) {
        Ok(found) => {
            followed.errands = found.errands;
            followed.remarks.extend(found.remarks);
        }
        // Whatever else follows does not depend on it.
        Err(error @ WatchError::Spent(_)) => followed.remarks.push(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(followed)
}
