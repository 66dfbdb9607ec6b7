//! Incidents from sweep to sweep, each of which knows only what is on the disk.

use std::time::Duration;

use super::*;
use crate::config::Address;
use crate::http::{Secret, Trust};
use crate::model::Labels;

fn receiver(name: &str, kind: ReceiverKind) -> Receiver {
    Receiver {
        name: name.to_owned(),
        kind,
        address: Address::Secret(Secret::Credential("url".to_owned())),
        token: None,
        trust: Trust::default(),
        only: Vec::new(),
        resolved: true,
        labels: Labels::new(),
        template: None,
    }
}

fn hosts(names: &str) -> Vec<HostName> {
    names.split_whitespace().map(|name| HostName::new(name).unwrap()).collect()
}

/// A sweep in which `met` meet the rule `hot` and `fine` do not.
fn seen(met: &str, fine: &str) -> Observation {
    let met = hosts(met);
    Observation {
        rule: "hot".to_owned(),
        subject: "temperature".to_owned(),
        severity: Severity::Warning,
        metric: Some("temperature".to_owned()),
        condition: "temperature > 5".to_owned(),
        detail: None,
        amiss: !met.is_empty(),
        worst: met.first().map(|host| Worst {
            host: host.clone(),
            value: Some(9.0),
            text: "9°C".to_owned(),
            usual: None,
        }),
        met,
        fine: hosts(fine).into_iter().collect(),
        sweep: None,
    }
}

struct Desk {
    book: Book,
    receivers: Vec<Receiver>,
    delivery: Alerts,
    now_s: i64,
}

impl Desk {
    fn new(receivers: Vec<Receiver>) -> Self {
        Self { book: Book::default(), receivers, delivery: Alerts::default(), now_s: 1_800_000_000 }
    }

    fn observe(&mut self, seen: &Observation) {
        self.now_s += 3_600;
        let telling = Telling {
            receivers: &self.receivers,
            delivery: &self.delivery,
            now: CollectorTime::from_unix_s(self.now_s),
        };
        self.book.observe(seen, telling);
        // What is on the disk is all that the next sweep knows.
        self.book = serde_json::from_str(&serde_json::to_string(&self.book).unwrap()).unwrap();
    }

    /// What `receiver` gets now, `state hosts` each, in its order.
    fn drain(&mut self, receiver: &str) -> Vec<String> {
        let mut got = Vec::new();
        while let Some(queued) = self.book.head(receiver, &BTreeSet::new()).cloned() {
            let names: Vec<&str> = queued.notice.hosts.iter().map(HostName::as_str).collect();
            got.push(format!("{} {}", queued.notice.state.as_str(), names.join(" ")));
            self.book.settle(&queued, true);
        }
        got
    }
}

#[test]
fn one_incident_is_one_message_and_one_that_it_is_over() {
    let mut desk = Desk::new(vec![receiver("chat", ReceiverKind::Webhook)]);
    desk.observe(&seen("", "a b c"));
    assert_eq!(desk.drain("chat"), Vec::<String>::new());
    desk.observe(&seen("a b", "c"));
    assert_eq!(desk.drain("chat"), ["firing a b"]);
    // The same again, and a host that did not answer.
    desk.observe(&seen("b a", "c"));
    desk.observe(&seen("b", "c"));
    // Once is not for good; a third host is news.
    desk.observe(&seen("b", "a c"));
    assert_eq!(desk.drain("chat"), Vec::<String>::new());
    desk.observe(&seen("a b c", ""));
    assert_eq!(desk.drain("chat"), ["updated a b c"]);
    desk.observe(&seen("", "a b c"));
    // A sweep that has nothing of these hosts says nothing of them.
    desk.observe(&seen("", ""));
    assert_eq!(desk.drain("chat"), Vec::<String>::new());
    desk.observe(&seen("", "a b c"));
    assert_eq!(desk.drain("chat"), ["resolved a b c"]);
    assert!(desk.book.incidents.is_empty());
    let first = desk.book.delivered;
    desk.observe(&seen("a", "b"));
    assert_eq!((desk.drain("chat"), desk.book.delivered - first), (vec!["firing a".to_owned()], 1));
}

#[test]
fn who_was_away_gets_one_message_about_how_it_stands() {
    let mut desk = Desk::new(vec![
        receiver("chat", ReceiverKind::Slack),
        receiver("am", ReceiverKind::Alertmanager),
        Receiver { resolved: false, ..receiver("quiet", ReceiverKind::Webhook) },
        Receiver { only: vec!["cold".to_owned()], ..receiver("cold", ReceiverKind::Webhook) },
    ]);
    for met in ["a", "a", "a b"] {
        desk.observe(&seen(met, ""));
    }
    let ids: Vec<String> = desk.book.queue.iter().map(|it| it.notice.id.clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "all are told the same message");
    assert_eq!(desk.drain("chat"), ["firing a b"]);
    desk.observe(&seen("", "a b"));
    desk.observe(&seen("", "a b"));
    assert_eq!(desk.drain("chat"), ["resolved a b"]);
    // Both are told: that it was, and that it is over.
    assert_eq!(desk.drain("am"), ["firing a b", "resolved a b"]);
    assert_eq!(desk.drain("quiet"), ["firing a b"]);
    assert_eq!(desk.drain("cold"), Vec::<String>::new());
    assert!(desk.book.queue.is_empty());
}

#[test]
fn alertmanager_is_told_again_and_again_and_nobody_else() {
    let mut desk =
        Desk::new(vec![receiver("am", ReceiverKind::Alertmanager), receiver("chat", ReceiverKind::Webhook)]);
    desk.observe(&seen("a", ""));
    assert_eq!(
        (desk.drain("am"), desk.drain("chat")),
        (vec!["firing a".to_owned()], vec!["firing a".to_owned()])
    );
    desk.observe(&seen("a", ""));
    desk.observe(&seen("a", ""));
    // Two that wait are one.
    assert_eq!((desk.drain("am"), desk.drain("chat")), (vec!["repeated a".to_owned()], Vec::new()));
}

#[test]
fn what_joins_while_a_message_is_on_its_way_is_told_after_it() {
    let mut desk = Desk::new(vec![receiver("chat", ReceiverKind::Webhook)]);
    desk.observe(&seen("a", ""));
    let sent = desk.book.head("chat", &BTreeSet::new()).cloned().unwrap();
    desk.observe(&seen("a b", ""));
    desk.book.settle(&sent, true);
    let next = desk.book.head("chat", &BTreeSet::new()).cloned().unwrap();
    assert_eq!((next.notice.state, next.notice.joined.clone()), (State::Updated, hosts("b")));
    assert_ne!(next.notice.id, sent.notice.id);
    desk.book.settle(&next, true);
    assert_eq!((desk.book.head("chat", &BTreeSet::new()), desk.book.delivered), (None, 2));
}

#[test]
fn a_queue_is_bounded_and_goes_with_its_receiver() {
    let mut desk = Desk::new(vec![receiver("chat", ReceiverKind::Webhook)]);
    desk.delivery.queue = 3;
    desk.delivery.resolve_after = 1;
    for _ in 0..4 {
        desk.observe(&seen("a", ""));
        desk.observe(&seen("", "a"));
    }
    assert_eq!((desk.book.queue.len(), desk.book.dropped), (3, 5));
    assert_eq!(desk.drain("chat"), ["resolved a", "firing a", "resolved a"]);
    desk.observe(&seen("a", ""));
    assert_eq!((desk.book.drop_unknown(&[]), desk.book.dropped, desk.book.queue.len()), (1, 6, 0));
}

#[test]
fn incidents_of_what_is_gone_end() {
    let mut desk = Desk::new(vec![receiver("chat", ReceiverKind::Webhook)]);
    desk.observe(&seen("a b", ""));
    desk.drain("chat");
    let receivers = desk.receivers.clone();
    let telling = Telling {
        receivers: &receivers,
        delivery: &Alerts { give_up: Duration::ZERO, ..Alerts::default() },
        now: CollectorTime::from_unix_s(desk.now_s),
    };
    desk.book.forget(|host| host.as_str() != "a", telling);
    assert_eq!((desk.book.incidents.len(), desk.book.queue.len()), (1, 0));
    desk.book.forget(|_| false, telling);
    assert_eq!((desk.book.incidents.len(), desk.book.queue.len()), (0, 1));
    let notice = &desk.book.queue[0].notice;
    assert_eq!(
        (notice.state, notice.detail.as_deref()),
        (State::Resolved, Some("no longer in the inventory"))
    );
}

#[test]
fn an_alert_without_hosts_ends_when_all_is_well() {
    let mut desk = Desk::new(vec![receiver("chat", ReceiverKind::Webhook)]);
    let own = |amiss: bool| Observation {
        rule: "collector_low_space".to_owned(),
        metric: None,
        amiss,
        detail: amiss.then(|| "1MiB left".to_owned()),
        ..seen("", "")
    };
    desk.observe(&own(false));
    desk.observe(&own(true));
    desk.observe(&own(true));
    let summary = desk.book.incidents[0].summary();
    assert_eq!(summary, "collector_low_space: 1MiB left; since 2027-01-15 10:00Z");
    desk.observe(&own(false));
    assert_eq!(desk.drain("chat"), ["firing ", "resolved "]);
}
