//! A sweep into the book of alerts.

use std::collections::HashSet;
use std::path::Path;

use super::book::{Book, Incident, Queued, Telling, hash};
use super::notice::{Notice, State};
use super::own::{self, Trouble};
use super::unkept::Unkept;
use super::{rules, shelf};
use crate::collect::Swept;
use crate::config::Settings;
use crate::model::{CollectorTime, HostName, OwnAlert, Severity};
use crate::store::StoreError;
use crate::store::index::Reader;
use crate::watch::sight::Sight;

/// What came of it.
#[derive(Debug)]
pub(in crate::watch) struct Taken {
    pub remarks: Vec<String>,
    /// Messages that could not be kept: to be sent now or never.
    pub unsaved: Vec<Queued>,
}

/// Everything that is remembered of alerts; nothing yet is an empty book.
pub fn book(root: &Path) -> Result<Book, StoreError> {
    shelf::note(root).read()
}

/// Puts what a sweep says into the book. On the disk when it returns, or said to be not.
pub(in crate::watch) fn take(
    settings: &Settings,
    (swept, sight): (&Swept, &Sight),
    when: (CollectorTime, &Unkept),
) -> Result<Taken, StoreError> {
    let reader = Reader::open(&settings.state_dir)?;
    let mut seen = own::observations(settings, &reader, (swept, &sight.sweep))?;
    seen.push(own::space(settings)?);
    change(settings, when, |book, telling| {
        seen.extend(rules::observations(settings, sight, book)?);
        seen.iter().for_each(|seen| book.observe(seen, telling));
        Ok(())
    })
}

/// Opens incidents of the collector's own that no sweep shows.
pub(in crate::watch) fn raise(
    settings: &Settings,
    troubles: &[Trouble],
    when: (CollectorTime, &Unkept),
) -> Result<Taken, StoreError> {
    change(settings, when, |book, telling| {
        troubles.iter().for_each(|trouble| book.observe(&trouble.observation(), telling));
        Ok(())
    })
}

fn change(
    settings: &Settings,
    (now, unkept): (CollectorTime, &Unkept),
    work: impl FnOnce(&mut Book, Telling<'_>) -> Result<(), StoreError>,
) -> Result<Taken, StoreError> {
    let telling = Telling { receivers: &settings.receivers, delivery: &settings.delivery, now };
    let note = shelf::note(&settings.state_dir);
    let mut held = unkept.held();
    let mut pen = note.pen();
    let (on_disk, amiss) = match &mut pen {
        Ok(pen) => shelf::open(&note, pen)?,
        // A disk that takes no lock takes no book either, and that is when somebody should hear of it.
        Err(_) => (note.read().unwrap_or_default(), None),
    };
    let mut taken = Taken { remarks: amiss.into_iter().collect(), unsaved: Vec::new() };
    let mut book = on_disk.clone();
    held.lay_over(&mut book);
    let gone = book.drop_unknown(&settings.receivers);
    if gone > 0 {
        taken
            .remarks
            .push(format!("{gone} messages waited for receivers that are no longer configured; dropped"));
    }
    retire(settings, &mut book, telling);
    work(&mut book, telling)?;
    let written = match pen {
        _ if book == on_disk => Ok(()),
        Ok(mut pen) => pen.replace(&book),
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => held.kept(),
        Err(error) => {
            taken.remarks.push(format!("alerts cannot be kept: {error}"));
            taken.unsaved = held.hold(on_disk, book);
        }
    }
    Ok(taken)
}

/// Ends incidents of hosts, rules, schedules and lists that are no longer configured: nothing will be heard of
/// them any more.
fn retire(settings: &Settings, book: &mut Book, telling: Telling<'_>) {
    let known: HashSet<&HostName> = settings.fleet.hosts.iter().map(|host| &host.name).collect();
    book.forget(|host| known.contains(host), telling);
    let why = |it: &Incident| match OwnAlert::ALL.iter().find(|facts| facts.name == it.rule) {
        None => {
            let is_known = settings.alerts.iter().any(|alert| alert.name == it.rule);
            (!is_known).then_some("the rule was taken out")
        }
        Some(facts) => match facts.alert {
            OwnAlert::LowSpace => None,
            OwnAlert::InventoryStale => {
                let is_known = settings.inventories.iter().any(|list| *list.name == *it.subject);
                (!is_known).then_some("the list of hosts was taken out")
            }
            OwnAlert::NoHostReached
            | OwnAlert::LowSuccess
            | OwnAlert::SweepFailed
            | OwnAlert::SweepMissed => {
                let is_known = settings.schedules.iter().any(|schedule| schedule.name == it.subject);
                (!is_known).then_some("the schedule was taken out")
            }
        },
    };
    book.retire(|it| why(it).map(str::to_owned), telling);
}

/// What `alerts test` sends.
pub(super) fn test_notice(now: CollectorTime) -> Notice {
    let incident = hash(&["test", &now.unix_ns().to_string()]);
    Notice {
        id: hash(&[&incident, "1"]),
        incident,
        state: State::Test,
        rule: "dropsonde_test".to_owned(),
        severity: Severity::Info,
        metric: None,
        condition: "somebody ran `dropsonde alerts test`".to_owned(),
        hosts: Vec::new(),
        joined: Vec::new(),
        worst: None,
        detail: Some("alerts reach you".to_owned()),
        sweep: None,
        opened_ns: now.unix_ns(),
        at_ns: now.unix_ns(),
    }
}
