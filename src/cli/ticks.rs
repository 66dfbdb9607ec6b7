//! What became of the ticks of schedules, for the verbs that show it.

use std::collections::HashMap;

use anyhow::Result;

use super::Context;
use crate::model::{CollectorTime, Fate, SweepId, Tick};
use crate::render::reports::NotRun;
use crate::store::ticks;

/// The book of ticks, oldest first.
pub struct Ticks(Vec<Tick>);

impl Ticks {
    pub fn read(context: &Context) -> Result<Self> {
        Ok(Self(ticks::read(&context.state_dir()?)?))
    }

    /// How late each sweep began that was late.
    pub fn lateness_s(&self) -> HashMap<&SweepId, f64> {
        let late = self.0.iter().filter_map(|tick| match &tick.fate {
            Fate::Ran { sweep, .. } => Some((sweep, tick.lateness_s()?)),
            _ => None,
        });
        late.collect()
    }

    /// The last tick of a schedule whose sweep was started.
    pub fn last(&self, schedule: &str) -> Option<(&Tick, &SweepId)> {
        self.0.iter().rev().filter(|tick| tick.schedule == schedule).find_map(|tick| match &tick.fate {
            Fate::Ran { sweep, .. } => Some((tick, sweep)),
            _ => None,
        })
    }

    /// Those that were not run, the newest first: of one schedule or of all, decided since a moment.
    pub fn not_run(&self, schedule: Option<&str>, since: Option<CollectorTime>) -> Vec<NotRun<'_>> {
        let asked = |tick: &&Tick| {
            schedule.is_none_or(|name| tick.schedule == name)
                && since.is_none_or(|since| tick.decided >= since)
        };
        self.0.iter().rev().filter(asked).filter_map(not_run).collect()
    }
}

fn not_run(tick: &Tick) -> Option<NotRun<'_>> {
    let (fate, count, why) = match &tick.fate {
        Fate::Ran { .. } => return None,
        Fate::Failed { why, .. } => ("failed", 1, why),
        Fate::Skipped { why } => ("skipped", 1, why),
        Fate::Missed { count, why, .. } => ("missed", *count, why),
    };
    let (schedule, due, until) = (tick.schedule.as_str(), tick.due.rfc3339(), tick.until().rfc3339());
    Some(NotRun { schedule, due, until, count, fate, why })
}
