//! What `run`, `sweep` and `demo` share: opening the state directory, signals, progress, the report
//! and the exit status. What to run, and what to print of it, is the verb's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::progress::Progress;
use super::{Context, Exit};
use crate::collect::clock::Clocks;
use crate::collect::keep;
use crate::collect::{
    Errand, Event, Kept, Options, Pace, Recorder, Recovered, Stop, Sweeper, Swept, hosts_at_once, memory,
    ssh_settings,
};
use crate::config::{Defaults, Limits, Retention, Settings};
use crate::inventory::{self, Answer};
use crate::model::{Outcome, duration_text};
use crate::render::json::{ReadingReport, SweepReport};

/// Events that may wait for the screen; past that, visits wait for it.
const EVENTS: usize = 256;

/// Look-ups of names that may be on their way. Each has a thread, which the C library keeps for half a minute
/// where name servers do not answer, three times as long as a host is waited for: with fewer threads, names that
/// are answered would wait for those that are not.
const LOOKUPS: usize = 1_024;

/// One thread: a sweep waits for hosts, and hand-offs between threads cost it more than they give.
pub fn runtime() -> Result<OneThread> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS).build();
    Ok(OneThread(Some(runtime.context("start the runtime")?)))
}

/// A runtime whose end does not wait for look-ups that nobody waits for any more.
pub struct OneThread(Option<Runtime>);

impl OneThread {
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("it is taken only to be dropped"),
        }
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the state directory for writing, and says what had to be mended there and what is amiss with its
/// disk.
pub fn open_recorder(context: &Context, state: &Path, retention: &Retention) -> Result<Recorder> {
    look_after(context, state, retention);
    let options = Options { reserve: retention.reserve, ..Options::default() };
    let (recorder, recovered) = Recorder::open(state, options)?;
    recovered.iter().for_each(|what: &Recovered| context.remark(&format!("dropsonde: {what}")));
    if let Ok(settings) = context.settings() {
        keep_inventories(settings, state);
    }
    Ok(recorder)
}

/// Other programs' lists of hosts, for the day when they cannot be read. A list that is believed to be empty
/// is kept as well, though it leaves nobody to visit: else the next failure would bring the old hosts back.
pub fn keep_inventories(settings: &Settings, state: &Path) {
    if settings.inventories.is_empty() || !state.is_dir() {
        return;
    }
    let answers: Vec<Answer> = settings.inventories.iter().map(|one| one.answer.clone()).collect();
    if let Err(error) = inventory::keep(state, &answers) {
        tracing::warn!(%error, "the lists of hosts are not kept");
    }
}

/// That it cannot be looked after is no reason to record nothing: what is really amiss, the recorder finds.
fn look_after(context: &Context, state: &Path, retention: &Retention) {
    match keep::upkeep(state, retention, &Clocks::now(), &Stop::default()) {
        Ok(upkeep) => {
            let remarks = upkeep.done().into_iter().chain(upkeep.warnings());
            remarks.for_each(|remark| context.remark(&format!("dropsonde: {remark}")));
        }
        Err(error) => tracing::warn!(%error, "the state directory is not looked after"),
    }
}

/// How to reach the hosts.
pub fn sweeper(limits: &Limits, defaults: &Defaults, stop: &Stop) -> Sweeper {
    let ssh = Arc::new(ssh_settings(limits, defaults, agent_socket()));
    let limits =
        Limits { concurrency: hosts_at_once(limits.concurrency, limits.channels_per_host), ..limits.clone() };
    let memory = memory(&limits);
    Sweeper { limits, memory, ssh, stop: stop.clone(), pace: Pace::default() }
}

/// Where ssh-agent listens.
pub fn agent_socket() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Runs one errand with the limits and keys of `settings`, obeying signals, and closes the recorder.
pub fn conduct(
    context: &Context,
    settings: &Settings,
    (recorder, errand, pace): (Recorder, Errand, Pace),
    each: impl FnMut(&Kept) -> Result<()>,
) -> Result<(Swept, SweepReport)> {
    let stop = Stop::default();
    let sweeper = Sweeper { pace, ..sweeper(&settings.limits, &settings.defaults, &stop) };
    runtime()?.block_on(async {
        let work = async {
            let done = carry_out(context, &recorder, (&sweeper, errand), each).await;
            // After a failure, too: what was acknowledged is indexed, and the sweep gets its end.
            let closed = recorder.close().await;
            let done = done?;
            closed?;
            Ok(done)
        };
        with_signals(context, (&stop, settings.limits.signal_grace), work).await
    })
}

/// Runs one errand to its end. `each` sees every reading when it is on the disk.
pub async fn carry_out(
    context: &Context,
    recorder: &Recorder,
    (sweeper, errand): (&Sweeper, Errand),
    mut each: impl FnMut(&Kept) -> Result<()>,
) -> Result<(Swept, SweepReport)> {
    let (events, mut news) = mpsc::channel(EVENTS);
    let hosts = errand.targets.len();
    let (trigger, cause) = (errand.trigger, errand.cause.clone());
    let mut progress = Progress::new(context.shows_progress(), hosts);
    let mut readings = Vec::new();
    let mut refused = Ok(());
    let sweep = sweeper.sweep(recorder, errand, events);
    tokio::pin!(sweep);
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut swept = None;
    loop {
        tokio::select! {
            event = news.recv() => match event {
                Some(event) => {
                    progress.take(&event);
                    if let Event::Recorded(kept) = &event {
                        readings.push(report_of(kept));
                        if refused.is_ok() {
                            refused = progress.suspend(|| each(kept));
                            if refused.is_err() {
                                // Nobody can see the answer: finish what runs and stop.
                                sweeper.stop.finish();
                            }
                        }
                    }
                }
                None => break,
            },
            done = &mut sweep, if swept.is_none() => swept = Some(done),
            _ = beat.tick() => progress.tick(),
        }
    }
    let swept = match swept {
        Some(done) => done?,
        None => sweep.await?,
    };
    progress.finish();
    refused?;
    let mut report = SweepReport::new(swept.sweep.clone(), trigger, swept.started);
    report.cause = cause;
    report.planned = swept.planned as u64;
    report.elapsed_s = swept.finished.end.elapsed.as_secs_f64();
    readings.into_iter().for_each(|reading| report.push(reading));
    report.readings.sort_by(|a, b| (&a.host, &a.probe).cmp(&(&b.host, &b.probe)));
    if let Some(error) = &swept.finished.unindexed {
        context
            .remark(&format!("dropsonde: the readings are safe, but not all of them are indexed: {error}"));
    }
    Ok((swept, report))
}

fn report_of(kept: &Kept) -> ReadingReport {
    ReadingReport {
        bytes_wire: kept.bytes_wire,
        histograms: Some(kept.parsed.histograms.len() as u64),
        ..ReadingReport::new(&kept.reading, kept.samples)
    }
}

/// Obeys SIGINT and SIGTERM until it is dropped: the first starts nothing new and gives what is in
/// flight the grace period, the second aborts.
pub async fn obey_signals(context: &Context, stop: &Stop, grace: Duration) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    context.remark(&format!(
        "dropsonde: stopping; what is in flight has {} to finish, a second signal aborts it",
        duration_text(grace)
    ));
    stop.finish();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = tokio::time::sleep(grace) => {}
    }
    stop.abort();
    std::future::pending().await
}

/// Runs `work` while signals are obeyed.
pub async fn with_signals<T>(
    context: &Context,
    (stop, grace): (&Stop, Duration),
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        failed = obey_signals(context, stop, grace) => {
            failed?;
            anyhow::bail!("the signal handler ended by itself")
        }
    }
}

/// The exit status that a sweep's readings mean.
pub fn exit_of(report: &SweepReport, swept: &Swept) -> Exit {
    if swept.finished.end.interrupted {
        Exit::Interrupted
    } else if report.readings.iter().all(|reading| reading.outcome.is_success()) {
        Exit::Good
    } else if swept.reached > 0 || report.readings.iter().any(|it| it.outcome == Outcome::Skipped) {
        // What is in quarantine says nothing about whether its host could be reached.
        Exit::Partial
    } else {
        Exit::NoHostReached
    }
}
