//! A cron expression in a time zone. croner says which wall-clock times match; what a change of the
//! clocks makes of them is decided here, because a repeated or a missing hour must neither repeat nor
//! lose a sweep.
//!
//! - An expression that holds in every hour (`*/15 * * * *`) follows the time that passes: its rhythm
//!   stays the same when clocks change.
//! - Any other one names times of the day. Those that a change leaves out come once, at the change;
//!   those that come twice count the first time only.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Year};

use crate::model::CollectorTime;

/// Why there is no timetable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTimetable {
    #[error("{0:?} is no time zone")]
    Zone(String),
    #[error("the cron expression {cron:?} cannot be read: {why}")]
    Cron { cron: String, why: String },
    #[error("the cron expression {0:?} names a day that never comes")]
    Never(String),
}

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
    /// As it was written, with its zone.
    text: String,
    every_hour: bool,
}

/// From here on an expression is searched that may match no day at all.
const LONG_AGO_S: i64 = 946_684_800;

/// Nothing that comes at all is rarer than 29 February on a certain day of the week across a century's
/// missing leap year.
const RAREST_S: i64 = 41 * 366 * 86_400;

/// The names of all time zones.
pub fn zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

impl Timetable {
    /// `cron` in five or six fields or a shorthand, `zone` an IANA name.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, BadTimetable> {
        let bad = |why: croner::errors::CronError| BadTimetable::Cron {
            cron: cron.to_owned(),
            why: why.to_string(),
        };
        let text = format!("{cron} {zone}");
        let zone: Tz = zone.parse().map_err(|_| BadTimetable::Zone(zone.to_owned()))?;
        // The one shorthand of ours that croner does not know.
        let spelled = if cron == "@midnight" { "@daily" } else { cron };
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let parsed = parser.parse(spelled).map_err(bad)?;
        let every_hour = parsed.pattern.hours.values().len() == 24;
        let timetable = Self { cron: parsed, zone, text, every_hour };
        match timetable.match_from(LONG_AGO_S) {
            Some(_) => Ok(timetable),
            None => Err(BadTimetable::Never(cron.to_owned())),
        }
    }

    /// What tells one timetable from another.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In words, and in which zone.
    pub fn words(&self) -> String {
        let words = self.cron.describe();
        let words = words.trim_end_matches('.');
        format!("{words}, {}", self.zone.name())
    }

    /// A moment as clocks in the zone show it.
    pub fn local(&self, at: CollectorTime) -> String {
        at.utc().with_timezone(&self.zone).format("%a %Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The first moment after `at` that is due.
    pub fn after(&self, at: CollectorTime) -> Option<CollectorTime> {
        self.next(at.unix_s()).map(CollectorTime::from_unix_s)
    }

    /// The last moment until `at`, itself included, that was due.
    pub fn latest(&self, at: CollectorTime) -> Option<CollectorTime> {
        let at_s = at.unix_s();
        let is_before = |from_s: i64| self.next(from_s).is_some_and(|tick_s| tick_s <= at_s);
        let mut back_s = 1;
        while !is_before(at_s - back_s) {
            back_s *= 2;
            if back_s > RAREST_S {
                return None;
            }
        }
        // One that is due every second of one day would be a long walk; halving is not.
        let (mut some, mut none) = (at_s - back_s, at_s);
        while none - some > 1 {
            let middle = some + (none - some) / 2;
            if is_before(middle) { some = middle } else { none = middle }
        }
        self.next(some).map(CollectorTime::from_unix_s)
    }

    fn next(&self, at_s: i64) -> Option<i64> {
        let (mut from_s, mut offset_s) = (at_s, self.offset_s(at_s));
        let mut wall_s = at_s + offset_s + 1;
        if !self.every_hour {
            wall_s = wall_s.max(self.repeated_until(at_s, offset_s).unwrap_or(wall_s));
        }
        loop {
            let match_s = self.match_from(wall_s)?;
            let tick_s = match_s - offset_s;
            let new_offset_s = self.offset_s(tick_s);
            if new_offset_s == offset_s {
                return Some(tick_s);
            }
            let change_s = self.change_between(from_s, tick_s);
            let new_offset_s = if change_s == tick_s { new_offset_s } else { self.offset_s(change_s) };
            let (before_s, after_s) = (change_s + offset_s, change_s + new_offset_s);
            wall_s = match self.every_hour {
                true => after_s,
                false if match_s < after_s => return Some(change_s),
                false => before_s.max(after_s).max(wall_s),
            };
            (from_s, offset_s) = (change_s, new_offset_s);
        }
    }

    /// The first matching second of the wall clock from `wall_s` on, counted as if there were no zones.
    fn match_from(&self, wall_s: i64) -> Option<i64> {
        let wall = DateTime::from_timestamp(wall_s, 0)?.naive_utc();
        let found: NaiveDateTime = self.cron.find_next_occurrence(&wall, true).ok()?;
        Some(found.and_utc().timestamp())
    }

    fn offset_s(&self, at_s: i64) -> i64 {
        let utc = DateTime::from_timestamp(at_s, 0).unwrap_or_default().naive_utc();
        i64::from(self.zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }

    /// The first second of another offset than that of `from_s`, where `to_s` has another one.
    fn change_between(&self, from_s: i64, to_s: i64) -> i64 {
        let offset_s = self.offset_s(from_s);
        let (mut same, mut other) = (from_s, to_s);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.offset_s(middle) == offset_s { same = middle } else { other = middle }
        }
        other
    }

    /// Until when the wall clock shows times that it has shown before, if it does at `at_s`.
    fn repeated_until(&self, at_s: i64, offset_s: i64) -> Option<i64> {
        let wall_s = at_s + offset_s;
        let wall = DateTime::from_timestamp(wall_s, 0)?.naive_utc();
        let (first, second) = match self.zone.offset_from_local_datetime(&wall) {
            chrono::LocalResult::Ambiguous(first, second) => (first, second),
            _ => return None,
        };
        let (first_s, second_s) = (first.fix().local_minus_utc(), second.fix().local_minus_utc());
        if offset_s != i64::from(second_s) || first_s == second_s {
            return None;
        }
        let first_s = i64::from(first_s);
        Some(self.change_between(wall_s - first_s, at_s) + first_s)
    }
}

#[cfg(test)]
#[path = "timetable_tests.rs"]
mod tests;
