//! All sources, asked at once, each with its last good answer at hand. A source that fails makes the fleet
//! neither smaller nor empty: its last good list stands in, and everybody is told. Where there is none, it is
//! a fault.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ask::ask;
use super::fault::{Fault, Faults, Place};
use super::found::Found;
use super::keep;
use super::source::Source;
use crate::model::CollectorTime;
use crate::render::counted;

/// What stands for a source now.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub name: String,
    pub identity: String,
    pub found: Arc<Found>,
    /// When the source gave it.
    pub answered: CollectorTime,
    /// When the source was last asked.
    pub tried: CollectorTime,
    /// Answers without a host since.
    pub empties: u32,
    /// Why the source's latest answer is not this one.
    pub failed: Option<Faults>,
}

impl Answer {
    /// What is wrong, in one line; `None` while the source answers.
    pub fn trouble(&self) -> Option<String> {
        let faults = self.failed.as_ref()?;
        let first = faults.iter().next().map(ToString::to_string).unwrap_or_default();
        let more = match faults.iter().count() {
            0 | 1 => String::new(),
            count => format!(" (and {})", counted(count - 1, "further fault")),
        };
        let hosts = counted(self.found.hosts.len(), "host");
        let since = self.answered.rfc3339();
        Some(format!(
            "inventory {}: {first}{more}; its list from {since} with {hosts} stays in force",
            self.name
        ))
    }
}

/// What the sources are asked with.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Where answers are kept.
    pub state_dir: Option<&'a Path>,
    /// Where systemd puts a unit's credentials.
    pub credentials: Option<&'a Path>,
    /// What is known already.
    pub before: &'a [Answer],
    /// Ask, however young the last answer is.
    pub fresh: bool,
}

/// One answer for each source, in their order, or what is wrong with it.
pub fn gather(sources: &[Source], around: &Around<'_>) -> Vec<Result<Answer, Faults>> {
    thread::scope(|scope| {
        let asked: Vec<_> = sources.iter().map(|source| scope.spawn(move || one(source, around))).collect();
        let bug =
            |_| Err(Fault::new(Place::whole("inventory"), "asking for it broke off; this is a bug").into());
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(bug)).collect()
    })
}

fn now() -> CollectorTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    CollectorTime::from_unix_ns(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn one(source: &Source, around: &Around<'_>) -> Result<Answer, Faults> {
    let now = now();
    let identity = source.identity();
    let known = around.before.iter().find(|known| known.name == source.name && known.identity == identity);
    let kept = around.state_dir.and_then(|state_dir| keep::load(state_dir, source));
    let last = match (known.cloned(), kept) {
        (Some(known), Some(kept)) if kept.answered > known.answered => Some(kept),
        (Some(known), _) => Some(known),
        (None, kept) => kept,
    };
    if !around.fresh
        && source.kind.is_asked()
        && let Some(last) = last.as_ref().filter(|last| is_young(last, source, now))
    {
        return Ok(last.clone());
    }
    let empties = last.as_ref().map_or(0, |last| last.empties);
    let (faults, empties) = match ask(source, around.credentials) {
        Ok(found) if !found.hosts.is_empty() || believed(source, empties + 1) => {
            return Ok(Answer {
                name: source.name.clone(),
                identity,
                empties: if found.hosts.is_empty() { empties + 1 } else { 0 },
                found: Arc::new(found),
                answered: now,
                tried: now,
                failed: None,
            });
        }
        // It is empty already, and was believed.
        Ok(found) if last.as_ref().is_some_and(|last| last.found.hosts.is_empty()) => {
            return Ok(Answer {
                name: source.name.clone(),
                identity,
                empties,
                found: Arc::new(found),
                answered: now,
                tried: now,
                failed: None,
            });
        }
        Ok(_) => (nobody(source, last.as_ref(), empties + 1), empties + 1),
        Err(faults) => (faults, empties),
    };
    match last {
        Some(last) => Ok(Answer { tried: now, empties, failed: Some(faults), ..last }),
        None => Err(faults),
    }
}

fn is_young(answer: &Answer, source: &Source, now: CollectorTime) -> bool {
    let age = now.unix_ns().checked_sub(answer.tried.unix_ns()).and_then(|age| u64::try_from(age).ok());
    // An answer from the future is one of a clock that was set.
    age.is_some_and(|age| Duration::from_nanos(age) < source.refresh)
}

fn believed(source: &Source, empties: u32) -> bool {
    source.believe_empty_after > 0 && empties >= source.believe_empty_after
}

fn nobody(source: &Source, last: Option<&Answer>, empties: u32) -> Faults {
    let before = last.map_or(0, |last| last.found.hosts.len());
    let title = match (before, source.believe_empty_after) {
        (0, _) => "it names no host".to_owned(),
        (before, 0) => format!("it names no host, where there were {before}"),
        (before, after) => {
            format!(
                "it names no host, where there were {before}: time {empties} of {after} before it is believed"
            )
        }
    };
    let help = "if it may be empty, set believe_empty_after = 1 for it";
    Fault::new(Place::whole(format!("inventory {}", source.name)), title).help(help).into()
}
