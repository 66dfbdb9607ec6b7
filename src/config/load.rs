//! Files, environment and flags → [`Settings`]. One pass gathers what is written, the next checks it
//! against each other; a fault in the first never stops the second where that can still be trusted.

use std::path::{Path, PathBuf};

use super::alert::{self, Alerts};
use super::defaults::Defaults;
use super::escalate;
use super::fault::Faults;
use super::file;
use super::hosts::{self, Groups, Written};
use super::knob::{Knobs, Layered};
use super::layers::{Layer, Sources};
use super::library::Library;
use super::limits::{self, Limits};
use super::metrics::Metrics;
use super::reader::{Document, Located, Section};
use super::receiver;
use super::retention::Retention;
use super::schedule::{self, Draft, Surroundings};
use super::settings::{Settings, Shown, section_entries, written_entries};
use super::value::Base;
use crate::model::OwnAlert;

pub(crate) const KEYS: &[&str] = &[
    "state",
    "defaults",
    "limits",
    "retention",
    "hosts",
    "groups",
    "schedule",
    "escalate",
    "alerts",
    "alert",
    "receiver",
    "metrics",
];

/// Loads and checks the whole configuration. No file at all is a configuration, too.
pub fn load(sources: &Sources) -> Result<Settings, Faults> {
    let (config_file, folder) = sources.locate();
    let mut faults = Faults::default();
    let mut draft = Gathered::new(sources);
    if let Some(file) = &config_file {
        draft.file(file, &mut faults);
    }
    let drop_ins = folder.as_deref().map_or(Ok(Vec::new()), |folder| file::drop_ins(&folder.join("conf.d")));
    let drop_ins = drop_ins.unwrap_or_else(|more| {
        faults.append(more);
        draft.whole = false;
        Vec::new()
    });
    for path in &drop_ins {
        draft.file(path, &mut faults);
    }
    draft.environment_and_flags(&mut faults);
    let library = Library::load(&sources.probe_folders(folder.as_deref()));
    let (probes, probe_faults) = library.map_or_else(|both| both, |library| (library, Faults::default()));
    let settings = draft.settings(probes, !probe_faults.is_empty(), &mut faults);
    faults.append(probe_faults);
    match settings {
        Some(settings) if faults.is_empty() => Ok(Settings { config_file, drop_ins, ..settings }),
        _ => Err(faults),
    }
}

/// What all files say, before anything is checked against anything else.
struct Gathered<'s> {
    sources: &'s Sources,
    home: Option<PathBuf>,
    state: Option<Located<PathBuf>>,
    defaults: Layered<Defaults>,
    limits: Layered<Limits>,
    retention: Layered<Retention>,
    hosts: Vec<Written>,
    groups: Groups,
    schedules: Vec<Draft>,
    escalations: Vec<escalate::Draft>,
    delivery: Layered<Alerts>,
    metrics: Layered<Metrics>,
    alerts: Vec<alert::Draft>,
    receivers: Vec<receiver::Draft>,
    /// Whether every file and all hosts and groups could be read: else a name that is not there may
    /// well stand in what could not.
    whole: bool,
}

impl<'s> Gathered<'s> {
    fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            home: sources.home(),
            state: None,
            defaults: Layered::new(Defaults::default()),
            limits: Layered::new(Limits::default()),
            retention: Layered::new(Retention::default()),
            hosts: Vec::new(),
            groups: Groups::new(),
            schedules: Vec::new(),
            escalations: Vec::new(),
            delivery: Layered::new(Alerts::default()),
            metrics: Layered::new(Metrics::default()),
            alerts: Vec::new(),
            receivers: Vec::new(),
            whole: true,
        }
    }

    fn file(&mut self, path: &Path, faults: &mut Faults) {
        let text = match file::read(path) {
            Ok(text) => text,
            Err(more) => {
                faults.append(more);
                self.whole = false;
                return;
            }
        };
        let home = self.home.clone();
        let document = Document::parse(&text, home.as_deref());
        self.whole &= document.is_whole();
        document.walk(KEYS, faults, |root, faults| self.root(root, faults));
    }

    fn root(&mut self, root: &Section<'_>, faults: &mut Faults) {
        if let Some(state) = root.read::<PathBuf>("state", faults) {
            self.state = Some(state);
        }
        if let Some(section) = root.section("defaults", Defaults::KEYS, faults) {
            self.defaults.file(&section, faults);
        }
        if let Some(section) = root.section("limits", Limits::KEYS, faults) {
            self.limits.file(&section, faults);
        }
        if let Some(section) = root.section("retention", Retention::KEYS, faults) {
            self.retention.file(&section, faults);
        }
        let before = faults.iter().count();
        self.hosts.extend(hosts::read_all(root, faults));
        if let Some(section) = root.open_section("groups", faults) {
            for (name, field) in section.fields() {
                if let Some(expression) = field.read::<String>(faults) {
                    self.groups.insert(name.to_owned(), (field.key_place(), expression));
                }
            }
        }
        self.whole &= faults.iter().count() == before;
        self.schedules.extend(schedule::read_all(root, faults));
        self.escalations.extend(escalate::read_all(root, faults));
        if let Some(section) = root.section("alerts", Alerts::KEYS, faults) {
            self.delivery.file(&section, faults);
        }
        if let Some(section) = root.section("metrics", Metrics::KEYS, faults) {
            self.metrics.file(&section, faults);
        }
        self.alerts.extend(alert::read_all(root, faults));
        self.receivers.extend(receiver::read_all(root, faults));
    }

    fn environment_and_flags(&mut self, faults: &mut Faults) {
        let (keys, variables) = names();
        self.sources.refuse_unknown(&keys, &variables, faults);
        self.defaults.environment_and_flags(self.sources, faults);
        self.limits.environment_and_flags(self.sources, faults);
        self.delivery.environment_and_flags(self.sources, faults);
        self.metrics.environment_and_flags(self.sources, faults);
        self.retention.environment_and_flags(self.sources, faults);
    }

    fn settings(mut self, probes: Library, broken: bool, faults: &mut Faults) -> Option<Settings> {
        limits::reconcile(&mut self.limits, faults);
        self.fill_defaults();
        let before = faults.iter().count();
        let fleet = hosts::build(&self.hosts, &self.groups, &self.defaults, (self.whole, faults));
        let trusted = self.whole && faults.iter().count() == before;
        let around = Surroundings {
            fleet: trusted.then_some(&fleet),
            library: &probes,
            broken,
            limits: &self.limits.value,
        };
        let schedules = schedule::resolve(&self.schedules, &around, faults);
        let escalations = escalate::resolve(&self.escalations, &around, faults);
        let alerts = alert::resolve(&self.alerts, &around, faults);
        let own = OwnAlert::ALL.iter().map(|facts| facts.name);
        let names: Vec<&str> = alerts.iter().map(|alert| alert.name.as_str()).chain(own).collect();
        let receivers = receiver::resolve(&self.receivers, &names, faults);
        let shown = self.shown();
        let (state_dir, state_origin) =
            self.sources.state_dir(self.state).map_err(|more| faults.append(more)).ok()?;
        Some(Settings {
            config_file: None,
            drop_ins: Vec::new(),
            state_dir,
            state_origin,
            defaults: self.defaults.value,
            limits: self.limits.value,
            retention: self.retention.value,
            fleet,
            probes,
            schedules,
            escalations,
            delivery: self.delivery.value,
            metrics: self.metrics.value,
            alerts,
            receivers,
            shown,
        })
    }

    /// The defaults that depend on who runs the program and where.
    fn fill_defaults(&mut self) {
        let base = Base { home: self.home.clone(), ..Base::default() };
        let given = |key| self.defaults.given(key).is_some();
        let (user, keys, known_hosts) = (given("user"), given("identity_files"), given("known_hosts"));
        let ssh_config = given("ssh_config");
        let defaults = &mut self.defaults.value;
        if !keys {
            defaults.identity_files = expand(&base, &defaults.identity_files);
            // A key that was never asked for need not be there.
            defaults.identity_files.retain(|path| path.exists());
        }
        if !known_hosts {
            defaults.known_hosts = expand(&base, &defaults.known_hosts);
        }
        if !ssh_config {
            defaults.ssh_config = expand(&base, &defaults.ssh_config);
        }
        if !user && let Some((variable, name)) = self.sources.user() {
            defaults.user = name.to_owned();
            self.defaults.default_from("user", variable, name);
        }
    }

    fn shown(&self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = section_entries(&self.defaults).collect();
        shown.extend(section_entries(&self.limits));
        shown.extend(section_entries(&self.retention));
        for (number, hosts) in self.hosts.iter().enumerate() {
            shown.extend(written_entries(&format!("hosts.{}", number + 1), &hosts.written));
        }
        for (name, (_, expression)) in &self.groups {
            shown.push(Shown {
                key: format!("groups.{name}"),
                value: expression.value.clone().into(),
                given: Some((Layer::File, expression.place.clone())),
            });
        }
        for draft in &self.schedules {
            shown.extend(written_entries(&format!("schedule.{}", draft.name.value), &draft.written));
        }
        for (number, draft) in self.escalations.iter().enumerate() {
            shown.extend(written_entries(&format!("escalate.{}", number + 1), &draft.written));
        }
        shown.extend(section_entries(&self.delivery));
        shown.extend(section_entries(&self.metrics));
        for (number, draft) in self.alerts.iter().enumerate() {
            shown.extend(written_entries(&format!("alert.{}", number + 1), &draft.written));
        }
        for draft in &self.receivers {
            shown.extend(written_entries(&format!("receiver.{}", draft.name.value), &draft.written));
        }
        shown
    }
}

/// Built-in paths with `~` resolved; without a home those below it are none.
fn expand(base: &Base, paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().filter_map(|path| base.path(path.to_str()?).ok()).collect()
}

/// The keys and the variables of all single settings.
fn names() -> (Vec<String>, Vec<String>) {
    fn of<S: Knobs>() -> impl Iterator<Item = (String, String)> {
        S::KEYS.iter().map(|key| (format!("{}.{key}", S::SECTION), S::variable(key)))
    }
    of::<Defaults>()
        .chain(of::<Limits>())
        .chain(of::<Alerts>())
        .chain(of::<Retention>())
        .chain(of::<Metrics>())
        .unzip()
}
