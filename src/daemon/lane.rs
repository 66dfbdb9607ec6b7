//! One schedule in the daemon: its way through time, and the sweep of it that runs now. It says what is to
//! be written down and what is to be started, and does neither.

use crate::collect::Start;
use crate::model::{CollectorTime, Fate, SweepId, Tick};
use crate::schedule::{Course, Due, Missed, Moment, Timetable};

#[derive(Debug)]
pub(super) struct Lane {
    pub course: Course,
    pub running: Option<SweepId>,
    /// Whether this is the first look since the start.
    new: bool,
}

/// What one look came to.
#[derive(Debug)]
pub(super) struct Decision {
    pub ticks: Vec<Tick>,
    pub start: Option<Start>,
}

const NOBODY: &str = "no daemon was running";
const STOOD_STILL: &str = "the clock was set, or the machine stood still";

impl Lane {
    /// `decided` is the last tick that an earlier daemon has decided.
    pub fn new(timetable: Timetable, decided: Option<CollectorTime>, now: Moment) -> Self {
        Self { course: Course::new(timetable, decided, now), running: None, new: true }
    }

    pub fn look(&mut self, schedule: &str, now: Moment, start: impl FnOnce() -> Start) -> Option<Decision> {
        let new = std::mem::take(&mut self.new);
        let Due { due, late, missed } = self.course.look(now)?;
        let tick = |due, fate| Tick {
            schedule: schedule.to_owned(),
            timetable: self.course.timetable().text().to_owned(),
            due,
            decided: now.wall,
            fate,
        };
        let mut ticks = Vec::with_capacity(2);
        if let Some(Missed { first, last, count }) = missed {
            let why = if new { NOBODY } else { STOOD_STILL };
            ticks.push(tick(first, Fate::Missed { last, count, why: why.to_owned() }));
        }
        let start = match &self.running {
            Some(sweep) => {
                ticks.push(tick(due, Fate::Skipped { why: format!("sweep {sweep} was still running") }));
                None
            }
            None => {
                let start = start();
                ticks.push(tick(due, Fate::Ran { sweep: start.sweep.clone(), late }));
                Some(start)
            }
        };
        if let Some(start) = &start {
            self.running = Some(start.sweep.clone());
        }
        Some(Decision { ticks, start })
    }
}
