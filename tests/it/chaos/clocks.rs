//! A daemon whose clock is set under it: an hour ahead and back, and over both changes of daylight saving.
//! The clock is libfaketime's, read anew at every look; the steady clock is left alone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use dropsonde::collect::clock;
use dropsonde::model::{CollectorTime, Fate, Tick};
use dropsonde::schedule::Timetable;

use super::field::Field;
use super::rounds::Rounds;
use super::verify::{book, verify};
use crate::support::patience::wait_until;
use crate::unattended::process::{Daemon, ran};

/// Debian's package puts it into the machine's own folder of libraries.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is installed")
}

/// A daemon and the file that says what its clock shows.
struct Set {
    daemon: Daemon,
    clock: PathBuf,
    /// The daemon's clock less ours.
    ahead_s: i64,
}

impl Set {
    fn start(field: &Field, ahead_s: i64) -> Self {
        let clock = field.program.dir().join("clock");
        write(&clock, ahead_s);
        let mut command = field.program.command(&["daemon"]);
        command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        let daemon = Daemon::spawn(command, &field.program);
        daemon.wait_for_notice("READY=1");
        Self { daemon, clock, ahead_s }
    }

    fn now(&self) -> CollectorTime {
        CollectorTime::from_unix_ns(clock::now().unix_ns() + self.ahead_s * 1_000_000_000)
    }

    fn ahead(&mut self, seconds: i64) {
        self.ahead_s += seconds;
        write(&self.clock, self.ahead_s);
    }

    /// Sets it so that it shows this moment now.
    fn show(&mut self, unix_s: i64) {
        self.ahead_s = unix_s - clock::now().unix_s();
        write(&self.clock, self.ahead_s);
    }
}

/// Whole or not at all: the daemon may read it at any moment.
fn write(clock: &PathBuf, ahead_s: i64) {
    let new = clock.with_extension("new");
    fs::write(&new, format!("{ahead_s:+}\n")).expect("write");
    fs::rename(&new, clock).expect("rename");
}

fn field(cron: &str, timezone: &str) -> Field {
    let mut field = Field::new();
    field.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = {cron:?}\ntimezone = {timezone:?}\nprobes = [\"hello\"]\n\
         [retention]\nlow_space = \"0B\"\nreserve = \"0B\"\n"
    ));
    field
}

fn swept(field: &Field) -> usize {
    ran(&book(field)).len()
}

#[test]
fn an_hour_ahead_and_an_hour_back() {
    let mut rounds = Rounds::new("clock set", 1);
    let cron = "*/2 * * * * *";
    let timetable = Timetable::parse(cron, "UTC").expect("a timetable");
    let mut field = field(cron, "UTC");
    while rounds.next() {
        field.fresh(None);
        let mut set = Set::start(&field, 0);
        let began = std::time::Instant::now();
        let mut jumps = [3_600, -3_600, 3_600, -3_600];
        rounds.shuffle(&mut jumps);
        for jump in jumps {
            let before = swept(&field);
            wait_until("it sweeps", || swept(&field) > before);
            std::thread::sleep(Duration::from_millis(rounds.below(2_000)));
            set.ahead(jump);
        }
        let before = swept(&field);
        wait_until("it sweeps on", || swept(&field) >= before + 3);
        let lived_s = began.elapsed().as_secs() as usize;
        field.note_log(&set.daemon.stop());
        verify(&field);
        let ticks = book(&field);
        // None stormed: one tick in two seconds of life, and one for each jump ahead.
        assert!(ran(&ticks).len() <= lived_s / 2 + 2 + jumps.len(), "{lived_s} s: {ticks:#?}");
        no_gap_within_a_life(&ticks, &timetable);
        // A jump ahead stands for what it jumped over.
        let missed =
            ticks.iter().filter(|tick| matches!(tick.fate, Fate::Missed { count: 1_000.., .. })).count();
        assert!(missed >= 1, "{ticks:#?}");
    }
}

/// Far ahead for a while, or far back, and set right again: whatever is recorded by the wrong time, the daemon
/// takes nothing away by it.
#[test]
fn four_hundred_days_ahead_and_back_take_no_history() {
    let mut rounds = Rounds::new("clock far off", 1);
    let mut field = field("* * * * * *", "UTC");
    while rounds.next() {
        field.fresh(None);
        let mut set = Set::start(&field, 0);
        let mut jumps = [400 * 86_400, -400 * 86_400];
        rounds.shuffle(&mut jumps);
        wait_until("three sweeps", || field.program.sweeps().len() >= 3);
        for jump in jumps {
            set.ahead(jump);
            // Each is followed by a look after the state directory, the first of them at the latest.
            let before = swept(&field);
            wait_until("it sweeps by the wrong time", || swept(&field) >= before + 2);
            std::thread::sleep(Duration::from_millis(rounds.below(1_000)));
            set.ahead(-jump);
            let before = swept(&field);
            wait_until("it sweeps by the right one", || swept(&field) >= before + 2);
        }
        let log = set.daemon.stop();
        field.note_log(&log);
        assert!(!log.contains("pruned: "), "{log}");
        assert_eq!(log.matches("which is 400d more than has passed").count(), 1, "{log}");
        verify(&field);
        assert_eq!(field.program.sweeps().len(), ran(&book(&field)).len());
        // The same for the next process, whose sweeps are a day of wrong time later.
        let again = Set::start(&field, 401 * 86_400);
        let before = swept(&field);
        wait_until("it sweeps by the wrong time", || swept(&field) >= before + 2);
        let log = again.daemon.stop();
        field.note_log(&log);
        assert!(!log.contains("pruned: "), "{log}");
        verify(&field);
    }
}

/// Every tick follows the one before it, but where the clock went back.
fn no_gap_within_a_life(ticks: &[Tick], timetable: &Timetable) {
    for pair in ticks.windows(2) {
        let expected = timetable.after(pair[0].until()).expect("a tick");
        assert!(pair[1].due <= expected, "a gap: {pair:#?}");
    }
}

/// A time of every hour of the night, by the wall of Berlin: the clock is set to just before each, so that the
/// daemon lives through the night in half a minute.
#[test]
fn over_both_changes_of_daylight_saving() {
    let mut rounds = Rounds::new("daylight saving", 2);
    let cron = "30 0-4 * * *";
    let timetable = Timetable::parse(cron, "Europe/Berlin").expect("a timetable");
    // Both at 01:00 UTC: 29 March 2026, on which 02:30 is not, and 25 October, on which it is twice.
    let changes = [1_774_746_000, 1_792_890_000];
    let mut field = field(cron, "Europe/Berlin");
    while rounds.next() {
        let change = changes[usize::try_from(rounds.round() % 2).expect("0 or 1")];
        field.fresh(None);
        let from = change - 3 * 3_600;
        let mut set = Set::start(&field, from - clock::now().unix_s());
        let mut due = timetable.after(set.now()).expect("a tick");
        let mut expected = Vec::new();
        while due.unix_s() < change + 3 * 3_600 {
            expected.push(due);
            set.show(due.unix_s() - 1 - rounds.below(2) as i64);
            // To its end: a sweep that still ran would make the next one skipped, an hour by the clock later.
            wait_until("it is swept", || set.daemon.log().matches(" of often: ").count() >= expected.len());
            due = timetable.after(due).expect("a tick");
        }
        field.note_log(&set.daemon.stop());
        verify(&field);
        let ticks = book(&field);
        let dues: Vec<CollectorTime> = ticks.iter().map(|tick| tick.due).collect();
        assert_eq!(dues, expected, "{ticks:#?}");
        assert_eq!(ran(&ticks).len(), ticks.len(), "{ticks:#?}");
        // By the wall there are five in a night, whatever the clock does; of one that is twice, one.
        let night = |due: &&CollectorTime| (change - 3 * 3_600..=change + 3 * 3_600).contains(&due.unix_s());
        assert_eq!(expected.iter().filter(night).count(), 5, "{expected:?}");
    }
}
