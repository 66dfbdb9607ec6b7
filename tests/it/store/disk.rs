//! Disks that are full, fail to sync, or may only be read.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dropsonde::collect::{Options, Recorder};
use dropsonde::model::Outcome;
use dropsonde::store::StoreError;
use dropsonde::store::index::Reader;

use super::build::*;
use super::crash::{acknowledged, assert_all_there, collector, collector_command, heard};

/// A file system of its own, gone with the value.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"], folder.path());
        Self { folder }
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], self.path());
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn mount(args: &[&str], at: &Path) {
    let status = Command::new("mount").args(args).arg(at).status().unwrap();
    assert!(status.success(), "mount {args:?}: these tests need root");
}

#[test]
fn a_full_disk_loses_nothing_and_is_gone_on_from_unaided() {
    let disk = Disk::new("1m");
    let hosts = hosts(1_000);
    let mut kept = Vec::new();
    block_on(async {
        let recorder = open(disk.path());
        let handle = recorder.begin(plan(1, START_S, &hosts), vec![probe()]).await.unwrap();
        let mut refused = None;
        for host in &hosts {
            let (reading, raw) = Said::simple(START_S, 5.0).reading(host);
            match handle.record(reading, raw).await {
                Ok(_) => kept.push(host.clone()),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let Some(StoreError::Full { needed, .. }) = refused else { panic!("{refused:?}") };
        assert!(needed > 0 && kept.len() > 20, "{needed} {}", kept.len());
        // Closed to everything that follows, loudly.
        let (reading, raw) = Said::simple(START_S, 5.0).reading(&hosts[999]);
        assert!(matches!(handle.record(reading, raw).await, Err(StoreError::Poisoned(_))));
        assert!(handle.finish(end()).await.is_err());
        // Space is made: the same recorder goes on with the next sweep.
        disk.remount("size=32m");
        tokio::time::sleep(Duration::from_secs(6)).await;
        let finished = sweep(&recorder, 2, START_S + 60, &hosts[..50]).await;
        assert!(finished.unindexed.is_none(), "{:?}", finished.unindexed);
        recorder.close().await.unwrap();
        open(disk.path()).close().await.unwrap();
    });
    let reader = Reader::open(disk.path()).unwrap();
    let first = reader.sweeps(2).unwrap().pop().unwrap();
    assert_eq!((first.planned, first.readings, first.interrupted), (1_000, 1_000, true));
    let outcomes = reader.outcomes(&first.sweep).unwrap();
    let ok: Vec<_> = outcomes.iter().filter(|(_, _, outcome)| *outcome == Outcome::Ok).collect();
    assert_eq!(ok.iter().map(|(host, _, _)| host).collect::<Vec<_>>(), kept.iter().collect::<Vec<_>>());
    assert_clean(disk.path());
    assert_reindex_is_identical(disk.path());
}

#[test]
fn a_failed_sync_closes_the_sweep_and_keeps_what_was_acknowledged_before() {
    if collector() {
        return;
    }
    let name = "store::disk::a_failed_sync_closes_the_sweep_and_keeps_what_was_acknowledged_before";
    for when in ["2", "4", "7"] {
        let folder = tempfile::tempdir().unwrap();
        let inject = format!("inject=fdatasync:error=EIO:when={when}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject];
        let mut child = collector_command(&strace, name, folder.path(), 2).spawn().unwrap();
        let lines = heard(&mut child);
        child.wait().unwrap();
        let all = acknowledged(&lines);
        let errors = lines.iter().filter(|line| line.contains("error ")).count();
        assert!(errors > 0, "{when}: nothing failed: {lines:?}");
        assert!(lines.iter().any(|line| line.contains("Input/output error")), "{when}: {lines:?}");
        // Nothing of the sweep is acknowledged behind the failure, and the next sweep is whole.
        let first_error = lines.iter().position(|line| line.contains("error ")).unwrap();
        let failed = all.iter().next().map(|(sweep, _)| sweep.clone());
        let later = acknowledged(&lines[first_error..]);
        let sweeps: std::collections::BTreeSet<_> = all.iter().map(|(sweep, _)| sweep).collect();
        if sweeps.len() == 2 {
            assert!(later.iter().all(|(sweep, _)| Some(sweep) != failed.as_ref()), "{when}: {lines:?}");
        }
        let (recorder, recovered) = Recorder::open(folder.path(), Options::default()).unwrap();
        assert!(!recovered.is_empty(), "{when}: the failed sweep was left for the next start");
        block_on(recorder.close()).unwrap();
        assert_all_there(folder.path(), &all);
        assert_clean(folder.path());
        assert_reindex_is_identical(folder.path());
    }
}

#[test]
fn a_read_only_directory_can_be_asked_and_checked_but_not_recorded_into() {
    let disk = Disk::new("16m");
    block_on(async {
        let recorder = open(disk.path());
        sweep(&recorder, 1, START_S, &hosts(5)).await;
        recorder.close().await.unwrap();
    });
    disk.remount("ro");
    assert_eq!(number(disk.path(), "SELECT count(*) FROM v_reading"), 5);
    assert_clean(disk.path());
    let refused = Recorder::open(disk.path(), Options::default());
    let Err(StoreError::Io { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}
