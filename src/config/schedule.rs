//! `[[schedule]]`: what runs by itself, where and when. Everything that it names must exist: a
//! schedule that is wrong at three in the morning is wrong for hours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cron;
use super::fault::{Fault, Faults, Place, closest};
use super::hosts::selector_fault;
use super::knob::between;
use super::library::Library;
use super::limits::Limits;
use super::reader::{Located, Section, WrittenValue, inside};
use crate::inventory::Fleet;
use crate::model::{Outcome, ProbeName, duration_text};
use crate::schedule::{BadTimetable, Timetable, zones};
use crate::select::Selector;

pub(crate) const KEYS: &[&str] =
    &["name", "cron", "timezone", "splay", "hosts", "probes", "deadline", "min_success"];

/// What runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub name: String,
    /// Five or six fields, or `@hourly` and the like.
    pub cron: String,
    /// An IANA name (`Europe/Berlin`) or `UTC`.
    pub timezone: String,
    /// What the two above come to.
    pub timetable: Timetable,
    /// The start of each visit is spread over this time.
    pub splay: Duration,
    /// A selector.
    pub hosts: String,
    pub probes: Vec<ProbeName>,
    /// When a sweep of this schedule must have ended; `None`: when its last visit has.
    pub deadline: Option<Duration>,
    /// The share of its readings that must succeed, above 0 and up to 1: with fewer the sweep has failed.
    pub min_success: Option<f64>,
}

impl Schedule {
    /// In words, if fewer of a sweep's readings succeeded than must.
    pub fn shortfall(&self, outcomes: &BTreeMap<Outcome, u64>) -> Option<String> {
        let least = self.min_success?;
        let planned: u64 = outcomes.values().sum();
        let good: u64 =
            outcomes.iter().filter(|(outcome, _)| outcome.is_success()).map(|(_, count)| count).sum();
        // Rounded as if in its favour: 0.9 of 10 readings are 9, whatever the fraction's last bit says.
        let needed = (least * planned as f64 - 1e-9).ceil();
        ((good as f64) < needed).then(|| {
            format!("{good} of {planned} readings succeeded, and the schedule {} needs {needed}", self.name)
        })
    }
}

/// A schedule as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    cron: String,
    timezone: String,
    timetable: Timetable,
    splay: Duration,
    hosts: Located<String>,
    probes: Vec<Located<String>>,
    deadline: Option<Duration>,
    min_success: Option<f64>,
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
    let timezone = match section.field("timezone") {
        Some(_) => section.read_checked("timezone", |name: &String| timezone(name), faults),
        None => Some(Located { value: "UTC".to_owned(), place: section.place() }),
    };
    let timetable =
        cron.as_ref().zip(timezone.as_ref()).and_then(|(cron, zone)| timetable(cron, zone, faults));
    let splay = section.read_checked("splay", between(Duration::ZERO, DAY), faults);
    let deadline = section.read_checked("deadline", between(Duration::from_secs(1), DAY), faults);
    let min_success = section.read_checked("min_success", share, faults);
    if let (Some(deadline), Some(splay)) = (&deadline, &splay)
        && deadline.value <= splay.value
    {
        let title = "the deadline is over before the last visit of the splay begins";
        faults.push(Fault::new(deadline.place.clone(), title).also(splay.place.clone(), "`schedule.splay`"));
    }
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
        cron: cron?.value,
        timezone: timezone?.value,
        timetable: timetable?,
        splay: splay.map(|given| given.value).unwrap_or_default(),
        hosts: hosts?,
        probes: probes?,
        deadline: deadline.map(|given| given.value),
        min_success: min_success.map(|given| given.value),
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

fn share(value: &f64) -> Result<(), String> {
    if *value > 0.0 && *value <= 1.0 {
        Ok(())
    } else {
        Err("a share above 0 and up to 1, as in 0.9".to_owned())
    }
}

fn cron(section: &Section<'_>, faults: &mut Faults) -> Option<Located<String>> {
    let given = section.require::<String>("cron", faults)?;
    match cron::check(&given.value) {
        Ok(()) => Some(given),
        Err(bad) => {
            let written = given.value.get(bad.span.clone()).unwrap_or_default();
            let title = format!("{written:?} is not a time in `schedule.cron`");
            faults
                .push(Fault::new(inside(&given.place, &given.value, bad.span), title).expected(bad.expected));
            None
        }
    }
}

/// That the time zone database has it. The database is the program's own: a collector without one installed
/// must not run at other times than its neighbour.
fn timezone(name: &str) -> Result<(), String> {
    if zones().any(|zone| zone == name) {
        return Ok(());
    }
    let near = closest(name, zones()).map(|near| format!(", perhaps {near:?}"));
    Err(format!("a time zone such as \"UTC\" or \"Europe/Berlin\"{}", near.unwrap_or_default()))
}

fn timetable(cron: &Located<String>, zone: &Located<String>, faults: &mut Faults) -> Option<Timetable> {
    match Timetable::parse(&cron.value, &zone.value) {
        Ok(timetable) => Some(timetable),
        Err(error) => {
            let place = if matches!(error, BadTimetable::Zone(_)) { &zone.place } else { &cron.place };
            faults.push(Fault::new(place.clone(), error.to_string()));
            None
        }
    }
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
            timetable: draft.timetable.clone(),
            splay: draft.splay,
            hosts: draft.hosts.value.clone(),
            probes,
            deadline: draft.deadline,
            min_success: draft.min_success,
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
