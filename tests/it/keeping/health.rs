//! `check` as a report of how the state directory is.

use std::path::Path;
use std::process::Command;

use dropsonde::collect::{Options, Recorder, Recovered};
use dropsonde::config::Retention;
use dropsonde::store::{Severity, check};
use serde_json::{Value, json};

use super::build::*;
use super::room::Disk;

fn run(root: &Path, config: &str, arguments: &[&str]) -> (i32, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dropsonde"))
        .args(arguments)
        .args(["--read-only", "--state"])
        .arg(root)
        .arg("--config")
        .arg(file.path())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn health(root: &Path, config: &str) -> Value {
    let (code, text) = run(root, config, &["check", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["clean"]), (0, &json!(true)), "{answer}");
    answer["health"].clone()
}

#[test]
fn a_state_directory_is_described() {
    let disk = Disk::new("16m");
    let root = disk.path();
    let sweeps = hours(root, NOW - 20_000 * 3_600, 4, 3);
    let keep =
        "[retention]\nsamples = \"30000d\"\ndownsample_to = \"0s\"\nreserve = \"0B\"\nlow_space = \"1MiB\"\n";
    let found = health(root, keep);
    assert_eq!(found["warnings"], json!([]));
    assert_eq!(found["archive"]["raw"]["sweeps"], 4);
    assert_eq!(found["archive"]["numbers"], json!({"sweeps": 0, "bytes": 0, "oldest": null}));
    assert_eq!(found["due"], json!({"drop": 0, "thin": 4, "merge": 0}));
    assert_eq!(found["disk"]["reserve"], Value::Null);
    assert!(found["index"]["used_bytes"].as_u64() <= found["index"]["file_bytes"].as_u64(), "{found}");
    let last = &found["schedules"][0];
    assert_eq!((&last["schedule"], &last["sweep"]), (&json!("hourly"), &json!(sweeps[3].as_str())));
    assert_eq!((&last["planned"], &last["interrupted"]), (&json!(3), &json!(false)));

    prune_now(root, &Retention { raw: days(0), ..for_ever() });
    let found = health(root, keep);
    assert_eq!(
        (&found["archive"]["raw"]["sweeps"], &found["archive"]["numbers"]["sweeps"]),
        (&json!(0), &json!(4))
    );
    // What is wanted cannot be known, what is there can.
    assert_eq!(health(root, "nonsense")["due"], Value::Null);

    // Little room, and no reserve where one is wanted.
    disk.crowd(500 << 10);
    let wanting = keep.replace("0B", "64KiB");
    let found = health(root, &wanting);
    assert_eq!(found["warnings"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!((&found["disk"]["low"], &found["disk"]["reserve"]), (&json!(true), &json!(false)));
    let (code, text) = run(root, &wanting, &["check", "--deep", "--fail-on-findings"]);
    assert_eq!(code, 10, "{text}");
    for part in
        ["clean, every byte read: 4 sweeps", "warning: there is little room", "4 sweeps with their numbers"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_broken_digest_and_a_broken_baseline_are_found() {
    let folder = memory_folder();
    let root = folder.path();
    let sweeps = hours(root, NOW - 3_600, 4, 10);
    let policy = Retention { raw: days(0), samples: std::time::Duration::from_secs(5_400), ..for_ever() };
    let pruned = prune_now(root, &policy);
    assert_eq!((pruned.dropped, pruned.thinned), (3, 1), "{pruned:?}");
    assert_clean(root);
    let baseline = root.join("baseline.sqlite");
    let whole = std::fs::read(&baseline).unwrap();
    std::fs::write(&baseline, &whole[..whole.len() / 2]).unwrap();
    let report = check(root, true).unwrap();
    assert!(report.findings.iter().any(|it| it.what.contains("baseline.sqlite")), "{report:?}");
    // A rebuild goes on without it.
    dropsonde::collect::reindex(root, Default::default(), &mut |_| {}).unwrap();
    assert!(root.join("baseline.sqlite.corrupt").exists());
    assert_clean(root);

    let tar = dropsonde::store::StateDir::at(root).tar(&sweeps[3]);
    let mut bytes = std::fs::read(&tar).unwrap();
    let at = bytes.windows(12).position(|it| it == b"_digest/0001").unwrap();
    // Within the gzip stream, behind its header.
    bytes[at + 512 + 40] ^= 0xff;
    std::fs::write(&tar, &bytes).unwrap();
    let report = check(root, true).unwrap();
    assert!(report.findings.iter().any(|it| it.severity == Severity::Archive), "{report:?}");
    // A tar that was closed once is not cut, though it has lost its end and the index is gone.
    let cut = bytes.len() - 4_000;
    std::fs::write(&tar, &bytes[..cut]).unwrap();
    std::fs::remove_file(root.join("index.sqlite")).unwrap();
    let (recorder, recovered) = Recorder::open(root, Options::default()).unwrap();
    block_on(recorder.close()).unwrap();
    assert!(recovered.iter().any(|it| matches!(it, Recovered::Damaged { .. })), "{recovered:?}");
    assert_eq!(std::fs::metadata(&tar).unwrap().len(), cut as u64);
}
