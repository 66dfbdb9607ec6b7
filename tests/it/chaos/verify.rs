//! What is asked after every round, whatever happened in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use dropsonde::collect::{Caps, Options, Recorder, reindex};
use dropsonde::model::{Fate, HostName, ProbeName, Tick};
use dropsonde::schedule::Timetable;
use dropsonde::store::archive::read_member;
use dropsonde::store::{Severity, StateDir, check, ticks};

use super::field::{Field, Said, copy, remove};
use crate::store::build::{ask, assert_clean, block_on, dump, number};
use crate::support::program::files_below;
use crate::unattended::process::assert_no_gap;

/// Every planned reading has one outcome, every acknowledged one is there with its hash, the index is what
/// a rebuild makes of the archive, and nothing is left: no process, no lock.
pub fn verify(field: &Field) {
    let root = field.state();
    if root.join("archive").is_dir() {
        mended(&root);
        is_whole(&root);
        all_acknowledged(field);
        all_logged(field);
        rebuilt_is_the_same(&root);
        no_lock(&root);
    } else {
        assert!(field.acknowledged.is_empty() && field.logged.is_empty(), "there is no archive");
    }
    nothing_on_hosts(field);
}

/// What was left is what the next start mends, and nothing worse; and that it does.
fn mended(root: &Path) {
    let report = check(root, true).expect("a check");
    // Killed while one index took another's place, or before the first one's log was synced, there is none;
    // that is all there is to say about it, and the next start builds one.
    let no_index = |what: &str| what.contains("has no index yet");
    let worse = report.findings.iter().find(|it| it.severity != Severity::Note && !no_index(&it.what));
    assert!(worse.is_none(), "as it was left: {:#?}", report.findings);
    let (recorder, _) = Recorder::open(root, Options::default()).expect("it opens");
    block_on(recorder.close()).expect("it closes");
}

fn is_whole(root: &Path) {
    assert_clean(root);
    // The archive says it member by member; here it is what anybody asks.
    let owed = "SELECT count(*) FROM v_sweep s WHERE ended IS NULL OR planned <> \
                (SELECT count(*) FROM v_reading r WHERE r.sweep = s.sweep)";
    assert_eq!(number(root, owed), 0, "{:?}", ask(root, "SELECT * FROM v_sweep"));
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM v_reading GROUP BY sweep, host, probe HAVING count(*) > 1)";
    assert_eq!(number(root, twice), 0);
}

fn all_acknowledged(field: &Field) {
    let state = StateDir::at(&field.state());
    let mut ledgers = std::collections::BTreeMap::new();
    for ((sweep, host, probe), said) in &field.acknowledged {
        let ledger = ledgers.entry(sweep).or_insert_with(|| field.program.ledger(sweep));
        let of_both: Vec<_> = ledger.iter().filter(|[h, p, ..]| h == host && p == probe).collect();
        let [[_, _, outcome, _]] = of_both[..] else { panic!("{probe} on {host} in {sweep}: {of_both:?}") };
        let (host, probe) = (HostName::new(host).expect("a host"), ProbeName::new(probe).expect("a probe"));
        // `check` has compared its hash.
        let reading = read_member(&state, sweep, &host, &probe).expect("it was acknowledged");
        let kept = Said {
            outcome: reading.outcome.as_str().to_owned(),
            bytes_wire: reading.wire.len() as u64,
            bytes_raw: reading.bytes_raw,
        };
        assert_eq!((&kept, outcome), (said, &said.outcome), "{probe} on {host} in {sweep}");
    }
}

fn all_logged(field: &Field) {
    for (sweep, ok) in &field.logged {
        let ledger = field.program.ledger(sweep);
        let found = ledger.iter().filter(|[_, _, outcome, _]| outcome == "ok").count();
        assert_eq!(found, *ok, "{sweep}: {ledger:#?}");
    }
}

/// A state directory that nobody works in is whole: what a backup with its name must be.
pub fn is_whole_copy(root: &Path) {
    mended(root);
    is_whole(root);
    rebuilt_is_the_same(root);
}

/// On a copy, so that the next round goes on with what has grown.
fn rebuilt_is_the_same(root: &Path) {
    let rebuilt = root.with_extension("rebuilt");
    remove(&rebuilt);
    copy(root, &rebuilt);
    reindex(&rebuilt, Caps::default(), &mut |_| {}).expect("a rebuild");
    // After a prune the tables behind the views may say the same in other ways.
    let shown = |root| dump(root).into_iter().filter(|(name, _)| name.starts_with("v_")).collect::<Vec<_>>();
    for ((view, before), (_, after)) in shown(root).iter().zip(&shown(&rebuilt)) {
        let differing = before.iter().zip(after).find(|(before, after)| before != after);
        assert_eq!(before.len(), after.len(), "{view}: another number of rows");
        assert!(differing.is_none(), "{view}: {differing:#?}");
    }
    remove(&rebuilt);
}

fn no_lock(root: &Path) {
    let mut left = files_below(&root.join("run"));
    left.retain(|path| !path.ends_with("daemon.lock"));
    assert!(left.is_empty(), "{left:?}");
    if root.join("run/daemon.lock").exists() {
        let free = StateDir::at(root).try_lock("run/daemon.lock").expect("a lock");
        assert!(free.is_some(), "a daemon holds its lock");
    }
    assert!(!root.join("prune.json").exists(), "a prune was left undone");
}

fn nothing_on_hosts(field: &Field) {
    let limit = Instant::now() + Duration::from_secs(60);
    let mut empty = 0;
    // A process in the middle of its exec shows no environment.
    while empty < 2 {
        let left = field.on_hosts();
        empty = if left.is_empty() { empty + 1 } else { 0 };
        assert!(Instant::now() < limit, "left on the hosts: {left:?}");
        if !left.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The book of ticks, without what is run again: a daemon wrote it down and was killed before it began.
pub fn book(field: &Field) -> Vec<Tick> {
    let swept: BTreeSet<_> = field.program.sweeps().into_iter().collect();
    let all = ticks::read(&field.state()).expect("the book");
    let again = |at: usize| all[at + 1..].iter().any(|later| later.due <= all[at].due);
    let counts = |at: &usize| match &all[*at].fate {
        Fate::Ran { sweep, .. } => swept.contains(sweep),
        Fate::Failed { .. } => !again(*at),
        Fate::Skipped { .. } | Fate::Missed { .. } => true,
    };
    (0..all.len()).filter(counts).map(|at| all[at].clone()).collect()
}

/// No tick of a schedule is missing in the book, and none is there twice.
pub fn every_tick_is_written_down(field: &Field, cron: &str) {
    assert_no_gap(&book(field), &Timetable::parse(cron, "UTC").expect("a timetable"));
}
