//! A backup that is taken while a collector works, and what is restored from it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dropsonde::collect::keep::backup;
use dropsonde::config::Retention;
use dropsonde::model::{CollectorTime, Outcome, SweepId};
use dropsonde::store::index::Reader;
use dropsonde::store::{Severity, check};

use super::build::*;

fn taken(root: &Path, target: &Path) -> dropsonde::collect::keep::BackedUp {
    backup(root, target, CollectorTime::from_unix_s(NOW)).unwrap()
}

/// Nothing in it but what the first start mends.
fn sound(root: &Path) {
    let report = check(root, true).unwrap();
    let bad: Vec<_> = report.findings.iter().filter(|it| it.severity != Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

fn ok(root: &Path, sweep: &SweepId) -> usize {
    let outcomes = Reader::open(root).unwrap().outcomes(sweep).unwrap();
    outcomes.iter().filter(|(_, _, outcome)| *outcome == Outcome::Ok).count()
}

#[test]
fn what_was_acknowledged_before_is_in_it_whatever_goes_on() {
    let folder = memory_folder();
    let root = folder.path().join("state");
    hours(&root, NOW - 3_600, 6, 20);
    let stop = Arc::new(AtomicBool::new(false));
    // One sweep after the other, with readings as fast as they can be had.
    let busy = std::thread::spawn({
        let (root, stop) = (root.clone(), Arc::clone(&stop));
        move || {
            block_on(async {
                let recorder = open(&root);
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    sweep(&recorder, n, NOW + i64::from(n), &hosts(40)).await;
                }
                recorder.close().await.unwrap();
            });
        }
    });
    // Beside it a sweep that is far from its end.
    let (acknowledged, mine) = block_on(async {
        let recorder = open(&root);
        let hosts = hosts(30);
        let handle = recorder.begin(plan(0xfeed, NOW - 60, &hosts), vec![probe()]).await.unwrap();
        let mine = handle.sweep().clone();
        let mut taken_at = Vec::new();
        for (n, host) in hosts.iter().enumerate() {
            record(&handle, host, &Said::simple(NOW - 59, n as f64)).await;
            if n % 10 == 4 {
                let target = folder.path().join(format!("backup-{n}"));
                let (root, copy) = (root.clone(), target.clone());
                tokio::task::spawn_blocking(move || taken(&root, &copy)).await.unwrap();
                taken_at.push((n + 1, target));
            }
        }
        handle.finish(end()).await.unwrap();
        recorder.close().await.unwrap();
        (taken_at, mine)
    });
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    for (count, target) in acknowledged {
        assert!(!target.join("run").exists() && !target.join("seq").exists());
        sound(&target);
        block_on(open(&target).close()).unwrap();
        assert_eq!(ok(&target, &mine), count);
        assert_eq!(number(&target, &format!("SELECT readings FROM v_sweep WHERE sweep = '{mine}'")), 30);
        assert_clean(&target);
        assert_reindex_is_identical(&target);
        // It is a state directory like any other.
        block_on(async {
            let recorder = open(&target);
            past_sweep(&recorder, NOW + 100_000, 5).await;
            recorder.close().await.unwrap();
        });
        assert_clean(&target);
    }
    assert_clean(&root);
}

#[test]
fn a_backup_holds_what_no_rebuild_could_make_again() {
    let folder = memory_folder();
    let root = folder.path().join("state");
    hours(&root, NOW - 3_600, 6, 3);
    prune_now(&root, &Retention { samples: std::time::Duration::from_secs(3 * 3_600), ..for_ever() });
    std::fs::write(root.join("quarantine.json"), "{\"schema\":1,\"released\":[]}").unwrap();
    std::fs::create_dir(root.join("spool")).unwrap();
    std::fs::write(root.join("spool/one"), "kept").unwrap();
    let target = folder.path().join("backup");
    let done = taken(&root, &target);
    assert!(done.index && done.sweeps == 3 && done.bytes > 0, "{done:?}");
    for name in ["baseline.sqlite", "quarantine.json", "backup.json", "spool/one"] {
        assert!(target.join(name).is_file(), "{name}");
    }
    let before = views(&root);
    same(&before, &views(&target));
    // Without the index, too.
    std::fs::remove_file(target.join("index.sqlite")).unwrap();
    block_on(open(&target).close()).unwrap();
    same(&before, &views(&target));
    assert_clean(&target);
    // Neither over another nor half.
    assert!(backup(&root, &target, CollectorTime::from_unix_s(NOW)).is_err());
    let nowhere = folder.path().join("none/backup");
    assert!(backup(&root, &nowhere, CollectorTime::from_unix_s(NOW)).is_err());
    let within = backup(&root, &root.join("spool/backup"), CollectorTime::from_unix_s(NOW));
    assert!(within.unwrap_err().to_string().contains("outside the state directory"));
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}
