//! The dashboard in docs/: every query that it asks is asked of a snapshot, as the data source asks it, with
//! the words that Grafana puts in the place of its variables; and of the views.

use std::path::Path;
use std::process::Command;

use dropsonde::store::index::{QueryLimits, Reader};
use serde_json::Value;

use super::build::*;

const DASHBOARD: &str = include_str!("../../../docs/grafana/dropsonde.json");

/// As Grafana does it: times in milliseconds, values quoted for SQL.
fn filled(sql: &str) -> String {
    let words = [
        ("$__from", ((NOW - 2 * DAY) * 1_000).to_string()),
        ("$__to", ((NOW + DAY) * 1_000).to_string()),
        ("${schedule:sqlstring}", "'hourly','nightly'".to_owned()),
        ("${metric:sqlstring}", "'spool_jobs_waiting'".to_owned()),
        ("${span:sqlstring}", "'instant'".to_owned()),
        ("${host:sqlstring}", "'web0000','web0001'".to_owned()),
    ];
    let filled = words.iter().fold(sql.to_owned(), |sql, (word, value)| sql.replace(word, value));
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// Title and SQL of everything that the dashboard asks.
fn questions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["queryText"], target["rawQueryText"]);
            assert_eq!(target["datasource"]["type"], "frser-sqlite-datasource");
            found.push((text(&panel["title"]), text(&target["queryText"])));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            found.push((text(&variable["name"]), text(&variable["query"])));
        }
    }
    found
}

fn sqlite3(file: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").args(["-readonly", "-header"]).arg(file).arg(sql).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{sql}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_query_of_the_dashboard_answers() {
    let folder = memory_folder();
    let root = folder.path().join("state");
    // Over the turn of a week, so that a label changes.
    let week = NOW / (7 * DAY) * (7 * DAY);
    let last = if NOW - week < DAY { NOW } else { week + 3 * 3_600 };
    hours(&root, last, 6, 4);
    let file = folder.path().join("fleet.sqlite");
    let snapshot = || {
        Command::new(env!("CARGO_BIN_EXE_dropsonde"))
            .arg("snapshot")
            .arg(&file)
            .args(["--since", "36500d", "--json", "--state"])
            .arg(&root)
            .output()
            .unwrap()
    };
    // A file that is there keeps its rights: Grafana is somebody else.
    std::fs::write(&file, "").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    for _ in 0..2 {
        let output = snapshot();
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["bytes"], file.metadata().unwrap().len());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    let reader = Reader::open(&root).unwrap();
    let questions = questions();
    assert!(questions.len() > 10, "{questions:?}");
    // The times of these sweeps, in the place of the dashboard's.
    let shift = |sql: String| {
        sql.replace(&((NOW - 2 * DAY) * 1_000).to_string(), &((last - 2 * DAY) * 1_000).to_string())
            .replace(&((NOW + DAY) * 1_000).to_string(), &((last + DAY) * 1_000).to_string())
    };
    for (title, sql) in questions {
        let sql = shift(filled(&sql));
        let answer = sqlite3(&file, &sql);
        let table = reader.query(&sql, QueryLimits::default()).unwrap();
        let rows = answer.lines().count().saturating_sub(1);
        assert_eq!(rows, table.rows.len(), "{title}: {sql}\n{answer}");
        // Nothing went amiss in the last sweep but for the host that was away.
        assert!(
            rows > 0 || title.starts_with("Faults") || title.starts_with("What did not"),
            "{title}: {sql}"
        );
        assert!(title.starts_with("Faults") || !table.columns.is_empty(), "{title}");
        if let Some(at) = table.columns.iter().position(|column| column == "time") {
            assert_eq!(at, 0, "{title}: {:?}", table.columns);
        }
    }
    let few = sqlite3(&file, "SELECT count(*) FROM v_sample");
    assert!(few.lines().last().unwrap().parse::<u64>().unwrap() > 0, "{few}");
}

/// Whoever is not in the reader's group cannot give it the file, and says so instead of giving up.
#[test]
fn a_snapshot_for_a_group_that_we_are_not_in() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let folder = memory_folder();
    let root = folder.path().join("state");
    hours(&root, NOW, 1, 1);
    let place = folder.path().join("grafana");
    let (ours, readers) = (61_001, 61_002);
    std::fs::create_dir(&place).unwrap();
    let owned = Command::new("chown").arg("-R").arg(format!("{ours}:{ours}")).arg(&root).status().unwrap();
    assert!(owned.success());
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let file = place.join("fleet.sqlite");
    let check = |mode: u32, group: u32, said: &str| {
        chown(&place, Some(ours), Some(readers)).unwrap();
        std::fs::set_permissions(&place, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        chown(&file, Some(ours), Some(readers)).unwrap();
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={ours}"), &format!("--regid={ours}"), "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_dropsonde")).arg("snapshot").arg(&file).arg("--state").arg(&root);
        let output = command.env("HOME", folder.path()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && err.contains(said) && err.is_empty() == said.is_empty(), "{err}");
        let found = file.metadata().unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o640));
        assert!(!sqlite3(&file, "SELECT count(*) FROM v_reading").is_empty());
    };
    check(0o755, ours, "is group 61001's and no longer group 61002's");
    check(0o2755, readers, "");
}
