//! Who answers: hosts are connected to, several at a time, for what `hosts check` and `hosts trust` ask.
//! No probe is run and nothing is recorded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::dial::patiently;
use super::gate::Gate;
use crate::config::Limits;
use crate::model::{Host, Outcome, Reach, duration_text};
use crate::transport::Transport as _;
use crate::transport::ssh::{self, ConnectError, Introduction, Settings};

/// How one host answered.
#[derive(Debug, Clone)]
pub struct Contact {
    pub host: Host,
    /// `ok`, or why there is no session.
    pub outcome: Outcome,
    pub detail: Option<String>,
    pub elapsed: Duration,
}

/// Connects and logs in, and says goodbye. The answers stand in the order of `hosts`.
pub async fn check(hosts: Vec<Host>, settings: Arc<Settings>, limits: &Limits) -> Vec<Contact> {
    let shared = Arc::clone(&settings);
    let visit = move |host: Host| {
        let settings = Arc::clone(&shared);
        async move {
            if host.reach == Reach::Ssh {
                let dial = || ssh::connect(&host, &settings);
                patiently(&host.name, || true, dial).await?.close().await;
            }
            Ok(())
        }
    };
    let answers = each(hosts, (&settings, limits), visit).await;
    settings.close().await;
    let contact = |(host, answer, elapsed): (Host, Result<(), ConnectError>, Duration)| {
        let (outcome, detail) = match answer {
            Ok(()) => (Outcome::Ok, None),
            Err(error) => (error.outcome, Some(error.detail)),
        };
        Contact { host, outcome, detail, elapsed }
    };
    answers.into_iter().map(contact).collect()
}

/// Asks each host for its keys. The answers stand in the order of `hosts`.
pub async fn introduce(
    hosts: Vec<Host>,
    settings: Arc<Settings>,
    limits: &Limits,
) -> Vec<(Host, Result<Introduction, ConnectError>)> {
    let shared = Arc::clone(&settings);
    let visit = move |host: Host| {
        let settings = Arc::clone(&shared);
        async move { patiently(&host.name, || true, || ssh::introduce(&host, &settings)).await }
    };
    let answers = each(hosts, (&settings, limits), visit).await;
    settings.close().await;
    answers.into_iter().map(|(host, answer, _)| (host, answer)).collect()
}

pub(super) type Answer<T> = (Host, Result<T, ConnectError>, Duration);

/// Runs `visit` for every host, as many at a time as a sweep would. A panic is that host's answer.
pub(super) async fn each<T, F>(
    hosts: Vec<Host>,
    (settings, limits): (&Arc<Settings>, &Limits),
    visit: impl Fn(Host) -> F,
) -> Vec<Answer<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ConnectError>> + Send + 'static,
{
    let mut visits = Visits { running: JoinSet::new(), index_of: HashMap::new(), answers: HashMap::new() };
    let places = Arc::new(Semaphore::new(limits.concurrency as usize));
    let gate = Gate::new(limits.opening as usize);
    for (index, host) in hosts.iter().enumerate() {
        // Never closed, so it cannot fail; without a place there would only be more at once.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        let (settings, gate, limit) = (Arc::clone(settings), Arc::clone(&gate), limits.visit_timeout);
        let (visit, host) = (visit(host.clone()), host.clone());
        let task = visits.running.spawn(async move {
            let _place = place;
            in_turn(&host, (&settings, &gate), limit, visit).await
        });
        visits.index_of.insert(task.id(), index);
        while let Some(joined) = visits.running.try_join_next_with_id() {
            visits.settle(joined);
        }
    }
    while let Some(joined) = visits.running.join_next_with_id().await {
        visits.settle(joined);
    }
    let lost = || (Err(lost("no answer")), Duration::ZERO);
    let answer = |(index, host)| {
        let (answer, elapsed) = visits.answers.remove(&index).unwrap_or_else(lost);
        (host, answer, elapsed)
    };
    hosts.into_iter().enumerate().map(answer).collect()
}

/// Waits for the host's jump hosts outside of the line of those that are being connected to, then for its
/// turn, and visits it: neither kind of silence keeps the others waiting. The line is not in its time.
async fn in_turn<T>(
    host: &Host,
    (settings, gate): (&Settings, &Arc<Gate>),
    limit: Duration,
    visit: impl Future<Output = Result<T, ConnectError>>,
) -> Visited<T> {
    let start = Instant::now();
    let approach = async {
        match host.reach {
            Reach::Ssh => ssh::approach(host, settings).await,
            Reach::Local => Ok(()),
        }
    };
    if let Err(error) = timeout(limit, approach).await.unwrap_or_else(|_| Err(too_long(limit))) {
        return (Err(error), start.elapsed());
    }
    let approached = start.elapsed();
    let turn = gate.enter().await;
    let start = Instant::now();
    let visit = async { timeout(limit, visit).await.unwrap_or_else(|_| Err(too_long(limit))) };
    let answer = turn.during(visit).await;
    (answer, approached + start.elapsed())
}

/// How a visit ended, and how long it took.
type Visited<T> = (Result<T, ConnectError>, Duration);

struct Visits<T> {
    running: JoinSet<Visited<T>>,
    index_of: HashMap<Id, usize>,
    answers: HashMap<usize, Visited<T>>,
}

impl<T: Send + 'static> Visits<T> {
    fn settle(&mut self, joined: Result<(Id, Visited<T>), JoinError>) {
        let (id, answer) = match joined {
            Ok((id, answer)) => (id, answer),
            Err(error) => (error.id(), (Err(lost(&words(error))), Duration::ZERO)),
        };
        if let Some(index) = self.index_of.remove(&id) {
            self.answers.insert(index, answer);
        }
    }
}

fn words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
        }
        Err(error) => error.to_string(),
    }
}

fn lost(why: &str) -> ConnectError {
    let detail = format!("the visit broke off inside this program: {why}");
    ConnectError::new(Outcome::Unreachable, detail)
}

fn too_long(limit: Duration) -> ConnectError {
    let limit = duration_text(limit);
    let detail = format!("the visit took longer than limits.visit_timeout ({limit}): the host is too slow");
    ConnectError::new(Outcome::TimedOut, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::HostName;

    fn host(name: &str) -> Host {
        Host::new(HostName::new(name).unwrap(), "probe")
    }

    fn settings() -> Arc<Settings> {
        Arc::new(Settings::new(ssh::Timeouts::default(), None))
    }

    /// Says that it is over, also where it was given up.
    struct Over(Arc<AtomicUsize>);

    impl Drop for Over {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn hosts_that_do_not_answer_do_not_keep_the_others_waiting() {
        let hosts: Vec<Host> = (0..10).map(|n| host(&format!("h{n}"))).collect();
        let limits = Limits { opening: 4, visit_timeout: Duration::from_secs(14), ..Limits::default() };
        let over = Arc::new(AtomicUsize::new(0));
        let visit = |host: Host| {
            let over = Over(Arc::clone(&over));
            async move {
                // The first ones in the line hang.
                if host.name.as_str() < "h4" {
                    tokio::time::sleep(Duration::from_secs(3_600)).await;
                }
                Ok(over.0.load(Ordering::SeqCst))
            }
        };
        let answers = each(hosts, (&settings(), &limits), visit).await;
        for (host, answer, _) in &answers {
            match answer {
                // Of those before it only the other six can have ended.
                Ok(over) => assert!(host.name.as_str() >= "h4" && *over <= 5, "{}: {over}", host.name),
                Err(error) => {
                    assert_eq!((error.outcome, host.name.as_str() < "h4"), (Outcome::TimedOut, true))
                }
            }
        }
    }

    #[tokio::test]
    async fn a_panic_or_a_stall_is_one_hosts_answer_and_no_more_run_than_may() {
        let hosts: Vec<Host> = (0..40).map(|n| host(&format!("h{n}"))).collect();
        let limits = Limits { opening: 4, visit_timeout: Duration::from_millis(500), ..Limits::default() };
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let visit = |host: Host| {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            async move {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let length = if host.name.as_str() == "h7" { 3_600_000 } else { 5 };
                tokio::time::sleep(Duration::from_millis(length)).await;
                open.fetch_sub(1, Ordering::SeqCst);
                assert_ne!(host.name.as_str(), "h3", "planted");
                Ok(host.name)
            }
        };
        let answers = each(hosts, (&settings(), &limits), visit).await;
        for (host, answer, _) in &answers {
            match (host.name.as_str(), answer) {
                ("h3", Err(error)) => assert!(error.detail.contains("planted"), "{error}"),
                ("h7", Err(error)) => assert_eq!(error.outcome, Outcome::TimedOut),
                (name, answer) => assert_eq!(answer.as_ref().unwrap().as_str(), name),
            }
        }
        assert_eq!((answers.len(), most.load(Ordering::SeqCst)), (40, 4));
    }
}
