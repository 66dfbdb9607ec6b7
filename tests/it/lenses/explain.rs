//! `explain` names the true cause, and no other.

use super::fleet::{DISK, Fleet, SLOW, hosts, names, three_incidents};
use crate::verbs::build::{json, refusal, run, text};

#[test]
fn the_true_cause_is_first_and_a_coincidence_is_not_named() {
    let answer = json(&three_incidents(), &["explain", "runq_latency_seconds"]);
    assert_eq!(hosts(&answer), names(&SLOW));
    let shared = answer["shared"].as_array().unwrap();
    // web34 has the kernel and is not slow; the network card that all four have, eleven others have, too.
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert_eq!((&shared[0]["label"], &shared[0]["value"]), (&"kernel".into(), &"6.8.0-52".into()));
    assert_eq!(shared[0]["outliers"], serde_json::json!([4, 4]));
    assert_eq!(shared[0]["rest"], serde_json::json!([1, 44]));
    assert_eq!(shared[0]["without_trouble"], serde_json::json!(["web34"]));
    let (p, p_holm) = (shared[0]["p"].as_f64().unwrap(), shared[0]["p_holm"].as_f64().unwrap());
    assert!((p - 5.0 / 194_580.0).abs() < 1e-12 && p_holm > p && p_holm < 0.001, "{shared:?}");
}

#[test]
fn labels_are_those_of_the_time() {
    // At sweep 20 nobody had the new kernel.
    let answer = json(&three_incidents(), &["explain", "steal_ratio", "--sweep", "20261122T20"]);
    assert_eq!(answer["hosts"], serde_json::json!(["web12"]));
    assert_eq!(answer["shared"], serde_json::json!([]));
    let card = dropsonde::model::CollectorTime::from_unix_s(super::fleet::START_S + 20 * 3_600 + 30);
    let reader = dropsonde::store::index::Reader::open(&three_incidents()).unwrap();
    assert_eq!(reader.labels(card).unwrap()[&super::fleet::name(6)]["kernel"], "6.8.0-51");
}

#[test]
fn what_moved_with_it() {
    let answer = json(&three_incidents(), &["explain", "runq_latency_seconds"]);
    let moved: Vec<&str> =
        answer["moved_with"].as_array().unwrap().iter().map(|it| it["metric"].as_str().unwrap()).collect();
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert!(moved.contains(&"softirq_seconds_total") && moved.contains(&"wait_seconds"), "{moved:?}");
}

#[test]
fn two_incidents_of_one_metric_are_two_explanations() {
    // All of rack r3 but web03 read slowly from the other disk since sweep 42.
    let other_disk = |sweep, host| sweep >= 42 && host % 5 == 3 && host != 3;
    let state = Fleet { other_disk, ..Fleet::default() }.record();
    let answer = json(state.path(), &["outliers", "--metric", "disk_*"]);
    let rack: Vec<u32> = (1..=48).filter(|host| host % 5 == 3 && *host != 3).collect();
    let explain = |device: &str| {
        json(state.path(), &["explain", "disk_await_seconds", "--label", &format!("device={device}")])
    };
    let first = &explain("sda");
    assert_eq!(hosts(first), names(&rack));
    let shared = &first["shared"][0];
    assert_eq!((&shared["label"], &shared["value"]), (&"rack".into(), &"r3".into()), "{first}");
    let second = explain("sdb");
    assert_eq!((hosts(&second), &second["shared"]), (names(&[DISK]), &serde_json::json!([])));
    // Neither is of the rest where labels of the other are counted.
    assert_eq!((&first["looked_at"], &second["looked_at"]), (&47.into(), &39.into()));
    // Without a label the first line is explained, with the way to the other.
    let shown = text(state.path(), &["explain", "disk_await_seconds"]);
    let other = if hosts(&answer["findings"][0]) == names(&[DISK]) { "sda" } else { "sdb" };
    let way = format!("`dropsonde explain disk_await_seconds --label device={other}` explains these.");
    assert!(shown.contains(&way), "{shown}");
    let (status, said) = refusal(state.path(), &["explain", "disk_await_seconds", "--label", "device=sdc"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("no host differs in disk_await_seconds with --label device=sdc"), "{said}");
    let (status, said) = refusal(state.path(), &["explain", "disk_await_seconds", "--label", "sdb"]);
    assert!(status == 2 && said.contains("--label sdb: expected LABEL=VALUE"), "{said}");
    // The page has the causes of both.
    let page = state.path().join("page.html");
    run(state.path(), &["report", "--out", page.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("sharing rack r3") && page.contains("--label device=sdb"), "{page}");
}

#[test]
fn what_the_kernel_said_is_escaped() {
    let answer = json(&three_incidents(), &["explain", "disk_await_seconds"]);
    assert_eq!(hosts(&answer), names(&[DISK]));
    let said = &answer["kernel_log"][0];
    assert_eq!((&said["event"], &said["at"]), (&"io_error".into(), &"2026-11-23T19:50:00Z".into()));
    let shown = text(&three_incidents(), &["explain", "disk_await_seconds"]);
    assert!(shown.contains("I/O error, dev sdb, sector 44 op 0x0:(READ)\\x1b[2J"), "{shown}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    // The same error of another sector is told once.
    assert_eq!(shown.matches("I/O error").count(), 1, "{shown}");
    assert!(
        shown.contains("dropsonde show web24 node --sweep") && shown.contains("dropsonde flame web24 --vs"),
        "{shown}"
    );
}
