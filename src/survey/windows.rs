//! Two times of the same length, sweep by sweep. Load has a daily course: what is compared with other hours of
//! the day differs by it on every host, and no number of hosts makes that a finding. It never mends a window: it
//! leaves out what has no counterpart, and says whether the hours are the same.

use std::time::Duration;

use crate::model::CollectorTime;
use crate::store::index::SweepRow;

const DAY_NS: i64 = 86_400_000_000_000;

/// Hours are the same within this. A tide of half the load moves by about 6 % meanwhile, which `compare` takes
/// for hardly any difference.
const SAME_NS: i64 = DAY_NS / 48;

/// Sweeps on each side at most, where nobody said how long.
const AROUND: usize = 24;

/// How many days before are looked at for the same hours.
const DAYS: i64 = 7;

/// Two lists of the same length, each the oldest first: the nth of one belongs to the nth of the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    pub a: Vec<SweepRow>,
    pub b: Vec<SweepRow>,
    /// Whether they are of the same hours of the day, so that a daily course cancels out.
    pub same_hours: bool,
}

/// Before a moment and after it, out of `sweeps`, the oldest first. Over so long on either side; where that
/// is not said, what was since against the same hours before.
pub fn around(sweeps: Vec<SweepRow>, at: CollectorTime, over: Option<Duration>) -> Windows {
    let (before, mut after): (Vec<SweepRow>, Vec<SweepRow>) =
        sweeps.into_iter().partition(|sweep| sweep.started < at);
    let enough = |pairs: &[(usize, usize)], of: usize| !pairs.is_empty() && pairs.len() * 2 >= of;
    if let Some(over) = over {
        let pairs = matched(&before, &after, i64::try_from(over.as_nanos()).unwrap_or(i64::MAX));
        if enough(&pairs, before.len().min(after.len())) {
            return windows(&before, &after, &pairs);
        }
        return adjacent(before, after);
    }
    after.truncate(AROUND);
    let since_ns = after.last().map_or(0, |last| last.started.unix_ns().saturating_sub(at.unix_ns()));
    for days in (1..=(since_ns / DAY_NS + 1).min(DAYS)).rev() {
        let until_ns = at.unix_ns().saturating_add(days * DAY_NS);
        let within = after.partition_point(|sweep| sweep.started.unix_ns() < until_ns);
        let pairs = matched(&before, &after[..within], days * DAY_NS);
        if enough(&pairs, within) {
            return windows(&before, &after, &pairs);
        }
    }
    adjacent(before, after)
}

/// Two times that were named: each sweep of the one with that of the other that lies as far from the end.
pub fn aligned(first: Vec<SweepRow>, second: Vec<SweepRow>) -> Windows {
    let ends = first.last().zip(second.last());
    let apart_ns = ends.map_or(0, |(a, b)| b.started.unix_ns().saturating_sub(a.started.unix_ns()));
    let pairs = matched(&first, &second, apart_ns);
    if pairs.is_empty() { adjacent(first, second) } else { windows(&first, &second, &pairs) }
}

/// As many before as after, those that are next to the moment.
fn adjacent(mut before: Vec<SweepRow>, mut after: Vec<SweepRow>) -> Windows {
    let len = before.len().min(after.len());
    before.drain(..before.len() - len);
    after.truncate(len);
    let pairs: Vec<(usize, usize)> = (0..len).map(|at| (at, at)).collect();
    windows(&before, &after, &pairs)
}

fn windows(before: &[SweepRow], after: &[SweepRow], pairs: &[(usize, usize)]) -> Windows {
    let same = |(a, b): &(usize, usize)| {
        let apart_ns = after[*b].started.unix_ns().saturating_sub(before[*a].started.unix_ns());
        let of_day_ns = apart_ns.rem_euclid(DAY_NS);
        of_day_ns.min(DAY_NS - of_day_ns) <= SAME_NS
    };
    Windows {
        a: pairs.iter().map(|(a, _)| before[*a].clone()).collect(),
        b: pairs.iter().map(|(_, b)| after[*b].clone()).collect(),
        same_hours: pairs.iter().all(same),
    }
}

/// Each sweep of `after` with the one of `before` that was `ago_ns` earlier, where there is one.
fn matched(before: &[SweepRow], after: &[SweepRow], ago_ns: i64) -> Vec<(usize, usize)> {
    let near_ns = (gap_ns(after).max(gap_ns(before)) / 2).clamp(1, SAME_NS);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (b, sweep) in after.iter().enumerate() {
        let wanted_ns = sweep.started.unix_ns().saturating_sub(ago_ns);
        let off_ns = |at: &usize| before[*at].started.unix_ns().saturating_sub(wanted_ns).saturating_abs();
        let next = before.partition_point(|it| it.started.unix_ns() < wanted_ns);
        let nearest = (next.saturating_sub(1)..before.len().min(next + 1)).min_by_key(off_ns);
        let free = |a: &usize| pairs.last().is_none_or(|(last, _)| last < a);
        pairs.extend(nearest.filter(|a| off_ns(a) <= near_ns).filter(free).map(|a| (a, b)));
    }
    pairs
}

/// The usual time from one sweep to the next.
fn gap_ns(sweeps: &[SweepRow]) -> i64 {
    let mut gaps: Vec<i64> = sweeps
        .windows(2)
        .map(|two| two[1].started.unix_ns().saturating_sub(two[0].started.unix_ns()))
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(2 * SAME_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SweepId, Trigger};

    const HOUR_S: i64 = 3_600;

    fn sweeps(starts_s: impl IntoIterator<Item = i64>) -> Vec<SweepRow> {
        let row = |(nth, start_s): (usize, i64)| {
            let started = CollectorTime::from_unix_s(start_s);
            SweepRow {
                sweep: SweepId::at(started, nth as u32),
                trigger: Trigger::Scheduled,
                schedule: None,
                cause: None,
                kept: crate::model::Kept::Raw,
                started,
                ended: Some(started),
                elapsed: None,
                interrupted: false,
                planned: 1,
                readings: 1,
                ok: 1,
                archived: 0,
            }
        };
        starts_s.into_iter().enumerate().map(row).collect()
    }

    fn hours(range: std::ops::Range<i64>) -> Vec<SweepRow> {
        sweeps(range.map(|hour| hour * HOUR_S))
    }

    fn of(rows: &[SweepRow]) -> Vec<i64> {
        rows.iter().map(|row| row.started.unix_s() / HOUR_S).collect()
    }

    #[test]
    fn the_same_hours_of_the_day_before() {
        let at = CollectorTime::from_unix_s(40 * HOUR_S);
        let found = around(hours(0..48), at, None);
        assert_eq!(of(&found.b), (40..48).collect::<Vec<_>>());
        assert_eq!((of(&found.a), found.same_hours), ((16..24).collect(), true));
        // More than a day since: a whole day is enough, and a day before it.
        let found = around(hours(0..100), at, None);
        assert_eq!((of(&found.a), of(&found.b)), ((16..40).collect(), (40..64).collect()));
        // Every six hours it takes six days for 24 sweeps.
        let seldom = around(
            sweeps((0..80).map(|nth| nth * 6 * HOUR_S)),
            CollectorTime::from_unix_s(240 * HOUR_S),
            None,
        );
        assert_eq!((seldom.a.len(), seldom.b.len(), seldom.same_hours), (24, 24, true));
        assert_eq!(of(&seldom.a)[0], 240 - 144);
    }

    #[test]
    fn a_short_history_has_no_same_hours() {
        let found = around(hours(0..12), CollectorTime::from_unix_s(5 * HOUR_S), None);
        assert_eq!((of(&found.a), of(&found.b)), (vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]));
        assert!(!found.same_hours);
        let none = around(hours(5..12), CollectorTime::from_unix_s(5 * HOUR_S), None);
        assert_eq!((none.a.len(), none.b.len()), (0, 0));
    }

    #[test]
    fn over_so_long_is_as_long_on_both_sides() {
        let at = CollectorTime::from_unix_s(40 * HOUR_S);
        let eight = Duration::from_secs(8 * 3_600);
        let found = around(hours(32..48), at, Some(eight));
        assert_eq!((of(&found.a), of(&found.b)), ((32..40).collect(), (40..48).collect()));
        assert!(!found.same_hours);
        // Of a day after there are eight hours yet, and those of the day before belong to them.
        let day = around(hours(16..48), at, Some(Duration::from_secs(86_400)));
        assert_eq!((of(&day.a), of(&day.b), day.same_hours), ((16..24).collect(), (40..48).collect(), true));
        // Half an hour either side is one time of the day.
        let minutes = around(
            sweeps((0..60).map(|minute| minute * 60)),
            CollectorTime::from_unix_s(1_800),
            Some(Duration::from_secs(1_800)),
        );
        assert_eq!((minutes.a.len(), minutes.b.len(), minutes.same_hours), (30, 30, true));
    }

    #[test]
    fn what_has_no_counterpart_is_left_out() {
        let at = CollectorTime::from_unix_s(48 * HOUR_S);
        let holes = sweeps((24..72).filter(|hour| ![30, 31, 60].contains(hour)).map(|hour| hour * HOUR_S));
        let found = around(holes, at, None);
        assert_eq!((found.a.len(), found.b.len(), found.same_hours), (21, 21, true));
        assert!(found.a.iter().zip(&found.b).all(|(a, b)| b.started.unix_s() - a.started.unix_s() == 86_400));
    }

    #[test]
    fn two_times_are_aligned_by_their_ends() {
        let found = aligned(hours(0..6), hours(25..30));
        assert_eq!((of(&found.a), of(&found.b)), ((1..6).collect(), (25..30).collect()));
        assert!(found.same_hours);
        assert!(!aligned(hours(0..1), hours(12..13)).same_hours);
    }
}
