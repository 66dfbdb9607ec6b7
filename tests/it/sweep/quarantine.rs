//! A probe that takes too much of a host is flagged, then not run there any more, until a person says
//! otherwise or its definition changes: the built program, a real sshd, real CPU time.

use serde_json::json;

use super::good;
use crate::support::program::{Program, Ran};

/// Burns far more CPU than its budget of a millisecond.
const GREEDY: &str = "i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done; printf 'hello_value 1\\n'";
const OPENMETRICS: &str = "format = \"openmetrics\"\nbudget = \"1ms\"";

fn sweep(program: &Program) -> Ran {
    program.run(&["sweep", "--probe", "greedy", "--probe", "hello", "--json"])
}

/// How the last sweep's readings of `probe` ended, `host outcome`.
fn ended(ran: &Ran, probe: &str) -> Vec<String> {
    let report = ran.json();
    let readings = report["readings"].as_array().unwrap().iter().filter(|one| one["probe"] == probe);
    readings
        .map(|one| format!("{} {}", one["host"].as_str().unwrap(), one["outcome"].as_str().unwrap()))
        .collect()
}

#[test]
fn two_offences_in_a_row_and_a_probe_is_held_until_it_is_released() {
    let (_sshd, program) = good("a,b");
    program.probe("greedy", GREEDY, OPENMETRICS);
    for _ in 0..2 {
        let ran = sweep(&program);
        ran.expect(0, &[]);
        assert_eq!(ended(&ran, "greedy"), ["a ok", "b ok"]);
    }
    // The reading stands with its numbers, and says that it was too dear.
    let shown = program.run(&["show", "a", "greedy", "--json"]).json();
    assert_eq!(shown["samples"][0]["value"], 1.0);
    let fault = shown["faults"][0].as_str().unwrap();
    assert!(fault.starts_with("used ") && fault.ends_with("of CPU on the host, budget 1ms"), "{fault}");
    let ledger = program.run(&["sweeps", "latest"]);
    assert!(ledger.out.contains("of CPU on the host, budget 1ms"), "{ledger:?}");

    let ran = sweep(&program);
    ran.expect(3, &[]);
    let detail = [
        "quarantined since 20",
        "after 2 offences in a row, the last: used",
        "budget 1ms; release with: \
          dropsonde quarantine release a greedy",
    ];
    ran.ended(("a", "greedy"), "skipped", &detail);
    assert_eq!(ended(&ran, "hello"), ["a ok", "b ok"]);
    assert_eq!(ran.adds_up(), 4);
    let run = program.run(&["run", "greedy", "-H", "b", "--json"]);
    run.expect(3, &[]).ended(("b", "greedy"), "skipped", &["quarantined since"]);
    let dry = program.run(&["sweep", "--probe", "greedy", "-H", "a", "--dry-run", "--json"]).json();
    assert_eq!((&dry["planned"], &dry["hosts"][0]["probes"]), (&json!(1), &json!([])));
    assert_eq!(dry["held"][0]["host"], "a");

    let list = program.run(&["quarantine", "--json"]).json();
    let hosts: Vec<&str> =
        list["quarantined"].as_array().unwrap().iter().map(|it| it["host"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["a", "b"], "{list}");
    assert_eq!(list["quarantined"][0]["offences"], 2);
    program.run(&["quarantine", "release", "a", "hello"]).expect(2, &["hello is not in quarantine on a"]);
    program.run(&["quarantine", "release", "a", "gredy"]).expect(2, &["did you mean greedy?"]);
    let released = program.run(&["quarantine", "release", "a", "greedy", "--json"]);
    assert_eq!(released.expect(0, &[]).json()["released"][0]["host"], "a");
    program.run(&["quarantine", "release", "a", "*"]).expect(2, &["no probe is in quarantine on a"]);

    // A rebuilt index knows the offences, and the release stands beside it.
    program.run(&["reindex"]).expect(0, &[]);
    let ran = sweep(&program);
    assert_eq!(ended(&ran, "greedy"), ["a ok", "b skipped"]);
    // Once is not twice.
    let ran = sweep(&program);
    assert_eq!(ended(&ran, "greedy"), ["a ok", "b skipped"]);
    let ran = sweep(&program);
    assert_eq!(ended(&ran, "greedy"), ["a skipped", "b skipped"]);
    let text = program.run(&["quarantine"]);
    assert!(text.out.contains("a     greedy") && text.out.contains("used "), "{text:?}");
    program.assert_clean();
}

#[test]
fn another_definition_and_a_good_reading_begin_anew() {
    let (_sshd, program) = good("a");
    program.probe("greedy", GREEDY, OPENMETRICS);
    assert_eq!(ended(&sweep(&program), "greedy"), ["a ok"]);
    // A generous budget: this reading is fine, and so is the next with the old one.
    program.probe("greedy", GREEDY, "format = \"openmetrics\"\nbudget = \"60s\"");
    assert_eq!(ended(&sweep(&program), "greedy"), ["a ok"]);
    program.probe("greedy", GREEDY, OPENMETRICS);
    for _ in 0..2 {
        assert_eq!(ended(&sweep(&program), "greedy"), ["a ok"]);
    }
    assert_eq!(ended(&sweep(&program), "greedy"), ["a skipped"]);
    program.probe("greedy", "printf 'hello_value 2\\n'", OPENMETRICS);
    program.run(&["quarantine"]).expect(0, &["nothing is in quarantine"]);
    let ran = program.run(&["run", "greedy", "-H", "a", "--json"]);
    ran.expect(0, &[]).ended(("a", "greedy"), "ok", &[]);
}

#[test]
fn a_probe_that_has_to_be_killed_twice_is_held_and_an_absent_host_is_no_offence() {
    let (sshd, program) = good("a");
    program.probe("greedy", "sleep 60", "format = \"text\"\ntimeout = \"1s\"");
    let run = || program.run(&["run", "greedy", "-H", "a", "--json"]);
    run().ended(("a", "greedy"), "timed_out", &["deadline of 1s"]);
    drop(sshd);
    run().expect(4, &[]).ended(("a", "greedy"), "unreachable", &[]);
    assert_eq!(program.run(&["quarantine", "--json"]).json()["quarantined"], json!([]));
    let strikes = dropsonde::store::index::Reader::open(&program.state()).unwrap().strikes().unwrap();
    assert_eq!((strikes.len(), strikes[0].count), (1, 1));
}

#[test]
fn a_killed_probe_is_held_after_two() {
    let (_sshd, program) = good("a");
    program.probe("greedy", "kill -KILL $$", "format = \"text\"");
    let run = || program.run(&["run", "greedy", "-H", "a", "--json"]);
    for _ in 0..2 {
        run().expect(3, &[]).ended(("a", "greedy"), "failed", &["signal 9"]);
    }
    run().expect(3, &[]).ended(("a", "greedy"), "skipped", &["the last: was killed by signal 9"]);
    // A file of releases that is broken spares the host, and the sweep goes on.
    std::fs::write(program.state().join("quarantine.json"), "{").unwrap();
    run().expect(3, &["nothing counts as released", "quarantine.json"]);
    program.run(&["quarantine", "release", "a", "greedy"]).expect(1, &["quarantine.json"]);
}
