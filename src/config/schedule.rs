//! `[[schedule]]`: what runs by itself, where and when. Everything that it names must exist: a
//! schedule that is wrong at three in the morning is wrong for hours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cron;
use super::fault::{Fault, Faults, Place};
use super::hosts::selector_fault;
use super::knob::between;
use super::library::Library;
use super::limits::Limits;
use super::reader::{Located, Section, WrittenValue, inside};
use crate::inventory::Fleet;
use crate::model::{ProbeName, duration_text};
use crate::select::Selector;

pub(crate) const KEYS: &[&str] = &["name", "cron", "timezone", "splay", "hosts", "probes", "deadline"];

/// What runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// Five or six fields, or `@hourly` and the like.
    pub cron: String,
    /// An IANA name (`Europe/Berlin`) or `UTC`.
    pub timezone: String,
    /// The start of each visit is spread over this time.
    pub splay: Duration,
    /// A selector.
    pub hosts: String,
    pub probes: Vec<ProbeName>,
    /// When a sweep of this schedule must have ended; `None`: when its last visit has.
    pub deadline: Option<Duration>,
}

/// A schedule as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    cron: String,
    timezone: String,
    splay: Duration,
    hosts: Located<String>,
    probes: Vec<Located<String>>,
    deadline: Option<Duration>,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Draft> {
    let sections = root.sections("schedule", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Draft> {
    const DAY: Duration = Duration::from_secs(86_400);
    let name = name(section, faults);
    let cron = cron(section, faults);
    let timezone = section.read_checked("timezone", |name: &String| timezone(name), faults);
    let splay = section.read_checked("splay", between(Duration::ZERO, DAY), faults);
    let deadline = section.read_checked("deadline", between(Duration::from_secs(1), DAY), faults);
    let hosts = match section.field("hosts") {
        Some(field) => field.read::<String>(faults),
        None => Some(Located { value: "*".to_owned(), place: section.place() }),
    };
    section.missing_unless_given("probes", "an array of probes' names", faults);
    let probes = section.strings("probes", faults);
    if probes.as_ref().is_some_and(Vec::is_empty) {
        let place = section.field("probes").map_or_else(|| section.place(), |field| field.place());
        if faults.iter().all(|fault| fault.place != place) {
            faults.push(Fault::new(place, "a schedule without probes").expected("at least one probe's name"));
        }
    }
    Some(Draft {
        name: name?,
        cron: cron?,
        timezone: timezone.map_or_else(|| "UTC".to_owned(), |given| given.value),
        splay: splay.map(|given| given.value).unwrap_or_default(),
        hosts: hosts?,
        probes: probes?,
        deadline: deadline.map(|given| given.value),
        written: section.written().collect(),
    })
}

fn name(section: &Section<'_>, faults: &mut Faults) -> Option<Located<String>> {
    const EXPECTED: &str = "a name of 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit";
    section.missing_unless_given("name", EXPECTED, faults)?;
    let valid = |name: &String| {
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && plain && name.len() <= 64 { Ok(()) } else { Err(EXPECTED.to_owned()) }
    };
    section.read_checked("name", valid, faults)
}

fn cron(section: &Section<'_>, faults: &mut Faults) -> Option<String> {
    let given = section.require::<String>("cron", faults)?;
    match cron::check(&given.value) {
        Ok(()) => Some(given.value),
        Err(bad) => {
            let written = given.value.get(bad.span.clone()).unwrap_or_default();
            let title = format!("{written:?} is not a time in `schedule.cron`");
            faults
                .push(Fault::new(inside(&given.place, &given.value, bad.span), title).expected(bad.expected));
            None
        }
    }
}

/// The form of an IANA name. Whether the machine knows it is asked where times are computed.
fn timezone(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with(['-', '+']) && part.bytes().all(plain);
    let fits = name.len() <= 64 && (name == "UTC" || name.contains('/') && name.split('/').all(part));
    if fits { Ok(()) } else { Err("a time zone such as \"UTC\" or \"Europe/Berlin\"".to_owned()) }
}

/// What drafts are checked against.
pub(crate) struct Surroundings<'a> {
    /// `None` when its own faults make every name in it doubtful.
    pub fleet: Option<&'a Fleet>,
    pub library: &'a Library,
    /// Probes that are there but could not be read; their own faults say so.
    pub broken: bool,
    pub limits: &'a Limits,
}

pub(crate) fn resolve(drafts: &[Draft], around: &Surroundings<'_>, faults: &mut Faults) -> Vec<Schedule> {
    let mut first: BTreeMap<String, Place> = BTreeMap::new();
    let mut schedules = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(earlier) = first.get(&draft.name.value) {
            let title = format!("the schedule {} is here a second time", draft.name.value);
            faults.push(Fault::new(draft.name.place.clone(), title).also(earlier.clone(), "first here"));
        } else {
            first.insert(draft.name.value.clone(), draft.name.place.clone());
        }
        check_hosts("schedule.hosts", &draft.hosts, around, faults);
        let probes = probes(&draft.probes, around, faults);
        schedules.push(Schedule {
            name: draft.name.value.clone(),
            cron: draft.cron.clone(),
            timezone: draft.timezone.clone(),
            splay: draft.splay,
            hosts: draft.hosts.value.clone(),
            probes,
            deadline: draft.deadline,
        });
    }
    schedules
}

/// Refuses a selector that cannot be read or that selects nothing; `key` is what it is written as.
pub(super) fn check_hosts(
    key: &str,
    hosts: &Located<String>,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    let parsed = Selector::parse(&hosts.value);
    let selected = match around.fleet {
        Some(fleet) => parsed.and_then(|selector| selector.select(&fleet.catalog())),
        None => parsed.map(|_| vec![0]),
    };
    match selected {
        Err(error) => faults.push(selector_fault(key, hosts, &error)),
        Ok(selected) if selected.is_empty() => {
            let fault = Fault::new(hosts.place.clone(), format!("{:?} selects no host", hosts.value));
            faults.push(fault.expected("a selector of at least one host"));
        }
        Ok(_) => {}
    }
}

/// The probes of these names; each that is not there, or stands there twice, is a fault.
pub(super) fn probes(
    names: &[Located<String>],
    around: &Surroundings<'_>,
    faults: &mut Faults,
) -> Vec<ProbeName> {
    let mut probes: Vec<ProbeName> = Vec::with_capacity(names.len());
    for Located { value, place } in names {
        let Some(probe) = around.library.get(value) else {
            if !around.broken {
                let near = around.library.closest(value).map(|near| format!("did you mean {near:?}?"));
                let fault = Fault::new(place.clone(), format!("no such probe: {value:?}"));
                faults
                    .push(fault.expected("the name of a file in probes.d/, without .toml").maybe_help(near));
            }
            continue;
        };
        if probes.contains(&probe.name) {
            faults.push(Fault::new(place.clone(), format!("the probe {value} stands here twice")));
            continue;
        }
        let visit = around.limits.visit_timeout;
        if probe.timeout > visit {
            let (timeout, visit) = (duration_text(probe.timeout), duration_text(visit));
            let title = format!("the probe {value} may take {timeout}, but a visit ends after {visit}");
            faults.push(Fault::new(place.clone(), title).help("raise `limits.visit_timeout`"));
        }
        probes.push(probe.name.clone());
    }
    probes
}
