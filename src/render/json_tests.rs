//! The JSON shapes, byte for byte: other programs read them.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::model::{Bucket, Fault, ProbeHash, Reach};

fn reading() -> Reading {
    Reading {
        host: HostName::new("web01").unwrap(),
        probe: ProbeName::new("proc").unwrap(),
        probe_hash: ProbeHash([0; 32]),
        outcome: Outcome::TimedOut,
        detail: Some("no answer".to_owned()),
        exit: None,
        started: CollectorTime::from_unix_s(1_795_381_200),
        elapsed: Duration::from_millis(1_500),
        clock: None,
        cpu: None,
        stderr: String::new(),
        cursor: None,
        wire: Bytes::from_static(b"abc"),
        bytes_raw: 10,
    }
}

#[test]
fn a_sweep() {
    let mut report = SweepReport::new(
        SweepId::new("20261122T230000Z-1f2e3d4c").unwrap(),
        Trigger::Adhoc,
        CollectorTime::from_unix_s(1_795_381_200),
    );
    (report.elapsed_s, report.planned) = (1.25, 1);
    report.push(ReadingReport::new(&reading(), 7));
    let expected = concat!(
        r#"{"schema":1,"sweep":"20261122T230000Z-1f2e3d4c","trigger":"adhoc","cause":null,"started":"2026-11-22T21:00:00Z","#,
        r#""elapsed_s":1.25,"planned":1,"outcomes":{"ok":0,"unsupported":0,"failed":0,"timed_out":1,"#,
        r#""truncated":0,"incomplete":0,"unreachable":0,"auth_failed":0,"host_key_changed":0,"#,
        r#""host_key_unknown":0,"denied":0,"skipped":0},"escalated":[],"readings":[{"host":"web01","probe":"proc","#,
        r#""outcome":"timed_out","detail":"no answer","exit":null,"elapsed_s":1.5,"bytes_wire":3,"#,
        r#""bytes_raw":10,"samples":7,"histograms":null}]}"#,
    );
    assert_eq!(to_line(&report).unwrap(), expected);
}

#[test]
fn a_probe() {
    let labels = vec![("cpu".into(), "0".to_owned())];
    let parsed = Parsed {
        samples: vec![Sample {
            metric: "node_load1".into(),
            labels: labels.clone(),
            kind: Kind::Counter,
            span: Span::Window,
            value: f64::NAN,
        }],
        histograms: vec![Histogram {
            metric: "wait_seconds".into(),
            labels: Vec::new(),
            count: 3,
            sum: None,
            max: Some(0.5),
            buckets: vec![
                Bucket { lo: 0.0, hi: 0.25, count: 2 },
                Bucket { lo: 0.25, hi: f64::INFINITY, count: 1 },
            ],
        }],
        faults: vec![Fault("line 3: expected a number".to_owned())],
        ..Parsed::default()
    };
    let probe = ProbeName::new("proc").unwrap();
    let expected = concat!(
        r#"{"schema":1,"probe":"proc","outcome":"ok","samples":[{"metric":"node_load1","labels":{"cpu":"0"},"#,
        r#""kind":"counter","span":"window","value":null}],"histograms":[{"metric":"wait_seconds","#,
        r#""labels":{},"count":3,"sum":null,"max":0.5,"buckets":[[0.0,0.25,2],[0.25,null,1]]}],"#,
        r#""faults":["line 3: expected a number"]}"#,
    );
    assert_eq!(to_line(&ProbeReport::new(&probe, Outcome::Ok, &parsed)).unwrap(), expected);
}

#[test]
fn a_comparison() {
    let report = CompareReport {
        sweeps: [7, 7],
        same_hours: true,
        rows: vec![CompareRow {
            metric: "node_load1".to_owned(),
            probe: ProbeName::new("proc").unwrap(),
            labels: vec![("cpu".into(), "0".to_owned())].into(),
            a: Some(1.0),
            b: Some(2.0),
            ratio: Some(2.0),
            n: [1, 1],
            above: Some([5, 7]),
            shift: None,
            delta: Some(f64::INFINITY),
            p: None,
            p_bh: None,
            distribution: Some(CompareDistribution {
                p50: [Some((0.0, 1.0)), None],
                p99: [Some((1.0, f64::INFINITY)), None],
                max: [None, Some(2.0)],
                observations: [100, 0],
                distance: None,
            }),
        }],
        ..CompareReport::default()
    };
    let expected = concat!(
        r#"{"schema":1,"sweeps":[7,7],"same_hosts":false,"same_hours":true,"rows":[{"metric":"node_load1","probe":"proc","labels":{"cpu":"0"},"#,
        r#""a":1.0,"b":2.0,"ratio":2.0,"#,
        r#""n":[1,1],"above":[5,7],"shift":null,"delta":null,"p":null,"p_bh":null,"distribution":{"p50":[[0.0,1.0],null],"#,
        r#""p99":[[1.0,null],null],"max":[null,2.0],"observations":[100,0],"distance":null}}]}"#,
    );
    assert_eq!(to_line(&report).unwrap(), expected);
}

#[test]
fn hosts() {
    let host = Host {
        name: HostName::new("web01").unwrap(),
        address: "192.0.2.1".to_owned(),
        port: 22,
        user: "probe".to_owned(),
        labels: [("role".to_owned(), "web".to_owned())].into(),
        reach: Reach::Ssh,
        identity_files: Vec::new(),
        known_hosts: Vec::new(),
        ssh: std::sync::Arc::default(),
        consult: None,
        root_by: crate::model::RootBy::Sudo,
        proc_root: None,
        sys_root: None,
    };
    let expected = concat!(
        r#"{"schema":1,"hosts":[{"name":"web01","address":"192.0.2.1","port":22,"user":"probe","#,
        r#""reach":"ssh","labels":{"role":"web"},"from":[{"inventory":null,"file":"config.toml","line":3}]}],"inventories":[]}"#,
    );
    let from = vec![FromReport { inventory: None, file: "config.toml", line: Some(3) }];
    let hosts = vec![HostReport::new(&host, from)];
    let report = HostsReport { schema: Schema, hosts, inventories: Vec::new() };
    assert_eq!(to_line(&report).unwrap(), expected);
}

proptest::proptest! {
    #[test]
    fn strings_are_printable_and_read_back_the_same(text: String) {
        let line = to_line(&[&text]).unwrap();
        proptest::prop_assert!(!line.chars().any(is_unprintable), "{:?}", line);
        let [back]: [String; 1] = serde_json::from_str(&line).unwrap();
        proptest::prop_assert_eq!(back, text);
    }
}
