//! `[[escalate]]`: dear probes, at once, and only where a cheap one saw trouble. What it names must exist,
//! as in a schedule.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition;
use super::fault::{Fault, Faults, Place};
use super::knob::between;
use super::reader::{Located, Section, WrittenValue};
use super::schedule::{Surroundings, check_hosts, probes};
use crate::model::{Condition, ProbeName};

pub(crate) const KEYS: &[&str] = &["name", "when", "run", "hosts", "cooldown", "per_hour"];

/// Where a rule's probes go, as it is written.
const MATCHING: &str = "matching";

const COOLDOWN: Duration = Duration::from_secs(3_600);
const PER_HOUR: u32 = 10;

/// Probes that run where a condition is met.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalate {
    /// The condition's own words where it was given no name.
    pub name: String,
    pub when: Condition,
    pub run: Vec<ProbeName>,
    /// A selector; `None` for the hosts that met the condition.
    pub hosts: Option<String>,
    /// The same host is left alone for so long.
    pub cooldown: Duration,
    /// Hosts that it is run on in any hour.
    pub per_hour: u32,
}

/// A rule as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    when: Located<String>,
    run: Vec<Located<String>>,
    hosts: Option<Located<String>>,
    cooldown: Duration,
    per_hour: u32,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Draft> {
    let sections = root.sections("escalate", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Draft> {
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    let when = section.require::<String>("when", faults);
    let name = section.read_checked("name", |name: &String| rule_name(name), faults);
    let hosts = section.read::<String>("hosts", faults);
    let cooldown = section.read_checked("cooldown", between(Duration::ZERO, WEEK), faults);
    let per_hour = section.read_checked("per_hour", between(1, 10_000), faults);
    section.missing_unless_given("run", "an array of probes' names", faults);
    let run = section.strings("run", faults);
    if let (Some([]), Some(field)) = (run.as_deref(), section.field("run")) {
        let fault = Fault::new(field.place(), "an escalation without probes");
        faults.push(fault.expected("at least one probe's name"));
    }
    let when = when?;
    Some(Draft {
        name: name.unwrap_or_else(|| when.clone()),
        when,
        run: run?,
        hosts: hosts.filter(|given| given.value != MATCHING),
        cooldown: cooldown.map_or(COOLDOWN, |given| given.value),
        per_hour: per_hour.map_or(PER_HOUR, |given| given.value),
        written: section.written().collect(),
    })
}

/// What a rule may be called: a few words, which stand in messages.
pub(super) fn rule_name(name: &str) -> Result<(), String> {
    let plain = name.trim() == name && !name.is_empty() && name.len() <= 64;
    if plain && !name.contains(char::is_control) {
        return Ok(());
    }
    Err("a name of up to 64 bytes without control characters, and no blanks around it".to_owned())
}

pub(crate) fn resolve(drafts: &[Draft], around: &Surroundings<'_>, faults: &mut Faults) -> Vec<Escalate> {
    let mut rules = Vec::with_capacity(drafts.len());
    twice("escalation", drafts.iter().map(|draft| &draft.name), faults);
    for draft in drafts {
        let when = condition::read(&draft.when, (around.library, around.broken), faults);
        if let Some(hosts) = &draft.hosts {
            check_hosts("escalate.hosts", hosts, around, faults);
        }
        let run = probes(&draft.run, around, faults);
        let Some(when) = when else { continue };
        rules.push(Escalate {
            name: draft.name.value.clone(),
            when,
            run,
            hosts: draft.hosts.as_ref().map(|hosts| hosts.value.clone()),
            cooldown: draft.cooldown,
            per_hour: draft.per_hour,
        });
    }
    rules
}

/// Refuses a second rule of one name: what is remembered of it is remembered by its name.
pub(super) fn twice<'a>(what: &str, names: impl Iterator<Item = &'a Located<String>>, faults: &mut Faults) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for name in names {
        if let Some(earlier) = first.get(name.value.as_str()) {
            let title = format!("the {what} {} is here a second time", name.value);
            let fault = Fault::new(name.place.clone(), title).also((*earlier).clone(), "first here");
            faults.push(fault.help("give each its own `name`"));
        } else {
            first.insert(&name.value, &name.place);
        }
    }
}
