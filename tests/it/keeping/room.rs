//! A disk that fills up, is full, and has room again: on a real file system of a few megabytes.

use std::path::Path;
use std::process::Command;

use dropsonde::collect::clock::Clocks;
use dropsonde::collect::keep::upkeep;
use dropsonde::collect::{Options, Recorder, Stop};
use dropsonde::config::Retention;
use dropsonde::model::{ByteSize, CollectorTime, Kept, Outcome};
use dropsonde::store::index::Reader;
use dropsonde::store::{Space, StateDir, StoreError};

use super::build::*;

/// A file system of its own, gone with the value.
pub struct Disk(tempfile::TempDir);

impl Disk {
    pub fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"], folder.path());
        Self(folder)
    }

    pub fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], self.path());
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room but so much, as some other program would.
    pub fn crowd(&self, left: u64) {
        let file = std::fs::File::create(self.path().join("others")).unwrap();
        let free = Space::of(self.path()).unwrap().free_bytes;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free - left).unwrap();
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

fn reserved() -> Options {
    Options { reserve: ByteSize(2 << 20), ..Options::default() }
}

#[test]
fn with_a_reserve_a_sweep_on_a_full_disk_gets_its_end_at_once() {
    let disk = Disk::new("16m");
    let root = disk.path();
    let hosts = hosts(2_000);
    let mut kept = Vec::new();
    block_on(async {
        let (recorder, _) = Recorder::open(root, reserved()).unwrap();
        let handle = recorder.begin(plan(1, START_S, &hosts[..300]), vec![probe()]).await.unwrap();
        assert!(root.join("reserve").exists());
        disk.crowd(500 << 10);
        let mut refused = None;
        for host in &hosts[..300] {
            let (reading, raw) = Said::simple(START_S, 5.0).reading(host);
            match handle.record(reading, raw).await {
                Ok(_) => kept.push(host.clone()),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        assert!(refused.as_ref().is_some_and(StoreError::is_full), "{refused:?}");
        assert!(kept.len() > 3 && kept.len() < 299, "{}", kept.len());
        // What was planned and is not there any more has its outcome, though nobody made room.
        let finished = handle.finish(end()).await.unwrap();
        assert_eq!(finished.end.outcomes[&Outcome::Ok], kept.len() as u64);
        assert_eq!(finished.end.outcomes[&Outcome::Skipped], 300 - kept.len() as u64);
        // No further one is begun, as long as there is no room for the reserve; then it is, unaided.
        disk.crowd(100 << 10);
        let full = recorder.begin(plan(2, START_S + 60, &hosts[..5]), vec![probe()]).await;
        assert!(full.as_ref().is_err_and(StoreError::is_full), "{full:?}");
        disk.resize("32m");
        let next = recorder.begin(plan(3, START_S + 120, &hosts[..5]), vec![probe()]).await.unwrap();
        record(&next, &hosts[0], &Said::simple(START_S + 121, 1.0)).await;
        next.finish(end()).await.unwrap();
        assert!(root.join("reserve").exists());
        recorder.close().await.unwrap();
        open(root).close().await.unwrap();
    });
    let sweeps = Reader::open(root).unwrap().sweeps(9).unwrap();
    assert_eq!(sweeps.iter().map(|it| it.readings).collect::<Vec<_>>(), [5, 300]);
    let outcomes = Reader::open(root).unwrap().outcomes(&sweeps[1].sweep).unwrap();
    let ok: Vec<_> =
        outcomes.iter().filter(|(_, _, it)| *it == Outcome::Ok).map(|(host, _, _)| host).collect();
    assert_eq!(ok, kept.iter().collect::<Vec<_>>());
    assert_clean(root);
    assert_reindex_is_identical(root);
}

#[test]
fn the_oldest_go_for_room_only_where_that_is_allowed() {
    let disk = Disk::new("8m");
    let root = disk.path();
    let sweeps = hours(root, NOW - 3_600, 12, 60);
    let now = clocks(0);
    let wary = Retention { low_space: ByteSize(1 << 30), ..for_ever() };
    disk.crowd(400 << 10);
    let said = upkeep(root, &wary, &now, &Stop::default()).unwrap();
    assert!(said.low, "{said:?}");
    assert_eq!(kept(root), [Kept::Raw; 12]);
    let allowed = Retention { prune_when_low: true, ..wary };
    let done = upkeep(root, &allowed, &now, &Stop::default()).unwrap();
    assert!(!done.low && done.space.free_bytes >= done.space.total_bytes / 10, "{done:?}");
    let left = kept(root);
    assert_eq!(*left.last().unwrap(), Kept::Raw);
    assert!(left.first() == Some(&Kept::Numbers) || left.len() < 12, "{left:?}");
    // As little as will do: what is newer than the last that went is as it was.
    let first_raw = left.iter().position(|kept| *kept == Kept::Raw).unwrap();
    assert!(left[first_raw..].iter().all(|kept| *kept == Kept::Raw), "{left:?}");
    assert_clean(root);
    assert_reindex_is_identical(root);
    // So little that all but the newest must go.
    disk.crowd(150 << 10);
    let done = upkeep(root, &allowed, &now, &Stop::default()).unwrap();
    assert!(done.low, "{done:?}");
    assert_eq!(StateDir::at(root).sweeps().unwrap(), sweeps[11..]);
    assert_clean(root);
}

#[test]
fn room_is_made_though_a_tar_is_missing() {
    let disk = Disk::new("8m");
    let root = disk.path();
    let sweeps = hours(root, NOW - 3_600, 12, 60);
    std::fs::remove_file(StateDir::at(root).tar(&sweeps[0])).unwrap();
    let allowed = Retention { low_space: ByteSize(1 << 30), prune_when_low: true, ..for_ever() };
    disk.crowd(400 << 10);
    let done = upkeep(root, &allowed, &clocks(0), &Stop::default()).unwrap();
    assert!(!done.low, "{done:?}");
    let warnings = done.warnings();
    let said = format!("sweep {} is due and was not pruned: its tar is missing", sweeps[0]);
    assert!(warnings.iter().any(|warning| warning.contains(&said)), "{warnings:?}");
}

/// So many days after [`NOW`] by the wall, on a machine that has been on for as long.
fn clocks(days: u64) -> Clocks {
    let wall = CollectorTime::from_unix_s(NOW + days as i64 * DAY);
    Clocks { wall, steady: std::time::Duration::from_secs(1_000 + days * DAY as u64), boot: "1".to_owned() }
}

#[test]
fn once_a_day_what_is_due_goes_and_a_clock_gone_wild_takes_nothing() {
    let folder = memory_folder();
    let root = folder.path();
    let sweeps = hours(root, NOW - 3_600, 3, 3);
    let retention = Retention { raw: days(30), samples: days(60), ..for_ever() };
    let at = |clocks: &Clocks| upkeep(root, &retention, clocks, &Stop::default()).unwrap();
    assert!(at(&clocks(0)).pruned.is_some());
    assert!(at(&clocks(0)).pruned.is_none(), "twice a day");
    // A year later by the wall, and sweeps are made by it, day after day.
    let ahead = |hours: u64| {
        let lived = clocks(1).steady + std::time::Duration::from_secs(hours * 3_600);
        let wall = CollectorTime::from_unix_s(NOW + 400 * DAY + hours as i64 * 3_600);
        Clocks { wall, steady: lived, boot: "1".to_owned() }
    };
    assert!(at(&clocks(1)).doubt.is_none());
    for hours in [0, 1, 20, 40] {
        block_on(async {
            let recorder = open(root);
            past_sweep(&recorder, NOW + 400 * DAY + hours as i64 * 3_600, 3).await;
            recorder.close().await.unwrap();
        });
        let done = at(&ahead(hours));
        assert!(done.pruned.is_none() && done.doubt.is_some() == (hours == 0), "{hours}: {done:?}");
    }
    assert_eq!(kept(root), [Kept::Raw; 7]);
    // And back: what is due by the right time goes, and what has a wrong one with it.
    assert!(at(&clocks(3)).pruned.is_some());
    assert_eq!(at(&clocks(40)).pruned.unwrap().thinned, 7);
    assert_eq!(kept(root).len(), sweeps.len() + 4);
    // Two days by another time: it has really become that late.
    assert!(at(&ahead(41)).pruned.is_none());
    let done = at(&ahead(41 + 49)).pruned.unwrap();
    assert_eq!(done.dropped, 3, "{done:?}");
}
