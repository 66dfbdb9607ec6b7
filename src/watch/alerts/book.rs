//! Which incidents are open and which messages wait: one small file, replaced whole, so that an incident
//! and its message are on record together or not at all. It sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::notice::{Notice, State, Worst};
use crate::config::{Alerts, Receiver, ReceiverKind};
use crate::model::{CollectorTime, HostName, Severity, SweepId};

/// Everything that is remembered of alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    schema: u8,
    /// Numbers the queue's entries.
    next: u64,
    pub incidents: Vec<Incident>,
    pub queue: Vec<Queued>,
    /// Messages that were delivered, and those that were given up, since the file began.
    pub delivered: u64,
    pub dropped: u64,
}

/// Something that is not as it should be, until all whom it is about are fine again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    pub id: String,
    pub rule: String,
    /// The metric, or of an alert of the collector's own, the schedule.
    pub subject: String,
    pub severity: Severity,
    pub opened_ns: i64,
    /// Messages so far.
    messages: u64,
    /// Whom it is about. Of an alert of the collector's own there is none.
    pub hosts: BTreeMap<HostName, Affected>,
    /// The last message but for its state: what a resolved one repeats.
    last: Box<Notice>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affected {
    /// Sweeps in a row that found it fine.
    fine: u32,
}

/// A message that waits for its receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queued {
    pub number: u64,
    /// Counts what was changed in the message while it waited.
    pub revision: u32,
    pub receiver: String,
    pub notice: Notice,
}

/// What one sweep says of one rule and one metric.
#[derive(Debug, Clone)]
pub struct Observation {
    pub rule: String,
    pub subject: String,
    pub severity: Severity,
    pub metric: Option<String>,
    pub condition: String,
    pub detail: Option<String>,
    /// Whether something is amiss; of an alert about hosts: whether `met` has any.
    pub amiss: bool,
    /// The hosts that meet the condition, the one that is worst off first.
    pub met: Vec<HostName>,
    pub worst: Option<Worst>,
    /// The hosts of which the sweep can say that they do not.
    pub fine: BTreeSet<HostName>,
    pub sweep: Option<SweepId>,
}

/// Whom and how to tell.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    pub receivers: &'a [Receiver],
    pub delivery: &'a Alerts,
    pub now: CollectorTime,
}

impl Book {
    /// Takes in what a sweep says, and queues what somebody should be told.
    pub fn observe(&mut self, seen: &Observation, telling: Telling<'_>) {
        let place = self.incidents.iter().position(|it| it.rule == seen.rule && it.subject == seen.subject);
        let notice = match place {
            None if !seen.amiss => return,
            None => {
                let incident = Incident::open(seen, telling.now);
                let notice = (*incident.last).clone();
                self.incidents.push(incident);
                notice
            }
            Some(place) => {
                let Some(notice) = self.incidents[place].observe(seen, telling) else { return };
                if notice.state == State::Resolved {
                    self.incidents.remove(place);
                }
                notice
            }
        };
        self.tell(&notice, telling);
    }

    /// Ends incidents that nothing will be heard of any more: `why` says it for those.
    pub fn retire(&mut self, why: impl Fn(&Incident) -> Option<String>, telling: Telling<'_>) {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.incidents)
            .into_iter()
            .map(|it| (why(&it), it))
            .partition(|it| it.0.is_some());
        self.incidents = kept.into_iter().map(|(_, incident)| incident).collect();
        for (why, mut incident) in gone {
            let notice = incident.notice(State::Resolved, telling.now);
            self.tell(&Notice { detail: why, ..notice }, telling);
        }
    }

    /// Takes hosts out of every incident that are no longer the inventory's: nobody will look at them again.
    pub fn forget(&mut self, is_known: impl Fn(&HostName) -> bool, telling: Telling<'_>) {
        let mut empty = BTreeSet::new();
        for incident in self.incidents.iter_mut().filter(|it| !it.hosts.is_empty()) {
            incident.hosts.retain(|host, _| is_known(host));
            if incident.hosts.is_empty() {
                empty.insert(incident.id.clone());
            }
        }
        let why = |it: &Incident| empty.contains(&it.id).then(|| "no longer in the inventory".to_owned());
        self.retire(why, telling);
    }

    fn tell(&mut self, notice: &Notice, telling: Telling<'_>) {
        for receiver in telling.receivers.iter().filter(|it| wants(it, notice)) {
            self.queue_for(receiver, notice);
            self.bound(&receiver.name, telling.delivery.queue as usize);
        }
    }

    /// A receiver that has not even heard of an incident gets one message, about how it stands by now.
    fn queue_for(&mut self, receiver: &Receiver, notice: &Notice) {
        let waits = |queued: &&mut Queued| {
            queued.receiver == receiver.name
                && queued.notice.incident == notice.incident
                && queued.notice.state != State::Resolved
        };
        let news = matches!(notice.state, State::Updated | State::Repeated);
        if let Some(queued) = self.queue.iter_mut().rfind(waits).filter(|_| news) {
            let (id, state) = (queued.notice.id.clone(), queued.notice.state);
            let joined = notice.hosts.clone();
            queued.notice = Notice { id, state, joined, ..notice.clone() };
            queued.revision += 1;
            return;
        }
        self.schema = 1;
        self.next += 1;
        let (receiver, notice) = (receiver.name.clone(), notice.clone());
        self.queue.push(Queued { number: self.next, revision: 0, receiver, notice });
    }

    /// Takes in messages that were nowhere kept.
    pub fn queue_again(&mut self, messages: Vec<Queued>) {
        for message in messages {
            self.schema = 1;
            self.next += 1;
            self.queue.push(Queued { number: self.next, ..message });
        }
    }

    /// What waits for ever must not fill the disk.
    fn bound(&mut self, receiver: &str, most: usize) {
        let waiting = self.queue.iter().filter(|it| it.receiver == receiver).count();
        let mut over = waiting.saturating_sub(most);
        self.dropped += over as u64;
        self.queue.retain(|it| {
            let goes = over > 0 && it.receiver == receiver;
            over -= usize::from(goes);
            !goes
        });
    }

    /// The message that a receiver gets next; those that are `done` with only stand there still.
    pub fn head(&self, receiver: &str, done: &BTreeSet<u64>) -> Option<&Queued> {
        self.queue.iter().find(|queued| queued.receiver == receiver && !done.contains(&queued.number))
    }

    /// Takes a message off the queue that was delivered, or given up. What was added to it on the way is
    /// told in a message of its own.
    pub fn settle(&mut self, sent: &Queued, delivered: bool) {
        let Some(place) = self.queue.iter().position(|it| it.number == sent.number) else { return };
        if delivered {
            self.delivered += 1;
        } else {
            self.dropped += 1;
        }
        let queued = &mut self.queue[place];
        let joined = queued.notice.hosts.iter().any(|host| !sent.notice.hosts.contains(host));
        if delivered && queued.revision != sent.revision && joined {
            queued.notice.state = State::Updated;
            queued.notice.joined.retain(|host| !sent.notice.hosts.contains(host));
            queued.notice.id = hash(&[&queued.notice.incident, &queued.notice.id, "joined"]);
        } else {
            self.queue.remove(place);
        }
    }

    /// Drops what waits for receivers that are no more; returns how many messages that were.
    pub fn drop_unknown(&mut self, receivers: &[Receiver]) -> usize {
        let before = self.queue.len();
        self.queue.retain(|queued| receivers.iter().any(|receiver| receiver.name == queued.receiver));
        let gone = before - self.queue.len();
        self.dropped += gone as u64;
        gone
    }
}

/// Whether the receiver is told of this.
fn wants(receiver: &Receiver, notice: &Notice) -> bool {
    let of_interest = receiver.only.is_empty() || receiver.only.contains(&notice.rule);
    let state = match notice.state {
        State::Repeated => receiver.kind == ReceiverKind::Alertmanager,
        State::Resolved => receiver.resolved,
        State::Firing | State::Updated | State::Test => true,
    };
    of_interest && state
}

impl Incident {
    fn open(seen: &Observation, now: CollectorTime) -> Self {
        let sweep = seen.sweep.as_ref().map_or("", SweepId::as_str);
        let id = hash(&[&seen.rule, &seen.subject, sweep, &now.unix_ns().to_string()]);
        let last = Notice {
            id: hash(&[&id, "1"]),
            incident: id.clone(),
            state: State::Firing,
            rule: seen.rule.clone(),
            severity: seen.severity,
            metric: seen.metric.clone(),
            condition: seen.condition.clone(),
            hosts: seen.met.clone(),
            joined: seen.met.clone(),
            worst: seen.worst.clone(),
            detail: seen.detail.clone(),
            sweep: seen.sweep.clone(),
            opened_ns: now.unix_ns(),
            at_ns: now.unix_ns(),
        };
        Self {
            id,
            rule: seen.rule.clone(),
            subject: seen.subject.clone(),
            severity: seen.severity,
            opened_ns: now.unix_ns(),
            messages: 1,
            hosts: seen.met.iter().map(|host| (host.clone(), Affected::default())).collect(),
            last: Box::new(last),
        }
    }

    /// `None` when the sweep says nothing of whom the incident is about.
    fn observe(&mut self, seen: &Observation, telling: Telling<'_>) -> Option<Notice> {
        let joined: Vec<HostName> =
            seen.met.iter().filter(|host| !self.hosts.contains_key(*host)).cloned().collect();
        let about_hosts = !self.hosts.is_empty();
        let says_something =
            !about_hosts || seen.amiss || self.hosts.keys().any(|host| seen.fine.contains(host));
        if !says_something {
            return None;
        }
        for host in &seen.met {
            self.hosts.insert(host.clone(), Affected::default());
        }
        let met: BTreeSet<&HostName> = seen.met.iter().collect();
        self.hosts.retain(|host, affected| {
            if seen.fine.contains(host) && !met.contains(host) {
                affected.fine += 1;
            }
            affected.fine < telling.delivery.resolve_after
        });
        let over = if about_hosts { self.hosts.is_empty() } else { !seen.amiss };
        if over {
            return Some(self.notice(State::Resolved, telling.now));
        }
        // The worst first, then those that this sweep did not find fine for long enough.
        let rest = self.hosts.keys().filter(|host| !met.contains(host));
        self.last.hosts = seen.met.iter().chain(rest).cloned().collect();
        self.last.joined.clone_from(&joined);
        self.last.worst = seen.worst.clone().or(self.last.worst.take());
        self.last.sweep.clone_from(&seen.sweep);
        if seen.amiss {
            self.last.detail.clone_from(&seen.detail);
        }
        let state = if joined.is_empty() { State::Repeated } else { State::Updated };
        Some(self.notice(state, telling.now))
    }

    fn notice(&mut self, state: State, now: CollectorTime) -> Notice {
        self.messages += 1;
        let id = hash(&[&self.id, &self.messages.to_string()]);
        Notice { id, state, at_ns: now.unix_ns(), ..(*self.last).clone() }
    }

    pub fn opened(&self) -> CollectorTime {
        CollectorTime::from_unix_ns(self.opened_ns)
    }

    /// What would be said of it now.
    pub fn summary(&self) -> String {
        self.last.summary()
    }
}

/// 32 hex digits out of some texts.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
