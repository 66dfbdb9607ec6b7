//! `outliers` finds what was planted, and names nobody else.

use serde_json::Value;

use super::fleet::{DISK, Fleet, SLOW, STEAL, name};
use crate::verbs::build::{json, run, stdout, text};

fn hosts(finding: &Value) -> Vec<String> {
    let mut hosts: Vec<String> =
        finding["hosts"].as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned()).collect();
    hosts.sort();
    hosts
}

#[test]
fn three_incidents_and_nobody_else() {
    let state = Fleet::default().record();
    crate::lenses::show(&text(state.path(), &["outliers"]));
    crate::lenses::show(&text(state.path(), &["explain", "runq_latency_seconds"]));
    crate::lenses::show(&text(state.path(), &["explain", "disk_await_seconds"]));
    let answer = json(state.path(), &["outliers"]);
    let findings = answer["findings"].as_array().unwrap();
    let slow: Vec<String> = SLOW.iter().map(|host| name(*host).to_string()).collect();
    for finding in findings {
        let expected: Vec<String> = match finding["metric"].as_str().unwrap() {
            "runq_latency_seconds" | "softirq_seconds_total" | "wait_seconds" => slow.clone(),
            "disk_await_seconds" | "kernel_log_events_total" | "kernel_log_lines_total" => {
                vec![name(DISK).to_string()]
            }
            "steal_ratio" => vec![name(STEAL).to_string()],
            other => panic!("{other}: {finding}"),
        };
        assert_eq!(hosts(finding), expected, "{finding}");
    }
    let top: Vec<&str> = findings.iter().map(|it| it["metric"].as_str().unwrap()).collect();
    for metric in ["runq_latency_seconds", "disk_await_seconds", "steal_ratio"] {
        assert!(top.contains(&metric), "{top:?}");
    }
    let failing = run(state.path(), &["outliers", "--fail-on-findings"]);
    assert_eq!(failing.status.code(), Some(10), "{}", stdout(&failing));
}
