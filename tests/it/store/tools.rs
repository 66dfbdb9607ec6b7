//! What other programs see: tar, zcat, sqlite3.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use dropsonde::store::StateDir;
use dropsonde::store::index::Reader;

use super::build::*;

fn run(program: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(program).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stderr.is_empty(), "{program} {args:?}: {status} {stderr}");
    String::from_utf8(stdout).unwrap()
}

#[test]
fn tar_lists_and_zcat_reads_every_member() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = hosts(2);
    let plan = plan(1, START_S, &hosts);
    let tar = StateDir::at(folder.path()).tar(&plan.sweep).display().to_string();
    block_on(async {
        let recorder = open(folder.path());
        let handle = recorder.begin(plan, vec![probe()]).await.unwrap();
        record(&handle, &hosts[0], &Said::simple(START_S, 5.0)).await;
        // An open sweep reads too.
        assert!(run("tar", &["tf", &tar]).ends_with("web0000/spool.gz\n"));
        handle.finish(end()).await.unwrap();
        recorder.close().await.unwrap();
    });
    assert!(tar.ends_with(&format!("/archive/2026/11/22/{}.tar", &tar[tar.len() - 29..tar.len() - 4])));
    let listed = run("tar", &["tf", &tar]);
    let expected = ["_plan.json", "_probes/spool.toml", "web0000/spool.gz", "web0001/spool.gz", "_end.json"];
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    let zcat = |member: &str| run("sh", &["-c", "tar xOf \"$1\" \"$2\" | zcat", "sh", &tar, member]);
    assert!(zcat("web0000/spool.gz").starts_with("spool_jobs_waiting{queue=\"a\"} 5\n"));
    assert_eq!(zcat("web0001/spool.gz"), "");
    assert_eq!(run("tar", &["xOf", &tar, "_probes/spool.toml"]), *probe().source);
    // Two blocks of zeros, and nothing behind them.
    let bytes = std::fs::read(&tar).unwrap();
    assert!(bytes.ends_with(&[0; 1_024]) && !bytes.ends_with(&[0; 2_048]));
}

#[test]
fn sqlite3_opens_the_views_that_need_no_function_and_the_whole_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts(3)).await;
        recorder.close().await.unwrap();
    });
    let index = folder.path().join("index.sqlite").display().to_string();
    let rows = run(
        "sqlite3",
        &[&index, "SELECT host, outcome, exit, elapsed_s, skew_s FROM v_reading ORDER BY host LIMIT 1"],
    );
    assert_eq!(rows, "web0000|ok|0|1.25|2.0\n");
    assert_eq!(run("sqlite3", &[&index, "SELECT trigger, planned, ok FROM v_sweep"]), "adhoc|3|3\n");
    assert_eq!(
        run("sqlite3", &[&index, "SELECT label, value, since FROM v_host_label WHERE host = 'web0001'"]),
        format!("role|web|{START_S}\n")
    );
    let snapshot = folder.path().join("plain.sqlite");
    let reader = Reader::open(folder.path()).unwrap();
    reader.export_plain(&snapshot, None).unwrap();
    assert!(reader.export_plain(&snapshot, None).is_err(), "an existing file is overwritten");
    let plain = snapshot.display().to_string();
    let sql = "SELECT host, metric, labels, kind, span, value FROM v_sample WHERE host = 'web0002'";
    assert_eq!(
        run("sqlite3", &[&plain, sql]),
        "web0002|spool_jobs_waiting|{\"queue\":\"a\"}|gauge|instant|2.0\n"
    );
    let sql = "SELECT count, sum, json_extract(buckets, '$[0]') FROM v_histogram WHERE host = 'web0002'";
    assert_eq!(run("sqlite3", &[&plain, sql]), "5|0.7|[0.0,0.1,3]\n");
}

#[test]
fn nobody_else_can_read_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("state");
    block_on(async {
        let recorder = open(&root);
        sweep(&recorder, 1, START_S, &hosts(1)).await;
        check_modes(&root);
        recorder.close().await.unwrap();
    });
    // A link in a file's place is not followed.
    let target = folder.path().join("target");
    std::fs::remove_file(root.join("seq")).unwrap();
    std::os::unix::fs::symlink(&target, root.join("seq")).unwrap();
    assert!(dropsonde::collect::Recorder::open(&root, dropsonde::collect::Options::default()).is_err());
    assert!(!target.exists());
}

fn check_modes(folder: &std::path::Path) {
    let mode = |path: &std::path::Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_modes(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}
