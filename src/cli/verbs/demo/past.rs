//! The demo's past: hourly sweeps that are recorded like any other, with the times they would have had.
//! What is there already is not made again.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::cli::Context;
use crate::cli::failure::Usage;
use crate::collect::{Recorder, Stop, backfill, clock, cursors};
use crate::demo::{History, Mark, PastSweep, hours};
use crate::model::{CollectorTime, Trigger};
use crate::render::counted;
use crate::store::index::Reader;

/// What a state directory has of a demo.
pub(super) struct Found {
    /// Of its own history, or a new one.
    pub mark: Mark,
    /// Sweeps up to here are not made again.
    newest: Option<CollectorTime>,
}

/// Looks whether the state directory has a history already, and refuses one of other hosts: theirs would be
/// taken for the past of these. Sweeps without a history are in the way of one (`wanted`): what is recorded
/// goes on from the newest.
pub(super) fn find(dir: &Path, (hosts, seed): (usize, u64), wanted: bool) -> Result<Found> {
    let new = Mark::new(hosts, seed, clock::now());
    let sweeps = Reader::open(dir)?.sweeps(usize::MAX)?;
    let marks = sweeps.iter().filter(|row| row.trigger == Trigger::Backfill);
    let found = marks.filter_map(|row| Mark::of(&row.sweep)).next();
    if wanted && found.is_none() && !sweeps.is_empty() {
        return Err(Usage(format!(
            "{} has sweeps of a demo without a past (--backfill 0), and none can be put before them; name \
             another directory with --dir, or remove this one",
            dir.display()
        ))
        .into());
    }
    let mark = found.unwrap_or(new);
    if !mark.is_of_same_fleet(new) {
        return Err(Usage(format!(
            "{} has the history of another demo fleet, made with another --hosts or --seed; name another \
             directory with --dir, or remove this one",
            dir.display()
        ))
        .into());
    }
    Ok(Found { mark, newest: sweeps.iter().map(|row| row.started).max() })
}

/// Records what is missing of the last `count` hours, unless somebody wants it to stop.
pub(super) async fn record(
    context: &Context,
    recorder: &Recorder,
    dir: &Path,
    (history, found): (&History, &Found),
    (count, stop): (usize, &Stop),
) -> Result<()> {
    let began = Instant::now();
    let (mut sweeps, mut readings) = (0, 0);
    let mut cursors = cursors(dir, history.probes())?;
    let missing = |at: &CollectorTime| found.newest.is_none_or(|newest| *at > newest);
    for at in hours(clock::now(), count).into_iter().filter(missing) {
        if stop.is_finishing() {
            break;
        }
        let PastSweep { plan, readings: past } =
            history.sweep(at, |host, probe| cursors.get(probe)?.get(host).map(String::as_str));
        sweeps += 1;
        readings += past.len();
        let who: Vec<_> = past.iter().map(|(it, _)| (it.probe.clone(), it.host.clone())).collect();
        let (recorded, _) = backfill(recorder, (plan, history.probes().to_vec()), past).await?;
        for ((probe, host), recorded) in who.into_iter().zip(recorded) {
            if let Some(cursor) = &recorded.parsed.cursor {
                cursors.entry(probe).or_default().insert(host, cursor.clone());
            }
        }
    }
    if sweeps > 0 {
        context.remark(&format!(
            "recorded {} of the past, {}, in {:.1} s.",
            counted(sweeps, "hourly sweep"),
            counted(readings, "reading"),
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}
