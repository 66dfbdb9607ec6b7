//! Pruning: bytes, then resolution, then everything; and the same index from what is left.

use std::collections::BTreeSet;

use dropsonde::collect::keep::{Pruning, steps};
use dropsonde::collect::{Archived, Caps, reindex};
use dropsonde::config::Retention;
use dropsonde::model::{ByteSize, CollectorTime, Kept};
use dropsonde::store::index::Reader;
use dropsonde::store::{StateDir, StoreError};

use super::build::*;

#[test]
fn numbers_outlive_their_bytes_to_the_last_row() {
    let folder = memory_folder();
    let root = folder.path();
    let sweeps = hours(root, NOW - 3_600, 8, 5);
    let before = dump(root);
    let raw = Retention { raw: std::time::Duration::from_secs(4 * 3_600), ..for_ever() };
    let pruned = prune_now(root, &raw);
    assert_eq!((pruned.thinned, pruned.dropped, pruned.merged), (4, 0, 0), "{pruned:?}");
    assert!(pruned.freed_bytes > 0 && pruned.kept_back.is_empty(), "{pruned:?}");
    assert_eq!(kept(root)[..5], [Kept::Numbers, Kept::Numbers, Kept::Numbers, Kept::Numbers, Kept::Raw]);
    assert_clean(root);
    // Every view has every row as before; only what is there of a sweep is told otherwise.
    let after = dump(root);
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        if !["sweep", "reading", "v_sweep"].contains(&name.as_str()) {
            assert_eq!(before, after, "{name}");
        }
    }
    assert_reindex_is_identical(root);
    // A sweep after that makes its rates from a reading whose bytes may be gone.
    let all = Retention { raw: days(0), ..for_ever() };
    assert_eq!(prune_now(root, &all).thinned, 4);
    reindex(root, Caps::default(), &mut |_| {}).unwrap();
    block_on(async {
        let recorder = open(root);
        past_sweep(&recorder, NOW, 5).await;
        recorder.close().await.unwrap();
    });
    let rates = "SELECT value FROM v_sample WHERE span = 'between' AND ts >= ";
    assert_eq!(column(root, &format!("{rates}{NOW}")).len(), 5);
    assert_clean(root);
    assert_reindex_is_identical(root);
    // What is gone is said, and nothing is pruned twice.
    let reader = Reader::open(root).unwrap();
    let row = reader.ledger(&sweeps[0]).unwrap().remove(0);
    let gone = Archived::open(&StateDir::at(root), &row);
    assert!(matches!(gone, Err(StoreError::Pruned { .. })), "{gone:?}");
    assert_eq!(prune_now(root, &raw).thinned, 0);
}

#[test]
fn what_is_dropped_leaves_the_rest_as_it_was() {
    let folder = memory_folder();
    let root = folder.path();
    // Over the turn of a week, so that a label changes in what is dropped and in what stays.
    let week = NOW / (7 * DAY) * (7 * DAY);
    let sweeps = hours(root, week + 4 * 3_600, 10, 4);
    let count = "SELECT count(*) FROM v_sample WHERE span = 'between'";
    let since = "SELECT since FROM v_host_label WHERE label = 'week' ORDER BY since";
    let (labels, now) = (column(root, since), CollectorTime::from_unix_s(week + 5 * 3_600));
    let drop =
        |hours: u64| Retention { samples: std::time::Duration::from_secs(hours * 3_600), ..for_ever() };
    let mut pruning = Pruning::open(root).unwrap();
    assert_eq!(steps(root, &drop(8), now).unwrap().drop, sweeps[..2]);
    let mut done = Default::default();
    pruning.run(&drop(8), now, &mut done).unwrap();
    assert_eq!(done.dropped, 2);
    drop_check(root, 8);
    // Half of them without their bytes, and in two goes: the baseline goes on from the one before.
    pruning.run(&Retention { raw: days(0), ..for_ever() }, now, &mut done).unwrap();
    pruning.run(&drop(4), now, &mut done).unwrap();
    assert_eq!((done.dropped, done.thinned), (6, 8));
    std::mem::drop(pruning);
    drop_check(root, 4);
    assert_eq!(column(root, since), labels);
    // The first sweep that is left still has its rates since the one that is gone.
    let first = format!("{count} AND sweep = '{}'", sweeps[6]);
    assert!(number(root, &first) > 0);
}

fn drop_check(root: &std::path::Path, left: usize) {
    assert_eq!(kept(root).len(), left);
    assert_eq!(StateDir::at(root).sweeps().unwrap().len(), left);
    assert_clean(root);
    assert_reindex_is_identical(root);
    assert_clean(root);
}

#[test]
fn an_old_day_becomes_its_mean_and_keeps_its_ledger() {
    let folder = memory_folder();
    let root = folder.path();
    let day = NOW / DAY * DAY - 100 * DAY;
    let sweeps = hours(root, day + 23 * 3_600, 24, 3);
    let readings =
        ask(root, "SELECT sweep, host, outcome, started FROM v_reading JOIN v_sweep USING (sweep)");
    let value =
        "SELECT avg(value), count(*), max(ts) FROM v_sample WHERE metric = 'spool_jobs_waiting' AND host = ";
    let mean = |host: &str| column(root, &format!("{value}'{host}'"))[0];
    let before = ["web0000", "web0002"].map(mean);
    let shared = Retention { raw: days(30), downsample_after: days(90), ..for_ever() };
    let pruned = prune_now(root, &shared);
    assert_eq!((pruned.thinned, pruned.merged), (24, 24), "{pruned:?}");
    let after = ["web0000", "web0002"].map(mean);
    for (before, after) in before.iter().zip(after) {
        assert!((before - after).abs() < 1e-9, "{before} {after}");
    }
    // One value of each host, where it last had one.
    let one = |host: &str| ask(root, &format!("{value}'{host}'")).remove(0);
    assert_eq!(one("web0000")[1..], [int(1), int(day + 23 * 3_600 + 1)]);
    assert_eq!(one("web0002")[1..], [int(1), int(day + 23 * 3_600 + 1)]);
    assert_eq!(ask(root, "SELECT DISTINCT count FROM v_histogram"), [[int(5 * 24)], [int(5 * 12)]]);
    let same = ask(root, "SELECT sweep, host, outcome, started FROM v_reading JOIN v_sweep USING (sweep)");
    assert_eq!(readings, same);
    assert_eq!(kept(root).into_iter().collect::<BTreeSet<_>>(), [Kept::Merged].into());
    assert_clean(root);
    assert_reindex_has_the_same_views(root);
    assert_clean(root);
    assert_eq!(prune_now(root, &shared), Default::default());
    assert_eq!(sweeps.len(), 24);
}

fn int(number: i64) -> dropsonde::store::index::Value {
    dropsonde::store::index::Value::Integer(number)
}

#[test]
fn sizes_are_limits_too() {
    let folder = memory_folder();
    let root = folder.path();
    hours(root, NOW - 60, 6, 20);
    let state = StateDir::at(root);
    let largest = state.sweeps().unwrap().iter().map(|sweep| state.tar_len(sweep).unwrap()).max().unwrap();
    let raw = Retention { raw_size: ByteSize(largest * 2), ..for_ever() };
    assert_eq!(prune_now(root, &raw).thinned, 4);
    assert_eq!(kept(root).iter().filter(|kept| **kept == Kept::Raw).count(), 2);
    let used = Reader::open(root).unwrap().used_bytes().unwrap();
    let half = Retention { samples_size: ByteSize(used / 2), ..for_ever() };
    let pruned = prune_now(root, &half);
    assert!(pruned.dropped >= 2 && pruned.dropped < 6, "{pruned:?}");
    assert!(Reader::open(root).unwrap().used_bytes().unwrap() < used);
    assert_clean(root);
    assert_reindex_is_identical(root);
}

#[test]
fn a_damaged_sweep_keeps_its_bytes() {
    let folder = memory_folder();
    let root = folder.path();
    let sweeps = hours(root, NOW - 3_600, 3, 10);
    let tar = StateDir::at(root).tar(&sweeps[1]);
    let mut bytes = std::fs::read(&tar).unwrap();
    let middle = (bytes.len() / 2) & !511;
    bytes[middle..middle + 512].fill(0x5a);
    std::fs::write(&tar, &bytes).unwrap();
    let pruned = prune_now(root, &Retention { raw: days(0), ..for_ever() });
    assert_eq!(pruned.thinned, 2);
    assert_eq!(pruned.kept_back.len(), 1, "{pruned:?}");
    assert_eq!(pruned.kept_back[0].0, sweeps[1]);
    assert_eq!(std::fs::read(&tar).unwrap(), bytes);
    assert_eq!(kept(root), [Kept::Numbers, Kept::Raw, Kept::Numbers]);
}

#[test]
fn a_prune_and_a_collector_do_not_disturb_each_other() {
    let folder = memory_folder();
    let root = folder.path().to_owned();
    hours(&root, NOW - 3_600, 16, 8);
    let busy = std::thread::spawn({
        let root = root.clone();
        move || {
            block_on(async {
                let recorder = open(&root);
                for n in 0..12 {
                    sweep(&recorder, n, NOW + i64::from(n), &hosts(30)).await;
                }
                recorder.close().await.unwrap();
            });
        }
    });
    // Bytes first, then some of the oldest, while the other one records.
    for hours in [12, 8, 4] {
        let age = std::time::Duration::from_secs(hours * 3_600);
        prune_now(&root, &Retention { raw: age, samples: age + age / 2, ..for_ever() });
    }
    let rebuilt = reindex(&root, Caps::default(), &mut |_| {}).unwrap();
    assert!(rebuilt.damage.is_empty(), "{rebuilt:?}");
    busy.join().unwrap();
    assert_eq!(kept(&root).iter().filter(|kept| **kept == Kept::Raw).count(), 12 + 4);
    assert_clean(&root);
    assert_reindex_has_the_same_views(&root);
}
