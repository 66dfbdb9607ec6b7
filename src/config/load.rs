//! Files, environment and flags → [`Settings`]. One pass gathers what is written, the next checks it
//! against each other; a fault in the first never stops the second where that can still be trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access;
use super::alert::{self, Alerts};
use super::defaults::Defaults;
use super::escalate;
use super::fault::Faults;
use super::file;
use super::hosts::{self, Groups, Written};
use super::inventory::{self, Inventory, World};
use super::knob::{Knobs, Layered};
use super::layers::{Layer, Sources};
use super::library::Library;
use super::limits::{self, Limits};
use super::metrics::Metrics;
use super::reader::{Document, Located, Section};
use super::receiver;
use super::retention::Retention;
use super::schedule::{self, Draft, Surroundings};
use super::settings::{Origins, Settings, Shown, section_entries, written_entries};
use super::value::Base;
use crate::inventory::{Answer, Around};
use crate::model::OwnAlert;

pub(crate) const KEYS: &[&str] = &[
    "state",
    "defaults",
    "limits",
    "retention",
    "hosts",
    "access",
    "inventory",
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
    let mut draft = Gathered::new(sources.clone());
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
    let known = Known { probes, broken: !probe_faults.is_empty(), before: Vec::new() };
    let recipe = Arc::new(draft);
    let settings = Gathered::clone(&recipe).settings(known, &mut faults);
    faults.append(probe_faults);
    match settings {
        Some(settings) if faults.is_empty() => {
            Ok(Settings { config_file, drop_ins, recipe: Recipe(recipe), ..settings })
        }
        _ => Err(faults),
    }
}

/// The same configuration with its inventories read again, those whose answers are not young any more: no file
/// of the configuration itself is read.
pub fn refresh(settings: &Settings) -> Result<Settings, Faults> {
    let Recipe(recipe) = &settings.recipe;
    let before = settings.inventories.iter().map(|one| one.answer.clone()).collect();
    let known = Known { probes: settings.probes.clone(), broken: false, before };
    let mut faults = Faults::default();
    let mut draft = Gathered::clone(recipe);
    draft.sources.fresh = false;
    match draft.settings(known, &mut faults) {
        Some(again) if faults.is_empty() => Ok(Settings {
            config_file: settings.config_file.clone(),
            drop_ins: settings.drop_ins.clone(),
            state_dir: settings.state_dir.clone(),
            recipe: settings.recipe.clone(),
            ..again
        }),
        _ => Err(faults),
    }
}

/// What is there beside what the files say.
struct Known {
    probes: Library,
    /// Whether a probe could not be read.
    broken: bool,
    /// What the inventories answered last.
    before: Vec<Answer>,
}

/// What a configuration's files say, kept so that it can be put together again with other hosts.
#[derive(Clone)]
pub(crate) struct Recipe(Arc<Gathered>);

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipe")
    }
}

impl PartialEq for Recipe {
    /// What it makes is what counts.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What all files say, before anything is checked against anything else.
#[derive(Clone)]
struct Gathered {
    sources: Sources,
    home: Option<PathBuf>,
    state: Option<Located<PathBuf>>,
    defaults: Layered<Defaults>,
    limits: Layered<Limits>,
    retention: Layered<Retention>,
    hosts: Vec<Written>,
    access: Vec<access::Rule>,
    groups: Groups,
    inventories: Vec<inventory::Draft>,
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

impl Gathered {
    fn new(sources: Sources) -> Self {
        Self {
            home: sources.home(),
            sources,
            state: None,
            defaults: Layered::new(Defaults::default()),
            limits: Layered::new(Limits::default()),
            retention: Layered::new(Retention::default()),
            hosts: Vec::new(),
            access: Vec::new(),
            groups: Groups::new(),
            inventories: Vec::new(),
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
        self.access.extend(access::read_all(root, faults));
        if let Some(section) = root.open_section("groups", faults) {
            for (name, field) in section.fields() {
                if let Some(expression) = field.read::<String>(faults) {
                    self.groups.insert(name.to_owned(), (field.key_place(), expression));
                }
            }
        }
        let world = World { home: self.home.as_deref(), environment: &self.sources.environment };
        self.inventories.extend(inventory::read_all(root, world, faults));
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
        self.defaults.environment_and_flags(&self.sources, faults);
        self.limits.environment_and_flags(&self.sources, faults);
        self.delivery.environment_and_flags(&self.sources, faults);
        self.metrics.environment_and_flags(&self.sources, faults);
        self.retention.environment_and_flags(&self.sources, faults);
    }

    fn settings(mut self, known: Known, faults: &mut Faults) -> Option<Settings> {
        limits::reconcile(&mut self.limits, faults);
        self.fill_defaults();
        let state = self.sources.state_dir(self.state.take());
        let state = state.map_err(|more| faults.append(more)).ok();
        let before = faults.iter().count();
        let inventories = self.ask(state.as_ref().map(|(path, _)| path.as_path()), &known.before, faults);
        let whole = self.whole && inventories.is_some();
        let inventories = inventories.unwrap_or_default();
        let mut built =
            hosts::build(&self.hosts, &self.groups, &inventories, &self.defaults, (whole, faults));
        let sound = whole && faults.iter().count() == before;
        if sound {
            access::apply(&self.access, &mut built, &self.hosts, faults);
        }
        // A rule that was not applied may name the user.
        if sound || self.access.is_empty() {
            hosts::require_users(&built, faults);
        }
        let hosts::Built { fleet, named_by, written, remarks, .. } = built;
        let trusted = whole && faults.iter().count() == before;
        let around = Surroundings {
            fleet: trusted.then_some(&fleet),
            library: &known.probes,
            broken: known.broken,
            limits: &self.limits.value,
        };
        let schedules = schedule::resolve(&self.schedules, &around, faults);
        let escalations = escalate::resolve(&self.escalations, &around, faults);
        let alerts = alert::resolve(&self.alerts, &around, faults);
        let own = OwnAlert::ALL.iter().map(|facts| facts.name);
        let names: Vec<&str> = alerts.iter().map(|alert| alert.name.as_str()).chain(own).collect();
        let receivers = receiver::resolve(&self.receivers, &names, faults);
        let shown = self.shown();
        let (state_dir, state_origin) = state?;
        Some(Settings {
            config_file: None,
            drop_ins: Vec::new(),
            state_dir,
            state_origin,
            defaults: self.defaults.value.clone(),
            limits: self.limits.value.clone(),
            retention: self.retention.value.clone(),
            fleet,
            inventories,
            origins: Origins { written, named_by },
            remarks,
            probes: known.probes,
            schedules,
            escalations,
            delivery: self.delivery.value.clone(),
            metrics: self.metrics.value.clone(),
            alerts,
            receivers,
            shown,
            recipe: Recipe(Arc::new(self)),
        })
    }

    /// Nobody is asked on the word of a configuration that is at fault elsewhere.
    fn ask(
        &self,
        state_dir: Option<&Path>,
        before: &[Answer],
        faults: &mut Faults,
    ) -> Option<Vec<Inventory>> {
        if self.inventories.is_empty() {
            return Some(Vec::new());
        }
        if !faults.is_empty() {
            return None;
        }
        let credentials = self.sources.variable("CREDENTIALS_DIRECTORY").map(Path::new);
        let around = Around { state_dir, credentials, before, fresh: self.sources.fresh };
        inventory::ask(&self.inventories, &around, faults)
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
        for (number, rule) in self.access.iter().enumerate() {
            shown.extend(written_entries(&format!("access.{}", number + 1), &rule.written));
        }
        for (name, (_, expression)) in &self.groups {
            shown.push(Shown {
                key: format!("groups.{name}"),
                value: expression.value.clone().into(),
                given: Some((Layer::File, expression.place.clone())),
            });
        }
        for draft in &self.inventories {
            shown.extend(written_entries(&format!("inventory.{}", draft.name.value), &draft.written));
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
