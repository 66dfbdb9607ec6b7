//! The daemon with real hosts: ticks, sweeps, catching up, skipping, and its end.

use dropsonde::model::{CollectorTime, Fate, SweepId, Tick};
use dropsonde::schedule::Timetable;
use dropsonde::store::{StateDir, ticks};

use super::process::{Daemon, assert_no_gap, book, ran};
use crate::support::patience::wait_until;
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

/// Hosts, and a schedule of a probe `slow` that takes so long.
fn program(cron: &str, seconds: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web[01-02]", &sshd);
    program.probe("slow", &format!("sleep {seconds}; echo done"), "format = \"text\"\ntimeout = \"50s\"");
    program.configure(&schedule("often", cron));
    (sshd, program)
}

fn schedule(name: &str, cron: &str) -> String {
    format!("[[schedule]]\nname = {name:?}\ncron = {cron:?}\nprobes = [\"hello\", \"slow\"]\n")
}

fn now() -> CollectorTime {
    dropsonde::collect::clock::now()
}

/// An hourly schedule whose last known tick was so many hours ago.
fn decided(program: &Program, hours: i64, fate: Fate) -> CollectorTime {
    let timetable = Timetable::parse("0 * * * *", "UTC").unwrap();
    let due = timetable.latest(CollectorTime::from_unix_s(now().unix_s() - hours * 3_600)).unwrap();
    let tick = Tick {
        schedule: "often".to_owned(),
        timetable: timetable.text().to_owned(),
        due,
        decided: due,
        fate,
    };
    ticks::append(&StateDir::create(&program.state()).unwrap(), &[tick]).unwrap();
    due
}

#[test]
fn every_tick_is_swept_written_down_and_logged() {
    let (_sshd, program) = program("*/2 * * * * *", "0.1");
    let daemon = Daemon::start(&program, &[]);
    wait_until("three sweeps ran", || ran(&book(&program)).len() >= 3);
    daemon.wait_for_log(" of often: 4/4 ok in ");
    assert!(daemon.has_notice("READY=1\nSTATUS=next: often at "), "{:?}", daemon.notices());
    daemon.wait_for_notice("last: often 4/4 ok in ");
    let log = daemon.stop();
    assert!(
        log.contains("running 1 schedule over 2 hosts")
            && log.contains("stopping")
            && log.contains("stopped")
    );
    let ticks = book(&program);
    assert_no_gap(&ticks, &Timetable::parse("*/2 * * * * *", "UTC").unwrap());
    let sweeps = program.sweeps();
    for tick in ran(&ticks) {
        let Fate::Ran { sweep, .. } = &tick.fate else { continue };
        assert!(sweeps.contains(sweep), "{sweep}");
        assert_eq!(log.matches(&format!("sweep {sweep} of often: ")).count(), 1, "{log}");
        assert!(tick.decided >= tick.due);
    }
    assert_eq!(ran(&ticks).len(), sweeps.len());
    let listed = program.run(&["sweeps", "--json"]).json();
    assert!(listed["sweeps"].as_array().unwrap().iter().all(|sweep| sweep["trigger"] == "scheduled"));
    // Nobody else looks after the disk.
    assert!(program.state().join("prune.lock").exists());
    program.assert_clean();
}

#[test]
fn a_sweep_that_still_runs_makes_the_next_one_skipped() {
    let (_sshd, program) = program("* * * * * *", "4");
    let daemon = Daemon::start(&program, &[]);
    wait_until("two sweeps ran", || ran(&book(&program)).len() >= 2);
    let log = daemon.stop();
    let ticks = book(&program);
    assert_no_gap(&ticks, &Timetable::parse("* * * * * *", "UTC").unwrap());
    let Fate::Ran { sweep, .. } = &ticks[0].fate else { panic!("{ticks:#?}") };
    let Fate::Skipped { why } = &ticks[1].fate else { panic!("{ticks:#?}") };
    assert_eq!(*why, format!("sweep {sweep} was still running"));
    assert!(log.contains("skipped the sweep of often that was due at "), "{log}");
    let skipped = ticks.iter().filter(|tick| matches!(tick.fate, Fate::Skipped { .. })).count();
    assert!(skipped >= 3, "{ticks:#?}");
    // Whoever looks back sees both.
    let shown = program.run(&["sweeps", "--json"]).json();
    let not_run = shown["not_run"].as_array().unwrap();
    assert_eq!(not_run.len(), skipped);
    assert!(not_run.iter().all(|tick| tick["schedule"] == "often" && tick["fate"] == "skipped"), "{shown}");
    let text = program.run(&["schedule"]).out;
    assert!(text.contains("  missed  ") && text.contains("was still running"), "{text}");
    program.assert_clean();
}

#[test]
fn what_was_missed_is_caught_up_once_and_marked_late() {
    let (_sshd, program) = program("0 * * * *", "0.1");
    let last = decided(&program, 3, Fate::Skipped { why: "a test".to_owned() });
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log(" of often: 4/4 ok in ");
    let log = daemon.stop();
    assert!(log.contains("missed 2 sweeps of often") && log.contains("no daemon was running"), "{log}");
    let ticks = book(&program);
    // The last hour is caught up, unless the next one began meanwhile.
    let [_, missed, caught_up, ..] = &ticks[..] else { panic!("{ticks:#?}") };
    assert!(matches!(missed.fate, Fate::Missed { count: 2, .. }), "{missed:?}");
    assert!(matches!(caught_up.fate, Fate::Ran { late: true, .. }), "{caught_up:?}");
    assert_eq!(caught_up.due.unix_s() - last.unix_s(), 3 * 3_600);
    assert_no_gap(&ticks, &Timetable::parse("0 * * * *", "UTC").unwrap());
    let listed = program.run(&["sweeps", "--json"]).json();
    let late_s = listed["sweeps"][0]["late_s"].as_f64().unwrap();
    assert!(late_s > 5.0 && late_s < 7_200.0, "{listed}");
    assert!(program.run(&["sweeps"]).out.contains("late"));
    // Once: a restart finds nothing to do until the next full hour.
    let sweeps = program.sweeps().len();
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_notice("STATUS=next: often at ");
    daemon.stop();
    let hour_passed = book(&program).len() > ticks.len();
    assert!(program.sweeps().len() == sweeps || hour_passed);
}

#[test]
fn a_sweep_that_was_written_down_and_never_began_is_run() {
    let (_sshd, program) = program("0 * * * *", "0.1");
    decided(&program, 1, Fate::Skipped { why: "a test".to_owned() });
    let sweep = SweepId::new("20200101T000000Z-00000000").unwrap();
    let due = decided(&program, 0, Fate::Ran { sweep, late: false });
    // And once more, by a daemon that was killed as early.
    let again = SweepId::new("20200101T000001Z-00000000").unwrap();
    decided(&program, 0, Fate::Ran { sweep: again, late: false });
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log(" of often: 4/4 ok in ");
    daemon.stop();
    let ticks = book(&program);
    assert!(ran(&ticks)[2].due >= due && program.sweeps().len() == ran(&ticks).len() - 2, "{ticks:#?}");
}

#[test]
fn a_sweep_that_never_began_has_failed_once_the_book_has_gone_on() {
    let (_sshd, program) = program("0 * * * *", "0.1");
    program.run(&["sweep", "--probe", "hello"]).expect(0, &[]);
    let swept = program.sweeps().remove(0);
    decided(&program, 3, Fate::Ran { sweep: swept, late: false });
    let never = SweepId::new("20200101T000000Z-00000000").unwrap();
    let due = decided(&program, 2, Fate::Ran { sweep: never.clone(), late: false });
    decided(&program, 1, Fate::Skipped { why: format!("sweep {never} was still running") });
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log(" of often: 4/4 ok in ");
    daemon.stop();
    let ticks = book(&program);
    let why = "the daemon was stopped before it began".to_owned();
    assert_eq!((ticks[1].due, &ticks[1].fate), (due, &Fate::Failed { sweep: never, why }));
    assert_no_gap(&ticks, &Timetable::parse("0 * * * *", "UTC").unwrap());
    let shown = program.run(&["sweeps", "--json"]).json();
    assert_eq!(shown["not_run"].as_array().unwrap().last().unwrap()["fate"], "failed", "{shown}");
}

#[test]
fn what_failed_is_not_missed_as_well() {
    let (_sshd, program) = program("0 * * * *", "0.1");
    program.run(&["sweep", "--probe", "hello"]).expect(0, &[]);
    let swept = program.sweeps().remove(0);
    decided(&program, 3, Fate::Ran { sweep: swept, late: false });
    // The disk was full, and is not any more when the next daemon starts.
    let failed = |hour: i64| {
        let sweep = SweepId::new(&format!("20200101T00000{hour}Z-00000000")).unwrap();
        decided(&program, hour, Fate::Failed { sweep, why: "the disk is full".to_owned() })
    };
    let due = [2, 1, 0].map(failed);
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_notice("STATUS=next: often at ");
    let log = daemon.stop();
    let ticks = book(&program);
    assert!(!log.contains("missed") && !log.contains("late"), "{log}");
    assert!(ticks[1..4].iter().map(|tick| tick.due).eq(due), "{ticks:#?}");
    // Each has one fate.
    assert_no_gap(&ticks, &Timetable::parse("0 * * * *", "UTC").unwrap());
}

#[test]
fn killed_in_the_middle_it_goes_on_with_the_next_tick() {
    let (sshd, program) = program("0 * * * *", "40");
    decided(&program, 1, Fate::Skipped { why: "a test".to_owned() });
    let daemon = Daemon::start(&program, &[]);
    wait_until("the slow probe runs", || sshd.sessions().len() == 2);
    wait_until("the quick one was recorded", || {
        program.sweeps().first().is_some_and(|sweep| {
            program.state().join("index.sqlite").exists() && {
                program.ledger(sweep).iter().filter(|line| line[1] == "hello").count() == 2
            }
        })
    });
    daemon.kill();
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log("closed sweep ");
    daemon.wait_for_notice("STATUS=next: often at ");
    daemon.stop();
    let ticks = book(&program);
    assert_no_gap(&ticks, &Timetable::parse("0 * * * *", "UTC").unwrap());
    let ledger = program.ledger(&program.sweeps()[0]);
    let ok = ledger.iter().filter(|line| line[2] == "ok").count();
    assert_eq!((ledger.len(), ok), (4, 2), "{ledger:?}");
    program.assert_clean();
}

#[test]
fn two_daemons_do_not_share_a_state_directory() {
    let (_sshd, program) = program("0 * * * *", "0.1");
    let first = Daemon::start(&program, &[]);
    let second = program.run(&["daemon"]);
    second.expect(2, &["another daemon (process ", &first.pid().to_string(), "use another --state"]);
    first.stop();
    Daemon::start(&program, &[]).stop();
}

#[test]
fn one_signal_lets_a_sweep_finish_and_two_do_not() {
    let (_sshd, program) = program("* * * * * *", "3");
    let daemon = Daemon::start(&program, &["--set", "limits.signal_grace=60s"]);
    wait_until("a sweep runs", || !program.tars().is_empty());
    daemon.wait_for_notice("running: often");
    let log = daemon.stop();
    assert!(log.contains("1 sweep in flight, 1m to finish"), "{log}");
    for sweep in program.sweeps() {
        assert_eq!(program.ledger(&sweep).len(), 4);
    }
    program.assert_clean();

    program.probe(
        "slow",
        "head -c 300000 /dev/urandom | od -An -v -tx1; sleep 45",
        "format = \"text\"\ntimeout = \"50s\"",
    );
    let before = program.sweeps().len();
    let mut daemon = Daemon::start(&program, &["--set", "limits.signal_grace=60s"]);
    wait_until("another sweep runs", || program.sweeps().len() > before);
    daemon.signal("INT");
    daemon.wait_for_notice("STOPPING=1");
    daemon.signal("INT");
    assert_eq!(daemon.ended(), Some(0));
    let last = program.sweeps().into_iter().next_back().unwrap();
    let ledger = program.ledger(&last);
    assert!(
        ledger.len() == 4 && ledger.iter().filter(|line| line[1] == "slow").all(|line| line[2] != "ok"),
        "{ledger:?}"
    );
    program.assert_clean();
}
