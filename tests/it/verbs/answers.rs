//! What the verbs say of a small fleet's history, exactly.

use std::process::Command;

use serde_json::{Value, json};

use super::build::*;

#[test]
fn the_ledger_lists_sweeps_newest_first() {
    let state = state(3);
    let report = json(state.path(), &["sweeps", "--limit", "2"]);
    let sweeps = report["sweeps"].as_array().unwrap();
    assert_eq!(sweeps.len(), 2);
    let newest = &sweeps[0];
    assert_eq!(newest["sweep"], sweep_id(2).as_str());
    assert_eq!(newest["trigger"], "scheduled");
    assert_eq!(
        (&newest["planned"], &newest["readings"], &newest["ok"]),
        (&json!(12), &json!(12), &json!(10))
    );
    assert_eq!((&newest["elapsed_s"], &newest["interrupted"]), (&json!(2.5), &json!(false)));
    assert_eq!(newest["outcomes"]["unreachable"], 2);
    let sum: u64 = newest["outcomes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(sum, 12);
    assert_eq!(newest["outcomes"].as_object().unwrap().len(), 12);
    let text = text(state.path(), &["sweeps"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    let row: Vec<&str> = lines[1].split_whitespace().collect();
    let expected = [
        sweep_id(2).as_str(),
        "scheduled",
        "hourly",
        "2026-11-22T23:00:00Z",
        "2.5s",
        "12",
        "10",
        "2",
        "unreachable",
    ]
    .map(str::to_owned);
    assert_eq!(row, expected);
}

#[test]
fn one_sweep_folds_its_hosts_and_lists_every_reading() {
    let state = state(2);
    let folded = text(state.path(), &["sweeps", "latest"]);
    assert!(folded.contains("disk   ok           5  web[01-04,06]"), "{folded}");
    assert!(!folded.contains("web03"), "{folded}");
    let all = text(state.path(), &["sweeps", sweep_id(0).as_str(), "--verbose"]);
    assert_eq!(all.lines().filter(|line| line.starts_with("db01 ")).count(), 2, "{all}");
    let report = json(state.path(), &["sweeps", &sweep_id(0).as_str()[..13]]);
    assert_eq!((&report["schema"], &report["planned"]), (&json!(1), &json!(14)));
    let readings = report["readings"].as_array().unwrap();
    assert_eq!(readings.len(), 14);
    let unreachable = readings.iter().find(|it| it["host"] == "web05" && it["probe"] == "disk").unwrap();
    assert_eq!(unreachable["detail"], format!("connect to port 22: refused {HOSTILE}"));
    assert_eq!((&unreachable["exit"], &unreachable["bytes_raw"]), (&Value::Null, &json!(0)));
}

#[test]
fn a_reading_is_shown_with_its_numbers_and_its_bytes() {
    let state = state(2);
    let report = json(state.path(), &["show", "web06", "disk"]);
    assert_eq!((&report["probe"], &report["outcome"]), (&json!("disk"), &json!("ok")));
    let sample = |metric: &str| {
        let samples = report["samples"].as_array().unwrap();
        samples.iter().find(|it| it["metric"] == metric).unwrap().clone()
    };
    let await_s = json!({"metric": "disk_await_seconds", "labels": {"device": "sda"}, "kind": "gauge",
                         "span": "instant", "value": 0.008});
    assert_eq!(sample("disk_await_seconds"), await_s);
    let busy = json!({"metric": "disk_busy_seconds_total", "labels": {}, "kind": "counter", "span": "between",
                      "value": 0.5});
    assert_eq!(sample("disk_busy_seconds_total"), busy);
    let wait = json!([{"metric": "disk_wait_seconds", "labels": {}, "count": 40, "sum": 0.8, "max": null,
                       "buckets": [[0.0, 0.01, 30], [0.01, null, 10]]}]);
    assert_eq!(report["histograms"][0], wait[0]);
    assert_eq!(report["histograms"].as_array().unwrap().len(), 3);
    assert_eq!(report["faults"].as_array().unwrap().len(), 1);
    let text = text(state.path(), &["show", "web06", "disk"]);
    for expected in [
        "disk_busy_seconds_total              between    50%",
        "device=sda",
        " 8ms",
        "over 10ms",
        "MEAN",
        "20ms",
        "boot b1",
    ] {
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(&wanted), "{expected}: {text}");
    }
    let first = json(state.path(), &["show", "web06", "disk", "--sweep", sweep_id(0).as_str()]);
    let spans: Vec<&Value> = first["samples"].as_array().unwrap().iter().map(|it| &it["span"]).collect();
    assert!(!spans.contains(&&json!("between")), "{spans:?}");
}

#[test]
fn raw_is_what_the_host_sent_and_a_text_probe_shows_it_escaped() {
    let state = state(1);
    let raw = run(state.path(), &["show", "web01", "notes", "--raw"]);
    assert_eq!(raw.stdout, format!("web01 says {HOSTILE}\nsecond line\n").into_bytes());
    let shown = text(state.path(), &["show", "web01", "notes"]);
    assert!(
        shown.contains("web01 says \\x1b[2J\\x1b]0;owned\\x07\\u{202e}\\u{9b}31m\nsecond line\n"),
        "{shown}"
    );
    let (status, why) = refusal(state.path(), &["show", "web05", "notes", "--raw"]);
    assert_eq!(status, 2);
    assert!(why.contains("no output: it is unreachable"), "{why}");
}

#[test]
fn top_puts_the_worst_host_first() {
    let state = state(4);
    let report = json(state.path(), &["top", "disk_await_seconds"]);
    assert_eq!(
        (&report["unit"], &report["worse"], &report["hosts"]),
        (&json!("seconds"), &json!("higher"), &json!(5))
    );
    let first = json!({"probe": "disk", "host": "web06", "labels": {"device": "sda"}, "value": 0.008, "peers": 0.001, "ratio": 8.0,
                       "interval": null, "observations": null, "series": 2, "history": [0.008, 0.008, 0.008, 0.008]});
    assert_eq!(report["rows"][0], first);
    assert_eq!(report["rows"].as_array().unwrap().len(), 5);
    let lower = json(state.path(), &["top", "disk_free_ratio"]);
    assert_eq!((&lower["rows"][0]["host"], &lower["rows"][0]["value"]), (&json!("web02"), &json!(0.05)));
    let rate = json(state.path(), &["top", "disk_busy_seconds_total"]);
    assert_eq!((&rate["span"], &rate["rows"][0]["value"]), (&json!("between"), &json!(0.5)));
    // The first sweep has no rate between sweeps: a blank in the history, and none in the rest.
    assert_eq!(rate["rows"][0]["history"], json!([0.5, 0.5, 0.5]));
    let text = text(state.path(), &["top", "disk_await_seconds", "--limit", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("disk_await_seconds · instant · sweep "), "{text}");
    let worst: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(worst, ["web06", "device=sda", "(worst", "of", "2)", "8ms", "1ms", "8×", "████"]);
    assert!(lines[4].ends_with("▂▂▂▂"), "{text}");
}

#[test]
fn top_splits_and_filters_by_label_and_by_host() {
    let state = state(2);
    let by = json(state.path(), &["top", "disk_await_seconds", "--by", "device"]);
    assert_eq!((&by["hosts"], by["rows"].as_array().unwrap().len()), (&json!(5), 10));
    // sdb's peers are the other sdb.
    assert_eq!(by["rows"][9]["peers"], json!(0.0005));
    let sdb = json(state.path(), &["top", "disk_await_seconds", "--label", "device=*b"]);
    assert!(sdb["rows"].as_array().unwrap().iter().all(|row| row["labels"]["device"] == "sdb"));
    let some = json(state.path(), &["top", "disk_await_seconds", "-H", "web[01-02]"]);
    assert_eq!(some["rows"].as_array().unwrap().len(), 2);
    // db01 is in no later sweep, and its labels are those of the first.
    let gone =
        json(state.path(), &["top", "disk_await_seconds", "-H", "role=db", "--sweep", sweep_id(0).as_str()]);
    assert_eq!((&gone["rows"][0]["host"], &gone["rows"][0]["peers"]), (&json!("db01"), &Value::Null));
    let metrics = json(state.path(), &["top"]);
    assert_eq!(metrics["metrics"].as_array().unwrap().len(), 6);
    let one = json(state.path(), &["top", "*free*"]);
    let expected = json!([{"metric": "disk_free_ratio", "kind": "gauge", "unit": "ratio", "worse": "lower",
                           "warn": null, "help": "room left"}]);
    assert_eq!(one["metrics"], expected);
}

#[test]
fn compare_leads_with_what_differs_most() {
    let state = state(3);
    let report = json(state.path(), &["compare", "web[01-05]", "web06"]);
    let rows = report["rows"].as_array().unwrap();
    let first = json!({"probe": "disk", "metric": "disk_await_seconds", "labels": {"device": "sda"}, "a": 0.001, "b": 0.008,
                       "ratio": 8.0, "n": [4, 1], "above": null, "shift": null, "delta": null, "p": null, "p_bh": null,
                       "distribution": null});
    assert_eq!(rows[0], first);
    assert_eq!((&rows[1]["metric"], &rows[1]["ratio"]), (&json!("disk_busy_seconds_total"), &json!(5.0)));
    assert_eq!((&report["sweeps"], &report["same_hours"]), (&json!([1, 1]), &json!(true)));
    // Three times nothing is there, with its ratio, and does not lead.
    let nothing = rows.iter().position(|row| row["metric"] == "disk_nothing_seconds").unwrap();
    let shapes = rows.iter().filter(|row| !row["distribution"].is_null()).count();
    assert_eq!(nothing, rows.len() - 1 - shapes);
    let text = text(state.path(), &["compare", "web[01-05]", "web06"]);
    assert_eq!(text.lines().take_while(|line| !line.is_empty()).count(), 4, "{text}");
    assert!(text.starts_with("A web[01-05] (5) · B web06 (1) · sweep "), "{text}");
    let line: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(line[..6], ["disk_await_seconds", "device=sda", "1ms", "8ms", "8×", "4:1"]);
    // One host on a side is no sample.
    assert_eq!(line[6..].join(" "), "~ (need ≥ 4) ▂▂▂ ███");
    let filtered = ["compare", "role=web", "web06", "--metric", "*free*", "--probe", "disk", "--limit", "1"];
    let report = json(state.path(), &filtered);
    // web06 is of role web, too, and counts for its own side.
    let row = json!({"probe": "disk", "metric": "disk_free_ratio", "labels": {}, "a": 0.6, "b": 0.6, "ratio": 1.0, "n": [4, 1], "above": null,
                     "shift": null, "delta": null, "p": null, "p_bh": null,
                       "distribution": null});
    assert_eq!(report["rows"], json!([row]));
}

#[test]
fn compare_takes_the_newest_sweep_with_both_sides_and_counts_no_host_twice() {
    let state = state(3);
    let output = run(state.path(), &["compare", "web01", "db01", "--all"]);
    assert!(stdout(&output).contains(&format!("sweep {}", sweep_id(0))), "{output:?}");
    let output = run(state.path(), &["compare", "web06", "web*", "--json"]);
    assert!(stderr(&output).contains("web06 is on both sides"), "{output:?}");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["rows"][0]["n"], json!([1, 4]));
    let (status, why) = refusal(state.path(), &["compare", "web[01-02]", "web02,web01"]);
    assert_eq!(status, 2);
    assert!(why.contains("are the same hosts"), "{why}");
}

#[test]
fn sql_answers_in_four_forms() {
    let state = state(2);
    let sql = "SELECT host, value AS v, NULL AS z FROM v_sample WHERE metric = 'disk_free_ratio' \
               AND sweep = (SELECT max(sweep) FROM v_sweep) ORDER BY v, host LIMIT 2";
    let expected = json!([{"host": "web02", "v": 0.05, "z": null}, {"host": "web01", "v": 0.6, "z": null}]);
    assert_eq!(json(state.path(), &["query", sql]), expected);
    let lines = text(state.path(), &["query", "--ndjson", sql]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(lines), expected);
    assert_eq!(text(state.path(), &["query", "--csv", sql]), "host,v,z\nweb02,0.05,\nweb01,0.6,\n");
    assert_eq!(text(state.path(), &["query", sql]), "host      v  z\nweb02  0.05  -\nweb01   0.6  -\n");
    let none = "SELECT host FROM v_sample WHERE metric = 'x'";
    assert_eq!(json(state.path(), &["query", none]), json!([]));
    assert_eq!(text(state.path(), &["query", "--csv", none]), "host\n");
    let cut = run(state.path(), &["query", "--limit", "1", "SELECT host FROM v_reading"]);
    assert_eq!(stdout(&cut).lines().count(), 2);
    assert!(stderr(&cut).contains("more rows than 1"), "{cut:?}");
    assert_eq!(
        text(state.path(), &["query", "--ndjson", "--limit", "3", "SELECT host FROM v_reading"])
            .lines()
            .count(),
        3
    );
}

#[test]
fn the_schema_that_is_printed_is_the_indexs() {
    let state = state(1);
    let printed = json(state.path(), &["query", "--schema"]);
    let mut views: Vec<&str> =
        printed["views"].as_array().unwrap().iter().map(|view| view["view"].as_str().unwrap()).collect();
    views.sort_unstable();
    let there =
        json(state.path(), &["query", "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name"]);
    let there: Vec<&str> =
        there.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(views, there);
    let sample = printed["views"].as_array().unwrap().iter().find(|view| view["view"] == "v_sample").unwrap();
    let columns = ["sweep", "ts", "host", "probe", "metric", "labels", "kind", "span", "value"];
    assert_eq!(sample["columns"], json!(columns));
    assert!(text(state.path(), &["query"]).contains("sweep, ts, host, probe, metric"));
}

#[test]
fn an_export_has_every_sample_once() {
    let state = state(2);
    let count =
        json(state.path(), &["query", "SELECT count(*) AS n FROM v_sample"])[0]["n"].as_u64().unwrap();
    let lines = text(state.path(), &["export", "--format", "ndjson"]);
    assert_eq!(lines.lines().count() as u64, count);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let expected = json!({"sweep": sweep_id(0).as_str(), "ts": 1_795_381_201, "host": "web01", "probe": "disk",
        "metric": "disk_await_seconds", "labels": {"device": "sda"}, "kind": "gauge", "span": "instant",
        "value": 0.001});
    assert_eq!(first, expected);
    let file = state.path().join("some.csv");
    let args =
        ["export", "--format", "csv", "--sweep", "latest", "-H", "web0[1-2]", "--metric", "*free*", "--out"];
    let args: Vec<&str> = args.into_iter().chain(file.to_str()).collect();
    assert_eq!(text(state.path(), &args), "");
    let row = |host: &str, value: &str| {
        format!("{},1795384801,{host},disk,disk_free_ratio,{{}},gauge,instant,{value}\n", sweep_id(1))
    };
    let header = "sweep,ts,host,probe,metric,labels,kind,span,value\n";
    let expected = format!("{header}{}{}", row("web01", "0.6"), row("web02", "0.05"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    let old = text(state.path(), &["export", "--format", "csv", "--since", "1ms"]);
    assert_eq!(old, header);
}

#[test]
fn a_database_export_opens_in_any_sqlite() {
    let state = state(2);
    let file = state.path().join("fleet.sqlite");
    std::fs::write(&file, "an older one").unwrap();
    text(state.path(), &["export", "--format", "sqlite", "--out", file.to_str().unwrap()]);
    let sql = "SELECT count(*) FROM v_sample WHERE metric = 'disk_free_ratio'";
    let answer = Command::new("sqlite3").arg(&file).arg(sql).output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "11\n");
    let partial = |name: &std::ffi::OsStr| name.to_string_lossy().contains("partial");
    let left = std::fs::read_dir(state.path())
        .unwrap()
        .filter(|entry| partial(&entry.as_ref().unwrap().file_name()));
    assert_eq!(left.count(), 0);
    let (status, why) = refusal(state.path(), &["export", "--format", "sqlite"]);
    assert_eq!((status, why.contains("--out FILE")), (2, true), "{why}");
}
