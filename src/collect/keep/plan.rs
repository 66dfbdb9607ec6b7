//! What is to go, from what there is and what the configuration says. It touches nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Retention;
use crate::model::{CollectorTime, Kept, SweepId};

/// A sweep as pruning sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub sweep: SweepId,
    pub started: CollectorTime,
    /// `None` while it runs.
    pub ended: Option<CollectorTime>,
    /// Whose sweeps may share numbers: the schedule that started it.
    pub schedule: Option<String>,
    pub kept: Kept,
    /// Of its tar.
    pub bytes: u64,
    pub readings: u64,
}

impl Candidate {
    /// What it takes of the index, against others: numbers take about three times as much as the ledger.
    fn weight(&self) -> u64 {
        if self.kept == Kept::Merged { self.readings } else { self.readings.saturating_mul(4) }
    }
}

/// What a prune does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Nothing of these stays.
    pub drop: Vec<SweepId>,
    /// The bytes of these go.
    pub thin: Vec<SweepId>,
    /// Each of these shares its numbers.
    pub merge: Vec<Vec<SweepId>>,
    /// How large the tars to drop are, and those to thin.
    pub drop_bytes: u64,
    pub thin_bytes: u64,
    /// How many of each are not too old, and go because the others take too much room.
    pub drop_for_size: usize,
    pub thin_for_size: usize,
}

impl Steps {
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.thin.is_empty() && self.merge.is_empty()
    }
}

/// `sweeps` in the order of recording; `index_bytes` of the index are in use.
pub(super) fn plan(
    retention: &Retention,
    now: CollectorTime,
    sweeps: &[Candidate],
    index_bytes: u64,
) -> Steps {
    let ages = ages(now, sweeps);
    let too_old = by_age(retention, sweeps, &ages);
    let dropped = quiet(sweeps, too_old.max(by_size(retention, sweeps, index_bytes)));
    let (drop, rest) = sweeps.split_at(dropped);
    let ages = &ages[dropped..];
    let thin = thinned(retention, rest, ages);
    Steps {
        drop: drop.iter().map(|it| it.sweep.clone()).collect(),
        drop_bytes: drop.iter().map(|it| it.bytes).sum(),
        thin_bytes: thin.iter().map(|at| rest[*at].bytes).sum(),
        drop_for_size: dropped.saturating_sub(too_old),
        thin_for_size: thin.iter().filter(|at| ages[**at] <= retention.raw).count(),
        merge: merged(retention, (now, rest, ages), &thin),
        thin: thin.into_iter().map(|at| rest[at].sweep.clone()).collect(),
    }
}

/// How old each sweep is. One that a wrong clock has dated, ahead or back, is as old as the one before it: it
/// would else be held up, or go early, or hold up all that were recorded after it.
fn ages(now: CollectorTime, sweeps: &[Candidate]) -> Vec<Duration> {
    let mut right = in_order(sweeps).into_iter().peekable();
    let mut last = None;
    let mut age = |(at, it): (usize, &Candidate)| {
        let own = u64::try_from(now.unix_ns().saturating_sub(it.started.unix_ns())).map(Duration::from_nanos);
        let is_right = right.next_if_eq(&at).is_some();
        if let Ok(own) = own
            && (is_right || last.is_none())
        {
            last = Some(own);
        }
        last.unwrap_or_default()
    };
    sweeps.iter().enumerate().map(&mut age).collect()
}

/// The places of most sweeps whose times are in the order of recording: those dated by a right clock, as long as
/// it was right for more of them than it was wrong. Of several such rows the youngest, for what went early
/// does not come back.
fn in_order(sweeps: &[Candidate]) -> Vec<usize> {
    // From the end: of all rows of so many in order that were found, the one that begins latest, by length.
    let mut firsts: Vec<usize> = Vec::new();
    let mut next: Vec<Option<usize>> = vec![None; sweeps.len()];
    for (at, it) in sweeps.iter().enumerate().rev() {
        let longer = firsts.partition_point(|first| sweeps[*first].started >= it.started);
        next[at] = longer.checked_sub(1).map(|shorter| firsts[shorter]);
        match firsts.get_mut(longer) {
            Some(first) => *first = at,
            None => firsts.push(at),
        }
    }
    std::iter::successors(firsts.last().copied(), |at| next[*at]).collect()
}

/// How many of the first sweeps are too old. Only a beginning of the order of recording is dropped: what
/// a sweep says about later ones is kept in that order, too.
fn by_age(retention: &Retention, sweeps: &[Candidate], ages: &[Duration]) -> usize {
    let old = |(it, age): (&Candidate, &Duration)| it.ended.is_some() && *age > retention.samples;
    sweeps.iter().zip(ages).take_while(|pair| old(*pair)).count()
}

/// How many of the first sweeps must go until the index is small enough; never the last one. What a
/// sweep takes of it is reckoned.
fn by_size(retention: &Retention, sweeps: &[Candidate], index_bytes: u64) -> usize {
    let limit = retention.samples_size.0;
    let all: u64 = sweeps.iter().map(Candidate::weight).sum();
    if limit == 0 || index_bytes <= limit || all == 0 {
        return 0;
    }
    let wanted = u128::from(index_bytes - limit) * u128::from(all) / u128::from(index_bytes);
    let (mut gone, mut count) = (0_u128, 0);
    for it in sweeps.iter().take(sweeps.len().saturating_sub(1)) {
        if it.ended.is_none() || gone > wanted {
            break;
        }
        gone += u128::from(it.weight());
        count += 1;
    }
    count
}

/// The most of the first `most` sweeps of which none overlaps with one that stays: of two at work at once,
/// one host may have been asked by the later sweep first. Where there is no such place, all of them.
fn quiet(sweeps: &[Candidate], most: usize) -> usize {
    let mut latest = None;
    let mut found = 0;
    for (at, pair) in sweeps.windows(2).enumerate().take(most) {
        latest = latest.max(pair[0].ended);
        if latest.is_some_and(|ended| ended <= pair[1].started) {
            found = at + 1;
        }
    }
    let all = most == sweeps.len();
    if all || found == 0 { most } else { found }
}

/// Which of them lose their bytes: those too old, and the oldest until the others are small enough.
fn thinned(retention: &Retention, sweeps: &[Candidate], ages: &[Duration]) -> Vec<usize> {
    let raw = |it: &Candidate| it.ended.is_some() && it.kept == Kept::Raw;
    let mut total: u64 = sweeps.iter().filter(|it| raw(it)).map(|it| it.bytes).sum();
    let limit = match retention.raw_size.0 {
        0 => u64::MAX,
        limit => limit,
    };
    let mut thin = Vec::new();
    for (at, (it, age)) in sweeps.iter().zip(ages).enumerate().filter(|(_, (it, _))| raw(it)) {
        if *age > retention.raw || total > limit {
            thin.push(at);
            total -= it.bytes;
        }
    }
    thin
}

/// Those that share numbers: of one schedule and one stretch of time that is wholly old enough. `thin` will
/// have lost their bytes by then.
fn merged(
    retention: &Retention,
    (now, sweeps, ages): (CollectorTime, &[Candidate], &[Duration]),
    thin: &[usize],
) -> Vec<Vec<SweepId>> {
    let to_s = i64::try_from(retention.downsample_to.as_secs()).unwrap_or(i64::MAX);
    if to_s == 0 {
        return Vec::new();
    }
    let mut groups: BTreeMap<(&str, i64), Vec<&Candidate>> = BTreeMap::new();
    for (at, (it, age)) in sweeps.iter().zip(ages).enumerate() {
        let Some(schedule) = &it.schedule else { continue };
        let bucket = it.started.unix_s().div_euclid(to_s);
        let over_s = now.unix_s().saturating_sub((bucket + 1).saturating_mul(to_s));
        let old = u64::try_from(over_s).is_ok_and(|over_s| over_s > retention.downsample_after.as_secs());
        let there = it.ended.is_some() && (it.kept != Kept::Raw || thin.contains(&at));
        if old && *age > retention.downsample_after && there {
            groups.entry((schedule, bucket)).or_default().push(it);
        }
    }
    // What was merged stays so, unless a sweep was recorded later and dated back.
    let worth = |group: &Vec<&Candidate>| group.len() > 1 && group.iter().any(|it| it.kept != Kept::Merged);
    let names = |group: Vec<&Candidate>| group.into_iter().map(|it| it.sweep.clone()).collect();
    groups.into_values().filter(worth).map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ByteSize;

    const DAY: i64 = 86_400;
    const NOW: i64 = 20_000 * DAY;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    /// A sweep of `hourly` that began so many hours ago and took ten minutes.
    fn candidate(hours_ago: i64, kept: Kept) -> Candidate {
        let started_s = NOW - hours_ago * 3_600;
        Candidate {
            sweep: SweepId::at(CollectorTime::from_unix_s(started_s), 1),
            started: CollectorTime::from_unix_s(started_s),
            ended: Some(CollectorTime::from_unix_s(started_s + 600)),
            schedule: Some("hourly".to_owned()),
            kept,
            bytes: 1_000,
            readings: 10,
        }
    }

    fn of(hours: &[(i64, Kept)]) -> Vec<Candidate> {
        hours.iter().map(|(hours, kept)| candidate(*hours, *kept)).collect()
    }

    fn run(retention: &Retention, sweeps: &[Candidate]) -> Steps {
        plan(retention, CollectorTime::from_unix_s(NOW), sweeps, 40_000)
    }

    #[test]
    fn bytes_go_before_numbers_and_numbers_before_the_rest() {
        use Kept::{Numbers, Raw};
        let sweeps = of(&[(9_000, Numbers), (8_000, Numbers), (721, Raw), (719, Raw), (1, Raw)]);
        let steps = run(&Retention::default(), &sweeps);
        assert_eq!(steps.drop, [sweeps[0].sweep.clone()]);
        assert_eq!(steps.thin, [sweeps[2].sweep.clone()]);
        assert_eq!((steps.drop_bytes, steps.thin_bytes), (1_000, 1_000));
        assert!(steps.merge.is_empty());
        assert!(run(&Retention::default(), &sweeps[3..]).is_empty());
    }

    #[test]
    fn by_size_the_oldest_go_and_the_newest_stays() {
        let sweeps = of(&[(40, Kept::Raw), (30, Kept::Raw), (20, Kept::Raw), (10, Kept::Raw)]);
        let small = Retention { raw_size: ByteSize(2_500), ..Retention::default() };
        assert_eq!(run(&small, &sweeps).thin, [sweeps[0].sweep.clone(), sweeps[1].sweep.clone()]);
        assert_eq!(run(&small, &sweeps).thin_for_size, 2);
        let both = Retention { raw: Duration::from_secs(35 * 3_600), ..small };
        assert_eq!((run(&both, &sweeps).thin.len(), run(&both, &sweeps).thin_for_size), (2, 1));
        let small = Retention { samples_size: ByteSize(25_000), ..Retention::default() };
        assert_eq!((run(&small, &sweeps).drop.len(), run(&small, &sweeps).drop_for_size), (2, 2));
        let tiny = Retention { samples_size: ByteSize(1), ..Retention::default() };
        assert_eq!(run(&tiny, &sweeps).drop.len(), 3);
    }

    #[test]
    fn what_runs_and_what_follows_it_stays() {
        let mut sweeps = of(&[(9_900, Kept::Raw), (9_800, Kept::Raw), (9_700, Kept::Raw)]);
        sweeps[1].ended = None;
        let steps = run(&Retention::default(), &sweeps);
        assert_eq!(steps.drop, [sweeps[0].sweep.clone()]);
        assert_eq!(steps.thin, [sweeps[2].sweep.clone()]);
    }

    #[test]
    fn a_sweep_that_overlaps_with_one_that_stays_waits() {
        let mut sweeps = of(&[(9_003, Kept::Raw), (9_002, Kept::Raw), (8_760, Kept::Raw)]);
        sweeps[1].ended = Some(sweeps[2].ended.unwrap());
        assert_eq!(run(&Retention::default(), &sweeps).drop, [sweeps[0].sweep.clone()]);
        // Where everything overlaps, it is not kept for ever.
        sweeps[0].ended = sweeps[1].ended;
        assert_eq!(run(&Retention::default(), &sweeps).drop.len(), 2);
    }

    #[test]
    fn a_wrong_clock_neither_drops_nor_holds_up() {
        let mut sweeps = of(&[(9_000, Kept::Raw), (-50_000, Kept::Raw), (8_900, Kept::Raw), (5, Kept::Raw)]);
        sweeps[1].ended = Some(sweeps[2].started);
        assert_eq!(run(&Retention::default(), &sweeps).drop.len(), 3);
        // The first of all, from the future.
        assert!(run(&Retention::default(), &sweeps[1..2]).is_empty());
    }

    #[test]
    fn a_sweep_that_was_dated_back_is_as_old_as_the_one_before_it() {
        let mut sweeps = of(&[(30, Kept::Raw), (29, Kept::Raw), (9_600, Kept::Raw), (9_599, Kept::Raw)]);
        sweeps.extend(of(&[(10, Kept::Raw), (9, Kept::Raw), (8, Kept::Raw)]));
        assert!(run(&Retention::default(), &sweeps).is_empty());
        // As many by one clock as by the other.
        assert!(run(&Retention::default(), &sweeps[..4]).is_empty());
        // Of one that was dated ahead, when that day has passed: the ones after it have their own age.
        let mut sweeps = of(&[(9_900, Kept::Raw), (9_800, Kept::Raw), (100, Kept::Raw), (9_600, Kept::Raw)]);
        sweeps.extend(of(&[(9_500, Kept::Raw), (2, Kept::Raw)]));
        assert_eq!(run(&Retention::default(), &sweeps).drop.len(), 5);
    }

    #[test]
    fn a_schedules_sweeps_of_one_old_day_are_merged_once() {
        use Kept::{Merged, Numbers, Raw};
        let hour = |day: i64, hour: i64| (day * 24 - hour, Numbers);
        let mut sweeps =
            of(&[hour(100, 1), hour(100, 2), hour(99, 1), hour(92, 1), hour(92, 2), hour(90, 1)]);
        sweeps[4].kept = Raw;
        let steps = run(&Retention::default(), &sweeps);
        assert_eq!(
            steps.merge,
            [[0, 1].map(|at: usize| sweeps[at].sweep.clone()), [3, 4].map(|at| sweeps[at].sweep.clone())]
        );
        // Another schedule's, or nobody's, are not among them.
        sweeps[1].schedule = None;
        (sweeps[3].kept, sweeps[4].kept) = (Merged, Merged);
        assert!(run(&Retention::default(), &sweeps).merge.is_empty());
        let never = Retention { downsample_to: days(0), ..Retention::default() };
        sweeps[1].schedule = sweeps[0].schedule.clone();
        assert!(run(&never, &sweeps).merge.is_empty());
    }
}
