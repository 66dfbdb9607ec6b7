//! The question that is asked after each sweep.

use super::WatchError;
use super::alerts::{self, Queued, Trouble, Unkept};
use super::escalation::escalations;
use super::sight::Sight;
use super::textfile;
use crate::collect::{Errand, Swept};
use crate::config::Settings;
use crate::model::CollectorTime;
use crate::store::index::Reader;

/// What follows a sweep.
#[derive(Debug, Default)]
pub struct Followed {
    /// Sweeps to run now, one after the other. Their cursors and what is held are the caller's to fill in.
    pub errands: Vec<Errand>,
    /// What a person should know, for the log or the terminal.
    pub remarks: Vec<String>,
    /// Messages that the disk did not take: to be sent now or never.
    pub unsaved: Vec<Queued>,
}

/// Holds a sweep that has ended against the configuration's rules: alerts are queued, and it says what is to
/// be swept next. What it decides is on the disk when it returns; delivering is a [`Courier`](super::Courier)'s. Blocks: it reads the index, all of the last week's if a rule asks what changed.
pub fn after_sweep(
    settings: &Settings,
    swept: &Swept,
    now: CollectorTime,
    unkept: &Unkept,
) -> Result<Followed, WatchError> {
    let mut followed = Followed::default();
    let reader = Reader::open(&settings.state_dir)?;
    let Some(row) = reader.sweep(&swept.sweep)? else {
        followed
            .remarks
            .push(format!("sweep {} is not indexed, so no rule was held against it", swept.sweep));
        return Ok(followed);
    };
    let rules = settings.escalations.iter().map(|rule| &rule.when);
    let conditions = rules.chain(settings.alerts.iter().map(|alert| &alert.when));
    let sight = Sight::open(&settings.state_dir, row, conditions)?;
    if let Err(error) = textfile::write(settings, &reader) {
        followed.remarks.push(format!("the textfile is that of an earlier sweep: {error}"));
    }
    let taken = alerts::take(settings, (swept, &sight), (now, unkept))?;
    followed.remarks.extend(taken.remarks);
    followed.unsaved = taken.unsaved;
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

/// The same for what no sweep shows: one that was missed, or that could not be recorded. Without troubles it
/// only ends incidents of what is no longer configured.
pub fn raise(
    settings: &Settings,
    troubles: &[Trouble],
    now: CollectorTime,
    unkept: &Unkept,
) -> Result<Followed, WatchError> {
    let taken = alerts::raise(settings, troubles, (now, unkept))?;
    Ok(Followed { remarks: taken.remarks, unsaved: taken.unsaved, ..Followed::default() })
}
