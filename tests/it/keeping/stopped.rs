//! A prune that is killed at any moment. The test binary runs itself as the one that prunes.

use std::path::Path;
use std::process::{Command, Stdio};

use dropsonde::config::Retention;
use dropsonde::store::{Severity, StateDir, check};

use super::build::*;

/// Set for the child: its state directory.
const STATE: &str = "DROPSONDE_TEST_PRUNE";

const DAYS: i64 = 6;

fn policy() -> Retention {
    Retention { raw: days(1), samples: days(4), downsample_after: days(2), ..for_ever() }
}

/// Prunes when this process was started for it; says whether it was.
fn pruner() -> bool {
    let Some(root) = std::env::var_os(STATE) else { return false };
    prune_now(Path::new(&root), &policy());
    true
}

fn command(program: &[&str], root: &Path) -> Command {
    let name = "keeping::stopped::a_prune_that_is_killed_anywhere_loses_nothing";
    let myself = std::env::current_exe().unwrap();
    let mut command = match program {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(myself);
            command
        }
        [] => Command::new(myself),
    };
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(STATE, root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Killed by strace at its n-th system call that changes a file's name, a file's end, or syncs.
#[test]
fn a_prune_that_is_killed_anywhere_loses_nothing() {
    if pruner() {
        return;
    }
    let folder = memory_folder();
    let past = folder.path().join("past");
    // Four sweeps a day.
    block_on(async {
        let recorder = open(&past);
        for quarter in (0..DAYS * 4).rev() {
            past_sweep(&recorder, NOW - 3_600 - quarter * 6 * 3_600, 3).await;
        }
        recorder.close().await.unwrap();
    });
    let done = folder.path().join("done");
    copy(&past, &done);
    assert!(command(&[], &done).status().unwrap().success());
    assert_clean(&done);
    let expected = views(&done);
    let all = number(&past, "SELECT count(*) FROM v_reading");
    for call in ["rename", "fsync", "unlink", "pwrite64", "write"] {
        let mut killed = 0;
        for when in [1, 2, 5, 12, 30] {
            let root = folder.path().join(format!("{call}-{when}"));
            copy(&past, &root);
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            let trace = format!("trace={call}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let status = command(&strace, &root).status().unwrap();
            killed += u32::from(!status.success());
            looks_whole(&root, &format!("{call} {when}"));
            // Whoever opens it next finishes it; a second prune does what the first did not come to.
            let lost = all - number(&root, "SELECT count(*) FROM v_reading");
            assert!(lost == 0 || lost == all - number(&done, "SELECT count(*) FROM v_reading"), "{lost}");
            prune_now(&root, &policy());
            assert_clean(&root);
            same(&expected, &views(&root));
            assert_reindex_has_the_same_views(&root);
            std::fs::remove_dir_all(&root).unwrap();
        }
        assert!(killed > 2, "{call}: only {killed} were killed");
    }
}

/// As it stands, and after each of the ways to open it.
fn looks_whole(root: &Path, when: &str) {
    let report = check(root, true).unwrap();
    let bad = report.findings.iter().find(|finding| finding.severity != Severity::Note);
    assert!(bad.is_none(), "{when}: {:#?}", report.findings);
    let rebuilt = root.with_extension("rebuilt");
    copy(root, &rebuilt);
    dropsonde::collect::reindex(&rebuilt, Default::default(), &mut |_| {}).unwrap();
    assert_clean(&rebuilt);
    std::fs::remove_dir_all(&rebuilt).unwrap();
    block_on(open(root).close()).unwrap();
    assert_clean(root);
    assert!(!root.join("prune.json").exists(), "{when}");
    let leftover = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "new");
    let tars: Vec<_> =
        StateDir::at(root).sweeps().unwrap().iter().map(|it| StateDir::at(root).tar(it)).collect();
    assert!(!tars.iter().any(leftover), "{when}");
}
