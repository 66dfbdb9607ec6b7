//! A sweep into the book of alerts.

use std::collections::HashSet;
use std::path::Path;

use super::book::{Book, Incident, Queued, Telling, hash};
use super::notice::{Notice, State};
use super::own::{self, Trouble};
use super::{rules, shelf};
use crate::collect::Swept;
use crate::config::Settings;
use crate::model::{CollectorTime, HostName, OwnAlert, Severity};
use crate::store::StoreError;
use crate::store::index::Reader;
use crate::watch::sight::Sight;

/// What came of it.
#[derive(Debug, Default)]
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
    now: CollectorTime,
) -> Result<Taken, StoreError> {
    let reader = Reader::open(&settings.state_dir)?;
    let mut seen = own::observations(settings, &reader, (swept, &sight.sweep))?;
    seen.push(own::space(settings)?);
    change(settings, now, |book, telling| {
        let known: HashSet<&HostName> = settings.fleet.hosts.iter().map(|host| &host.name).collect();
        book.forget(|host| known.contains(host), telling);
        let is_own = |name: &str| OwnAlert::ALL.iter().any(|facts| facts.name == name);
        let is_rule = |name: &str| settings.alerts.iter().any(|alert| alert.name == name);
        let gone = |it: &Incident| {
            (!is_rule(&it.rule) && !is_own(&it.rule)).then(|| "the rule was taken out".to_owned())
        };
        book.retire(gone, telling);
        seen.extend(rules::observations(settings, sight, book)?);
        seen.iter().for_each(|seen| book.observe(seen, telling));
        Ok(())
    })
}

/// Opens incidents of the collector's own that no sweep shows: one that was missed, or that broke off.
/// Returns what a person should know.
pub fn raise(
    settings: &Settings,
    troubles: &[Trouble],
    now: CollectorTime,
) -> Result<Vec<String>, StoreError> {
    let taken = change(settings, now, |book, telling| {
        troubles.iter().for_each(|trouble| book.observe(&trouble.observation(), telling));
        Ok(())
    })?;
    Ok(taken.remarks)
}

fn change(
    settings: &Settings,
    now: CollectorTime,
    work: impl FnOnce(&mut Book, Telling<'_>) -> Result<(), StoreError>,
) -> Result<Taken, StoreError> {
    let telling = Telling { receivers: &settings.receivers, delivery: &settings.delivery, now };
    let note = shelf::note(&settings.state_dir);
    let mut pen = note.pen()?;
    let (mut book, amiss) = shelf::open(&note, &mut pen)?;
    let mut taken = Taken { remarks: amiss.into_iter().collect(), unsaved: Vec::new() };
    let before = book.clone();
    let gone = book.drop_unknown(&settings.receivers);
    if gone > 0 {
        taken
            .remarks
            .push(format!("{gone} messages waited for receivers that are no longer configured; dropped"));
    }
    work(&mut book, telling)?;
    if book == before {
        return Ok(taken);
    }
    if let Err(error) = pen.replace(&book) {
        taken.remarks.push(format!("alerts cannot be kept: {error}"));
        let is_new = |it: &Queued| before.queue.iter().all(|known| known.number != it.number);
        taken.unsaved = book.queue.into_iter().filter(is_new).collect();
    }
    Ok(taken)
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
