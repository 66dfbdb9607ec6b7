//! Other programs' lists of hosts, read again at their intervals: beside the loop, which never waits for them.
//! What changed is said once, and a list that fails leaves the one before in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::outfit::Outfit;
use super::run::keep_inventories;
use crate::config::{self, Faults, Inventory, Settings};
use crate::model::HostName;
use crate::render::{Lines, counted, escape};
use crate::select;

/// However short an interval is: a list is read no more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// Hosts that a line of the log names; of more it has the number.
const NAMED: usize = 200;

pub(super) struct Renewal {
    /// When the lists are next read; never without any.
    next: Option<Instant>,
    running: Option<JoinHandle<Result<Settings, Faults>>>,
    /// What was last wrong with all of it together, so that it is said once.
    wrong: Option<String>,
    /// A configuration was loaded meanwhile, and what is under way is about the one before.
    outdated: bool,
    /// What is in force, to compare with.
    inventories: Vec<Inventory>,
}

impl Renewal {
    pub fn new(settings: &Settings) -> Self {
        let inventories = settings.inventories.clone();
        for trouble in inventories.iter().filter_map(|inventory| inventory.answer.trouble()) {
            tracing::error!("{}", escape(&trouble, Lines::Single));
        }
        Self { next: next(settings), running: None, wrong: None, outdated: false, inventories }
    }

    /// Begins anew with another configuration.
    pub fn restart(&mut self, settings: &Settings) {
        let running = self.running.take();
        *self = Self { outdated: running.is_some(), running, ..Self::new(settings) };
    }

    pub fn rest(&self) -> Duration {
        match (self.next, &self.running) {
            (Some(next), None) => next.saturating_duration_since(Instant::now()),
            _ => Duration::MAX,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts reading if it is time.
    pub fn look(&mut self, outfit: &Arc<Outfit>) {
        if self.running.is_some() || self.next.is_none_or(|next| Instant::now() < next) {
            return;
        }
        let outfit = Arc::clone(outfit);
        let read = move || config::refresh(&outfit.settings).inspect(keep_inventories);
        self.running = Some(spawn_blocking(read));
    }

    /// Waits for what is being read; `None` if what was there before stays.
    pub async fn done(&mut self) -> Option<Settings> {
        let task = self.running.as_mut()?;
        let read = task.await;
        self.running = None;
        if std::mem::take(&mut self.outdated) {
            return None;
        }
        match read {
            Ok(Ok(settings)) => {
                self.wrong = None;
                self.next = next(&settings);
                say(&self.inventories, &settings.inventories);
                self.inventories.clone_from(&settings.inventories);
                Some(settings)
            }
            Ok(Err(faults)) => {
                self.again(faults.to_string());
                None
            }
            Err(error) => {
                self.again(format!("reading them broke off; this is a bug: {error}"));
                None
            }
        }
    }

    fn again(&mut self, wrong: String) {
        let shortest = self.inventories.iter().map(|one| one.refresh).min().unwrap_or(SHORTEST);
        self.next = Some(Instant::now() + shortest.max(SHORTEST));
        if self.wrong.as_ref() != Some(&wrong) {
            let shown = escape(&wrong, Lines::Single);
            tracing::error!("the lists of hosts cannot be used as they are now, those before stay: {shown}");
            self.wrong = Some(wrong);
        }
    }

    /// Lets what is under way end: it may write.
    pub async fn close(self) {
        if let Some(running) = self.running {
            let _ = running.await;
        }
    }
}

fn next(settings: &Settings) -> Option<Instant> {
    let shortest = settings.inventories.iter().map(|inventory| inventory.refresh).min()?;
    Some(Instant::now() + shortest.max(SHORTEST))
}

/// Which lists fail, answer again, or have other hosts than before.
fn say(before: &[Inventory], after: &[Inventory]) {
    for new in after {
        let Some(old) = before.iter().find(|old| old.name == new.name) else { continue };
        match (&old.answer.failed, new.answer.trouble()) {
            (None, Some(trouble)) => tracing::error!("{}", escape(&trouble, Lines::Single)),
            (Some(_), None) => tracing::info!("inventory {}: it can be read again", new.name),
            _ => {}
        }
        let names = |one: &Inventory| -> BTreeSet<HostName> {
            one.wanted.hosts.iter().map(|host| host.name.clone()).collect()
        };
        let (old, new_names) = (names(old), names(new));
        if old == new_names {
            continue;
        }
        let told = |names: Vec<&HostName>| match names.len() {
            0 => "none".to_owned(),
            1..=NAMED => select::fold(names.into_iter().map(HostName::as_str)),
            many => counted(many, "host"),
        };
        let gone = told(old.difference(&new_names).collect());
        let added = told(new_names.difference(&old).collect());
        let (from, to) = (old.len(), counted(new_names.len(), "host"));
        tracing::info!("inventory {}: {from} → {to}; new: {added}; gone: {gone}", new.name);
    }
}
