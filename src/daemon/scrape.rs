//! Where Prometheus asks the daemon about itself. It holds up nothing, and without it everything else goes
//! on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::outfit::Outfit;
use crate::collect::{Stop, clock};
use crate::config::Listen;
use crate::watch::{Answer, Listener, collector_metrics};

/// How long until an address that another program has is tried again.
const AGAIN: Duration = Duration::from_secs(10);

pub(super) struct Scrape {
    /// The configuration in force, for whoever asks.
    shown: Arc<Mutex<Arc<Outfit>>>,
    answer: Answer,
    listen: Listen,
    stop: Stop,
    listeners: JoinSet<()>,
}

impl Scrape {
    pub fn start(outfit: &Arc<Outfit>) -> Self {
        let shown = Arc::new(Mutex::new(Arc::clone(outfit)));
        let (asked, started) = (Arc::clone(&shown), clock::now());
        let answer: Answer = Arc::new(move || {
            let outfit = Arc::clone(&asked.lock().unwrap_or_else(PoisonError::into_inner));
            collector_metrics(&outfit.settings, started)
        });
        let listen = outfit.settings.metrics.listen.clone();
        let mut scrape = Self { shown, answer, listen, stop: Stop::default(), listeners: JoinSet::new() };
        scrape.listen();
        scrape
    }

    /// A new configuration; where it listens elsewhere, so do we.
    pub fn show(&mut self, outfit: &Arc<Outfit>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(outfit);
        let listen = &outfit.settings.metrics.listen;
        if *listen != self.listen {
            self.listen = listen.clone();
            self.stop.finish();
            self.stop = Stop::default();
            self.listen();
        }
    }

    pub async fn close(mut self) {
        self.stop.finish();
        // A socket's name goes with its listener.
        while self.listeners.join_next().await.is_some() {}
    }

    fn listen(&mut self) {
        while self.listeners.try_join_next().is_some() {}
        let (listen, answer, stop) = (self.listen.clone(), Arc::clone(&self.answer), self.stop.clone());
        self.listeners.spawn(async move {
            let mut failed = false;
            loop {
                match Listener::bind(&listen).await {
                    Ok(None) => return,
                    Ok(Some(listener)) => {
                        tracing::info!("answering Prometheus on {}", listener.address());
                        return listener.serve(answer, &stop).await;
                    }
                    Err(error) if failed => tracing::debug!("{error}"),
                    Err(error) => tracing::error!("nobody can ask for metrics, until it works: {error}"),
                }
                failed = true;
                tokio::select! {
                    () = stop.finishing() => return,
                    () = sleep(AGAIN) => {}
                }
            }
        });
    }
}
