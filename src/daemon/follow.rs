//! What follows a sweep that has ended, or that did not run: alerts, and sweeps of dearer probes where it
//! hurts. It runs beside the schedules: the next sweep of a schedule does not wait for what its last one led
//! to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};

use super::outfit::Outfit;
use super::round::{conduct, report_escalated};
use crate::collect::{Errand, Recorder, Start, Stop, Swept, clock, complete};
use crate::config::Settings;
use crate::render::{Lines, escape};
use crate::store::StoreError;
use crate::watch::alerts::Queued;
use crate::watch::{self, Courier, Followed, Trouble, Unkept, WatchError};

/// How long until a courier whose queue is out of reach looks again.
const AGAIN: Duration = Duration::from_secs(30);

/// What is followed up.
pub(super) enum Event {
    Swept(Swept),
    /// Sweeps that did not run, or that could not be recorded.
    Troubles(Vec<Trouble>),
}

/// Everything that following up needs.
#[derive(Clone)]
pub(super) struct Follower {
    pub outfit: Arc<Outfit>,
    pub recorder: Arc<Recorder>,
    pub stop: Stop,
    pub mail: Arc<Mail>,
    pub unkept: Arc<Unkept>,
}

impl Follower {
    pub async fn follow(self, event: Event) {
        let followed = match event {
            Event::Swept(swept) => self.ask(swept).await,
            Event::Troubles(troubles) => self.raise(troubles).await,
        };
        let Some(followed) = followed else { return };
        for errand in followed.errands {
            if self.stop.is_finishing() {
                return;
            }
            if let Some(swept) = self.escalate(errand).await.filter(|swept| !swept.finished.end.interrupted) {
                // The dear probe's own numbers may be what somebody waits to be told of; they lead to no more.
                self.ask(swept).await;
            }
        }
    }

    async fn ask(&self, swept: Swept) -> Option<Followed> {
        let unkept = Arc::clone(&self.unkept);
        let ask = move |settings: &Settings| watch::after_sweep(settings, &swept, clock::now(), &unkept);
        let answer = self.blocking(ask).await?;
        self.told(answer).await
    }

    async fn raise(&self, troubles: Vec<Trouble>) -> Option<Followed> {
        let unkept = Arc::clone(&self.unkept);
        let raise = move |settings: &Settings| watch::raise(settings, &troubles, clock::now(), &unkept);
        let answer = self.blocking(raise).await?;
        self.told(answer).await
    }

    /// Work that reads the index and writes files.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Settings) -> Result<T, WatchError> + Send + 'static,
    ) -> Option<Result<T, WatchError>> {
        let outfit = Arc::clone(&self.outfit);
        let done = spawn_blocking(move || work(&outfit.settings)).await;
        done.inspect_err(|error| tracing::error!("what follows a sweep broke off; this is a bug: {error}"))
            .ok()
    }

    async fn told(&self, answer: Result<Followed, WatchError>) -> Option<Followed> {
        match answer {
            Ok(followed) => {
                for remark in &followed.remarks {
                    tracing::warn!("{}", escape(remark, Lines::Single));
                }
                let settings = &self.outfit.settings;
                let untold = self.mail.unsaved(settings, &followed).await;
                if !untold.is_empty() {
                    // Whoever changes the book just now may be at it for a while, and the loop must turn.
                    let (unkept, most) = (Arc::clone(&self.unkept), settings.delivery.queue as usize);
                    let _ = spawn_blocking(move || unkept.untold(untold, most)).await;
                }
                self.mail.wake.notify_one();
                Some(followed)
            }
            Err(error) => {
                tracing::error!("the sweep is safe, but nothing follows it: {error}");
                None
            }
        }
    }

    /// Runs a sweep that another one has led to.
    async fn escalate(&self, mut errand: Errand) -> Option<Swept> {
        let cause = errand.cause.clone();
        let rule =
            cause.as_ref().map_or_else(String::new, |cause| escape(&cause.rule, Lines::Single).to_string());
        let outfit = Arc::clone(&self.outfit);
        let completed = spawn_blocking(move || -> Result<Errand, StoreError> {
            complete(&mut errand, &outfit.settings.state_dir)?;
            Ok(errand)
        });
        let errand = match completed.await {
            Ok(Ok(errand)) => errand,
            Ok(Err(error)) => {
                tracing::error!(rule, "{rule} led to a sweep that could not be prepared: {error}");
                return None;
            }
            Err(error) => {
                tracing::error!(rule, "a sweep could not be prepared; this is a bug: {error}");
                return None;
            }
        };
        let sweeper = self.outfit.sweeper(&self.stop, Default::default());
        match conduct(&sweeper, Start::now(), &self.recorder, errand).await {
            Ok(swept) => {
                report_escalated(&rule, &swept);
                Some(swept)
            }
            Err(error) => {
                tracing::error!(rule, "the sweep that {rule} led to could not be recorded: {error}");
                None
            }
        }
    }
}

/// The courier of alerts, as long as a configuration is in force.
pub(super) struct Mail {
    pub wake: Arc<Notify>,
    credentials: Option<PathBuf>,
    stop: Stop,
}

impl Mail {
    /// Sets a courier on its way. `credentials` is where the service manager puts secrets.
    pub fn start(settings: &Settings, credentials: Option<PathBuf>, couriers: &mut JoinSet<()>) -> Arc<Self> {
        let mail = Arc::new(Self { wake: Arc::new(Notify::new()), credentials, stop: Stop::default() });
        if !settings.receivers.is_empty() {
            let courier = Courier::new(settings, mail.credentials.clone());
            let (stop, wake) = (mail.stop.clone(), Arc::clone(&mail.wake));
            couriers.spawn(async move {
                while let Err(error) = courier.run(&stop, Arc::clone(&wake)).await {
                    tracing::error!("alerts wait, because what is queued cannot be read or written: {error}");
                    tokio::select! {
                        () = stop.finishing() => break,
                        () = tokio::time::sleep(AGAIN) => {}
                    }
                }
            });
        }
        mail
    }

    /// Another configuration has its own.
    pub fn stop(&self) {
        self.stop.finish();
    }

    /// Sends at once what the disk did not take; returns what nobody took either.
    pub async fn unsaved(&self, settings: &Settings, followed: &Followed) -> Vec<Queued> {
        if followed.unsaved.is_empty() {
            return Vec::new();
        }
        let courier = Courier::new(settings, self.credentials.clone());
        let delivery = courier.deliver_unsaved(&followed.unsaved).await;
        for problem in &delivery.problems {
            tracing::warn!("{}", escape(problem, Lines::Single));
        }
        delivery.untold
    }
}
