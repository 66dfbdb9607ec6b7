//! What the usual is made from survives reality: reboots, hosts that come and go, sweeps that are missing or
//! were run by hand, probes whose definition changed.

use std::path::Path;
use std::sync::Arc;

use dropsonde::model::{Probe, Trigger};
use serde_json::Value;

use super::fleet::{DISK, Fleet, NODE, SLOW, hosts, names, probe};
use crate::verbs::build::{json, run, stderr, text};

fn finding(state: &Path, metric: &str) -> Option<Value> {
    let answer = json(state, &["outliers", "--metric", metric]);
    answer["findings"].as_array().unwrap().first().cloned()
}

/// Nothing but the planted hosts, and the disk among them.
fn assert_true(state: &Path) {
    let answer = json(state, &["outliers"]);
    let planted: Vec<u32> = SLOW.into_iter().chain([DISK, super::fleet::STEAL]).collect();
    let mut seen = false;
    for finding in answer["findings"].as_array().unwrap() {
        seen |= finding["metric"] == "disk_await_seconds" && hosts(finding) == names(&[DISK]);
        assert!(hosts(finding).iter().all(|host| names(&planted).contains(host)), "{finding}");
    }
    assert!(seen, "{answer}");
}

#[test]
fn sweeps_that_are_missing_or_by_hand_change_nothing() {
    let fleet = Fleet { asked: |sweep, _| sweep % 5 != 3, ..Fleet::default() };
    let state = fleet.record();
    // Somebody looks at two hosts in trouble, ten times after the last scheduled sweep.
    let by_hand = Fleet {
        sweeps: 58,
        trigger: Trigger::Adhoc,
        asked: |_, host| host == 6 || host == 7,
        minutes: |sweep| 47 * 60 + i64::from(sweep) - 47,
        ..Fleet::default()
    };
    by_hand.record_in(state.path(), 48..58);
    assert_true(state.path());
    let answer = json(state.path(), &["outliers"]);
    assert!(answer["sweep"].as_str().unwrap().starts_with("20261123T230000Z"), "{}", answer["sweep"]);
    assert_eq!(answer["sweeps"], 48);
    // The one by hand is judged by the scheduled ones when it is asked for.
    let asked = json(state.path(), &["outliers", "--sweep", "latest"]);
    assert_eq!((&asked["planned"], &asked["sweeps"]), (&2.into(), &49.into()));
}

#[test]
fn without_a_schedule_large_sweeps_by_hand_are_the_history() {
    let state = Fleet { trigger: Trigger::Adhoc, ..Fleet::default() }.record();
    let one = Fleet { trigger: Trigger::Adhoc, asked: |_, host| host == 6, sweeps: 49, ..Fleet::default() };
    one.record_in(state.path(), 48..49);
    let answer = json(state.path(), &["outliers"]);
    assert_eq!(answer["planned"], 48, "the newest is of one host");
    assert_true(state.path());
}

#[test]
fn a_host_that_came_late_and_one_that_went_are_no_findings() {
    // web48 came at sweep 40, web47 was last seen at sweep 45.
    let asked = |sweep: u32, host: u32| (host != 48 || sweep >= 40) && (host != 47 || sweep < 46);
    let state = Fleet { asked, ..Fleet::default() }.record();
    assert_true(state.path());
    assert_eq!(json(state.path(), &["outliers"])["planned"], 47);
}

#[test]
fn a_reboot_is_no_change() {
    let state =
        Fleet { boots: |sweep, host| u32::from(host % 3 == 0 && sweep >= 47), ..Fleet::default() }.record();
    assert_true(state.path());
    let found = finding(state.path(), "softirq_seconds_total").unwrap();
    assert_eq!(hosts(&found), names(&SLOW));
}

#[test]
fn a_new_definition_keeps_the_history_and_a_new_unit_begins_one() {
    fn node(sweep: u32) -> Arc<Probe> {
        let words = NODE.replace("wait for a CPU", "how long a task waits for a CPU");
        let unit = words.replace("unit = \"bytes\"", "unit = \"pages\"");
        probe("node", if sweep < 46 { &words } else { &unit })
    }
    let state = Fleet { node, ..Fleet::default() }.record();
    assert_true(state.path());
    let answer = json(state.path(), &["outliers"]);
    let lacking = &answer["lacking"][0];
    assert_eq!(
        (&lacking["what"], &lacking["have"], &lacking["need"]),
        (&"sweeps".into(), &2.into(), &24.into())
    );
    let metrics = lacking["metrics"].as_array().unwrap();
    assert!(
        metrics.len() == 6 && metrics.iter().all(|it| it.as_str().unwrap().starts_with("noise_")),
        "{lacking}"
    );
    assert_eq!(lacking["enough_at"], "2026-11-24T21:00:00Z");
    let shown = text(state.path(), &["outliers"]);
    assert!(
        shown.contains("Not enough data of 6 metrics (noise_0, noise_1, noise_2, noise_3, …)"),
        "{shown}"
    );
    let output = run(state.path(), &["compare", "web*", "--at", "20261122T12", "--to", "latest"]);
    assert!(
        stderr(&output).contains("noise_0 is a gauge in bytes on A and a gauge in pages on B: not compared"),
        "{output:?}"
    );
}

#[test]
fn a_metrics_probe_says_what_a_host_is_named_for() {
    fn node(_: u32) -> Arc<Probe> {
        let more = |text: String, help: &str, keys: &str| {
            assert!(text.contains(help), "{help}");
            text.replace(help, &format!("{help}\n{keys}"))
        };
        let text = more(NODE.to_owned(), "help = \"wait for a CPU\"", "judged = \"never\"");
        let text = more(text, "help = \"taken by other guests\"", "judged = \"changed\"");
        probe("node", &more(text, "help = \"how long a request takes\"", "resolution = 0.01"))
    }
    // In the last sweep one metric was no number anywhere.
    let state = Fleet { node, wild: |sweep, _| sweep == 47, ..Fleet::default() }.record();
    let answer = json(state.path(), &["outliers"]);
    let mut found: Vec<&str> =
        answer["findings"].as_array().unwrap().iter().map(|it| it["metric"].as_str().unwrap()).collect();
    found.sort_unstable();
    // Nobody is named for a wait, for steal that was always so, and for milliseconds of a disk whose clock
    // has hundredths of a second.
    assert_eq!(found, ["softirq_seconds_total", "wait_seconds"]);
    assert_eq!((&answer["metrics"], &answer["lacking"]), (&14.into(), &Value::Array(Vec::new())));
    assert_eq!(
        (&answer["judged"]["metrics"]["judged"], &answer["judged"]["metrics"]["unjudged"]),
        (&13.into(), &1.into())
    );
    let explain =
        |metric: &str| (json(state.path(), &["explain", metric]), text(state.path(), &["explain", metric]));
    let (answer, shown) = explain("runq_latency_seconds");
    assert_eq!((&answer["standing"], &answer["hosts"]), (&"unjudged".into(), &Value::Array(Vec::new())));
    assert!(shown.contains("No host is named for it, as its probe says"), "{shown}");
    let shown = text(state.path(), &["outliers", "--metric", "runq_*"]);
    assert!(shown.contains("Nobody is named for runq_latency_seconds, as the probe says."), "{shown}");
    let (answer, shown) = explain("odd_seconds");
    assert_eq!(answer["standing"], "unread");
    let last = answer["last_read"].as_str().unwrap();
    assert!(last.starts_with("20261123T220000Z"), "{last}");
    assert!(shown.contains(&format!("not read in this sweep, last at 2026-11-23 22:00Z: `dropsonde explain odd_seconds --sweep {last}`")), "{shown}");
    assert_eq!(explain("noise_1").0["standing"], "judged");
}

/// A rate is since the reading before, of whatever sweep: what comes once in five minutes is one event.
#[test]
fn a_single_event_is_one_however_often_its_probe_is_read() {
    const RARE: &str = "\n[[metric]]\nname = \"rare_total\"\nkind = \"counter\"\nhelp = \"seldom\"\nworse = \"higher\"\nwarn = 0.001\n";
    const SWEEPS: u32 = 28;
    fn node(_: u32) -> Arc<Probe> {
        probe("node", &format!("{NODE}{RARE}"))
    }
    // One on web03 in each of the last two hours, between the reading by hand and the scheduled one.
    let more = |sweep: u32, host: u32| {
        let events = if host == 3 { (sweep + 3).saturating_sub(SWEEPS) } else { 0 };
        format!("rare_total {events}\n")
    };
    let hourly = Fleet { hosts: 8, node, more, ..Fleet::default() };
    let by_hand = Fleet {
        trigger: Trigger::Adhoc,
        minutes: |sweep| i64::from(sweep) * 60 - 5,
        more: |sweep, host| {
            let events = if host == 3 { (sweep + 2).saturating_sub(SWEEPS) } else { 0 };
            format!("rare_total {events}\n")
        },
        ..Fleet { hosts: 8, node, ..Fleet::default() }
    };
    let (both, alone) =
        (tempfile::tempdir_in("/dev/shm").unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    for sweep in 1..SWEEPS {
        by_hand.record_in(both.path(), sweep..sweep + 1);
        hourly.record_in(both.path(), sweep..sweep + 1);
    }
    assert_eq!(finding(both.path(), "rare_total"), None);
    // Seven in an hour are no single one.
    let often = Fleet { more: |sweep, host| more_often(sweep, host), ..hourly };
    often.record_in(alone.path(), 1..SWEEPS);
    assert_eq!(hosts(&finding(alone.path(), "rare_total").unwrap()), names(&[3]));
}

fn more_often(sweep: u32, host: u32) -> String {
    let hours = if host == 3 { (sweep + 3).saturating_sub(28) } else { 0 };
    format!("rare_total {}\n", hours * 7)
}

#[test]
fn with_few_sweeps_what_is_odd_is_provisional() {
    let state = Fleet { sweeps: 3, ..Fleet::default() }.record();
    let answer = json(state.path(), &["outliers"]);
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{answer}");
    assert_eq!((&findings[0]["metric"], &findings[0]["provisional"]), (&"steal_ratio".into(), &true.into()));
    assert_eq!(answer["lacking"][0]["enough_at"], "2026-11-22T23:00:00Z");
    let shown = text(state.path(), &["outliers"]);
    assert!(shown.contains("odd (provisional)"), "{shown}");
}

#[test]
fn what_is_no_number_is_never_a_finding() {
    let state = Fleet { wild: |sweep, host| host == 9 && sweep >= 44, ..Fleet::default() }.record();
    assert_true(state.path());
}
