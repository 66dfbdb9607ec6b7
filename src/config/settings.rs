//! What a configuration comes to, and each value's origin for `config show`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::alert::{Alert, Alerts};
use super::defaults::Defaults;
use super::escalate::Escalate;
use super::fault::{Fault, Place};
use super::inventory::Inventory;
use super::knob::{Knobs, Layered};
use super::layers::{Layer, Origin};
use super::library::Library;
use super::limits::Limits;
use super::load::Recipe;
use super::metrics::Metrics;
use super::reader::WrittenValue;
use super::receiver::Receiver;
use super::retention::Retention;
use super::schedule::Schedule;
use crate::inventory::{Fleet, Provenance};
use crate::model::HostName;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file it was read from, if there is one.
    pub config_file: Option<PathBuf>,
    /// The drop-ins that were read after it.
    pub drop_ins: Vec<PathBuf>,
    pub state_dir: PathBuf,
    pub state_origin: Origin,
    pub defaults: Defaults,
    pub limits: Limits,
    pub retention: Retention,
    pub fleet: Fleet,
    /// Other programs' lists of hosts, with what stands for each now.
    pub inventories: Vec<Inventory>,
    pub origins: Origins,
    /// Where lists of hosts disagree or cannot be taken as they are, and no harm is done.
    pub remarks: Vec<Fault>,
    pub probes: Library,
    pub schedules: Vec<Schedule>,
    pub escalations: Vec<Escalate>,
    /// How alerts are delivered.
    pub delivery: Alerts,
    pub alerts: Vec<Alert>,
    pub receivers: Vec<Receiver>,
    pub metrics: Metrics,
    pub(crate) shown: Vec<Shown>,
    pub(crate) recipe: Recipe,
}

/// Where each host came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origins {
    /// Our own hosts: where their `[[hosts]]` stands.
    pub(crate) written: HashMap<HostName, Place>,
    /// Those that other programs' lists name.
    pub(crate) named_by: HashMap<HostName, Vec<Provenance>>,
}

impl Origins {
    /// Who names the host: the list's name, `None` for the configuration, and the place.
    pub fn of(&self, host: &HostName) -> Vec<(Option<&str>, &Place)> {
        let own = self.written.get(host).map(|place| (None, place));
        let named = self.named_by.get(host).into_iter().flatten();
        own.into_iter().chain(named.map(|one| (Some(&*one.source), &one.place))).collect()
    }
}

/// An entry before its line is looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub key: String,
    pub value: serde_json::Value,
    /// `None` for a default.
    pub given: Option<(Layer, Place)>,
}

/// One value of `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `limits.concurrency`.
    pub key: String,
    pub value: serde_json::Value,
    pub origin: Origin,
}

impl Entry {
    /// The value as TOML writes it: JSON's strings, numbers, booleans and arrays of them are TOML's, too.
    pub fn value_text(&self) -> String {
        match &self.value {
            serde_json::Value::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                format!("[{}]", items.join(", "))
            }
            value => value.to_string(),
        }
    }
}

impl Settings {
    /// Every value with its origin, by section.
    pub fn entries(&self) -> Vec<Entry> {
        let mut lines = Lines::default();
        let mut entries = Vec::with_capacity(self.shown.len() + 1);
        entries.push(Entry {
            key: "state".to_owned(),
            value: self.state_dir.display().to_string().into(),
            origin: self.state_origin.clone(),
        });
        for Shown { key, value, given } in &self.shown {
            let origin = match given {
                None => Origin::Default,
                Some((Layer::File, place)) => lines.origin(place),
                Some((Layer::Env(name), _)) => Origin::Env(name.clone()),
                Some((Layer::Flag(name), _)) => Origin::Flag(name.clone()),
            };
            entries.push(Entry { key: key.clone(), value: value.clone(), origin });
        }
        entries
    }

    /// The entries as JSON: `[{"key": …, "value": …, "origin": {"layer": "file", "path": …, "line": …}}]`.
    pub fn entries_json(&self) -> serde_json::Value {
        let entry = |entry: Entry| {
            let origin = origin_json(&entry.origin);
            serde_json::json!({ "key": entry.key, "value": entry.value, "origin": origin })
        };
        self.entries().into_iter().map(entry).collect()
    }
}

/// Finds lines' numbers in one text after another. It counts a text's lines once: an inventory of
/// 10,000 blocks asks for 30,000 numbers.
#[derive(Default)]
pub(crate) struct Lines {
    text: Option<Arc<str>>,
    starts: Vec<usize>,
}

impl Lines {
    pub fn origin(&mut self, place: &Place) -> Origin {
        if !self.text.as_ref().is_some_and(|text| Arc::ptr_eq(text, &place.text)) {
            let newlines = place.text.match_indices('\n').map(|(newline, _)| newline + 1);
            self.starts = newlines.collect();
            self.text = Some(Arc::clone(&place.text));
        }
        let line = self.starts.partition_point(|start| *start <= place.span.start) + 1;
        Origin::File { path: Arc::clone(&place.file), line }
    }
}

fn origin_json(origin: &Origin) -> serde_json::Value {
    match origin {
        Origin::Default => serde_json::json!({ "layer": "default" }),
        Origin::File { path, line } => {
            serde_json::json!({ "layer": "file", "path": &**path, "line": line })
        }
        Origin::Env(name) => serde_json::json!({ "layer": "environment", "variable": name }),
        Origin::Flag(name) => serde_json::json!({ "layer": "flag", "flag": name }),
    }
}

/// The entries of one section of single settings.
pub(crate) fn section_entries<S: Knobs>(layered: &Layered<S>) -> impl Iterator<Item = Shown> + '_ {
    S::KNOBS.iter().map(|knob| Shown {
        key: format!("{}.{}", S::SECTION, knob.key),
        value: (knob.json)(&layered.value),
        given: layered.given(knob.key).cloned(),
    })
}

/// The entries of a table as it is written, below `path`.
pub(crate) fn written_entries(path: &str, written: &[WrittenValue]) -> impl Iterator<Item = Shown> {
    written.iter().map(move |WrittenValue { key, value, place }| Shown {
        key: format!("{path}.{key}"),
        value: value.clone(),
        given: Some((Layer::File, place.clone())),
    })
}
