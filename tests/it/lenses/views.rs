//! `history`, `fold` and `compare` over time.

use serde_json::Value;

use super::fleet::{SLOW, names, three_incidents};
use crate::verbs::build::{json, refusal, run, stderr, text};

const SINCE: [&str; 2] = ["--since", "2026-11-20"];

#[test]
fn a_history_stands_beside_the_fleet() {
    let all = ["history", "runq_latency_seconds", "-H", "web[06-07]", SINCE[0], SINCE[1]];
    let answer = json(&three_incidents(), &all);
    assert_eq!(answer["sweeps"].as_array().unwrap().len(), 48);
    let last = |list: &Value| list.as_array().unwrap()[47].as_f64().unwrap();
    let value = |host: usize| last(&answer["hosts"][host]["values"]);
    assert!(value(0) > 3.0 * last(&answer["p50"]), "{answer}");
    assert!(last(&answer["p10"]) <= last(&answer["p50"]) && last(&answer["p50"]) <= last(&answer["p90"]));
    let shown = text(&three_incidents(), &all);
    assert!(shown.starts_with("runq_latency_seconds · instant · 48 sweeps\n"), "{shown}");
    assert!(shown.contains('⠁') || shown.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{shown}");
    assert!(
        shown.contains('░') && shown.contains("11-22 00:00") && shown.contains("11-23 23:00Z"),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn a_history_has_the_worst_series_or_the_one_asked_for() {
    let ask = |more: &[&str]| {
        let mut args = vec!["history", "disk_await_seconds", "-H", "web24", SINCE[0], SINCE[1]];
        args.extend(more);
        json(&three_incidents(), &args)
    };
    let (worst, sda) = (ask(&[]), ask(&["--label", "device=sda"]));
    assert_eq!((&worst["worst_of"], &sda["worst_of"]), (&true.into(), &false.into()));
    let last = |it: &Value| it["hosts"][0]["values"][47].as_f64().unwrap();
    assert!(last(&worst) > 5.0 * last(&sda), "{} {}", last(&worst), last(&sda));
    let (status, said) = refusal(
        &three_incidents(),
        &["history", "disk_await_seconds", "-H", "web24", "--label", "device=sdz", SINCE[0], SINCE[1]],
    );
    assert!(status == 2 && said.contains("no series of disk_await_seconds is like that"), "{said}");
}

#[test]
fn hosts_with_the_same_text_are_one_group() {
    let answer = json(&three_incidents(), &["fold", "notes"]);
    let groups = answer["groups"].as_array().unwrap();
    let sizes: Vec<usize> = groups.iter().map(|it| it["hosts"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [43, 4, 1]);
    assert_eq!(super::fleet::hosts(&groups[1]), names(&SLOW));
    assert_eq!(groups[0]["diff"], Value::Null);
    let diff = groups[1]["diff"].as_str().unwrap();
    assert!(diff.contains("-scheduler = mq-deadline\n+scheduler = none\n"), "{diff}");
    let shown = text(&three_incidents(), &["fold", "notes"]);
    assert!(shown.contains("  -scheduler = mq-deadline\n  +scheduler = none\n"), "{shown}");
    assert!(shown.contains("+tuned \\x1b[2J") && !shown.contains('\u{1b}'), "{shown}");
    // A fact that each host has for itself is no difference, unless that is asked.
    assert_eq!(answer["left_out"], serde_json::json!(["asset"]));
    assert!(shown.contains("\nLeft out, as each host has its own: asset (--all keeps that)\n"), "{shown}");
    assert!(!shown.contains("AT-0001"), "{shown}");
    let all = json(&three_incidents(), &["fold", "notes", "--all"]);
    assert_eq!((all["groups"].as_array().unwrap().len(), &all["left_out"]), (48, &serde_json::json!([])));
    let one = text(&three_incidents(), &["fold", "notes", "-H", "web03"]);
    assert!(one.contains("1 host · 1 group\n"), "{one}");
}

fn row<'a>(answer: &'a Value, metric: &str) -> &'a Value {
    answer["rows"].as_array().unwrap().iter().find(|row| row["metric"] == metric).unwrap()
}

#[test]
fn since_a_change_against_the_same_hours_before() {
    let slow = ["compare", "web[06,18,30,42]", "--at", "2026-11-23T16:00Z"];
    let answer = json(&three_incidents(), &slow);
    assert_eq!((&answer["sweeps"], &answer["same_hosts"]), (&serde_json::json!([8, 8]), &true.into()));
    let runq = row(&answer, "runq_latency_seconds");
    // Four hosts, each compared with itself: four signs out of sixteen are no proof.
    assert_eq!((&runq["n"], &runq["above"]), (&serde_json::json!([4, 4]), &serde_json::json!([4, 4])));
    assert!((runq["p"].as_f64().unwrap() - 2.0 / 16.0).abs() < 1e-9, "{runq}");
    // The day's tide cancels out.
    assert!((3.2..3.6).contains(&runq["ratio"].as_f64().unwrap()), "{runq}");
    let shown = text(&three_incidents(), &slow);
    assert!(shown.starts_with("A web[06,18,30,42] (4) in 8 sweeps, 20261122T16"), "{shown}");
    assert!(shown.lines().next().unwrap().ends_with(" · the same hours of the day"), "{shown}");
    // One host is no sample of hosts, however often it was read.
    let one = ["compare", "web06", "--at", "20261123T16"];
    let answer = json(&three_incidents(), &one);
    let runq = row(&answer, "runq_latency_seconds");
    assert_eq!((&runq["n"], &runq["p"]), (&serde_json::json!([1, 1]), &Value::Null));
    assert!(stderr(&run(&three_incidents(), &one)).contains("~: fewer than 4 hosts on a side"));
}

#[test]
fn a_tide_is_no_change() {
    // Forty-two hosts without trouble, as the load rises: all of them differ, by the hour.
    let well = "web*!web[06,18,30,42]!web24!web12";
    let answer = json(&three_incidents(), &["compare", well, "--at", "2026-11-23T00:00Z", "--over", "6h"]);
    let runq = row(&answer, "runq_latency_seconds");
    assert_eq!(answer["same_hours"], false);
    assert!(runq["ratio"].as_f64().unwrap() > 1.5 && runq["delta"].as_f64() == Some(1.0), "{runq}");
    let rows = || answer["rows"].as_array().unwrap().iter().filter(|row| row["distribution"].is_null());
    assert!(rows().all(|row| row["p"].is_null() && row["p_bh"].is_null()), "{answer}");
    let output = run(&three_incidents(), &["compare", well, "--at", "2026-11-23T00:00Z", "--over", "6h"]);
    assert!(stderr(&output).contains("no P: the sides are of different hours"), "{output:?}");
    // Against the same hours of the day before there is nothing.
    let answer = json(&three_incidents(), &["compare", well, "--at", "2026-11-23T00:00Z"]);
    assert_eq!((&answer["same_hours"], &answer["sweeps"]), (&true.into(), &serde_json::json!([24, 24])));
    let tested: Vec<&Value> =
        answer["rows"].as_array().unwrap().iter().filter(|row| row["p"].is_number()).collect();
    assert!(tested.len() > 8 && tested.iter().all(|row| row["n"][0] == 42), "{answer}");
    let sure = |row: &&&Value| row["p_bh"].as_f64().unwrap() < 0.05;
    assert_eq!(tested.iter().filter(sure).collect::<Vec<_>>(), Vec::<&&Value>::new());
}

#[test]
fn what_no_chance_makes_stands_first() {
    let answer = json(&three_incidents(), &["compare", "web*", "web[06,18,30,42]"]);
    let sure = |row: &Value| row["p_bh"].as_f64().is_some_and(|p| p < 0.05);
    let rows = answer["rows"].as_array().unwrap().iter().filter(|row| row["distribution"].is_null());
    let order: Vec<bool> = rows.map(sure).collect();
    assert!(order[0] && order.contains(&false) && order.is_sorted_by(|a, b| a >= b), "{answer}");
    assert_eq!(row(&answer, "runq_latency_seconds")["n"], serde_json::json!([44, 4]));
}

#[test]
fn two_sweeps_and_two_hosts() {
    let two = ["compare", "web[01-10]", "--at", "20261122T23", "--to", "latest"];
    let answer = json(&three_incidents(), &two);
    assert_eq!((&answer["same_hosts"], &answer["same_hours"]), (&true.into(), &true.into()));
    let steal = row(&answer, "steal_ratio");
    assert_eq!(steal["n"], serde_json::json!([10, 10]));
    assert!(steal["p"].is_number(), "{steal}");
    let noon = ["compare", "web[01-10]", "--at", "20261122T12", "--to", "latest"];
    assert_eq!(row(&json(&three_incidents(), &noon), "steal_ratio")["p"], Value::Null);
    // Two groups at two times: other hosts, so no host is compared with itself.
    let groups = ["compare", "web[01-05]", "web[02-14]", "--at", "20261122T23", "--to", "latest"];
    let answer = json(&three_incidents(), &groups);
    assert_eq!(row(&answer, "steal_ratio")["n"], serde_json::json!([5, 9]));
    assert_eq!(answer["same_hosts"], false);
    let few = ["compare", "web01", "web06", "--metric", "runq_*"];
    let answer = json(&three_incidents(), &few);
    let runq = row(&answer, "runq_latency_seconds");
    assert_eq!(
        (&runq["n"], &runq["p"], &runq["shift"]),
        (&serde_json::json!([1, 1]), &Value::Null, &Value::Null)
    );
    let output = run(&three_incidents(), &few);
    let shown = crate::verbs::build::stdout(&output);
    assert!(shown.contains("~ (need ≥ 4)"), "{shown}");
    assert!(stderr(&output).contains("--over 24h says in how many sweeps of a day"), "{output:?}");
    let over = json(&three_incidents(), &["compare", "web01", "web06", "--over", "6h", "--metric", "runq_*"]);
    let runq = row(&over, "runq_latency_seconds");
    assert_eq!((&runq["n"], &runq["above"]), (&serde_json::json!([1, 1]), &serde_json::json!([7, 7])));
    assert_eq!((&over["sweeps"], &runq["p"]), (&serde_json::json!([7, 7]), &Value::Null));
    let check = |args: &[&str], expected: &str| {
        let (status, said) = refusal(&three_incidents(), args);
        assert!(status == 2 && said.contains(expected), "{args:?}: {said}");
    };
    check(&["compare", "web01"], "expected B, or --at TIME");
    check(&["compare", "web01", "--at", "latest", "--to", "latest"], "are the same sweep");
    let overlap = ["compare", "web01", "--at", "20261123T12", "--to", "20261123T20", "--over", "12h"];
    check(&["compare", "web01", "--at", "20261122T", "--to", "latest"], "begins the ids of several sweeps");
    check(&overlap, "--over is longer than the 8h from --at to --to");
    check(&["compare", "web01", "--at", "2026-11-01", "--over", "1h"], "no sweep within 1h before");
    check(&["compare", "web01", "--at", "2025-11-01", "--to", "latest"], "no sweep was recorded up to");
}
