//! What the probes of one visit wait for before they start: a channel of the connection, the tracer that is
//! running, and whether the host gives root at all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::errand::becomes_root;
use crate::model::{Host, Outcome, Probe};
use crate::wire::Decoded;

pub(super) struct Lanes {
    channels: Arc<Semaphore>,
    /// Two tracers at once would each measure the other. The host keeps those of other runs apart.
    tracing: Arc<Semaphore>,
    /// The first probe that needs root asks for it, and the others wait for what it is told: a sudo that hangs
    /// would hang for each of them, and one that mails its refusals would mail as many.
    root: watch::Sender<Word>,
}

/// What is known of root on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Unasked,
    Asked,
    /// It is given, or whoever asked cannot tell: everybody may find out.
    Open,
    Refused(Outcome, String),
}

/// A probe's turn.
pub(super) struct Place {
    _alone: Option<OwnedSemaphorePermit>,
    _channel: Option<OwnedSemaphorePermit>,
    asking: Option<Asking>,
}

/// Who asks for root on behalf of all.
struct Asking(Arc<Lanes>);

impl Lanes {
    pub fn new(channels: u32) -> Arc<Self> {
        Arc::new(Self {
            channels: Arc::new(Semaphore::new(channels as usize)),
            tracing: Arc::new(Semaphore::new(1)),
            root: watch::Sender::new(Word::Unasked),
        })
    }

    /// Waits for the probe's turn; an error is how it ends without one.
    pub async fn enter(self: &Arc<Self>, host: &Host, probe: &Probe) -> Result<Place, (Outcome, String)> {
        // Before the rest, which those that need no root must not be kept from.
        let asking = if becomes_root(host, probe) { self.ask().await? } else { None };
        let alone = match probe.tracer {
            true => Arc::clone(&self.tracing).acquire_owned().await.ok(),
            false => None,
        };
        let channel = Arc::clone(&self.channels).acquire_owned().await.ok();
        Ok(Place { _alone: alone, _channel: channel, asking })
    }

    async fn ask(self: &Arc<Self>) -> Result<Option<Asking>, (Outcome, String)> {
        let is_first = self.root.send_if_modified(|word| {
            let is_first = *word == Word::Unasked;
            if is_first {
                *word = Word::Asked;
            }
            is_first
        });
        if is_first {
            return Ok(Some(Asking(Arc::clone(self))));
        }
        let mut heard = self.root.subscribe();
        match heard.wait_for(|word| !matches!(word, Word::Unasked | Word::Asked)).await.as_deref() {
            Ok(Word::Refused(outcome, detail)) => Err((*outcome, detail.clone())),
            _ => Ok(None),
        }
    }

    fn settle(&self, word: Word) {
        self.root.send_if_modified(|known| {
            let is_open = *known == Word::Asked;
            if is_open {
                *known = word;
            }
            is_open
        });
    }
}

impl Place {
    /// To be called when the host has begun to run what it was sent, if somebody waits for that.
    pub fn begun(&self) -> Option<impl FnOnce() + Send + 'static> {
        let lanes = Arc::clone(&self.asking.as_ref()?.0);
        Some(move || lanes.settle(Word::Open))
    }

    /// How it ended. A refusal of root, or silence in its place, is everybody's.
    pub fn ended(&self, decoded: &Decoded) {
        let Some(Asking(lanes)) = &self.asking else { return };
        let is_refusal = decoded.denial.is_some() || decoded.outcome == Outcome::TimedOut;
        if let (true, Some(detail)) = (is_refusal, &decoded.detail) {
            lanes.settle(Word::Refused(decoded.outcome, detail.clone()));
        }
    }
}

impl Drop for Asking {
    /// Whatever kept it from asking need not keep the others.
    fn drop(&mut self) {
        self.0.settle(Word::Open);
    }
}
