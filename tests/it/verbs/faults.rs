//! What is said when a name, a configuration or the state directory is not as it should be.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::build::*;

#[test]
fn unknown_names_get_near_ones_and_status_2() {
    let state = state(1);
    let check = |args: &[&str], expected: &str| {
        let (status, why) = refusal(state.path(), args);
        assert_eq!(status, 2, "{args:?}: {why}");
        assert!(why.contains(expected), "{args:?}: {why}");
    };
    check(&["top", "disk_awiat_seconds"], "did you mean disk_await_seconds");
    check(&["top", "disk_wait_seconds"], "has a p99: p99 takes 100 observations; --by");
    check(&["top", "disk_wait_seconds", "--by", "max"], "has a max: the probe's tool does not say it");
    check(&["top", "disk_wait_seconds", "--by", "p50,p90"], "ranked by one of them");
    check(&["top", "disk_wait_seconds", "--by", "device"], "has no label device; it has none");
    check(&["top", "disk_wait_seconds", "--span", "window"], "it has one span");
    check(&["top", "disk_free_ratio", "--by", "p99"], "disk_free_ratio is a gauge, not a histogram");
    check(&["top", "disk_free_ratio", "-H", "web07"], "did you mean web01");
    check(&["top", "disk_free_ratio", "-H", "role=wbe"], "did you mean role=web?");
    check(&["top", "disk_free_ratio", "-H", "rloe=web"], "did you mean role?");
    check(&["top", "disk_free_ratio", "-H", "web05"], "no host of web05 has disk_free_ratio");
    check(&["top", "disk_free_ratio", "--by", "device"], "has no label device; it has none");
    check(&["top", "disk_await_seconds", "--label", "device=sdc"], "did you mean device=sda");
    check(&["top", "disk_await_seconds", "--label", "device"], "expected LABEL=VALUE");
    check(&["top", "disk_free_ratio", "--span", "window"], "has no window value");
    check(&["top", "disk_free_ratio", "--sweep", "2025"], "`dropsonde sweeps` lists them");
    check(&["show", "web1", "disk"], "did you mean web01");
    check(&["show", "web*", "disk"], "web* is 6 hosts; expected one");
    check(&["show", "web01", "dsik"], "did you mean disk?");
    check(&["compare", "web01", "web[01"], "expected");
    check(&["sweeps", "20261122T210000Z-00000001"], "did you mean 20261122T210000Z-00000000?");
    check(&["query", "SELECT nonsense FROM v_sample"], "no such column: nonsense");
    check(&["query", "DELETE FROM reading"], "the index refused this SQL: not authorized");
    check(
        &[
            "query",
            "--timeout",
            "100ms",
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n",
        ],
        "stopped after 100ms",
    );
}

#[test]
fn several_sweeps_of_one_beginning_are_named() {
    let state = state(2);
    let (status, why) = refusal(state.path(), &["sweeps", "2026112"]);
    assert_eq!(status, 2);
    assert!(why.contains(sweep_id(0).as_str()) && why.contains(sweep_id(1).as_str()), "{why}");
}

#[test]
fn where_nothing_was_recorded_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    for args in [&["check"][..], &["reindex"], &["sweeps"], &["top", "x"], &["export", "--format", "csv"]] {
        let (status, why) = refusal(&missing, args);
        assert_eq!(status, 2, "{args:?}: {why}");
        assert!(why.contains("nowhere"), "{args:?}: {why}");
        assert!(!missing.exists(), "{args:?}");
    }
}

#[test]
fn a_broken_configuration_does_not_hide_what_was_recorded() {
    let state = state(1);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::create_dir(folder.path().join("probes.d")).unwrap();
    fs::write(folder.path().join("probes.d/bad.toml"), "this is no probe").unwrap();
    let with = |text: &str, args: &[&str]| {
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dropsonde"));
        command.env_clear().env("HOME", folder.path()).arg("--config").arg(&config).args(args);
        command.output().unwrap()
    };
    let named = format!("state = {:?}\n[[hosts]]\nnames = \"web[\"\n", state.path());
    let output = with(&named, &["top", "disk_free_ratio", "-H", "web02"]);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("web02"), "{output:?}");
    // The directory may be named in what cannot be parsed: then it is a fault, unless a flag names it.
    let torn = format!("state = {:?}\n[hosts\n", state.path());
    let output = with(&torn, &["sweeps"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("config.toml:2"), "{output:?}");
    let flag = state.path().to_str().unwrap();
    assert!(with(&torn, &["sweeps", "--state", flag]).status.success());
    // Groups are the configuration's: who names one needs it whole.
    let output = with(&named, &["top", "disk_free_ratio", "-H", "@edge"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    fs::remove_file(folder.path().join("probes.d/bad.toml")).unwrap();
    let groups = format!(
        "state = {:?}\n[[hosts]]\nnames = \"web[01-09]\"\nuser = \"probe\"\n[groups]\nedge = \"web[02,09]\"\n",
        state.path()
    );
    let output = with(&groups, &["top", "disk_free_ratio", "-H", "@edge", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["hosts"], &report["rows"][0]["host"]), (&json!(1), &json!("web02")));
}

#[test]
fn check_tells_clean_from_damaged_by_its_status() {
    let state = state(2);
    assert_eq!(json(state.path(), &["check", "--deep"])["clean"], true);
    assert!(text(state.path(), &["check"]).starts_with("clean: 2 sweeps, 26 readings, "));
    let tar = tar(state.path(), 0);
    let mut bytes = fs::read(&tar).unwrap();
    let gzip = bytes.windows(3).position(|window| window == [0x1f, 0x8b, 8]).unwrap();
    bytes[gzip + 12] ^= 0xff;
    fs::write(&tar, bytes).unwrap();
    let status = |args: &[&str]| run(state.path(), args).status.code().unwrap();
    assert_eq!(status(&["check"]), 0, "what is not read is not seen");
    assert_eq!(status(&["check", "--deep"]), 1);
    assert_eq!(status(&["check", "--deep", "--fail-on-findings"]), 10);
    let output = run(state.path(), &["check", "--deep", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["clean"], &report["findings"][0]["severity"]), (&json!(false), &json!("archive")));
    assert_eq!(report["findings"][0]["sweep"], sweep_id(0).as_str());
    assert_eq!(status(&["reindex"]), 1);
    assert_eq!(status(&["show", "web02", "disk", "--sweep", sweep_id(1).as_str()]), 0);
}

fn tar(state: &Path, n: u32) -> PathBuf {
    let id = sweep_id(n);
    state.join("archive").join(id.day_folder()).join(format!("{id}.tar"))
}

#[test]
fn check_mends_first_unless_it_may_only_look() {
    let state = state(2);
    fs::remove_file(state.path().join("index.sqlite")).unwrap();
    let looked = run(state.path(), &["check", "--read-only"]);
    assert_eq!(looked.status.code(), Some(1), "{looked:?}");
    assert!(!state.path().join("index.sqlite").exists());
    let mended = json(state.path(), &["check"]);
    assert_eq!((&mended["clean"], mended["recovered"].as_array().unwrap().len()), (&json!(true), 1));
    assert!(mended["recovered"][0].as_str().unwrap().contains("rebuilt the index"), "{mended}");
}

#[test]
fn reindex_gives_the_same_answers() {
    let state = state(3);
    let asked = ["top", "disk_busy_seconds_total"];
    let before = json(state.path(), &asked);
    fs::remove_file(state.path().join("index.sqlite")).unwrap();
    assert_eq!(refusal(state.path(), &asked).0, 2);
    let report = json(state.path(), &["reindex"]);
    assert_eq!(report, json!({"schema": 1, "sweeps": 3, "readings": 38, "damage": []}));
    assert_eq!(json(state.path(), &asked), before);
    assert!(text(state.path(), &["reindex"]).starts_with("indexed 38 readings of 3 sweeps in "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let state = state(1);
    let endless =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000000) SELECT x FROM n";
    for form in ["--ndjson", "--csv", "--json"] {
        let mut child = program(state.path())
            .args(["query", form, endless])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{form}");
    }
}

#[test]
fn raw_bytes_do_not_go_to_a_terminal() {
    let state = state(1);
    let command = format!(
        "{} --state {} show web01 notes --raw",
        env!("CARGO_BIN_EXE_dropsonde"),
        state.path().display()
    );
    let output =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = stdout(&output);
    assert!(said.contains("pipe it into a file") && !said.contains("web01 says"), "{said}");
}
