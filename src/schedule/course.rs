//! One schedule's way through time: which of its ticks is due now, and what became of those nobody
//! looked at. The wall clock says when; the steady clock keeps one that is set back from running the same
//! tick twice in a row.

use std::time::Duration;

use super::Timetable;
use crate::model::CollectorTime;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub wall: CollectorTime,
    /// Since any fixed moment; never set, never back.
    pub steady: Duration,
}

/// A tick that is noticed later than this is late: the process stood still, was not there, or a clock
/// was set.
const LATE_NS: i64 = 5_000_000_000;

/// Ticks are counted up to here; more are as many as that.
const COUNTED: u64 = 10_000;

/// A tick to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub due: CollectorTime,
    pub late: bool,
    /// Earlier ones that this one stands for.
    pub missed: Option<Missed>,
}

/// Ticks that nobody looked at in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub first: CollectorTime,
    pub last: CollectorTime,
    /// At most 10,000: then there were that many or more.
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    timetable: Timetable,
    /// Nothing until here, itself included, is still to be decided.
    until: CollectorTime,
    /// The latest tick that was decided, and when by the steady clock.
    decided: Option<(CollectorTime, Duration)>,
    /// The clocks when they were last looked at.
    seen: Moment,
}

impl Course {
    /// `decided` is the last tick that an earlier process has decided; without one nothing was missed.
    pub fn new(timetable: Timetable, decided: Option<CollectorTime>, now: Moment) -> Self {
        Self {
            timetable,
            until: decided.map_or(now.wall, |decided| decided.min(now.wall)),
            // When it really was is not known: as if just now, a repetition is not run at once.
            decided: decided.map(|due| (due, now.steady)),
            seen: now,
        }
    }

    pub fn timetable(&self) -> &Timetable {
        &self.timetable
    }

    /// When to look again, if no clock is set meanwhile.
    pub fn next(&self) -> Option<CollectorTime> {
        self.timetable.after(self.until)
    }

    /// What is due. Everything up to `now` counts as decided afterwards.
    pub fn look(&mut self, now: Moment) -> Option<Due> {
        if now.wall < self.seen.wall {
            // Set back: the hours that come again are lived through again, in the same rhythm. When since the
            // last look it was set is not known; a tick in between was shown to nobody, before or after.
            self.until = self.until.min(self.unwatched(now));
        }
        self.seen = now;
        let first = self.timetable.after(self.until).filter(|first| *first <= now.wall)?;
        let due = self.timetable.latest(now.wall).unwrap_or(first);
        let missed = self.missed(self.unseen(first, due), due);
        self.until = due;
        if self.is_repetition(due, now) {
            return None;
        }
        self.decided = Some((due, now.steady));
        let late = now.wall.unix_ns().saturating_sub(due.unix_ns()) > LATE_NS;
        Some(Due { due, late, missed })
    }

    /// What the wall clock would have shown at the last look, had it been set back by then.
    fn unwatched(&self, now: Moment) -> CollectorTime {
        let since_ns = i64::try_from(now.steady.saturating_sub(self.seen.steady).as_nanos());
        CollectorTime::from_unix_ns(now.wall.unix_ns().saturating_sub(since_ns.unwrap_or(i64::MAX)))
    }

    /// Whether a clock that was set back shows a tick again that was decided a moment ago.
    fn is_repetition(&self, due: CollectorTime, now: Moment) -> bool {
        let Some((decided, at)) = self.decided.filter(|(decided, _)| due <= *decided) else { return false };
        let next = self.timetable.after(due).unwrap_or(decided);
        let interval_ns = next.unix_ns().saturating_sub(due.unix_ns());
        let half = Duration::from_nanos(u64::try_from(interval_ns / 2).unwrap_or(0));
        now.steady.saturating_sub(at) < half
    }

    /// Where the ticks before `due` begin that were never decided: a clock that was set back and then far
    /// ahead shows those between a second time.
    fn unseen(&self, first: CollectorTime, due: CollectorTime) -> CollectorTime {
        let decided =
            self.decided.map(|(decided, _)| decided).filter(|decided| (first..due).contains(decided));
        decided.and_then(|decided| self.timetable.after(decided)).unwrap_or(first)
    }

    /// Those from `first` up to the one before `due`.
    fn missed(&self, first: CollectorTime, due: CollectorTime) -> Option<Missed> {
        let before = |at: CollectorTime| CollectorTime::from_unix_s(at.unix_s() - 1);
        let last = self.timetable.latest(before(due)).filter(|last| first < due && *last >= first)?;
        let mut count = 1;
        let mut at = first;
        while count < COUNTED && at < last {
            let Some(next) = self.timetable.after(at) else { break };
            (at, count) = (next, count + 1);
        }
        Some(Missed { first, last, count })
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
