//! What the collector says about itself. It asks nothing of a host, and works while none can be reached.

use std::collections::BTreeSet;

use super::book::Observation;
use crate::collect::Swept;
use crate::collect::keep::wanted_free;
use crate::config::Settings;
use crate::model::{OwnAlert, SweepId};
use crate::render::units;
use crate::store::index::{Reader, SweepRow};
use crate::store::{Reserve, Space, StateDir, StoreError};

/// Something that happened to the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub alert: OwnAlert,
    /// The schedule that it happened to.
    pub schedule: String,
    /// What there is to say of it, in a few words.
    pub detail: String,
}

impl Trouble {
    pub(super) fn observation(&self) -> Observation {
        observation(self.alert, &self.schedule, Some(self.detail.clone()), None)
    }
}

/// A detail is what is amiss; without one all is well.
fn observation(
    alert: OwnAlert,
    subject: &str,
    detail: Option<String>,
    sweep: Option<SweepId>,
) -> Observation {
    let facts = alert.facts();
    Observation {
        rule: facts.name.to_owned(),
        subject: subject.to_owned(),
        severity: facts.severity,
        metric: None,
        condition: facts.meaning.to_owned(),
        amiss: detail.is_some(),
        detail,
        met: Vec::new(),
        worst: None,
        fine: BTreeSet::new(),
        sweep,
    }
}

/// What a sweep of a schedule that has ended says of the collector. One that was interrupted says nothing.
pub(super) fn observations(
    settings: &Settings,
    reader: &Reader,
    (swept, row): (&Swept, &SweepRow),
) -> Result<Vec<Observation>, StoreError> {
    let Some(schedule) = row.schedule.as_deref().filter(|_| !row.interrupted) else { return Ok(Vec::new()) };
    let of = |detail: &str| format!("schedule {schedule}{detail}");
    let mut observations = vec![
        observation(OwnAlert::SweepFailed, schedule, None, None),
        observation(OwnAlert::SweepMissed, schedule, None, None),
    ];
    let none = (swept.planned > 0 && swept.reached == 0).then(|| of(""));
    observations.push(observation(OwnAlert::NoHostReached, schedule, none, Some(row.sweep.clone())));
    let counts = reader.outcome_counts(&row.sweep)?;
    let all: u64 = counts.values().sum();
    let good: u64 = counts.iter().filter(|(outcome, _)| outcome.is_success()).map(|(_, count)| count).sum();
    let wanted = settings.schedules.iter().find(|it| it.name == schedule).and_then(|it| it.min_success);
    let share = if all == 0 { 1.0 } else { good as f64 / all as f64 };
    let low = wanted.filter(|wanted| share < *wanted).map(|wanted| {
        of(&format!(": {good} of {all} readings succeeded, {:.0} % are wanted", wanted * 100.0))
    });
    observations.push(observation(OwnAlert::LowSuccess, schedule, low, Some(row.sweep.clone())));
    for inventory in &settings.inventories {
        observations.push(observation(
            OwnAlert::InventoryStale,
            &inventory.name,
            inventory.answer.trouble(),
            None,
        ));
    }
    Ok(observations)
}

/// How much room the state directory's file system has left. Where the reserve was just given up, what it held
/// is no room that was gained: the next sweep needs it back before it begins.
pub(super) fn space(settings: &Settings) -> Result<Observation, StoreError> {
    let space = Space::of(&settings.state_dir)?;
    let least = wanted_free(&settings.retention, space);
    let reserve = Reserve::new(&StateDir::at(&settings.state_dir), settings.retention.reserve);
    let left = space.free_bytes.saturating_sub(reserve.missing_bytes(space));
    let bytes = |bytes: u64| units::value(bytes as f64, "bytes");
    let low = (left < least)
        .then(|| format!("{} left, {} are wanted (retention.low_space)", bytes(left), bytes(least)));
    Ok(observation(OwnAlert::LowSpace, "state", low, None))
}
