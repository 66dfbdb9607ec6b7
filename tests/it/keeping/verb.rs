//! `prune` as a person and a script use it.

use std::process::Command;

use dropsonde::config::Retention;
use dropsonde::model::Kept;
use dropsonde::store::StateDir;
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

#[test]
fn a_tar_that_is_missing_or_cannot_be_read_is_told_and_holds_up_no_other() {
    let folder = memory_folder();
    let root = folder.path();
    let sweeps = hours(root, NOW - 20_000 * 3_600, 8, 3);
    let tar = |at: usize| StateDir::at(root).tar(&sweeps[at]);
    std::fs::remove_file(tar(2)).unwrap();
    std::fs::remove_file(tar(5)).unwrap();
    std::fs::create_dir(tar(5)).unwrap();
    let keep = ["prune", "--set", "retention.samples=9000d", "--set", "retention.downsample_after=9000d"];
    let thin = [&keep[..], &["--set", "retention.raw=0s"]].concat();
    let (code, text) = run(root, &thin);
    assert!(code == 1 && text.contains("6 without their bytes now"), "{code} {text}");
    assert!(text.contains(&format!("kept back: sweep {} is due and stays: its tar is missing", sweeps[2])));
    assert!(text.contains(&format!("kept back: sweep {} is due and stays: ", sweeps[5])), "{text}");
    let (code, json) = run(root, &[&thin[..], &["--json"]].concat());
    let again: Value = serde_json::from_str(&json).unwrap();
    let kept_back = again["done"]["kept_back"].as_array().unwrap();
    let kept_back: Vec<&str> = kept_back.iter().map(|it| it["sweep"].as_str().unwrap()).collect();
    assert_eq!((code, kept_back), (1, vec![sweeps[2].as_str(), sweeps[5].as_str()]), "{json}");
    // Neither shares its numbers with others, and that is told as well.
    let merge = ["prune", "--set", "retention.samples=9000d", "--set", "retention.raw=0s"];
    let (code, text) = run(root, &merge);
    assert!(code == 1 && text.contains("its tar is missing"), "{code} {text}");
    // Its whole time is over: a missing one goes, and nothing at all is left.
    std::fs::remove_dir(tar(5)).unwrap();
    let (code, text) = run(root, &["prune"]);
    assert!(code == 0 && text.contains("8 sweeps dropped"), "{code} {text}");
    assert_eq!(kept(root), []);
    assert_clean(root);
}

#[test]
fn a_dry_run_names_the_limit_that_is_passed() {
    let folder = memory_folder();
    let root = folder.path();
    hours(root, NOW - 20_000 * 3_600, 6, 3);
    let due = |set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let ages = ["--set", "retention.raw=9000d", "--set", "retention.downsample_after=9000d"];
        let all = ["prune", "--dry-run", "--set", "retention.samples=9000d"];
        run(root, &all.into_iter().chain(ages).chain(set).collect::<Vec<_>>()).1
    };
    let text = due(&["retention.raw_size=1KiB"]);
    assert!(text.contains("(retention.raw_size = 1KiB)") && !text.contains("9000d"), "{text}");
    let text = due(&["retention.samples_size=1KiB"]);
    assert!(text.contains("5 sweeps would go") && text.contains("(retention.samples_size = 1KiB)"), "{text}");
    let text = due(&["retention.raw=1d", "retention.raw_size=1KiB"]);
    assert!(text.contains("(retention.raw = 1d)"), "{text}");
}
