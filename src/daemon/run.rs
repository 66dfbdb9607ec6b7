//! Starting the daemon: what it is given, what it finds in its state directory, and its end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::book::Book;
use super::keeper::Keeper;
use super::opening::{Opened, open};
use super::{DaemonError, Notify};
use crate::config::{Faults, Settings};
use crate::inventory::{self, Answer};
use crate::model::{CollectorTime, Fate, SweepId, Tick};
use crate::store::{StateDir, StoreError, ticks};

/// How the configuration is loaded again.
pub type Load = Arc<dyn Fn() -> Result<Settings, Faults> + Send + Sync>;

/// What the daemon is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Load the configuration again.
    Reload,
    /// Start nothing new; a second time: drop what still runs.
    Stop,
}

/// Everything that the daemon has from outside.
pub struct Setup {
    pub settings: Settings,
    pub load: Load,
    /// Where ssh-agent listens.
    pub agent: Option<PathBuf>,
    /// Where the service manager puts secrets.
    pub credentials: Option<PathBuf>,
    pub notify: Notify,
    /// How often the service manager wants to hear that the loop turns.
    pub watchdog: Option<Duration>,
    pub orders: mpsc::Receiver<Order>,
}

/// Runs the schedules until it is told to stop.
pub async fn run(setup: Setup) -> Result<(), DaemonError> {
    let mut setup = setup;
    let Some(Opened { state, sole: _sole, recorder, decided, unbegun }) = open(&mut setup).await? else {
        setup.notify.stopping("stopped while it waited for room on the disk");
        tracing::info!("stopped");
        return Ok(());
    };
    keep_inventories(&setup.settings);
    let book = Book::open(state)?;
    if !unbegun.is_empty() {
        // In its order before all that follows; nobody waits for it.
        drop(book.write(unbegun));
    }
    let Setup { settings, load, agent, credentials, notify, watchdog, orders } = setup;
    let outside = Outside { load, agent, credentials, notify, watchdog };
    let mut keeper = Keeper::new(outside, settings, (recorder, book), &decided);
    let turned = keeper.turn(orders).await;
    let closed = keeper.close().await;
    turned.and(closed)
}

/// What the daemon keeps of its [`Setup`].
pub(super) struct Outside {
    pub load: Load,
    pub agent: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
    pub notify: Notify,
    pub watchdog: Option<Duration>,
}

/// The last tick that was decided, by schedule and timetable.
pub(super) type Decided = HashMap<(String, String), CollectorTime>;

/// Other programs' lists of hosts, for the day when they cannot be read.
pub(super) fn keep_inventories(settings: &Settings) {
    let answers: Vec<Answer> = settings.inventories.iter().map(|one| one.answer.clone()).collect();
    if let Err(error) = inventory::keep(&settings.state_dir, &answers) {
        tracing::warn!("the lists of hosts are not kept: {error}");
    }
}

/// What earlier daemons have decided, up to the last decision that something came of: sweeps that were
/// written down and never began are still to be run. Where the book has gone on since, they are not, and
/// that is to be written down.
pub(super) fn decided(state: &StateDir) -> Result<(Decided, Vec<Tick>), StoreError> {
    let mut by_schedule: HashMap<String, Vec<Tick>> = HashMap::new();
    for tick in ticks::read(state.root())? {
        by_schedule.entry(tick.schedule.clone()).or_default().push(tick);
    }
    let (mut decided, mut unbegun) = (Decided::new(), Vec::new());
    for ticks in by_schedule.into_values() {
        let exists = |tick: &Tick| sweep(tick).is_some_and(|sweep| state.tar(sweep).exists());
        // Behind it no tar was pruned: one that is missing was never made.
        let last_swept = ticks.iter().rposition(exists);
        // What is written down as not run is decided, whyever it was: it has one fate.
        let stands = |at: &usize| Some(*at) <= last_swept || sweep(&ticks[*at]).is_none();
        let stands = (0..ticks.len()).rev().find(stands);
        for (at, tick) in ticks.into_iter().enumerate() {
            if stands.is_some_and(|stands| at <= stands) {
                decided.insert((tick.schedule.clone(), tick.timetable.clone()), tick.until());
            }
            if let Fate::Ran { sweep, .. } = &tick.fate
                && last_swept.is_some_and(|last| at > last)
            {
                let fate = Fate::Failed { sweep: sweep.clone(), why: STOPPED.to_owned() };
                unbegun.push(Tick { fate, ..tick });
            }
        }
    }
    Ok((decided, unbegun))
}

const STOPPED: &str = "the daemon was stopped before it began";

/// The sweep that was to be run for a tick, if that is the last word about it.
const fn sweep(tick: &Tick) -> Option<&SweepId> {
    match &tick.fate {
        Fate::Ran { sweep, .. } => Some(sweep),
        Fate::Failed { .. } | Fate::Skipped { .. } | Fate::Missed { .. } => None,
    }
}
