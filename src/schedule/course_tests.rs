//! Ticks through jumps of both clocks.

use super::*;

/// A machine whose clocks can be moved apart.
struct Machine {
    wall_ns: i64,
    steady_ns: i64,
}

impl Machine {
    fn at(utc: &str) -> Self {
        Self { wall_ns: utc_ns(utc), steady_ns: 7_000_000_000 }
    }

    fn now(&self) -> Moment {
        let steady = Duration::from_nanos(self.steady_ns as u64);
        Moment { wall: CollectorTime::from_unix_ns(self.wall_ns), steady }
    }

    fn jump(&mut self, by_s: f64) {
        self.wall_ns += (by_s * 1e9) as i64;
    }

    /// Nobody looks.
    fn pass(&mut self, by_ns: i64) {
        self.wall_ns += by_ns;
        self.steady_ns += by_ns;
    }

    /// Lives through so much time, looking every second as the daemon does; tells what was due.
    fn live(&mut self, course: &mut Course, seconds: f64) -> Vec<(String, bool, u64)> {
        let mut seen = Vec::new();
        for _ in 0..(seconds * 2.0) as u64 {
            self.wall_ns += 500_000_000;
            self.steady_ns += 500_000_000;
            seen.extend(course.look(self.now()).map(told));
        }
        seen
    }
}

fn utc_ns(text: &str) -> i64 {
    let parsed = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
    parsed.and_utc().timestamp_nanos_opt().unwrap()
}

/// When it was due, whether late, how many it stands for beside itself.
fn told(due: Due) -> (String, bool, u64) {
    let time = due.due.utc().format("%d %H:%M:%S").to_string();
    (time, due.late, due.missed.map_or(0, |missed| missed.count))
}

fn on_time(times: &[&str]) -> Vec<(String, bool, u64)> {
    times.iter().map(|time| ((*time).to_owned(), false, 0)).collect()
}

fn started(cron: &str, zone: &str, machine: &Machine) -> Course {
    Course::new(Timetable::parse(cron, zone).unwrap(), None, machine.now())
}

const HOUR: f64 = 3_600.0;

#[test]
fn each_tick_is_due_once_and_on_time() {
    let mut machine = Machine::at("2026-11-23 09:59:00");
    let mut course = started("0 * * * *", "UTC", &machine);
    assert_eq!(machine.live(&mut course, 2.0 * HOUR), on_time(&["23 10:00:00", "23 11:00:00"]));
    assert_eq!(course.next(), Some(CollectorTime::from_unix_ns(utc_ns("2026-11-23 12:00:00"))));
}

#[test]
fn what_was_missed_is_caught_up_once_and_late() {
    let mut machine = Machine::at("2026-11-23 11:20:00");
    let timetable = || Timetable::parse("0 * * * *", "UTC").unwrap();
    let decided = CollectorTime::from_unix_ns(utc_ns("2026-11-23 08:00:00"));
    let mut course = Course::new(timetable(), Some(decided), machine.now());
    let due = course.look(machine.now()).unwrap();
    assert_eq!((due.due.rfc3339().as_str(), due.late), ("2026-11-23T11:00:00Z", true));
    let missed = due.missed.unwrap();
    let ends = (missed.first.rfc3339(), missed.last.rfc3339(), missed.count);
    assert_eq!(ends, ("2026-11-23T09:00:00Z".to_owned(), "2026-11-23T10:00:00Z".to_owned(), 2));
    assert_eq!(machine.live(&mut course, HOUR), on_time(&["23 12:00:00"]));
    // Nothing was missed by a schedule that is new.
    let mut course = Course::new(timetable(), None, machine.now());
    assert_eq!(course.look(machine.now()), None);
    // A year of every minute is counted up to a bound, and run once.
    let mut course = started("* * * * *", "UTC", &machine);
    machine.jump(365.0 * 24.0 * HOUR);
    let (_, late, count) = course.look(machine.now()).map(told).unwrap();
    assert_eq!((late, count), (false, COUNTED));
    assert_eq!(course.look(machine.now()), None);
}

#[test]
fn a_clock_that_is_set_forward_runs_what_it_jumped_over_once() {
    let mut machine = Machine::at("2026-11-23 09:59:00");
    let mut course = started("0 * * * *", "UTC", &machine);
    assert_eq!(machine.live(&mut course, 90.0), on_time(&["23 10:00:00"]));
    machine.jump(HOUR);
    assert_eq!(machine.live(&mut course, 60.0), [("23 11:00:00".to_owned(), true, 0)]);
    machine.jump(3.0 * HOUR);
    assert_eq!(machine.live(&mut course, 60.0), [("23 14:00:00".to_owned(), true, 2)]);
    assert_eq!(machine.live(&mut course, HOUR), on_time(&["23 15:00:00"]));
}

#[test]
fn a_clock_that_is_set_back_keeps_the_rhythm() {
    // An hour back: the readings stay an hour apart, by a clock that is not set.
    for (back_s, expected) in [
        (HOUR, ["23 10:00:00", "23 11:00:00"]),
        (24.0 * HOUR, ["22 11:00:00", "22 12:00:00"]),
        // Not far enough to come to the tick again.
        (20.0, ["23 11:00:00", "23 12:00:00"]),
    ] {
        let mut machine = Machine::at("2026-11-23 09:59:00");
        let mut course = started("0 * * * *", "UTC", &machine);
        assert_eq!(machine.live(&mut course, 90.0), on_time(&["23 10:00:00"]));
        machine.jump(-back_s);
        assert_eq!(machine.live(&mut course, 2.0 * HOUR), on_time(&expected), "{back_s}");
    }
}

#[test]
fn a_clock_that_swings_around_a_tick_runs_it_once() {
    let mut machine = Machine::at("2026-11-23 09:59:58");
    let mut course = started("0 * * * *", "UTC", &machine);
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.extend(machine.live(&mut course, 3.0));
        machine.jump(-3.0);
    }
    assert_eq!(seen, on_time(&["23 10:00:00"]));
    machine.jump(-25.0 * 60.0);
    assert_eq!(machine.live(&mut course, HOUR * 1.5), on_time(&["23 11:00:00"]));
}

#[test]
fn forth_and_back_by_an_hour_is_no_storm() {
    let mut machine = Machine::at("2026-11-23 09:30:00");
    let mut course = started("*/10 * * * *", "UTC", &machine);
    let mut runs = 0;
    let mut lived_s = 0.0;
    for _ in 0..24 {
        for by_s in [HOUR, -HOUR] {
            machine.jump(by_s);
            runs += machine.live(&mut course, 15.0 * 60.0).len();
            lived_s += 15.0 * 60.0;
        }
    }
    let ticks = (lived_s / 600.0) as usize;
    // One more for each jump forward at the most, and none left out.
    assert!((ticks..=ticks + 24).contains(&runs), "{runs} runs in the time of {ticks}");
}

#[test]
fn daylight_saving_neither_skips_nor_storms() {
    for (from, zone, cron, days) in [
        ("2026-03-28 12:00:00", "Europe/Berlin", "30 2 * * *", 3),
        ("2026-10-24 12:00:00", "Europe/Berlin", "30 2 * * *", 3),
        ("2026-03-07 12:00:00", "America/New_York", "15 2 * * *", 3),
        ("2026-10-31 12:00:00", "America/New_York", "15 1 * * *", 3),
    ] {
        let mut machine = Machine::at(from);
        let mut course = started(cron, zone, &machine);
        let seen = machine.live(&mut course, f64::from(days) * 24.0 * HOUR);
        assert_eq!(seen.len(), days as usize, "{zone} {cron}: {seen:?}");
        assert!(seen.iter().all(|(_, late, missed)| !late && *missed == 0), "{seen:?}");
        let mut machine = Machine::at(from);
        let mut course = started("0 * * * *", zone, &machine);
        assert_eq!(machine.live(&mut course, f64::from(days) * 24.0 * HOUR).len(), 24 * days as usize);
    }
}

#[test]
fn a_clock_that_was_wrong_at_the_start_costs_one_sweep() {
    // No clock yet, then the right time: a machine without a battery.
    let mut machine = Machine::at("1970-01-01 00:00:10");
    let decided = CollectorTime::from_unix_ns(utc_ns("2026-11-23 08:00:00"));
    let mut course = Course::new(Timetable::parse("0 * * * *", "UTC").unwrap(), Some(decided), machine.now());
    assert_eq!(machine.live(&mut course, 60.0), []);
    machine.wall_ns = utc_ns("2026-11-23 09:10:00");
    assert_eq!(machine.live(&mut course, 60.0), [("23 09:00:00".to_owned(), true, 0)]);
    // A year ahead, then the right time: it does not wait for a year.
    let ahead = CollectorTime::from_unix_ns(utc_ns("2027-11-23 08:00:00"));
    let mut course = Course::new(Timetable::parse("0 * * * *", "UTC").unwrap(), Some(ahead), machine.now());
    assert_eq!(machine.live(&mut course, HOUR), on_time(&["23 10:00:00"]));
}

#[test]
fn a_tick_that_passes_while_the_clock_is_set_back_is_not_lost() {
    // Between two looks a second apart: the clock is set before the tick, with it, or behind it.
    for before_ns in [100_000_000, 400_000_000, 500_000_000, 600_000_000, 900_000_000] {
        for back_s in [10.0, HOUR, 24.0 * HOUR] {
            let mut machine = Machine::at("2026-11-23 09:59:58");
            let mut course = started("*/2 * * * * *", "UTC", &machine);
            let seen = machine.live(&mut course, 9.5);
            assert_eq!(seen.len(), 4, "{seen:?}");
            machine.pass(before_ns);
            machine.jump(-back_s);
            machine.pass(1_000_000_000 - before_ns);
            let due = course.look(machine.now());
            assert!(due.is_some(), "{before_ns} ns before it is set back by {back_s} s");
            // And no other one is run for it.
            assert_eq!(machine.live(&mut course, 9.5).len(), 5, "{before_ns} ns, {back_s} s");
        }
    }
}
