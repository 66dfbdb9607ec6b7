//! A schedule's terms in a sweep of its own: spread, deadline, and how much must succeed.

use std::time::Duration;

use dropsonde::model::HostName;
use dropsonde::schedule::offset;
use dropsonde::store::index::Reader;

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

fn program(terms: &str, script: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web[01-04]", &sshd);
    program.probe("slow", script, "format = \"text\"\ntimeout = \"50s\"");
    program.configure(&format!(
        "[[schedule]]\nname = \"hourly\"\ncron = \"@hourly\"\nprobes = [\"slow\"]\n{terms}"
    ));
    (sshd, program)
}

#[test]
fn a_deadline_ends_a_sweep_and_every_reading_says_so() {
    let (_sshd, program) = program("deadline = \"4s\"", "sleep 45");
    let swept = program.run(&["sweep", "hourly", "--json", "--set", "limits.concurrency=2"]);
    // Two hosts had begun, unless this machine was too slow even for that.
    swept.expect(if swept.json()["outcomes"]["timed_out"] == 0 { 4 } else { 3 }, &[]);
    assert_eq!(swept.adds_up(), 4);
    assert!(swept.took < Duration::from_secs(40), "{:?}", swept.took);
    let report = swept.json();
    for reading in report["readings"].as_array().unwrap() {
        let detail = reading["detail"].as_str().unwrap();
        match reading["outcome"].as_str().unwrap() {
            "timed_out" => assert_eq!(detail, "sweep deadline passed"),
            "skipped" => {
                assert!(detail.starts_with("the sweep's deadline of 4s was over before "), "{detail}")
            }
            other => panic!("{other}: {detail}"),
        }
    }
    let listed = program.run(&["sweeps", "--json"]).json();
    assert_eq!(listed["sweeps"][0]["interrupted"], false);
    program.assert_clean();
}

#[test]
fn visits_begin_where_their_hosts_names_put_them() {
    let (_sshd, program) = program("splay = \"4s\"", "echo done");
    program.run(&["sweep", "hourly", "--spread"]).expect(0, &[]);
    let reader = Reader::open(&program.state()).unwrap();
    let sweep = reader.sweeps(1).unwrap().remove(0);
    for row in reader.ledger(&sweep.sweep).unwrap() {
        let after_ns = row.started.unix_ns() - sweep.started.unix_ns();
        let place = offset(&row.host, Duration::from_secs(4));
        assert!(after_ns >= place.as_nanos() as i64, "{} {after_ns} {place:?}", row.host);
    }
    // A person who sweeps by hand does not wait.
    let last =
        (1..=4).map(|n| offset(&HostName::new(&format!("web{n:02}")).unwrap(), Duration::from_secs(4))).max();
    assert!(sweep.elapsed.unwrap() >= last.unwrap());
}

#[test]
fn too_few_that_succeed_are_a_failed_sweep() {
    let script = "case $DROPSONDE_RUN in *) test -e /nonexistent;; esac";
    let (_sshd, program) = program("min_success = 0.5", script);
    program
        .run(&["sweep", "hourly"])
        .expect(4, &["0 of 4 readings succeeded, and the schedule hourly needs 2"]);
    // The same readings without a schedule that says so.
    program.run(&["sweep", "--probe", "slow"]).expect(3, &[]);
}
