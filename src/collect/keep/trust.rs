//! Which time a prune may believe that nobody asked for. A clock that jumps ahead by a year would make it take
//! away all there is, and the sweeps that were made by it are no witness. So the time that is believed goes on
//! by what a clock that cannot be set has counted, also over restarts; another one is believed once the
//! collector has lived with it for two days, or when a person prunes by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::collect::clock::Clocks;
use crate::model::{CollectorTime, duration_text};
use crate::store::index::Reader;
use crate::store::note::Note;
use crate::store::{StateDir, StoreError};

/// What a clock may be corrected by while the machine runs.
const ALLOWANCE: Duration = Duration::from_secs(3_600);

/// How long a machine may have been off, or asleep on a host that does not say so, without being doubted.
const OFF: Duration = Duration::from_secs(86_400);

/// More than that at once is not gone along with, or many small jumps would make a large one.
const DRIFT: Duration = Duration::from_secs(60);

/// A clock that is doubted must have been right with itself for so long.
const CONFIRMED: Duration = Duration::from_secs(2 * 86_400);

/// What nobody has written about yet is believed up to here after its newest sweep.
const AFTER_NEWEST: Duration = Duration::from_secs(2 * 86_400);

/// The record is as good for so long: what has passed since is counted by the steady clock.
const FRESH: Duration = Duration::from_secs(600);

/// Both clocks at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    wall_ns: i64,
    steady_ns: u64,
    boot: String,
}

/// A clock that shows another time than it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Doubt {
    latest: Mark,
    /// How long the collector has lived with it.
    lived_ns: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u8,
    believed: Option<Mark>,
    doubted: Option<Doubt>,
}

/// What came of a look at the clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// The time to prune by; `None` when it would be too early by what is known.
    pub believed: Option<CollectorTime>,
    /// For a person, once.
    pub doubt: Option<String>,
}

/// Looks at the clocks, and writes down what is to be known of them the next time.
pub(super) fn look(state: &StateDir, clocks: &Clocks) -> Result<Judged, StoreError> {
    let note = Note::new(state.clone(), "clock");
    let mut pen = match note.pen() {
        Ok(pen) => Some(pen),
        Err(error) if error.is_full() => None,
        Err(error) => return Err(error),
    };
    let mut file = match note.read::<File>() {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!("what is known of the clock is begun anew: {error}");
            File::default()
        }
    };
    let before = file.clone();
    if file.believed.is_none() {
        file.believed = Some(first(state, clocks)?);
    }
    let judged = file.judge(clocks);
    if let Some(pen) = pen.as_mut().filter(|_| file.is_news_after(&before)) {
        match pen.replace(&file) {
            // Whatever is not known the next time is doubted then.
            Err(error) if !error.is_full() => return Err(error),
            _ => {}
        }
    }
    Ok(judged)
}

/// A person has pruned by this clock: it is right.
pub fn vouch(state: &StateDir, clocks: &Clocks) -> Result<(), StoreError> {
    let note = Note::new(state.clone(), "clock");
    note.pen()?.replace(&File { schema: 1, believed: Some(Mark::of(clocks)), doubted: None })
}

/// Where nothing is written yet: now, or what the newest sweep makes likely.
fn first(state: &StateDir, clocks: &Clocks) -> Result<Mark, StoreError> {
    let newest = match Reader::open(state.root()) {
        Ok(reader) => reader.sweeps(1)?.into_iter().next().map(|row| row.started),
        Err(StoreError::NoIndex { .. }) => None,
        Err(error) => return Err(error),
    };
    let here = Mark::of(clocks);
    let likely = |newest: CollectorTime| newest.unix_ns().saturating_add(ns(AFTER_NEWEST)) >= here.wall_ns;
    match newest {
        Some(newest) if !likely(newest) => Ok(Mark { wall_ns: newest.unix_ns(), ..here }),
        _ => Ok(here),
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Mark {
    fn of(clocks: &Clocks) -> Self {
        let steady_ns = u64::try_from(clocks.steady.as_nanos()).unwrap_or(u64::MAX);
        Self { wall_ns: clocks.wall.unix_ns(), steady_ns, boot: clocks.boot.clone() }
    }

    fn is_of_this_boot(&self, here: &Self) -> bool {
        self.boot == here.boot && !here.boot.is_empty() && self.steady_ns <= here.steady_ns
    }

    /// What is known to have passed until `here`.
    fn passed_ns(&self, here: &Self) -> u64 {
        here.steady_ns - if self.is_of_this_boot(here) { self.steady_ns } else { 0 }
    }

    /// How far `here` is ahead of what this one and the time that has passed make it.
    fn ahead_ns(&self, here: &Self) -> i64 {
        let passed_ns = i64::try_from(self.passed_ns(here)).unwrap_or(i64::MAX);
        here.wall_ns.saturating_sub(self.wall_ns).saturating_sub(passed_ns)
    }

    /// Whether both may have been read off one clock that nobody has set.
    fn goes_with(&self, here: &Self) -> bool {
        let most = if self.is_of_this_boot(here) { ALLOWANCE } else { OFF };
        (-ns(ALLOWANCE)..=ns(most)).contains(&self.ahead_ns(here))
    }
}

impl File {
    fn judge(&mut self, clocks: &Clocks) -> Judged {
        self.schema = 1;
        let here = Mark::of(clocks);
        let sure = Judged { believed: Some(clocks.wall), doubt: None };
        let Some(known) = self.believed.as_ref().filter(|known| !known.goes_with(&here)) else {
            self.doubted = None;
            let drifts = |known: &Mark| {
                known.is_of_this_boot(&here)
                    && known.ahead_ns(&here).unsigned_abs() <= DRIFT.as_nanos() as u64
            };
            if self.believed.as_ref().is_none_or(|known| drifts(known) || !known.is_of_this_boot(&here)) {
                self.believed = Some(here);
            }
            return sure;
        };
        let ahead_ns = known.ahead_ns(&here);
        let before = self.doubted.take().filter(|doubt| doubt.latest.goes_with(&here));
        let is_new = before.is_none();
        let lived_ns = before.map_or(0, |doubt| doubt.lived_ns.saturating_add(doubt.latest.passed_ns(&here)));
        if lived_ns >= CONFIRMED.as_nanos() as u64 {
            self.believed = Some(here);
            return sure;
        }
        self.doubted = Some(Doubt { latest: here, lived_ns });
        if ahead_ns < 0 {
            // By a clock that is behind nothing goes too early.
            return sure;
        }
        let ahead = rounded(Duration::from_nanos(ahead_ns.unsigned_abs()));
        let doubt = format!(
            "the clock says {}, which is {ahead} more than has passed as far as is known; nothing goes by its \
             age until the clock has said so for {}, or `dropsonde prune` is run",
            clocks.wall.rfc3339(),
            duration_text(CONFIRMED)
        );
        Judged { believed: None, doubt: is_new.then_some(doubt) }
    }

    /// Whether it is worth a write: after each sweep it need not be.
    fn is_news_after(&self, before: &Self) -> bool {
        let aged = |now: &Mark, before: &Mark| {
            now.boot != before.boot || now.steady_ns.abs_diff(before.steady_ns) >= FRESH.as_nanos() as u64
        };
        let believed = match (&self.believed, &before.believed) {
            (Some(now), Some(before)) => aged(now, before),
            _ => true,
        };
        let doubted = match (&self.doubted, &before.doubted) {
            (Some(now), Some(before)) => now.lived_ns == 0 || aged(&now.latest, &before.latest),
            (None, None) => false,
            _ => true,
        };
        believed || doubted
    }
}

/// To days, or to minutes.
fn rounded(duration: Duration) -> String {
    let unit_s = if duration > CONFIRMED { 86_400 } else { 60 };
    duration_text(Duration::from_secs((duration.as_secs() + unit_s / 2) / unit_s * unit_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    /// A machine that is looked at after each step.
    struct Machine {
        file: File,
        wall_s: i64,
        steady_s: u64,
        boot: u32,
    }

    impl Machine {
        fn new() -> Self {
            let mut machine = Self { file: File::default(), wall_s: 20_000 * DAY, steady_s: 5_000, boot: 1 };
            assert_eq!(machine.look(), Some(true));
            machine
        }

        /// Whether it is believed, and `None` when it is doubted from now on.
        fn look(&mut self) -> Option<bool> {
            let wall = CollectorTime::from_unix_s(self.wall_s);
            let clocks =
                Clocks { wall, steady: Duration::from_secs(self.steady_s), boot: self.boot.to_string() };
            let mut file = self.file.clone();
            let judged = file.judge(&clocks);
            if file.is_news_after(&self.file) {
                self.file = file;
            }
            match judged.doubt {
                Some(_) => None,
                None => Some(judged.believed == Some(wall)),
            }
        }

        fn live(&mut self, seconds: i64) -> Option<bool> {
            self.wall_s += seconds;
            self.steady_s += seconds as u64;
            self.look()
        }

        fn jump(&mut self, seconds: i64) -> Option<bool> {
            self.wall_s += seconds;
            self.look()
        }

        /// Off for so long, and on for a minute.
        fn boot(&mut self, off_s: i64) -> Option<bool> {
            self.wall_s += off_s;
            (self.steady_s, self.boot) = (0, self.boot + 1);
            self.live(60)
        }
    }

    #[test]
    fn a_jump_ahead_is_doubted_for_as_long_as_it_lasts_and_told_once() {
        let mut machine = Machine::new();
        assert_eq!(machine.live(40 * DAY), Some(true), "it slept");
        assert_eq!(machine.jump(400 * DAY), None);
        for _ in 0..20 {
            assert_eq!(machine.live(8), Some(false));
        }
        assert_eq!(machine.jump(-400 * DAY), Some(true));
        assert_eq!(machine.live(8), Some(true));
        // Another time is another doubt.
        assert_eq!(machine.jump(400 * DAY), None);
        assert_eq!(machine.jump(400 * DAY), None);
        assert_eq!(machine.jump(-400 * DAY), None);
    }

    #[test]
    fn what_a_machine_lives_with_for_two_days_is_believed() {
        let mut machine = Machine::new();
        assert_eq!(machine.boot(31 * DAY), None);
        for _ in 0..47 {
            assert_eq!(machine.live(HOUR), Some(false));
        }
        // Switched off for a night.
        assert_eq!(machine.boot(10 * HOUR), Some(false));
        assert_eq!(machine.live(HOUR), Some(true));
        assert_eq!(machine.live(HOUR), Some(true));
    }

    #[test]
    fn switched_off_and_on_it_is_believed_and_small_jumps_make_no_large_one() {
        let mut machine = Machine::new();
        for _ in 0..10 {
            assert_eq!(machine.boot(14 * HOUR), Some(true));
        }
        assert_eq!(machine.jump(HOUR - 60), Some(true));
        assert_eq!(machine.jump(HOUR - 60), None);
    }

    #[test]
    fn a_clock_that_is_behind_is_pruned_by_and_the_right_one_is_known_again() {
        let mut machine = Machine::new();
        assert_eq!(machine.jump(-400 * DAY), Some(true));
        assert_eq!(machine.live(3 * HOUR), Some(true));
        assert_eq!(machine.jump(400 * DAY), Some(true));
        // It was ahead all the time, so long that it was believed, and is set right: no later jump is free.
        assert_eq!(machine.jump(-30 * DAY), Some(true));
        assert_eq!(machine.live(HOUR), Some(true));
        assert_eq!(machine.live(2 * DAY), Some(true));
        assert_eq!(machine.jump(20 * DAY), None);
    }
}
