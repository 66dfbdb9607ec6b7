//! One sweep of a schedule, from its tick to its line in the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::outfit::Outfit;
use crate::collect::{Errand, Event, Pace, Recorder, Start, Stop, Sweeper, Swept, complete, scheduled};
use crate::config::Schedule;
use crate::model::{Fate, HostName, Outcome, SweepId, Tick, duration_text};
use crate::render::{Lines, escape, units};
use crate::store::{StateDir, StoreError};

/// Events that may wait to be logged; past that, visits wait for it.
const EVENTS: usize = 256;

/// A sweep that is to run.
pub(super) struct Round {
    pub outfit: Arc<Outfit>,
    pub schedule: Schedule,
    pub start: Start,
    /// What it was begun for.
    pub tick: Tick,
    pub late: bool,
    pub recorder: Arc<Recorder>,
    pub stop: Stop,
    /// Answered when its tick is written down: a crash must not leave a sweep that no tick knows.
    pub written: oneshot::Receiver<()>,
}

/// How a round ended.
pub(super) struct Ended {
    /// For a person, in a few words.
    pub summary: String,
    /// The sweep, or why it could not be recorded.
    pub swept: Result<Swept, String>,
    /// The recorder takes nothing any more.
    pub fatal: bool,
    /// What is to be said of its tick: it was written down, and nothing of its sweep is recorded.
    pub unbegun: Option<Tick>,
}

impl Round {
    pub async fn run(self) -> Ended {
        let Self { outfit, schedule, start, tick, late, recorder, stop, written } = self;
        let _ = written.await;
        let sweep = start.sweep.clone();
        let swept = match errand(&outfit, &schedule).await {
            Ok(errand) => {
                let pace = Pace { splay: schedule.splay, deadline: schedule.deadline };
                let swept = conduct(&outfit.sweeper(&stop, pace), start, &recorder, errand).await;
                swept.map_err(|error| (error.to_string(), matches!(error, StoreError::Stopped)))
            }
            Err(error) => Err((error, false)),
        };
        match swept {
            Ok(swept) => {
                let summary = report(&schedule, &swept, late);
                Ended { summary, swept: Ok(swept), fatal: false, unbegun: None }
            }
            Err((error, fatal)) => {
                let name = schedule.name.as_str();
                tracing::error!(schedule = name, %sweep, "sweep {sweep} of {name} could not be recorded: {error}");
                // One that began is in the archive, and whoever opens that next closes it.
                let began = StateDir::at(&outfit.settings.state_dir).tar(&sweep).exists();
                let fate = Fate::Failed { sweep, why: error.clone() };
                let unbegun = (!began).then_some(Tick { fate, ..tick });
                Ended { summary: format!("{name}: {error}"), swept: Err(error), fatal, unbegun }
            }
        }
    }
}

/// Runs an errand to its end; each host that failed has its line in the log.
pub(super) async fn conduct(
    sweeper: &Sweeper,
    start: Start,
    recorder: &Recorder,
    errand: Errand,
) -> Result<Swept, StoreError> {
    let mut told = Told { sweep: start.sweep.clone(), failed: HashMap::new() };
    let (events, mut news) = mpsc::channel(EVENTS);
    let work = sweeper.sweep_as(start, recorder, errand, events);
    let listen = async {
        while let Some(event) = news.recv().await {
            told.take(&event);
        }
    };
    let (swept, ()) = tokio::join!(work, listen);
    told.rest();
    swept
}

/// What is to be done, on a thread that may wait for the disk.
async fn errand(outfit: &Arc<Outfit>, schedule: &Schedule) -> Result<Errand, String> {
    let (outfit, schedule) = (Arc::clone(outfit), schedule.clone());
    let prepare = move || {
        let mut errand = scheduled(&outfit.settings, &schedule).map_err(|error| error.to_string())?;
        if let Err(error) = complete(&mut errand, &outfit.settings.state_dir) {
            // The recorder mends the index by itself; until then probes begin anew rather than not at all.
            tracing::warn!(schedule = schedule.name, "sweeping without what the index knows: {error}");
        }
        Ok(errand)
    };
    tokio::task::spawn_blocking(prepare).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The sweep's one line. Returns it shortened, for the service's status.
fn report(schedule: &Schedule, swept: &Swept, late: bool) -> String {
    let (name, sweep) = (schedule.name.as_str(), &swept.sweep);
    let Words { planned, ok, elapsed_s, line, short } = Words::new(swept, &format!("of {name}"), late);
    match schedule.shortfall(&swept.finished.end.outcomes) {
        Some(shortfall) => {
            tracing::error!(schedule = name, %sweep, planned, ok, elapsed_s, late, "{line}; {shortfall}");
        }
        None => tracing::info!(schedule = name, %sweep, planned, ok, elapsed_s, late, "{line}"),
    }
    say_unindexed(swept);
    format!("{name} {short}")
}

/// The one line of a sweep that another one has led to.
pub(super) fn report_escalated(rule: &str, swept: &Swept) {
    let Words { planned, ok, elapsed_s, line, .. } = Words::new(swept, &format!("that {rule} led to"), false);
    tracing::info!(rule, sweep = %swept.sweep, planned, ok, elapsed_s, "{line}");
    say_unindexed(swept);
}

fn say_unindexed(swept: &Swept) {
    if let Some(error) = &swept.finished.unindexed {
        let sweep = &swept.sweep;
        tracing::warn!(%sweep, "the readings are safe, but not all of them are indexed: {error}");
    }
}

/// A sweep in numbers and words.
struct Words {
    planned: usize,
    ok: u64,
    elapsed_s: f64,
    line: String,
    short: String,
}

impl Words {
    fn new(swept: &Swept, whose: &str, late: bool) -> Self {
        let (sweep, end, planned) = (&swept.sweep, &swept.finished.end, swept.planned);
        let ok = end.outcomes.get(&Outcome::Ok).copied().unwrap_or_default();
        let (elapsed, others) = (units::elapsed(end.elapsed), others(&end.outcomes));
        let remark = match (late, end.interrupted) {
            (_, true) => ", interrupted",
            (true, false) => ", late",
            (false, false) => "",
        };
        let line = format!("sweep {sweep} {whose}: {ok}/{planned} ok{others} in {elapsed}{remark}");
        let short = format!("{ok}/{planned} ok in {elapsed}");
        Self { planned, ok, elapsed_s: end.elapsed.as_secs_f64(), line, short }
    }
}

fn others(outcomes: &BTreeMap<Outcome, u64>) -> String {
    let others = outcomes.iter().filter(|(outcome, count)| **outcome != Outcome::Ok && **count > 0);
    others.map(|(outcome, count)| format!(", {count} {outcome}")).collect()
}

/// Gathers what failed on a host until its visit is over: one host is one line, however much failed.
struct Told {
    sweep: SweepId,
    failed: HashMap<HostName, Vec<Failure>>,
}

struct Failure {
    probe: String,
    outcome: Outcome,
    detail: Option<String>,
}

impl Told {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Visiting(_) => {}
            Event::Recorded(kept) => {
                let reading = &kept.reading;
                // What was left out on purpose is counted in the sweep's line.
                if reading.outcome.is_success() || reading.outcome == Outcome::Skipped {
                    return;
                }
                self.failed.entry(reading.host.clone()).or_default().push(Failure {
                    probe: reading.probe.to_string(),
                    outcome: reading.outcome,
                    detail: reading.detail.clone(),
                });
            }
            Event::Left { host, after } => {
                if let Some(failures) = self.failed.remove(host) {
                    self.say(host, &failures, &format!(" after {}", duration_text(*after)));
                }
            }
        }
    }

    /// Hosts whose visits ended without a word.
    fn rest(&mut self) {
        for (host, failures) in std::mem::take(&mut self.failed) {
            self.say(&host, &failures, "");
        }
    }

    fn say(&self, host: &HostName, failures: &[Failure], after: &str) {
        let mut alike: BTreeMap<(Outcome, &str), Vec<&str>> = BTreeMap::new();
        for Failure { probe, outcome, detail } in failures {
            alike.entry((*outcome, detail.as_deref().unwrap_or_default())).or_default().push(probe);
        }
        let words = alike.iter().map(|((outcome, detail), probes)| {
            // The detail is the host's own words, and may try to be lines of ours.
            let detail = escape(detail, Lines::Single).to_string();
            let colon = if detail.is_empty() { "" } else { ": " };
            format!("{} {outcome}{colon}{detail}", probes.join(", "))
        });
        let words = words.collect::<Vec<_>>().join("; ");
        let probe = failures.iter().map(|failure| failure.probe.as_str()).collect::<Vec<_>>().join(",");
        tracing::warn!(%host, probe, sweep = %self.sweep, "{host}{after}: {words}");
    }
}
