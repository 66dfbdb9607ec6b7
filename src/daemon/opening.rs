//! Opening the state directory. On a disk that is full at the start the daemon does not end, which nobody may
//! see for days: it tells whoever is told of alerts, and waits until there is room.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};

use super::follow::Mail;
use super::run::{Decided, Order, Setup, decided};
use super::{DaemonError, Notify};
use crate::collect::{Options, Recorder, Recovered, clock};
use crate::config::Settings;
use crate::model::{ByteSize, OwnAlert, Tick};
use crate::store::{Sole, StateDir, StoreError};
use crate::watch::{self, Trouble, Unkept};

/// While a large state directory is opened, the manager is asked for this much time again and again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long until a full disk is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// A state directory that is this daemon's.
pub(super) struct Opened {
    pub state: StateDir,
    pub sole: Sole,
    pub recorder: Recorder,
    pub decided: Decided,
    /// Ticks of which it was found that their sweeps never began.
    pub unbegun: Vec<Tick>,
}

/// Opens it, as soon as there is room. `None` when the daemon was told to stop before.
pub(super) async fn open(setup: &mut Setup) -> Result<Option<Opened>, DaemonError> {
    let mut waiting = None;
    loop {
        match attempt(&setup.notify, &setup.settings).await {
            Err(DaemonError::Store(error)) if error.is_full() => {
                if waiting.is_none() {
                    tracing::error!("nothing runs until there is room on the disk: {error}");
                    waiting = Some(Waiting::begin(setup, &error).await);
                }
            }
            opened => {
                if let Some(waiting) = waiting {
                    waiting.end().await;
                }
                return opened.map(Some);
            }
        }
        setup.notify.status("waiting for room on the disk");
        setup.notify.extend(PATIENCE);
        tokio::select! {
            order = setup.orders.recv() => match order {
                Some(Order::Reload) => {
                    tracing::warn!("no configuration is loaded while there is no room on the disk");
                }
                Some(Order::Stop) | None => return Ok(None),
            },
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Opens the state directory and mends what was left there. That may take long after a power cut with a large
/// index; the manager is told not to give up meanwhile.
async fn attempt(notify: &Notify, settings: &Settings) -> Result<Opened, DaemonError> {
    let state = StateDir::create(&settings.state_dir)?;
    let sole = Sole::take(&state)?;
    let (root, reserve): (_, ByteSize) = (state.clone(), settings.retention.reserve);
    let mut opening = spawn_blocking(move || -> Result<_, StoreError> {
        let opened = Recorder::open(root.root(), Options { reserve, ..Options::default() })?;
        Ok((opened, decided(&root)?))
    });
    notify.status("opening the state directory");
    let ((recorder, recovered), (decided, unbegun)) = loop {
        tokio::select! {
            done = &mut opening => break done.map_err(|_| DaemonError::RecorderStopped)??,
            () = tokio::time::sleep(PATIENCE / 6) => notify.extend(PATIENCE),
        }
    };
    recovered.iter().for_each(|what: &Recovered| tracing::warn!("{what}"));
    Ok(Opened { state, sole, recorder, decided, unbegun })
}

/// Alerts go out although there is no daemon yet.
struct Waiting {
    settings: Arc<Settings>,
    unkept: Arc<Unkept>,
    mail: Arc<Mail>,
    couriers: JoinSet<()>,
}

impl Waiting {
    async fn begin(setup: &Setup, error: &StoreError) -> Self {
        let mut couriers = JoinSet::new();
        let mail = Mail::start(&setup.settings, setup.credentials.clone(), &mut couriers);
        let settings = Arc::new(setup.settings.clone());
        let waiting = Self { settings, unkept: Arc::default(), mail, couriers };
        // The same subject as after a sweep, so that the first one with room says that it is over.
        let trouble = Trouble {
            alert: OwnAlert::LowSpace,
            schedule: "state".to_owned(),
            detail: format!("nothing runs: {error}"),
        };
        waiting.raise(vec![trouble]).await;
        waiting
    }

    /// Writes down what the disk did not take.
    async fn end(mut self) {
        self.raise(Vec::new()).await;
        self.mail.stop();
        self.couriers.shutdown().await;
    }

    async fn raise(&self, troubles: Vec<Trouble>) {
        let (settings, unkept) = (Arc::clone(&self.settings), Arc::clone(&self.unkept));
        let raised = spawn_blocking(move || watch::raise(&settings, &troubles, clock::now(), &unkept)).await;
        match raised {
            Ok(Ok(followed)) => {
                let untold = self.mail.unsaved(&self.settings, &followed).await;
                if !untold.is_empty() {
                    self.unkept.untold(untold, self.settings.delivery.queue as usize);
                }
                self.mail.wake.notify_one();
            }
            Ok(Err(error)) => tracing::error!("nobody is told: {error}"),
            Err(error) => tracing::error!("an alert broke off; this is a bug: {error}"),
        }
    }
}
