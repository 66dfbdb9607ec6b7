//! Delivers what waits, each receiver's messages in their order. A message leaves the queue when its
//! receiver has said that it has it: at least once on the wire, with the same id each time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::book::{Book, Queued};
use super::post::{PostError, post};
use super::shelf;
use crate::collect::{Stop, clock};
use crate::config::{Alerts, Receiver, Settings};
use crate::model::duration_text;
use crate::render::{Lines, escape};
use crate::store::{Locked, StateDir, StoreError};

/// How often somebody who does not hold the lock looks whether there is still something to do.
const GLANCE: Duration = Duration::from_millis(100);

/// How often a courier that was not woken looks for what another process has queued.
const ROUND: Duration = Duration::from_secs(15);

/// Carries messages out of one state directory.
#[derive(Debug, Clone)]
pub struct Courier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    delivery: Alerts,
    receivers: Vec<Receiver>,
    credentials: Option<PathBuf>,
    /// Messages that are done with and stay in the queue on a disk that takes nothing: whether each was
    /// delivered. Without it they would be sent again and again as long as the disk is full.
    unsettled: Mutex<Vec<(Queued, bool)>>,
}

/// What became of the messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivery {
    pub sent: usize,
    /// Still in the queue.
    pub waiting: usize,
    /// What a person should know, for the log or the terminal.
    pub problems: Vec<String>,
    /// Messages that are in no queue and that nobody has taken yet.
    pub untold: Vec<Queued>,
}

impl Delivery {
    fn add(&mut self, more: Self) {
        self.sent += more.sent;
        self.problems.extend(more.problems);
    }
}

impl Courier {
    /// `credentials` is `$CREDENTIALS_DIRECTORY`.
    pub fn new(settings: &Settings, credentials: Option<PathBuf>) -> Self {
        let shared = Shared {
            root: settings.state_dir.clone(),
            delivery: settings.delivery.clone(),
            receivers: settings.receivers.clone(),
            credentials,
            unsettled: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Delivers until nothing waits or the time is over. While another process is at it, it only waits for
    /// that one to be done.
    pub async fn deliver(&self, within: Duration) -> Result<Delivery, StoreError> {
        let end = Instant::now() + within;
        let mut delivery = Delivery::default();
        loop {
            delivery.waiting = self.shared.waiting().await?;
            if delivery.waiting == 0 {
                return Ok(delivery);
            }
            // Each message gets an attempt, however short the time is.
            match self.shared.lock()? {
                Some(_lock) => delivery.add(self.all(Until::At(end)).await?),
                None => sleep(GLANCE).await,
            }
            if Instant::now() >= end {
                delivery.waiting = self.shared.waiting().await?;
                return Ok(delivery);
            }
        }
    }

    /// Delivers until it is told to stop; `wake` says that something was queued. What a person should know
    /// goes to the log at once.
    pub async fn run(&self, stop: &Stop, wake: Arc<Notify>) -> Result<(), StoreError> {
        // One call for many who wait, none of whom may miss it.
        let (call, news) = watch::channel(());
        let until = Until::Stopped { stop: stop.clone(), news };
        let forward = async {
            loop {
                wake.notified().await;
                call.send_replace(());
            }
        };
        tokio::select! {
            result = self.rounds(until) => result,
            () = forward => Ok(()),
        }
    }

    async fn rounds(&self, until: Until) -> Result<(), StoreError> {
        loop {
            if let Some(_lock) = self.shared.lock()? {
                self.all(until.clone()).await?;
            }
            if !until.clone().more().await {
                return Ok(());
            }
        }
    }

    /// One attempt for each message that could not be put into the queue: the disk is full, and somebody
    /// should hear of it.
    pub async fn deliver_unsaved(&self, unsaved: &[Queued]) -> Delivery {
        let mut delivery = Delivery::default();
        for queued in unsaved {
            match self.attempt(&queued.receiver, queued).await {
                Ok(()) => delivery.sent += 1,
                Err(error) => {
                    delivery.problems.push(problem(&queued.receiver, &error));
                    if !error.is_final() && !self.shared.is_stale(queued) {
                        delivery.untold.push(queued.clone());
                    }
                }
            }
        }
        delivery
    }

    async fn attempt(&self, receiver: &str, queued: &Queued) -> Result<(), PostError> {
        let Some(receiver) = self.shared.receivers.iter().find(|it| it.name == receiver) else {
            return Ok(());
        };
        self.shared.post(receiver, queued).await
    }

    /// Every receiver for itself: one that does not answer holds up nobody else's messages.
    async fn all(&self, until: Until) -> Result<Delivery, StoreError> {
        let mut tasks = JoinSet::new();
        for nth in 0..self.shared.receivers.len() {
            let (shared, until) = (Arc::clone(&self.shared), until.clone());
            tasks.spawn(async move { shared.serve(&shared.receivers[nth], until).await });
        }
        let mut delivery = Delivery::default();
        let mut result = Ok(());
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(more)) => delivery.add(more),
                Ok(Err(error)) => result = Err(error),
                Err(error) => delivery.problems.push(format!("a delivery broke off: {error}")),
            }
        }
        result.map(|()| delivery)
    }
}

fn problem(receiver: &str, error: &PostError) -> String {
    format!("the receiver {receiver} did not take a message: {error}")
}

/// When a courier goes home.
#[derive(Debug, Clone)]
enum Until {
    At(Instant),
    Stopped { stop: Stop, news: watch::Receiver<()> },
}

impl Until {
    /// Ends when nothing may go on any more, in the middle of an attempt too.
    async fn over(&self) {
        match self {
            // An attempt has its own time.
            Self::At(_) => std::future::pending().await,
            Self::Stopped { stop, .. } => stop.aborting().await,
        }
    }

    /// Waits; `false` when the time is over first.
    async fn wait(&self, wait: Duration) -> bool {
        match self {
            Self::At(end) if Instant::now() + wait >= *end => {
                tokio::time::sleep_until(*end).await;
                false
            }
            Self::At(_) => {
                sleep(wait).await;
                true
            }
            Self::Stopped { stop, .. } => tokio::select! {
                () = stop.finishing() => false,
                () = sleep(wait) => true,
            },
        }
    }

    /// Who delivers for a verb has somebody to tell; who does it for months would only gather.
    fn tell(&self, delivery: &mut Delivery, what: String) {
        match self {
            Self::At(_) => delivery.problems.push(what),
            Self::Stopped { .. } => tracing::warn!("{}", escape(&what, Lines::Single)),
        }
    }

    /// Waits for something to do; `false` when there will be none.
    async fn more(&mut self) -> bool {
        match self {
            Self::At(_) => false,
            Self::Stopped { stop, news } => tokio::select! {
                () = stop.finishing() => false,
                // Whoever calls lives as long as this.
                _ = news.changed() => true,
                () = sleep(ROUND) => true,
            },
        }
    }
}

impl Shared {
    /// One process at a time delivers, so that no message is on its way twice.
    fn lock(&self) -> Result<Option<Locked>, StoreError> {
        StateDir::at(&self.root).try_lock("courier.lock")
    }

    async fn waiting(&self) -> Result<usize, StoreError> {
        let receivers: Vec<String> = self.receivers.iter().map(|it| it.name.clone()).collect();
        let done = self.done();
        let waits = move |it: &&Queued| receivers.contains(&it.receiver) && !done.contains(&it.number);
        let count = move |book: &Book| book.queue.iter().filter(waits).count();
        shelf::look(&self.root, count).await
    }

    async fn post(&self, receiver: &Receiver, queued: &Queued) -> Result<(), PostError> {
        let credentials = self.credentials.as_deref();
        post(receiver, (&queued.notice, clock::now()), &self.delivery, credentials).await
    }

    async fn serve(&self, receiver: &Receiver, mut until: Until) -> Result<Delivery, StoreError> {
        let mut delivery = Delivery::default();
        let mut failures = 0;
        loop {
            self.settle_rest().await;
            let (name, done) = (receiver.name.clone(), self.done());
            let head = shelf::look(&self.root, move |book| book.head(&name, &done).cloned()).await?;
            let Some(queued) = head else {
                if until.more().await {
                    continue;
                }
                return Ok(delivery);
            };
            let attempt = tokio::select! {
                attempt = self.post(receiver, &queued) => attempt,
                () = until.over() => return Ok(delivery),
            };
            let Err(error) = attempt else {
                if failures > 0 {
                    tracing::info!("the receiver {} takes messages again", receiver.name);
                }
                failures = 0;
                delivery.sent += 1;
                self.settle(queued, true).await;
                continue;
            };
            let said = problem(&receiver.name, &error);
            if error.is_final() || self.is_stale(&queued) {
                until.tell(&mut delivery, format!("{said}; it is dropped: {}", queued.notice.summary()));
                self.settle(queued, false).await;
                continue;
            }
            let wait = self.backoff(failures, error.retry_after());
            tracing::debug!("{said}; next attempt in {}", duration_text(wait));
            if failures == 0 {
                until.tell(&mut delivery, said);
            }
            failures += 1;
            if !until.wait(wait).await {
                return Ok(delivery);
            }
        }
    }

    fn is_stale(&self, queued: &Queued) -> bool {
        let age_ns = clock::now().unix_ns().saturating_sub(queued.notice.at_ns);
        Duration::from_nanos(u64::try_from(age_ns).unwrap_or(0)) > self.delivery.give_up
    }

    async fn settle(&self, sent: Queued, delivered: bool) {
        let name = sent.receiver.clone();
        self.unsettled().push((sent, delivered));
        if let Some(error) = self.settle_rest().await {
            tracing::warn!("what {name} was sent cannot be taken off the queue yet: {error}");
        }
    }

    /// Takes off the queue what is done with, if the disk lets us; or says why not.
    async fn settle_rest(&self) -> Option<StoreError> {
        let rest = self.unsettled().clone();
        if rest.is_empty() {
            return None;
        }
        let all = rest.clone();
        let settle = move |book: &mut Book| all.iter().for_each(|(sent, done)| book.settle(sent, *done));
        match shelf::change(&self.root, settle).await {
            Ok(()) => {
                self.unsettled().retain(|it| !rest.contains(it));
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Their numbers in the queue.
    fn done(&self) -> BTreeSet<u64> {
        self.unsettled().iter().map(|(sent, _)| sent.number).collect()
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<(Queued, bool)>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Twice as long each time, up to the longest, and by chance half as long or half as long again: many
    /// collectors whose receiver comes back should not all knock at once.
    fn backoff(&self, failures: u32, wanted: Option<Duration>) -> Duration {
        let longest = self.delivery.retry_longest;
        let doubled = self.delivery.retry_first.saturating_mul(2_u32.saturating_pow(failures)).min(longest);
        let wait = doubled.max(wanted.unwrap_or_default().min(longest));
        // Without randomness it is the plain wait.
        let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        wait.mul_f64(0.5 + chance)
    }
}

/// One attempt to tell a receiver of a test, which is kept nowhere.
pub async fn test(
    settings: &Settings,
    receiver: &Receiver,
    credentials: Option<&Path>,
) -> Result<(), PostError> {
    let now = clock::now();
    let notice = super::test_notice(now);
    // Alertmanager may forget it soon.
    let delivery = Alerts { hold: Duration::from_secs(300), ..settings.delivery.clone() };
    post(receiver, (&notice, now), &delivery, credentials).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let delivery = Alerts {
            retry_first: Duration::from_secs(1),
            retry_longest: Duration::from_secs(60),
            ..Alerts::default()
        };
        let (receivers, unsettled) = (Vec::new(), Mutex::default());
        let shared = Shared { root: "".into(), delivery, receivers, credentials: None, unsettled };
        let check = |failures: u32, wanted_s: Option<u64>, middle_s: f64| {
            for _ in 0..100 {
                let wait = shared.backoff(failures, wanted_s.map(Duration::from_secs)).as_secs_f64();
                assert!((middle_s * 0.5..=middle_s * 1.5).contains(&wait), "{failures} {wanted_s:?}: {wait}");
            }
        };
        check(0, None, 1.0);
        check(3, None, 8.0);
        check(40, None, 60.0);
        check(0, Some(30), 30.0);
        check(0, Some(86_400), 60.0);
    }
}
