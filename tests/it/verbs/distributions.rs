//! Histograms in `show`, `top`, `compare`, `export` and SQL, checked against the counts that went in.

use serde_json::{Value, json};

use super::build::*;

const SERVICE: &str = "disk_service_seconds";

fn row(report: &Value, host: &str) -> Value {
    let rows = report["rows"].as_array().unwrap();
    rows.iter().find(|row| row["host"] == host).unwrap_or_else(|| panic!("{host}: {report}")).clone()
}

#[test]
fn hosts_are_ranked_by_the_bounds_of_a_quantile() {
    let state = state(3);
    let top = json(state.path(), &["top", SERVICE]);
    assert_eq!(
        (&top["kind"], &top["statistic"], &top["span"]),
        (&json!("histogram"), &json!("p99"), &json!("window"))
    );
    let worst = &top["rows"][0];
    assert_eq!(worst["host"], "web06");
    // Both devices added up: 2,000 observations, the 1,980th of them behind the last bound.
    assert_eq!(worst["interval"], json!([0.004, null]));
    assert_eq!(
        (&worst["value"], &worst["observations"], &worst["series"]),
        (&json!(0.004), &json!(2_000), &json!(2))
    );
    assert_eq!(worst["history"], json!([0.004, 0.004, 0.004]));
    assert_eq!((&worst["peers"], &worst["ratio"]), (&json!(0.002), &json!(2.0)));
    assert_eq!(row(&top, "web01")["interval"], json!([0.001, 0.002]));
    assert_eq!(row(&top, "web04")["interval"], json!([0.001, 0.003]));
    assert_eq!(top["hosts"], 5);

    let by_device = json(state.path(), &["top", SERVICE, "--by", "p50,device", "-H", "web01,web06"]);
    let rows = by_device["rows"].as_array().unwrap();
    let first = json!({"labels": {"device": "sda"}, "interval": [0.002, 0.004], "observations": 1_000, "host": "web06"});
    for (key, expected) in first.as_object().unwrap() {
        assert_eq!(&rows[0][key], expected, "{by_device}");
    }
    assert_eq!(rows.len(), 4);
    let one = json(state.path(), &["top", SERVICE, "--label", "device=sdb", "-H", "web06", "--by", "count"]);
    assert_eq!(
        (&one["rows"][0]["value"], &one["rows"][0]["labels"]),
        (&json!(1_000.0), &json!({"device": "sdb"}))
    );
}

/// What two probes saw of the same events is not twice as much.
#[test]
fn what_two_probes_measured_is_not_added_up() {
    let state = twice_measured();
    let top = json(state.path(), &["top", SERVICE, "--by", "count"]);
    let rows = top["rows"].as_array().unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row["probe"].as_str().unwrap(), &row["value"])).collect();
    assert_eq!(rows.len(), 4, "{top}");
    for probe in ["disk", "disk_again"] {
        assert_eq!(found.iter().filter(|it| **it == (probe, &json!(2_000.0))).count(), 2, "{top}");
    }
    let shown = text(state.path(), &["top", SERVICE]);
    assert!(shown.contains("PROBE") && shown.contains("disk_again"), "{shown}");
    let compared = text(state.path(), &["compare", "web01", "web06", "--metric", "disk_*"]);
    assert!(compared.contains("PROBE") && compared.contains("disk_again"), "{compared}");
    let rows = &json(state.path(), &["compare", "web01", "web06", "--metric", SERVICE])["rows"];
    let of = |probe: &str| rows.as_array().unwrap().iter().filter(|row| row["probe"] == probe).count();
    assert_eq!((of("disk"), of("disk_again")), (2, 2), "{rows}");
}

#[test]
fn a_host_with_too_few_observations_has_no_quantile() {
    let state = state(1);
    let output = run(state.path(), &["top", SERVICE]);
    assert!(output.status.success(), "{output:?}");
    assert!(!stdout(&output).contains("db01"), "{output:?}");
    assert!(stderr(&output).contains("left out: 1 row; p99 takes 100 observations"), "{output:?}");
    let text = text(state.path(), &["top", SERVICE, "--by", "p50"]);
    for part in ["disk_service_seconds · p50 · sweep", "2 added up", "2–4ms", "up to 1ms", "2000"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("db01"), "{text}");
}

#[test]
fn two_sides_are_added_up_and_their_shapes_compared() {
    let state = state(1);
    let report = json(state.path(), &["compare", "web01,web02", "web06", "--metric", SERVICE]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{report}");
    let sda = &rows[0];
    assert_eq!((&sda["metric"], &sda["labels"]), (&json!(SERVICE), &json!({"device": "sda"})));
    assert_eq!(
        (&sda["a"], &sda["b"], &sda["ratio"], &sda["n"]),
        (&json!(0.002), &json!(0.004), &json!(2.0), &json!([2, 1]))
    );
    let found = &sda["distribution"];
    assert_eq!(found["p50"], json!([[0.0, 0.001], [0.002, 0.004]]));
    assert_eq!(found["p99"], json!([[0.001, 0.002], [0.004, null]]));
    assert_eq!(found["observations"], json!([2_000, 1_000]));
    // Up to 2 ms: 995 of 1,000 against 20.
    assert!((found["distance"].as_f64().unwrap() - 0.975).abs() < 1e-12, "{found}");

    let output = run(state.path(), &["compare", "web01,web04", "web02", "--metric", SERVICE]);
    let said = stderr(&output);
    assert!(said.contains("2 more histograms, alike"), "{output:?}");
    assert!(stdout(&output).ends_with("\nNothing differs.\n"), "{output:?}");
    let text = text(state.path(), &["compare", "web01", "web06", "--metric", "disk_*"]);
    for part in ["disk_await_seconds", "HISTOGRAM", "over 4ms", "1–2ms", "97.5%", "1:1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Other buckets: both know how many lie up to 1 ms and up to 4 ms.
    let other = json(state.path(), &["compare", "web04", "web06", "--metric", SERVICE]);
    assert_eq!(other["rows"][0]["distribution"]["distance"], 0.9);
}

#[test]
fn openmetrics_has_cumulative_buckets_that_read_back() {
    let state = state(2);
    let exported = text(state.path(), &["export", "--format", "openmetrics"]);
    assert!(exported.ends_with("# EOF\n"), "{exported}");
    let lines: Vec<&str> = exported.lines().collect();
    let of_web06 = |part: &str| -> Vec<&str> {
        let is_wanted =
            |line: &&str| line.starts_with(part) && line.contains("web06") && line.contains("device=\"sda\"");
        lines.iter().copied().filter(is_wanted).collect()
    };
    let start = "disk_service_seconds_bucket{host=\"web06\",probe=\"disk\",device=\"sda\",le=";
    let ts = START_S + 3_601;
    assert_eq!(
        of_web06("disk_service_seconds"),
        [
            format!("{start}\"0.001\"}} 0 {ts}"),
            format!("{start}\"0.002\"}} 20 {ts}"),
            format!("{start}\"0.004\"}} 700 {ts}"),
            format!("{start}\"+Inf\"}} 1000 {ts}"),
        ]
    );
    let gauge = format!("disk_await_seconds{{host=\"web06\",probe=\"disk\",device=\"sda\"}} 0.008 {ts}");
    assert!(lines.contains(&gauge.as_str()), "{exported}");
    assert!(lines.contains(&"# TYPE disk_service_seconds histogram"), "{exported}");
    let rate = "disk_busy_seconds:rate{host=\"web06\",probe=\"disk\",span=\"between\"} 0.5";
    assert!(lines.iter().any(|line| line.starts_with(rate)), "{exported}");
    // A family stands in one piece, and no line of what a host said breaks out of its own.
    let families: Vec<&&str> = lines.iter().filter(|line| line.starts_with("# TYPE ")).collect();
    let mut distinct = families.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(families.len(), distinct.len(), "{families:?}");
    assert!(!exported.contains('\x1b') && exported.contains("\\\\x1b"), "{exported}");

    // Read by our own parser, the buckets are those that went in.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exported");
    std::fs::write(&file, &exported).unwrap();
    let probes = folder.path().join("probes.d");
    std::fs::create_dir(&probes).unwrap();
    let probe = "name = \"again\"\nsummary = \"a test\"\nscript = \"true\"\nformat = \"openmetrics\"\n";
    std::fs::write(probes.join("again.toml"), probe).unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "").unwrap();
    let args = ["--config", config.to_str().unwrap(), "probes", "parse", "again", file.to_str().unwrap()];
    let again = json(state.path(), &args);
    let histogram = again["histograms"].as_array().unwrap().iter().find(|it| {
        it["metric"] == SERVICE && it["labels"]["host"] == "web06" && it["labels"]["device"] == "sdb"
    });
    let expected = json!([[0.0, 0.001, 0], [0.001, 0.002, 20], [0.002, 0.004, 680], [0.004, null, 300]]);
    assert_eq!(histogram.unwrap()["buckets"], expected);
    let faults = again["faults"].as_array().unwrap();
    assert!(faults.iter().all(|it| it.as_str().unwrap().contains("timestamps are ignored")), "{faults:?}");
}

#[test]
fn histograms_are_exported_as_rows() {
    let state = state(1);
    let args = ["export", "--histograms", "-H", "web06", "--metric", "disk_service*", "--format"];
    let csv = text(state.path(), &[&args[..], &["csv"]].concat());
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert_eq!(lines[0], "sweep,ts,host,probe,metric,labels,unit,count,sum,max,buckets");
    assert!(
        lines[1].ends_with(
            ",seconds,1000,,,\"[[0.0,0.001,0],[0.001,0.002,20],[0.002,0.004,680],[0.004,null,300]]\""
        ),
        "{csv}"
    );
    let ndjson = text(state.path(), &[&args[..], &["ndjson"]].concat());
    let row: Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
    let sql = "SELECT * FROM v_histogram WHERE host = 'web06' AND metric = 'disk_service_seconds'
               AND labels LIKE '%sda%'";
    let asked = json(state.path(), &["query", sql]);
    for (key, value) in asked[0].as_object().unwrap() {
        match key.as_str() {
            "labels" | "buckets" => {
                let value: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
                assert_eq!(row[key], value, "{key}");
            }
            _ => assert_eq!(&row[key], value, "{key}"),
        }
    }
    assert_eq!(row["buckets"][3], json!([0.004, null, 300]));
}
