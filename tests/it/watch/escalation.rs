//! Dear probes go where a cheap one saw trouble, nowhere else, and not too often.

use std::time::{Duration, Instant};

use dropsonde::collect::clock;
use serde_json::{Value, json};

use super::Fleet;

const RULE: &str = "[[escalate]]\nwhen = \"hello_value > 5\"\nrun = [\"heavy\"]\nper_hour = 3";

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(&["a", "b", "c", "d"]);
    fleet.program.configure(RULE);
    fleet
}

/// The sweeps that followed one of the schedule.
fn sweep(fleet: &Fleet, said: &[&str]) -> Vec<Value> {
    let ran = fleet.program.run(&["sweep", "hourly", "--json"]);
    ran.expect(0, said);
    assert_eq!(ran.adds_up(), 4);
    ran.json()["escalated"].as_array().unwrap().clone()
}

#[test]
fn the_heavy_probe_runs_on_the_matching_host_alone_and_says_why() {
    let fleet = fleet();
    assert_eq!(sweep(&fleet, &[]), Vec::<Value>::new());
    fleet.load("b", "9.5");
    let escalated = sweep(&fleet, &["hello_value > 5: running heavy on b"]);
    assert_eq!(escalated.len(), 1, "{escalated:?}");
    assert_eq!(["a", "b", "c", "d"].map(|host| fleet.visits(host)), [0, 1, 0, 0]);

    // It says why, and its own 1000 escalates nothing.
    let id = escalated[0].as_str().unwrap();
    let shown = fleet.program.run(&["sweeps", id, "--json"]).json();
    assert_eq!((&shown["trigger"], &shown["planned"]), (&json!("escalated"), &json!(1)));
    let all = fleet.program.run(&["sweeps", "--json"]).json();
    let sweeps = all["sweeps"].as_array().unwrap();
    let triggers: Vec<&str> = sweeps.iter().map(|it| it["trigger"].as_str().unwrap()).collect();
    assert_eq!(triggers, ["escalated", "scheduled", "scheduled"]);
    let cause = json!({
        "rule": "hello_value > 5", "sweep": sweeps[1]["sweep"], "metric": "hello_value", "host": "b", "value": 9.5
    });
    assert_eq!((&shown["cause"], &sweeps[0]["cause"]), (&cause, &cause));
    assert_eq!(sweeps[1]["cause"], Value::Null);
    let text = fleet.program.run(&["sweeps", id]).out;
    assert!(text.contains("because of hello_value > 5: hello_value of b was 9.5 in sweep 20"), "{text}");
    assert!(fleet.program.run(&["sweeps"]).out.contains("escalated hello_value > 5"));

    // The archive knows it, too.
    let before = fleet.program.rows();
    fleet.program.run(&["reindex"]).expect(0, &[]);
    assert_eq!(fleet.program.rows(), before);
    assert_eq!(fleet.program.run(&["sweeps", id, "--json"]).json()["cause"], cause);
    fleet.program.assert_clean();
}

#[test]
fn cooldown_and_budget_outlive_the_process_and_the_worst_goes_first() {
    let fleet = fleet();
    fleet.load("b", "9");
    assert_eq!(sweep(&fleet, &[]).len(), 1);
    // Each sweep is a process of its own.
    assert_eq!(sweep(&fleet, &["goes to no host: 1 visited within its cooldown"]), Vec::<Value>::new());
    fleet.load("a", "7");
    fleet.load("c", "6");
    fleet.load("d", "8");
    let said = "goes to a,d: 1 visited within its cooldown, 1 over its budget of this hour";
    assert_eq!(sweep(&fleet, &[said]).len(), 1);
    assert_eq!(["a", "b", "c", "d"].map(|host| fleet.visits(host)), [1, 1, 0, 1]);

    std::fs::write(fleet.program.state().join("escalations.json"), "{").unwrap();
    let said = ["nothing is escalated, because what was spent is not known", "escalations.json"];
    assert_eq!(sweep(&fleet, &said), Vec::<Value>::new());
}

#[test]
fn a_visit_that_a_wrong_clock_dated_ahead_cools_down_in_its_time() {
    let mut fleet = Fleet::new(&["a", "b"]);
    fleet.program.configure(&format!("{RULE}\ncooldown = \"6s\""));
    fleet.load("b", "9");
    fleet.program.run(&["sweep", "--probe", "load"]).expect(0, &[]);
    let at_ns = clock::now().unix_ns() + 40 * 86_400 * 1_000_000_000;
    let visits = json!({"schema": 1, "visits": [{"rule": "hello_value > 5", "host": "b", "at_ns": at_ns}]});
    std::fs::write(fleet.program.state().join("escalations.json"), visits.to_string()).unwrap();
    // As if it had just been.
    let ran = fleet.program.run(&["sweep", "hourly", "--json"]);
    ran.expect(0, &["goes to no host: 1 visited within its cooldown"]);
    let limit = Instant::now() + Duration::from_secs(90);
    loop {
        let ran = fleet.program.run(&["sweep", "hourly", "--json"]);
        if ran.json()["escalated"].as_array().is_some_and(|escalated| !escalated.is_empty()) {
            break;
        }
        assert!(Instant::now() < limit, "it never cools down: {ran:#?}");
    }
    assert_eq!((fleet.visits("a"), fleet.visits("b")), (0, 1));
}

#[test]
fn a_selector_names_who_is_visited_and_all_rules_share_one_budget() {
    let mut fleet = Fleet::new(&["a", "b", "c", "d"]);
    fleet.program.configure(
        "[[escalate]]\nname = \"look at c\"\nwhen = \"hello_value >= 5\"\nrun = [\"heavy\"]\nhosts = \"c\"\n\
         [[escalate]]\nname = \"look around\"\nwhen = \"hello_value > 5\"\nrun = [\"heavy\", \"hello\"]\nhosts = \"*\"\n\
         [limits]\nescalations_per_hour = 3",
    );
    fleet.load("a", "6");
    let escalated = sweep(&fleet, &["look around goes to a,b: 2 over limits.escalations_per_hour"]);
    assert_eq!(escalated.len(), 2);
    assert_eq!(["a", "b", "c", "d"].map(|host| fleet.visits(host)), [1, 1, 1, 0]);
}

#[test]
fn what_was_swept_by_hand_or_did_not_answer_escalates_nothing() {
    let fleet = fleet();
    fleet.load("a", "9");
    fleet.program.run(&["sweep", "--probe", "load", "--json"]).expect(0, &[]);
    std::fs::remove_file(fleet.folder("a").join("load")).unwrap();
    let ran = fleet.program.run(&["sweep", "hourly", "--json"]);
    ran.expect(3, &[]).ended(("a", "load"), "failed", &[]);
    assert_eq!(ran.json()["escalated"], json!([]));
    assert_eq!(fleet.visits("a"), 0);
}
