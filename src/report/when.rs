//! Moments in words, and the ticks of an axis of time. All of it is UTC, which each page says once.

use std::time::Duration;

use crate::compare::Outliers;
use crate::model::CollectorTime;
use crate::render::units;

const HOUR_S: i64 = 3_600;

/// Steps between ticks, in hours.
const STEPS: [i64; 10] = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336];

/// `Nov 22 23:00`.
pub fn moment(at: CollectorTime) -> String {
    at.utc().format("%b %-d %H:%M").to_string()
}

/// `2026-11-22 23:00 UTC`.
pub fn date(at: CollectorTime) -> String {
    at.utc().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// `since 15:00`; of what is older than the history, how long at least. Empty where there is no history.
pub fn since(since: Option<CollectorTime>, answer: &Outliers) -> String {
    match since {
        Some(at) if at.utc().date_naive() == answer.started.utc().date_naive() => {
            at.utc().format("since %H:%M").to_string()
        }
        Some(at) => format!("since {}", moment(at)),
        None => match history(answer) {
            age if age.is_zero() => String::new(),
            age => format!("for {} or longer", units::age(age)),
        },
    }
}

/// From the first sweep to the judged one.
pub fn history(answer: &Outliers) -> Duration {
    let oldest = answer.sweeps.first().map_or(answer.started, |it| it.started);
    let ns = answer.started.unix_ns().saturating_sub(oldest.unix_ns());
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// At most `most` moments on the hour or at midnight, and what to write there.
pub fn ticks(from: CollectorTime, until: CollectorTime, most: i64) -> Vec<(CollectorTime, String)> {
    let span = until.unix_s().saturating_sub(from.unix_s());
    let fits = |step: &&i64| span / (**step * HOUR_S) < most;
    let Some(step_s) = STEPS.iter().find(fits).map(|step| step * HOUR_S) else { return Vec::new() };
    let first = from.unix_s().div_euclid(step_s) + i64::from(from.unix_s().rem_euclid(step_s) > 0);
    let all = (first..).map(|n| n * step_s).take_while(|tick| *tick <= until.unix_s());
    let spell = |(nth, tick): (usize, i64)| {
        let at = CollectorTime::from_unix_s(tick);
        let midnight = tick.rem_euclid(24 * HOUR_S) == 0;
        let format = if midnight || (nth == 0 && step_s >= 24 * HOUR_S) { "%b %-d" } else { "%H:%M" };
        (at, at.utc().format(format).to_string())
    };
    all.take(most as usize).enumerate().map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_day_and_of_a_week() {
        let start = 1_795_302_000; // 2026-11-21 23:00
        let of = |hours: i64| {
            let (from, until) = (start, start + hours * HOUR_S);
            let ticks = ticks(CollectorTime::from_unix_s(from), CollectorTime::from_unix_s(until), 5);
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(2), "23:00 Nov 22 01:00");
        assert_eq!(of(24), "Nov 22 06:00 12:00 18:00");
        assert_eq!(of(167), "Nov 23 Nov 25 Nov 27");
        assert_eq!(of(0), "23:00");
    }
}
