//! Which sweeps make a history. Those of a schedule do; what somebody ran by hand in between is of other
//! hosts, or of a moment of trouble, and counts only where nothing is scheduled.

use std::time::Duration;

use super::series::moments;
use crate::compare::Moment;
use crate::model::{CollectorTime, Outcome, ProbeName, Trigger};
use crate::store::StoreError;
use crate::store::index::{Frame, Reader, SweepRow};

/// How far back the usual is looked for.
pub const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Sweeps of a history at most: a week of hourly ones. What is swept more often is judged by less time, not
/// by more memory.
const MOST: usize = 168;

/// Hosts that are asked for the reading before.
const ASKED_HOSTS: usize = 5;

/// Sweeps among which the one to judge is looked for.
const LOOK_BACK: usize = 200;

/// The sweep that is meant when none is named: the newest scheduled one that has ended; where there is no
/// schedule, the newest of any kind. One that is small beside the others, of a few hosts or of a probe that
/// has a schedule of its own, is no judge of a fleet.
pub fn usual_sweep(reader: &Reader) -> Result<Option<SweepRow>, StoreError> {
    let sweeps = reader.sweeps(LOOK_BACK)?;
    let ended = || sweeps.iter().filter(|sweep| sweep.ended.is_some());
    let newest_large = |regular: bool| {
        let of_kind = || ended().filter(|sweep| !regular || is_regular(sweep));
        let large = of_kind().map(|sweep| sweep.planned).max().unwrap_or(0).div_ceil(2);
        of_kind().find(|sweep| sweep.planned >= large)
    };
    Ok(newest_large(true).or_else(|| newest_large(false)).or(sweeps.first()).cloned())
}

/// The sweeps of some time that make a history, the oldest first.
pub fn sweeps_in(
    reader: &Reader,
    from: CollectorTime,
    until: CollectorTime,
) -> Result<Vec<SweepRow>, StoreError> {
    let mut sweeps = reader.sweeps_between(from, until)?;
    sweeps.retain(|sweep| sweep.ended.is_some());
    if sweeps.iter().any(is_regular) {
        sweeps.retain(is_regular);
    } else {
        // An escalation looks at hosts that were in trouble already.
        sweeps.retain(|sweep| sweep.trigger != Trigger::Escalated);
    }
    Ok(sweeps)
}

/// The history that `last` is judged by, the oldest first and itself last.
pub fn history(reader: &Reader, last: &SweepRow, back: Duration) -> Result<Vec<SweepRow>, StoreError> {
    let back_ns = i64::try_from(back.as_nanos()).unwrap_or(i64::MAX);
    let from = CollectorTime::from_unix_ns(last.started.unix_ns().saturating_sub(back_ns));
    let mut sweeps = sweeps_in(reader, from, last.started)?;
    sweeps.retain(|sweep| sweep.sweep != last.sweep && (is_regular(sweep) || !is_regular(last)));
    if is_regular(last) {
        // Another schedule reads other probes, at other times.
        sweeps.retain(|sweep| sweep.schedule == last.schedule);
    }
    sweeps.drain(..sweeps.len().saturating_sub(MOST - 1));
    sweeps.push(last.clone());
    Ok(sweeps)
}

fn is_regular(sweep: &SweepRow) -> bool {
    matches!(sweep.trigger, Trigger::Scheduled | Trigger::Backfill)
}

/// The usual time from one moment to the next; 0 where there is only one.
pub(super) fn gap_of(moments: &[Moment]) -> i64 {
    let mut gaps_ns: Vec<i64> =
        moments.windows(2).map(|pair| pair[1].started.unix_ns() - pair[0].started.unix_ns()).collect();
    gaps_ns.sort_unstable();
    gaps_ns.get(gaps_ns.len() / 2).copied().unwrap_or(0)
}

/// How far back a rate of this probe's counters looks in the last sweep: to the reading before, of whatever
/// sweep. Where one schedule reads a probe every hour and another every minute, that is a minute.
pub(super) fn looks_back(reader: &Reader, frame: &Frame, probe: &ProbeName) -> Result<Duration, StoreError> {
    let usual = Duration::from_nanos(u64::try_from(gap_of(&moments(frame))).unwrap_or(0));
    let [.., before, last] = frame.sweeps() else { return Ok(usual) };
    let mut between = reader.sweeps_between(before.started, last.started)?;
    between.retain(|row| row.sweep != last.sweep && row.sweep != before.sweep);
    let mut gaps = Vec::new();
    for host in frame.hosts().iter().take(ASKED_HOSTS) {
        for row in between.iter().rev() {
            let reading = reader.reading(&row.sweep, host, probe)?;
            if reading.is_some_and(|reading| reading.outcome == Outcome::Ok) {
                let ns = last.started.unix_ns() - row.started.unix_ns();
                gaps.push(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)));
                break;
            }
        }
    }
    gaps.sort_unstable();
    // What somebody ran by hand on a few of them is not what is usual.
    let most = gaps.len() * 2 > frame.hosts().len().min(ASKED_HOSTS);
    Ok(gaps.get(gaps.len() / 2).copied().filter(|_| most).unwrap_or(usual))
}

/// When `more` further sweeps will have been, if they go on as they did.
pub(super) fn after(sweeps: &[Moment], more: usize) -> Option<CollectorTime> {
    let gap_ns = (sweeps.len() > 1).then(|| gap_of(sweeps))?;
    let ahead_ns = gap_ns.checked_mul(i64::try_from(more).ok()?)?;
    let last = sweeps.last()?;
    Some(CollectorTime::from_unix_ns(last.started.unix_ns().checked_add(ahead_ns)?))
}
