//! `outliers` finds what was planted, and names nobody else.

use std::path::Path;

use serde_json::Value;

use super::fleet::{DISK, Fleet, SLOW, STEAL, hosts, name, names, three_incidents};
use crate::verbs::build::{json, refusal, run, stdout, text};

fn metrics(answer: &Value) -> Vec<&str> {
    answer["findings"].as_array().unwrap().iter().map(|it| it["metric"].as_str().unwrap()).collect()
}

#[test]
fn three_incidents_and_nobody_else() {
    let state = three_incidents();
    let answer = json(&state, &["outliers"]);
    for finding in answer["findings"].as_array().unwrap() {
        let expected: &[u32] = match finding["metric"].as_str().unwrap() {
            "runq_latency_seconds" | "softirq_seconds_total" | "wait_seconds" => &SLOW,
            "disk_await_seconds" => &[DISK],
            "steal_ratio" => &[STEAL],
            other => panic!("{other}: {finding}"),
        };
        assert_eq!(hosts(finding), names(expected), "{finding}");
    }
    let order = [
        "runq_latency_seconds",
        "disk_await_seconds",
        "softirq_seconds_total",
        "steal_ratio",
        "wait_seconds",
    ];
    let mut found = metrics(&answer);
    // What passes its warning stands first.
    assert_eq!(found[0], order[0], "{found:?}");
    found.sort_unstable();
    let mut expected = order.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(
        (&answer["planned"], &answer["answered"], &answer["metrics"]),
        (&48.into(), &48.into(), &16.into())
    );
    assert_eq!(answer["lacking"], Value::Array(Vec::new()));
}

#[test]
fn a_finding_says_how_much_and_since_when() {
    let answer = json(&three_incidents(), &["outliers", "--metric", "disk_*"]);
    let finding = &answer["findings"][0];
    assert_eq!((&finding["labels"]["device"], &finding["lens"]), (&"sdb".into(), &"changed".into()));
    assert_eq!(finding["since"], "2026-11-23T20:00:00Z");
    let number = |field: &str| finding[field].as_f64().unwrap();
    let ratio = number("value") / number("peers");
    assert!((ratio - number("ratio")).abs() < 1e-9 && (7.0..13.0).contains(&ratio), "{finding}");
    assert_eq!(finding["each"][0]["history"].as_array().unwrap().len(), 48);
    assert_eq!(finding["usual"].as_array().unwrap().len(), 48);
    let steal = &json(&three_incidents(), &["outliers", "--lens", "odd"])["findings"];
    assert_eq!((&steal[0]["metric"], &steal[0]["since"]), (&"steal_ratio".into(), &Value::Null));
    assert_eq!(steal.as_array().unwrap().len(), 1, "{steal}");
}

#[test]
fn what_a_person_sees() {
    let shown = text(&three_incidents(), &["outliers"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].ends_with("2026-11-23 23:00Z · 48/48 hosts · 16 metrics"), "{shown}");
    assert!(lines[2].starts_with("!  runq_latency_seconds"), "{shown}");
    assert!(lines[2].contains("web[06,18,30,42]") && lines[2].contains("16:00  changed"), "{shown}");
    let steal = lines.iter().find(|line| line.contains("steal_ratio")).unwrap();
    assert!(steal.starts_with("·") && steal.contains("47h+") && steal.contains(" odd "), "{shown}");
    assert_eq!(
        *lines.last().unwrap(),
        "6 of 48 hosts, 5 metrics.  Next: dropsonde explain runq_latency_seconds"
    );
    let one = text(&three_incidents(), &["outliers", "web*", "--limit", "1", "--peers", "role"]);
    assert!(one.ends_with("Next: dropsonde explain runq_latency_seconds -H 'web*' --peers role\n"), "{one}");
    assert_eq!(one.lines().count(), 4, "{one}");
}

#[test]
fn the_exit_status_says_that_there_are_findings_only_when_asked() {
    let state = three_incidents();
    assert_eq!(run(&state, &["outliers"]).status.code(), Some(0));
    assert_eq!(run(&state, &["outliers", "--fail-on-findings"]).status.code(), Some(10));
    let calm = ["outliers", "--metric", "noise_*", "--fail-on-findings"];
    let output = run(&state, &calm);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("No host differs from its peers"), "{output:?}");
}

#[test]
fn what_was_judged_is_counted() {
    let judged = |state: &Path, args: &[&str]| json(state, args)["judged"].clone();
    let all = judged(&three_incidents(), &["outliers"]);
    let hosts = serde_json::json!({"judged": 48, "unanswered": 0, "without_peers": 0});
    assert_eq!(all["hosts"], hosts);
    assert_eq!((&all["metrics"]["provisional"], &all["metrics"]["without_peers"]), (&0.into(), &0.into()));
    assert!(all["metrics"]["judged"].as_u64().unwrap() > 10, "{all}");
    // Racks have nine or ten hosts, and a serial number has one.
    let alone = judged(&three_incidents(), &["outliers", "--peers", "serial", "--metric", "steal_ratio"]);
    assert_eq!(alone["hosts"], serde_json::json!({"judged": 0, "unanswered": 0, "without_peers": 48}));
    assert_eq!(
        alone["metrics"],
        serde_json::json!({"judged": 0, "provisional": 0, "without_peers": 1, "unjudged": 0})
    );
}

#[test]
fn a_finding_outweighs_a_host_that_did_not_answer() {
    // web06 slows down at the fortieth sweep, and web05 is silent in the last one.
    let silent = |sweep, host| sweep == 43 && host == 5;
    let sick = Fleet { hosts: 8, sweeps: 44, silent, ..Fleet::default() }.record();
    let status = |state: &Path, metric: &str| {
        run(state, &["outliers", "--fail-on-findings", "--metric", metric]).status.code()
    };
    assert_eq!(status(sick.path(), "runq_*"), Some(10));
    assert_eq!(status(sick.path(), "noise_*"), Some(3));
    assert_eq!(run(sick.path(), &["outliers", "--metric", "noise_*"]).status.code(), Some(0));
    let judged = json(sick.path(), &["outliers"])["judged"].clone();
    assert_eq!(judged["hosts"], serde_json::json!({"judged": 7, "unanswered": 1, "without_peers": 0}));
    // Four sweeps are not enough data for a change, which is no finding.
    let young = Fleet { hosts: 8, sweeps: 4, ..Fleet::default() }.record();
    assert_eq!(status(young.path(), "noise_*"), Some(0));
    let judged = json(young.path(), &["outliers", "--metric", "noise_*"])["judged"].clone();
    assert_eq!(
        judged["metrics"],
        serde_json::json!({"judged": 0, "provisional": 6, "without_peers": 0, "unjudged": 0})
    );
}

#[test]
fn a_handful_of_hosts_is_judged_for_changes_only() {
    let four = Fleet { hosts: 4, sweeps: 44, ..Fleet::default() }.record();
    let answer = json(four.path(), &["outliers", "--metric", "noise_*"]);
    assert_eq!(
        answer["judged"]["hosts"],
        serde_json::json!({"judged": 4, "unanswered": 0, "without_peers": 0})
    );
    let lacking = &answer["lacking"];
    assert_eq!(lacking.as_array().unwrap().len(), 1, "{lacking}");
    let lacking = &lacking[0];
    assert_eq!((&lacking["what"], &lacking["lens"]), (&"peers".into(), &"odd".into()));
    assert_eq!((&lacking["have"], &lacking["need"]), (&3.into(), &5.into()));
    let shown = text(four.path(), &["outliers", "--metric", "noise_*"]);
    let told = "Judged for changes only: 3 peers for a host, and what has always differed takes 5.\n";
    assert!(shown.contains(told), "{shown}");
    // Without a past neither lens can say anything, and more sweeps would help one of them.
    let young = Fleet { hosts: 4, sweeps: 4, ..Fleet::default() }.record();
    let answer = json(young.path(), &["outliers", "--metric", "noise_*"]);
    assert_eq!(answer["judged"]["hosts"]["judged"], 0, "{answer}");
    let lenses: Vec<&Value> = answer["lacking"].as_array().unwrap().iter().map(|it| &it["lens"]).collect();
    assert_eq!(lenses, [&Value::from("odd"), &Value::from("changed")]);
}

#[test]
fn peers_are_those_of_a_group() {
    // Five racks of nine or ten hosts: each has its own medians.
    let answer = json(&three_incidents(), &["outliers", "--peers", "rack"]);
    let found = metrics(&answer);
    assert!(found.contains(&"disk_await_seconds") && found.contains(&"runq_latency_seconds"), "{found:?}");
    // Each host alone with its serial number has no peers at all.
    let alone = text(&three_incidents(), &["outliers", "--peers", "serial", "--metric", "steal_ratio"]);
    let lacking = "Not enough data in 48 groups (SN0001, SN0002, SN0003, SN0004, …): 0 peers for a host, 3 are needed.\n";
    assert!(alone.contains(lacking), "{alone}");
    assert!(alone.contains("No host differs from its peers as far as there is enough data.\n"), "{alone}");
}

#[test]
fn slips_are_told() {
    let state = three_incidents();
    let check = |args: &[&str], expected: &str| {
        let (status, said) = refusal(&state, args);
        assert_eq!(status, 2, "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    check(&["outliers", "--metric", "disk_awiat_seconds"], "did you mean disk_await_seconds?");
    check(&["explain", "await_disk"], "did you mean disk_await_seconds?");
    check(&["outliers", "--metric", "nothing_like_*"], "no metric nothing_like_*");
    check(&["outliers", "web99"], "nothing was recorded of web99");
    check(&["outliers", "--sweep", "2030"], "no sweep 2030");
    check(&["outliers", "--peers", "rak"], "did you mean rack?");
    check(&["explain", "runq_latency_second"], "did you mean runq_latency_seconds?");
    check(&["history", "runq_latency_seconds", "-H", "web99"], "nothing was recorded of web99");
    check(&["history", "disk_await_seconds", "-H", "web01", "--since", "soon"], "soon is no moment");
    check(&["fold", "note"], "did you mean notes or node?");
}

#[test]
fn nothing_recorded_and_one_host() {
    let empty = tempfile::tempdir_in("/dev/shm").unwrap();
    let (status, said) = refusal(empty.path(), &["outliers"]);
    assert_eq!(status, 2, "{said}");
    let one = Fleet { hosts: 1, sweeps: 2, ..Fleet::default() }.record();
    let shown = text(one.path(), &["outliers"]);
    assert!(shown.contains("Not enough data: 0 peers for a host, 3 are needed."), "{shown}");
    assert!(!shown.contains("of 24"), "more sweeps would not help: {shown}");
    assert_eq!(name(1).as_str(), "web01");
    let why = text(one.path(), &["explain", "steal_ratio"]);
    assert!(why.contains("No host differs, as far as there is enough data: nothing to explain."), "{why}");
}
