//! The OpenMetrics export, read by the strict parser of Prometheus' own Python client (the Debian package
//! `python3-prometheus-client`): the test fails, and does not skip, where that is missing.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use dropsonde::config::Retention;
use serde_json::Value;

use super::build::*;

/// Answers with every family's kind and its points as [name, labels, value, time].
const ORACLE: &str = r#"
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    points = [[s.name, s.labels, s.value, float(s.timestamp)] for s in family.samples]
    families[family.name] = [family.type, points]
json.dump(families, sys.stdout)
"#;

fn strictly(text: &str) -> BTreeMap<String, Value> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start /usr/bin/python3");
    let mut stdin = child.stdin.take().unwrap();
    let input = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// (time, value) of a host's first series of this name.
fn series(families: &BTreeMap<String, Value>, family: &str, name: &str, host: &str) -> Vec<(f64, f64)> {
    let points = families[family][1].as_array().unwrap();
    let mut of_host = points.iter().filter(|it| it[0] == name && it[1]["host"] == host).peekable();
    let first = of_host.peek().map(|it| it[1].clone());
    let same = of_host.filter(|it| Some(&it[1]) == first.as_ref());
    same.map(|it| (it[3].as_f64().unwrap(), it[2].as_f64().unwrap())).collect()
}

#[test]
fn several_sweeps_follow_the_specification() {
    let state = state(4);
    let args = ["export", "--format", "openmetrics", "--since", "36500d", "--totals"];
    let exported = text(state.path(), &args);
    let numbers = [&args[..], &["--metric", "disk_busy*", "--metric", "disk_await*"]].concat();
    let families = strictly(&text(state.path(), &numbers));
    assert_eq!(families["disk_busy_seconds"][0], "counter");
    assert_eq!(families["disk_busy_seconds:rate"][0], "gauge");
    // One moment at a time: of a distribution's second moment, that parser (0.16) keeps the first bucket
    // alone, and misses the others.
    for hour in 0..4 {
        let at = format!(" {}", START_S + hour * 3_600 + 1);
        let of_hour = exported.lines().filter(|line| line.starts_with('#') || line.ends_with(&at));
        let families = strictly(&(of_hour.collect::<Vec<_>>().join("\n") + "\n"));
        assert_eq!(families["disk_service_seconds"][0], "histogram");
        assert!(families["disk_service_seconds"][1].as_array().unwrap().len() > 20, "{families:?}");
    }
    assert!(exported.ends_with("\n# EOF\n"), "{exported}");
    // Each series has its four moments, an hour apart, and a counter only goes up.
    let totals = series(&families, "disk_busy_seconds", "disk_busy_seconds_total", "web06");
    assert_eq!(totals.len(), 4, "{totals:?}");
    for pair in totals.windows(2) {
        assert!(pair[1].0 - pair[0].0 == 3_600.0 && pair[1].1 > pair[0].1, "{totals:?}");
    }
    // The rate between two sweeps is that of the totals.
    let rates = series(&families, "disk_busy_seconds:rate", "disk_busy_seconds:rate", "web06");
    assert!(!rates.is_empty(), "{rates:?}");
    // What others make of it does not change with the bytes.
    let keep = Retention {
        raw: std::time::Duration::ZERO,
        samples: Retention::default().samples * 90,
        ..Retention::default()
    };
    let now = dropsonde::model::CollectorTime::from_unix_s(START_S + 100_000);
    assert_eq!(dropsonde::collect::keep::prune(state.path(), &keep, now).unwrap().thinned, 4);
    assert_eq!(text(state.path(), &args), exported);
}

#[test]
fn one_sweep_has_the_times_of_its_readings() {
    let state = state(2);
    let families = strictly(&text(state.path(), &["export", "--format", "openmetrics"]));
    let points = series(&families, "disk_await_seconds", "disk_await_seconds", "web06");
    assert_eq!(points, [((START_S + 3_601) as f64, 0.008)]);
    let (status, said) = refusal(state.path(), &["export", "--format", "csv", "--totals"]);
    assert!(status == 2 && said.contains("--totals is for openmetrics"), "{said}");
}
