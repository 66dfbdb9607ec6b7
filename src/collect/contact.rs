//! Who answers: hosts are connected to, several at a time, for what `hosts check` and `hosts trust` ask.
//! No probe is run and nothing is recorded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::dial::patiently;
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
    let answers = each(hosts, limits, visit).await;
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
    let answers = each(hosts, limits, visit).await;
    settings.close().await;
    answers.into_iter().map(|(host, answer, _)| (host, answer)).collect()
}

pub(super) type Answer<T> = (Host, Result<T, ConnectError>, Duration);

/// Runs `visit` for every host, as many at a time as connections may be opened at once. A panic is
/// that host's answer.
pub(super) async fn each<T, F>(hosts: Vec<Host>, limits: &Limits, visit: impl Fn(Host) -> F) -> Vec<Answer<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ConnectError>> + Send + 'static,
{
    let mut visits = Visits { running: JoinSet::new(), index_of: HashMap::new(), answers: HashMap::new() };
    for (index, host) in hosts.iter().enumerate() {
        if visits.running.len() >= limits.opening as usize {
            visits.settle_one().await;
        }
        let (limit, visit) = (limits.visit_timeout, visit(host.clone()));
        let task = visits.running.spawn(async move {
            let start = Instant::now();
            let answer = timeout(limit, visit).await.unwrap_or_else(|_| Err(too_long(limit)));
            (answer, start.elapsed())
        });
        visits.index_of.insert(task.id(), index);
    }
    while visits.settle_one().await {}
    let lost = || (Err(lost("no answer")), Duration::ZERO);
    let answer = |(index, host)| {
        let (answer, elapsed) = visits.answers.remove(&index).unwrap_or_else(lost);
        (host, answer, elapsed)
    };
    hosts.into_iter().enumerate().map(answer).collect()
}

struct Visits<T> {
    running: JoinSet<(Result<T, ConnectError>, Duration)>,
    index_of: HashMap<Id, usize>,
    answers: HashMap<usize, (Result<T, ConnectError>, Duration)>,
}

impl<T: Send + 'static> Visits<T> {
    async fn settle_one(&mut self) -> bool {
        let Some(joined) = self.running.join_next_with_id().await else { return false };
        let (id, answer) = match joined {
            Ok((id, answer)) => (id, answer),
            Err(error) => (error.id(), (Err(lost(&words(error))), Duration::ZERO)),
        };
        if let Some(index) = self.index_of.remove(&id) {
            self.answers.insert(index, answer);
        }
        true
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
        let answers = each(hosts, &limits, visit).await;
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
