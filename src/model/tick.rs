//! Ticks: the moments at which a schedule was due, and what became of each.

use serde::{Deserialize, Serialize};

use super::{CollectorTime, SweepId};

/// One decision about a schedule. Every tick of a schedule that the daemon knew is in exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub schedule: String,
    /// The cron expression and its zone: ticks of another one say nothing about this one's.
    pub timetable: String,
    #[serde(rename = "due_ns")]
    pub due: CollectorTime,
    #[serde(rename = "decided_ns")]
    pub decided: CollectorTime,
    pub fate: Fate,
}

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its sweep was started; `late` when that was seconds or more after it was due.
    Ran { sweep: SweepId, late: bool },
    /// Its sweep could not begin, and nothing of it is recorded. It takes the place of that sweep's `Ran`.
    Failed { sweep: SweepId, why: String },
    /// Not run, and why.
    Skipped { why: String },
    /// This tick and those after it up to `last` were not run, because nobody was there to; the tick that
    /// follows stands for them.
    Missed {
        #[serde(rename = "last_ns")]
        last: CollectorTime,
        count: u64,
        why: String,
    },
}

impl Tick {
    /// The last moment that it decides.
    pub fn until(&self) -> CollectorTime {
        match &self.fate {
            Fate::Missed { last, .. } => *last,
            Fate::Ran { .. } | Fate::Failed { .. } | Fate::Skipped { .. } => self.due,
        }
    }

    /// How late its sweep began, if it was late.
    pub fn lateness_s(&self) -> Option<f64> {
        match &self.fate {
            Fate::Ran { late: true, .. } => {
                Some(self.decided.unix_ns().saturating_sub(self.due.unix_ns()) as f64 / 1e9)
            }
            _ => None,
        }
    }
}
