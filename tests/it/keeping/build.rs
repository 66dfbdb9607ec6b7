//! State directories with a past.

use std::path::Path;
use std::time::Duration;

use dropsonde::collect::keep::{Pruned, prune};
use dropsonde::collect::{Caps, Recorder, reindex};
use dropsonde::config::Retention;
use dropsonde::model::{ByteSize, CollectorTime, Kept, SweepEnd, SweepId, Trigger};
use dropsonde::store::index::{Reader, Value};

pub use crate::store::build::*;

pub const DAY: i64 = 86_400;
pub const NOW: i64 = START_S;

/// Nothing goes unless a test says so.
pub fn for_ever() -> Retention {
    let long = Duration::from_secs(10_000 * 86_400);
    Retention {
        raw: long,
        raw_size: ByteSize(0),
        samples: long,
        samples_size: ByteSize(0),
        downsample_after: long,
        downsample_to: Duration::from_secs(86_400),
        ..Retention::default()
    }
}

pub fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A sweep of the schedule `hourly` over so many hosts; hosts say other things in each. Returns its id.
pub async fn past_sweep(recorder: &Recorder, at_s: i64, count: usize) -> SweepId {
    let hosts = hosts(count);
    let mut plan = plan((at_s / 600) as u32, at_s, &hosts);
    (plan.trigger, plan.schedule) = (Trigger::Scheduled, Some("hourly".to_owned()));
    for host in &mut plan.hosts {
        // A label that changes in the course of time.
        host.labels.insert("week".to_owned(), (at_s / (7 * DAY)).to_string());
    }
    let sweep = plan.sweep.clone();
    let handle = recorder.begin(plan, vec![probe()]).await.unwrap();
    // The last host is away every other time.
    let away = usize::from(at_s / 3_600 % 2 == 0);
    for (n, host) in hosts.iter().take(count - away).enumerate() {
        let waiting = (at_s / 3_600 % 24) as f64 + n as f64 / 10.0;
        record(&handle, host, &Said::simple(at_s + 1, waiting)).await;
    }
    let ended = CollectorTime::from_unix_s(at_s + 60);
    let end = SweepEnd { ended, elapsed: Duration::from_secs(60), outcomes: [].into(), interrupted: false };
    handle.finish(end).await.unwrap();
    sweep
}

/// So many sweeps, an hour apart, the last one at `last_s`.
pub fn hours(root: &Path, last_s: i64, count: i64, hosts: usize) -> Vec<SweepId> {
    block_on(async {
        let recorder = open(root);
        let mut sweeps = Vec::new();
        for hour in (0..count).rev() {
            sweeps.push(past_sweep(&recorder, last_s - hour * 3_600, hosts).await);
        }
        recorder.close().await.unwrap();
        sweeps
    })
}

pub fn prune_now(root: &Path, retention: &Retention) -> Pruned {
    prune(root, retention, CollectorTime::from_unix_s(NOW)).unwrap()
}

pub fn kept(root: &Path) -> Vec<Kept> {
    let mut rows = Reader::open(root).unwrap().sweeps(usize::MAX).unwrap();
    rows.reverse();
    rows.into_iter().map(|row| row.kept).collect()
}

/// Every row of the views that others rely on.
pub fn views(root: &Path) -> Vec<(String, Vec<String>)> {
    dump(root).into_iter().filter(|(name, _)| name.starts_with("v_")).collect()
}

/// Rebuilds the index and compares the views.
pub fn assert_reindex_has_the_same_views(root: &Path) {
    let before = views(root);
    reindex(root, Caps::default(), &mut |_| {}).unwrap();
    same(&before, &views(root));
}

pub fn same(before: &[(String, Vec<String>)], after: &[(String, Vec<String>)]) {
    assert_eq!(before.len(), after.len());
    for ((view, before), (_, after)) in before.iter().zip(after) {
        let differing = before.iter().zip(after).find(|(before, after)| before != after);
        assert_eq!(before.len(), after.len(), "{view}: another number of rows; {differing:#?}");
        assert!(differing.is_none(), "{view}: {differing:#?}");
    }
}

pub fn column(root: &Path, sql: &str) -> Vec<f64> {
    let number = |row: Vec<Value>| match row[0] {
        Value::Real(number) => number,
        Value::Integer(number) => number as f64,
        _ => panic!("{row:?}"),
    };
    ask(root, sql).into_iter().map(number).collect()
}
