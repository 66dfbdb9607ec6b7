//! `prune` as a person and a script use it.

use std::process::Command;

use dropsonde::config::Retention;
use dropsonde::model::Kept;
use serde_json::Value;

use super::build::*;

fn run(root: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dropsonde"))
        .args(arguments)
        .arg("--state")
        .arg(root)
        .env("DROPSONDE_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

#[test]
fn a_dry_run_says_what_the_real_one_does() {
    let folder = memory_folder();
    let root = folder.path();
    // Long ago by every clock.
    hours(root, NOW - 20_000 * 3_600, 30, 3);
    let before = dump(root);
    let keep = ["--set", "retention.samples=9000d", "--set", "retention.downsample_after=9000d"];
    let arguments = |rest: &[&'static str]| [&["prune"], &keep[..], rest].concat();
    let (code, text) = run(root, &arguments(&["--dry-run"]));
    assert!(code == 0 && text.contains("30 sweeps would lose their bytes"), "{code} {text}");
    let (_, json) = run(root, &arguments(&["--dry-run", "--json"]));
    let dry: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&dry["schema"], &dry["dry_run"], &dry["done"]), (&1.into(), &true.into(), &Value::Null));
    assert_eq!(dry["thin"]["sweeps"].as_array().unwrap().len(), 30);
    assert_eq!(before, dump(root));
    let (code, json) = run(root, &arguments(&["--json"]));
    let real: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &real["done"]["thinned"], &real["thin"]), (0, &30.into(), &dry["thin"]));
    assert!(real["done"]["freed_bytes"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(kept(root), [Kept::Numbers; 30]);
    // Without a word, the defaults: more than a year ago.
    let (code, text) = run(root, &["prune"]);
    assert!(code == 0 && text.contains("30 sweeps dropped"), "{code} {text}");
    assert_eq!(kept(root), []);
    assert_clean(root);
    assert_eq!(Retention::default().samples, days(365));
}
