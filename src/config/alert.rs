//! `[[alert]]` and `[alerts]`: what somebody is told of, and how hard it is tried.

use std::time::Duration;

use super::condition;
use super::escalate::{rule_name, twice};
use super::fault::Faults;
use super::knob::{between, knobs};
use super::reader::{Located, Section, WrittenValue};
use super::schedule::{Surroundings, check_hosts};
use crate::model::{Condition, Severity};

pub(crate) const KEYS: &[&str] = &["name", "when", "hosts", "severity"];

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const DAY: Duration = secs(86_400);

knobs! {
    /// How alerts end and how their messages are delivered.
    pub struct Alerts = ["alerts"], "DROPSONDE_ALERTS_" {
        /// A host is fine again after so many sweeps in a row that say so: one that comes and goes is one
        /// incident.
        resolve_after: u32 = 2, between(1, 1_000);
        /// One attempt to deliver a message.
        timeout: Duration = secs(10), between(Duration::from_millis(100), secs(300));
        /// The wait after a first attempt that failed; each further one is twice as long.
        retry_first: Duration = secs(1), between(Duration::from_millis(10), secs(3_600));
        /// No wait is longer.
        retry_longest: Duration = secs(300), between(Duration::from_millis(10), DAY);
        /// A message that was not taken for so long is dropped.
        give_up: Duration = secs(7 * 86_400), between(secs(60), secs(365 * 86_400));
        /// How long `sweep` tries to deliver before it leaves that to the next one.
        deliver_within: Duration = secs(20), between(Duration::from_millis(100), secs(3_600));
        /// Alertmanager forgets an alert that was not repeated for so long; each sweep repeats it.
        hold: Duration = secs(26 * 3_600), between(secs(60), secs(60 * 86_400));
        /// Messages that wait for one receiver; of more the oldest are dropped.
        queue: u32 = 1_000, between(1, 100_000);
    }
}

/// A condition that somebody is told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The condition's own words where it was given no name.
    pub name: String,
    pub when: Condition,
    /// Only hosts of this selector.
    pub hosts: Option<String>,
    pub severity: Severity,
}

/// An alert as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    when: Located<String>,
    hosts: Option<Located<String>>,
    severity: Severity,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Draft> {
    let sections = root.sections("alert", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Draft> {
    let when = section.require::<String>("when", faults);
    let name = section.read_checked("name", |name: &String| rule_name(name), faults);
    let hosts = section.read::<String>("hosts", faults);
    let severity = section.word("severity", &Severity::ALL, faults).unwrap_or(Severity::Warning);
    let when = when?;
    Some(Draft {
        name: name.unwrap_or_else(|| when.clone()),
        when,
        hosts,
        severity,
        written: section.written().collect(),
    })
}

pub(crate) fn resolve(drafts: &[Draft], around: &Surroundings<'_>, faults: &mut Faults) -> Vec<Alert> {
    twice("alert", drafts.iter().map(|draft| &draft.name), faults);
    let mut alerts = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(hosts) = &draft.hosts {
            check_hosts("alert.hosts", hosts, around, faults);
        }
        let Some(when) = condition::read(&draft.when, (around.library, around.broken), faults) else {
            continue;
        };
        alerts.push(Alert {
            name: draft.name.value.clone(),
            when,
            hosts: draft.hosts.as_ref().map(|hosts| hosts.value.clone()),
            severity: draft.severity,
        });
    }
    alerts
}
