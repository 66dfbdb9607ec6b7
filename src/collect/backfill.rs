//! A sweep of the past: its readings are there already, and are recorded on the same path as those of a live
//! one, with the times at which they were taken. It reaches no host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::record::{Finished, Recorded, Recorder};
use crate::model::{CollectorTime, Plan, Probe, Reading, SweepEnd};
use crate::store::StoreError;

/// Records `readings`, which are the answers to `plan`, in any order; gives what each of them held, in
/// theirs. What was planned and is not among them ends as skipped.
pub async fn backfill(
    recorder: &Recorder,
    (plan, probes): (Plan, Vec<Arc<Probe>>),
    readings: Vec<(Reading, Vec<u8>)>,
) -> Result<(Vec<Recorded>, Finished), StoreError> {
    let (ended, elapsed) = end_of(&plan, &readings);
    let handle = Arc::new(recorder.begin(plan, probes).await?);
    // All at once, so that they share a few syncs of the disk.
    let mut recording = JoinSet::new();
    let mut recorded: Vec<Option<Recorded>> = readings.iter().map(|_| None).collect();
    for (at, (reading, raw)) in readings.into_iter().enumerate() {
        let handle = Arc::clone(&handle);
        recording.spawn(async move { (at, handle.record(reading, raw).await) });
    }
    while let Some(done) = recording.join_next().await {
        let (at, result) = done.map_err(|_| StoreError::Stopped)?;
        recorded[at] = Some(result?);
    }
    // Every task has ended, so nobody else holds it.
    let handle = Arc::into_inner(handle).ok_or(StoreError::Stopped)?;
    let end = SweepEnd { ended, elapsed, outcomes: BTreeMap::new(), interrupted: false };
    let finished = handle.finish(end).await?;
    Ok((recorded.into_iter().flatten().collect(), finished))
}

/// When the last of the readings ended, and how long that was after the sweep began.
fn end_of(plan: &Plan, readings: &[(Reading, Vec<u8>)]) -> (CollectorTime, Duration) {
    let ns = |elapsed: Duration| i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
    let ends =
        readings.iter().map(|(reading, _)| reading.started.unix_ns().saturating_add(ns(reading.elapsed)));
    let started_ns = plan.started.unix_ns();
    let ended_ns = ends.max().unwrap_or(started_ns).max(started_ns);
    let elapsed = Duration::from_nanos(u64::try_from(ended_ns - started_ns).unwrap_or_default());
    (CollectorTime::from_unix_ns(ended_ns), elapsed)
}
