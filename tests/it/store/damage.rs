//! Torn tails, flipped bytes, broken and missing indexes.

use std::fs;
use std::path::{Path, PathBuf};

use dropsonde::collect::{Caps, Options, Recorder, Recovered, reindex};
use dropsonde::model::SweepId;
use dropsonde::store::{Severity, StateDir, archive, check};

use super::build::*;

/// A sweep's tar as a kill leaves it, its plan's sweep, and where each reading begins.
fn unclosed() -> (SweepId, Vec<u8>, Vec<u64>) {
    let folder = memory_folder();
    let hosts = hosts(4);
    let plan = plan(1, START_S, &hosts);
    let sweep = plan.sweep.clone();
    let state = StateDir::at(folder.path());
    block_on(async {
        let recorder = open(folder.path());
        let handle = recorder.begin(plan, vec![probe()]).await.unwrap();
        for host in &hosts[..3] {
            record(&handle, host, &Said::simple(START_S, 5.0)).await;
        }
        let bytes = fs::read(state.tar(&sweep)).unwrap();
        let tar = archive::TarFile::open(&state, &sweep).unwrap();
        let starts = tar
            .walk(0, tar.size().unwrap())
            .map(|step| step.unwrap().unwrap())
            .filter(|member| matches!(member.entry, archive::Entry::Reading(..)))
            .map(|member| member.offset)
            .collect();
        handle.finish(end()).await.unwrap();
        recorder.close().await.unwrap();
        (sweep, bytes, starts)
    })
}

fn place(root: &Path, sweep: &SweepId, bytes: &[u8]) -> PathBuf {
    let path = StateDir::at(root).tar(sweep);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn recover(root: &Path) -> Vec<Recovered> {
    let (recorder, recovered) = Recorder::open(root, Options::default()).unwrap();
    block_on(recorder.close()).unwrap();
    recovered
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_what_is_not_whole() {
    let (sweep, bytes, starts) = unclosed();
    let ends: Vec<usize> = starts[1..].iter().map(|start| *start as usize).chain([bytes.len()]).collect();
    // Cut off, or never written: a file system may leave zeros where data was to come.
    for zeros in [false, true] {
        // Each byte about a block's edge, where one thing ends and the next begins, and many between.
        let telling = |cut: &usize| cut.is_multiple_of(if zeros { 11 } else { 5 }) || (cut + 16) % 512 < 32;
        for cut in (starts[1] as usize..=bytes.len()).filter(telling) {
            let folder = memory_folder();
            let mut torn = bytes[..cut].to_vec();
            if zeros {
                torn.resize(bytes.len() + 512, 0);
            }
            place(folder.path(), &sweep, &torn);
            let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
            let recovered = recover(folder.path());
            let closed = recovered.iter().find_map(|what| match what {
                Recovered::Closed { kept, skipped, .. } => Some((*kept, *skipped)),
                _ => None,
            });
            // Padding that should be zero is whole without having been written.
            let (kept, skipped) = closed.unwrap_or_else(|| panic!("{cut} {zeros}: {recovered:?}"));
            assert!(kept == whole || zeros && kept == whole + 1, "{cut} {zeros}: {recovered:?}");
            assert_eq!(skipped, 4 - kept, "{cut}: {recovered:?}");
            assert_eq!(number(folder.path(), "SELECT count(*) FROM v_reading"), 4);
            if cut % 95 == 0 {
                assert_clean(folder.path());
                assert_reindex_is_identical(folder.path());
            }
        }
    }
}

/// Of what was not synced, a later block may come to the disk without an earlier one.
#[test]
fn holes_that_a_power_cut_has_left_cost_what_stood_there_and_are_closed() {
    let (sweep, bytes, starts) = unclosed();
    let [first, second, _] = starts.iter().map(|start| *start as usize).collect::<Vec<_>>()[..] else {
        panic!("{starts:?}")
    };
    // In the definition, in a reading's header, in its bytes, all of it; by the sweep's readings that stay.
    let holes = [
        (first - 512..first, 3),
        (first..first + 512, 2),
        (second - 512..second, 2),
        (first..second, 2),
        (second - 512..second + 512, 1),
    ];
    for (hole, whole) in holes {
        for reindex_first in [false, true] {
            let folder = memory_folder();
            let root = folder.path();
            let mut torn = bytes.clone();
            torn[hole.clone()].fill(0x5a);
            place(root, &sweep, &torn);
            let worst = check(root, true).unwrap().findings.into_iter().map(|finding| finding.severity).max();
            assert_eq!(worst, Some(Severity::Index), "but for the index nothing is lost");
            if reindex_first {
                reindex(root, Caps::default(), &mut |_| {}).unwrap();
            }
            let recovered = recover(root);
            let closed = recovered.iter().find_map(|what| match what {
                Recovered::Closed { kept, skipped, .. } => Some((*kept, *skipped)),
                _ => None,
            });
            assert_eq!(closed, Some((whole, 4 - whole)), "{hole:?}: {recovered:?}");
            assert_eq!(number(root, "SELECT count(*) FROM v_reading WHERE outcome = 'ok'"), whole as i64);
            assert_clean(root);
            assert_reindex_is_identical(root);
            let tars = fs::read_dir(StateDir::at(root).tar(&sweep).parent().unwrap()).unwrap().count();
            assert_eq!(tars, 1, "another file beside the tar");
        }
    }
}

#[test]
fn a_tar_without_a_whole_plan_is_set_aside_and_an_empty_one_removed() {
    let (sweep, bytes, _) = unclosed();
    for cut in [0, 1, 511, 512, 700, 1_024, 1_500] {
        let folder = memory_folder();
        let path = place(folder.path(), &sweep, &bytes[..cut]);
        let recovered = recover(folder.path());
        let Some(Recovered::Discarded { kept_as, .. }) =
            recovered.iter().find(|what| matches!(what, Recovered::Discarded { .. }))
        else {
            panic!("{cut}: {recovered:?}");
        };
        assert_eq!(kept_as.is_none(), cut == 0);
        assert!(!path.exists());
        if let Some(kept) = kept_as {
            assert_eq!(fs::read(kept).unwrap(), &bytes[..cut]);
        }
        assert_clean(folder.path());
    }
}

#[test]
fn damage_in_the_middle_is_named_and_costs_only_what_it_hit() {
    let folder = memory_folder();
    let hosts = hosts(6);
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts).await;
        sweep(&recorder, 2, START_S + 60, &hosts).await;
        recorder.close().await.unwrap();
    });
    let state = StateDir::at(folder.path());
    let sweep = state.sweeps().unwrap().remove(0);
    let tar = archive::TarFile::open(&state, &sweep).unwrap();
    let members: Vec<_> = tar.walk(0, tar.size().unwrap()).map(|step| step.unwrap().unwrap()).collect();
    let of = |host: &str| members.iter().find(|member| member.entry.path().starts_with(host)).unwrap();
    let mut bytes = fs::read(tar.path()).unwrap();
    bytes[of("web0001").offset as usize + 100] ^= 0xff;
    bytes[of("web0003").end as usize - 512 + 15] ^= 0xff;
    fs::write(tar.path(), bytes).unwrap();

    let report = check(folder.path(), true).unwrap();
    let text = format!("{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.severity == Severity::Archive), "{text}");
    assert!(text.contains("web0003/spool.gz: its bytes do not match"), "{text}");
    assert!(text.contains("spool on web0001 was planned and has no outcome"), "{text}");
    assert!(!check(folder.path(), false).unwrap().is_clean());

    let report = reindex(folder.path(), Caps::default(), &mut |_| {}).unwrap();
    assert_eq!((report.readings, report.damage.len()), (10, 2), "{report:?}");
    assert_eq!(number(folder.path(), "SELECT count(*) FROM v_reading"), 10);
    // The damage does not grow at each start, and the rest goes on.
    block_on(async {
        let recorder = open(folder.path());
        super::build::sweep(&recorder, 3, START_S + 120, &hosts).await;
        recorder.close().await.unwrap();
    });
    assert_eq!(number(folder.path(), "SELECT count(*) FROM v_reading"), 16);
}

#[test]
fn a_closed_tar_that_lost_its_tail_is_damage_and_not_a_stopped_collector() {
    let folder = memory_folder();
    two_sweeps(folder.path());
    let state = StateDir::at(folder.path());
    let path = state.tar(&state.sweeps().unwrap()[0]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 6_000]).unwrap();
    let report = check(folder.path(), false).unwrap();
    let worst = report.findings.iter().map(|finding| finding.severity).max();
    assert_eq!(worst, Some(Severity::Archive), "{:?}", report.findings);
    // A start does not take it for a sweep to close, and loses nothing else.
    recover(folder.path());
    assert_eq!(fs::read(&path).unwrap(), &bytes[..bytes.len() - 6_000]);
    assert_eq!(number(folder.path(), "SELECT count(*) FROM v_reading"), 40);
}

fn two_sweeps(root: &Path) -> Vec<(String, Vec<String>)> {
    block_on(async {
        let recorder = open(root);
        sweep(&recorder, 1, START_S, &hosts(20)).await;
        sweep(&recorder, 2, START_S + 60, &hosts(20)).await;
        recorder.close().await.unwrap();
    });
    dump(root)
}

#[test]
fn a_missing_or_broken_index_is_rebuilt_and_the_broken_one_kept() {
    let check = |what: &str, spoil: &dyn Fn(&Path), kept: bool| {
        let folder = memory_folder();
        let before = two_sweeps(folder.path());
        spoil(&folder.path().join("index.sqlite"));
        let recovered = recover(folder.path());
        let rebuilt = recovered.iter().find_map(|what| match what {
            Recovered::Rebuilt { kept_as, readings, .. } => Some((kept_as.clone(), *readings)),
            _ => None,
        });
        let Some((kept_as, 40)) = rebuilt else { panic!("{what}: {recovered:?}") };
        assert_eq!(kept_as.is_some_and(|path| path.exists()), kept, "{what}");
        assert_eq!(dump(folder.path()), before, "{what}");
        assert_clean(folder.path());
        assert_eq!(recover(folder.path()), [], "{what}: a second start finds nothing to do");
    };
    check("missing", &|index| fs::remove_file(index).unwrap(), false);
    check("no database", &|index| fs::write(index, b"this is not a database, it is a text").unwrap(), true);
    check(
        "its first page is broken",
        &|index| {
            let mut bytes = fs::read(index).unwrap();
            bytes[100..1_000].fill(0xaa);
            fs::write(index, bytes).unwrap();
        },
        true,
    );
}

#[test]
fn a_page_broken_in_the_middle_is_found_by_check_and_mended_by_reindex() {
    let folder = memory_folder();
    let before = two_sweeps(folder.path());
    let index = folder.path().join("index.sqlite");
    let mut bytes = fs::read(&index).unwrap();
    let half = bytes.len() / 4096 / 2 * 4096;
    bytes[half..].fill(0xaa);
    fs::write(&index, bytes).unwrap();
    let report = check(folder.path(), false).unwrap();
    assert!(report.findings.iter().any(|finding| finding.severity == Severity::Index), "{report:?}");
    reindex(folder.path(), Caps::default(), &mut |_| {}).unwrap();
    assert_eq!(dump(folder.path()), before);
    assert_clean(folder.path());
}

#[test]
fn an_index_that_is_behind_is_caught_up() {
    let folder = memory_folder();
    let older = memory_folder();
    let hosts = hosts(20);
    let index = |root: &Path| root.join("index.sqlite");
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 1, START_S, &hosts).await;
        recorder.close().await.unwrap();
        fs::copy(index(folder.path()), index(older.path())).unwrap();
        let recorder = open(folder.path());
        sweep(&recorder, 2, START_S + 60, &hosts).await;
        recorder.close().await.unwrap();
    });
    let before = dump(folder.path());
    fs::copy(index(older.path()), index(folder.path())).unwrap();
    let report = check(folder.path(), false).unwrap();
    let found: Vec<_> =
        report.findings.iter().map(|finding| (finding.severity, finding.what.as_str())).collect();
    assert_eq!(found, [(Severity::Note, "20 readings are not indexed yet")]);
    assert_eq!(recover(folder.path()), [Recovered::CaughtUp { readings: 20 }]);
    assert_eq!(dump(folder.path()), before);
    // A lost `seq` is found again: no number is given twice.
    fs::remove_file(folder.path().join("seq")).unwrap();
    block_on(async {
        let recorder = open(folder.path());
        sweep(&recorder, 3, START_S + 120, &hosts).await;
        recorder.close().await.unwrap();
    });
    assert_clean(folder.path());
    assert_reindex_is_identical(folder.path());
    assert_eq!(number(folder.path(), "SELECT count(DISTINCT last_seq) FROM sweep"), 3);
}
