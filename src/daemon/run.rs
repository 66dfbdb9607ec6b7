//! Starting the daemon: what it is given, what it finds in its state directory, and its end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::book::Book;
use super::keeper::Keeper;
use super::{DaemonError, Notify};
use crate::collect::{Options, Recorder, Recovered};
use crate::config::{Faults, Settings};
use crate::inventory::{self, Answer};
use crate::model::{ByteSize, CollectorTime, Fate, Tick};
use crate::store::{Sole, StateDir, StoreError, ticks};

/// While a large state directory is opened, the manager is asked for this much time again and again.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let state = StateDir::create(&setup.settings.state_dir)?;
    let _sole = Sole::take(&state)?;
    let reserve = setup.settings.retention.reserve;
    let (recorder, decided) = open(&setup.notify, &state, reserve).await?;
    keep_inventories(&setup.settings);
    let book = Book::open(state)?;
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

/// Opens the state directory and mends what was left there. That may take long after a power cut with a large
/// index; the manager is told not to give up meanwhile.
async fn open(
    notify: &Notify,
    state: &StateDir,
    reserve: ByteSize,
) -> Result<(Recorder, Decided), DaemonError> {
    let state = state.clone();
    let mut opening = spawn_blocking(move || -> Result<_, StoreError> {
        let opened = Recorder::open(state.root(), Options { reserve, ..Options::default() })?;
        Ok((opened, decided(&state)?))
    });
    notify.status("opening the state directory");
    let (opened, decided) = loop {
        tokio::select! {
            done = &mut opening => break done.map_err(|_| DaemonError::RecorderStopped)??,
            () = tokio::time::sleep(PATIENCE / 6) => notify.extend(PATIENCE),
        }
    };
    let (recorder, recovered) = opened;
    recovered.iter().for_each(|what: &Recovered| tracing::warn!("{what}"));
    Ok((recorder, decided))
}

/// Other programs' lists of hosts, for the day when they cannot be read.
pub(super) fn keep_inventories(settings: &Settings) {
    let answers: Vec<Answer> = settings.inventories.iter().map(|one| one.answer.clone()).collect();
    if let Err(error) = inventory::keep(&settings.state_dir, &answers) {
        tracing::warn!("the lists of hosts are not kept: {error}");
    }
}

/// What earlier daemons have decided. A sweep that was written down and never began is still to be run.
fn decided(state: &StateDir) -> Result<Decided, StoreError> {
    let mut decided = Decided::new();
    let book = ticks::read(state.root())?;
    let last: HashMap<&str, &Tick> = book.iter().map(|tick| (tick.schedule.as_str(), tick)).collect();
    for tick in &book {
        let never_began = match &tick.fate {
            Fate::Ran { sweep, .. } => last[tick.schedule.as_str()] == tick && !state.tar(sweep).exists(),
            Fate::Skipped { .. } | Fate::Missed { .. } => false,
        };
        if !never_began {
            decided.insert((tick.schedule.clone(), tick.timetable.clone()), tick.until());
        }
    }
    Ok(decided)
}
