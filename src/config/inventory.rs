//! `[[inventory]]`: lists of hosts that other programs keep. Read here, asked by `inventory`, and cut down here
//! to the hosts that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::fault::{Fault, Faults, Place};
use super::hosts::selector_fault;
use super::knob::between;
use super::reader::{Located, Section, WrittenValue};
use super::receiver::{check_url, is_open, redacted, trust};
use super::value::{Bad, Base, Value};
use crate::http::{Secret, Url};
use crate::inventory::ansible::{Ansible, USUAL_LABELS};
use crate::inventory::{Answer, Around, Found, HttpSd, Kind, Mapping, Source, gather};
use crate::model::{ByteSize, Host, Labels};
use crate::select::{Catalog, Selector};

pub(crate) const KEYS: &[&str] = &[
    "name",
    "kind",
    "paths",
    "command",
    "playbook_dir",
    "url",
    "token_file",
    "ca_file",
    "client_cert",
    "client_key",
    "max_size",
    "name_from",
    "address_from",
    "port_from",
    "labels",
    "add_labels",
    "hosts",
    "refresh",
    "timeout",
    "believe_empty_after",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ansible,
    FileSd,
    HttpSd,
    SshConfig,
    Command,
}

const KINDS: [(&str, Word); 5] = [
    ("ansible", Word::Ansible),
    ("file_sd", Word::FileSd),
    ("http_sd", Word::HttpSd),
    ("ssh_config", Word::SshConfig),
    ("command", Word::Command),
];

/// What only some kinds have.
const ONLY_FOR: [(&str, &[Word]); 13] = [
    ("paths", &[Word::Ansible, Word::FileSd, Word::SshConfig]),
    ("command", &[Word::Ansible, Word::Command]),
    ("playbook_dir", &[Word::Ansible]),
    ("url", &[Word::HttpSd]),
    ("token_file", &[Word::HttpSd]),
    ("ca_file", &[Word::HttpSd]),
    ("client_cert", &[Word::HttpSd]),
    ("client_key", &[Word::HttpSd]),
    ("max_size", &[Word::HttpSd]),
    ("name_from", &[Word::FileSd, Word::HttpSd]),
    ("address_from", &[Word::FileSd, Word::HttpSd]),
    ("port_from", &[Word::FileSd, Word::HttpSd]),
    ("labels", &[Word::Ansible, Word::FileSd, Word::HttpSd]),
];

const REFRESH: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_SIZE: ByteSize = ByteSize(16 << 20);
const BELIEVE_EMPTY_AFTER: u32 = 3;

/// One path or several.
struct Paths(Vec<PathBuf>);

impl Value for Paths {
    const EXPECTED: &'static str = "a path, or an array of paths";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        match value.as_str() {
            Some(text) => Some(base.path(text).map(|path| Self(vec![path]))),
            None => Vec::<PathBuf>::from_toml(value, base).map(|paths| paths.map(Self)),
        }
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        base.path(text).map(|path| Self(vec![path]))
    }

    fn json(&self) -> serde_json::Value {
        self.0.json()
    }
}

/// A program and its arguments, and the folder that it runs in. No shell reads it.
struct CommandLine {
    words: Vec<String>,
    folder: PathBuf,
}

impl Value for CommandLine {
    const EXPECTED: &'static str =
        "an array of a program and its arguments, as in [\"./hosts.sh\", \"--all\"]";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        let words = value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
        let mut words: Vec<String> = words.collect::<Option<_>>()?;
        let Some(program) = words.first_mut().filter(|program| !program.is_empty()) else {
            return Some(Err(Bad::expected(Self::EXPECTED)));
        };
        // Without a slash it is looked for in PATH, as everywhere.
        if program.contains('/') {
            match base.path(program) {
                Ok(path) => *program = path.display().to_string(),
                Err(bad) => return Some(Err(bad)),
            }
        }
        Some(Ok(Self { words, folder: base.folder.clone() }))
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        Ok(Self { words: vec![text.to_owned()], folder: base.folder.clone() })
    }

    fn json(&self) -> serde_json::Value {
        self.words.clone().into()
    }
}

/// One `[[inventory]]` as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    source: Source,
    /// Which of its hosts.
    hosts: Option<Located<String>>,
    /// For each of its hosts, where the source says nothing else.
    labels: Labels,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

/// What a source needs to know of the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World<'a> {
    pub home: Option<&'a std::path::Path>,
    pub environment: &'a BTreeMap<String, String>,
}

pub(crate) fn read_all(root: &Section<'_>, world: World<'_>, faults: &mut Faults) -> Vec<Draft> {
    let sections = root.sections("inventory", KEYS, faults);
    sections.iter().filter_map(|section| read(section, world, faults)).collect()
}

fn read(section: &Section<'_>, world: World<'_>, faults: &mut Faults) -> Option<Draft> {
    section.missing_unless_given("name", "a name", faults);
    let name = section.read_checked("name", |name: &String| source_name(name), faults);
    let words = KINDS.map(|(word, _)| word).join(", ");
    section.missing_unless_given("kind", &format!("one of {words}"), faults);
    let word = section.word("kind", &KINDS, faults);
    if let Some(word) = word {
        refuse_others(section, word, faults);
    }
    let hosts = section.read::<String>("hosts", faults);
    let refresh =
        section.read_checked("refresh", between(Duration::ZERO, Duration::from_secs(7 * 86_400)), faults);
    let minute = Duration::from_secs(60);
    let timeout = section.read_checked("timeout", between(Duration::from_millis(1), 60 * minute), faults);
    let believe = section.read::<u32>("believe_empty_after", faults);
    let labels = super::hosts::labels_of(section, "add_labels", faults);
    let timeout = timeout.map_or(TIMEOUT, |given| given.value);
    let kind = kind(section, word?, (world, timeout), faults);
    Some(Draft {
        source: Source {
            name: name.as_ref()?.value.clone(),
            kind: kind?,
            refresh: refresh.map_or(REFRESH, |given| given.value),
            timeout,
            believe_empty_after: believe.map_or(BELIEVE_EMPTY_AFTER, |given| given.value),
        },
        name: name?,
        hosts,
        labels,
        written: section.written().map(redacted).collect(),
    })
}

fn source_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let fits = first && name.len() <= 32 && name.bytes().all(plain);
    if fits { Ok(()) } else { Err("1 to 32 of a-z 0-9 _ -, the first a letter".to_owned()) }
}

fn refuse_others(section: &Section<'_>, word: Word, faults: &mut Faults) {
    for (key, kinds) in ONLY_FOR.iter().filter(|(_, kinds)| !kinds.contains(&word)) {
        let Some(field) = section.field(key) else { continue };
        let names = KINDS.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| *name);
        let kinds = names.collect::<Vec<_>>().join(", ");
        let own = KINDS.iter().find(|(_, kind)| *kind == word).map_or("", |(name, _)| *name);
        let fault = Fault::new(field.key_place(), format!("kind = \"{own}\" has no `{key}`"));
        faults.push(fault.help(format!("`{key}` is for {kinds}")));
    }
}

fn kind(
    section: &Section<'_>,
    word: Word,
    (world, timeout): (World<'_>, Duration),
    faults: &mut Faults,
) -> Option<Kind> {
    let missing = |key: &str, example: &str, faults: &mut Faults| {
        let fault = Fault::new(section.place(), format!("`inventory.{key}` is missing"));
        faults.push(fault.expected(example));
    };
    let paths = section.read::<Paths>("paths", faults).map(|given| given.value.0);
    let command = section.read::<CommandLine>("command", faults).map(|given| given.value);
    match word {
        Word::Ansible => ansible(section, (paths, command), (world, timeout), faults),
        Word::FileSd => {
            let mapping = mapping(section, faults);
            if section.field("paths").is_none() {
                missing("paths", "files of targets, as in \"targets/*.json\"", faults);
            }
            Some(Kind::FileSd { paths: paths?, mapping })
        }
        Word::HttpSd => http_sd(section, faults).map(Kind::HttpSd),
        Word::SshConfig => Some(Kind::SshConfig { paths, environment: world.environment.clone() }),
        Word::Command => {
            if section.field("command").is_none() {
                missing("command", CommandLine::EXPECTED, faults);
            }
            let CommandLine { words: command, folder } = command?;
            Some(Kind::Command { command, folder })
        }
    }
}

fn ansible(
    section: &Section<'_>,
    (paths, command): (Option<Vec<PathBuf>>, Option<CommandLine>),
    (world, timeout): (World<'_>, Duration),
    faults: &mut Faults,
) -> Option<Kind> {
    if section.field("paths").is_none() && section.field("command").is_none() {
        let fault = Fault::new(section.place(), "an Ansible inventory without `paths` and without `command`");
        faults.push(fault.expected("what is given to -i, as in paths = \"inventories/production\""));
    }
    let masks = section.field("labels").is_some().then(|| section.strings("labels", faults)).flatten();
    let labels = match masks {
        Some(masks) => masks.into_iter().map(|mask| mask.value).collect(),
        None => USUAL_LABELS.map(str::to_owned).to_vec(),
    };
    let playbook_dir = section.read::<PathBuf>("playbook_dir", faults).map(|given| given.value);
    let (command, folder) =
        command.map_or_else(Default::default, |CommandLine { words, folder }| (words, folder));
    if section.field("paths").is_some() {
        paths.as_ref()?;
    }
    Some(Kind::Ansible(Ansible {
        paths: paths.unwrap_or_default(),
        command,
        playbook_dir,
        labels,
        home: world.home.map(std::path::Path::to_path_buf),
        folder,
        timeout,
    }))
}

fn mapping(section: &Section<'_>, faults: &mut Faults) -> Mapping {
    let mut label = |key| section.read::<String>(key, faults).map(|given| given.value);
    let (name_from, address_from, port_from) =
        (label("name_from"), label("address_from"), label("port_from"));
    let keep = section.field("labels").is_some().then(|| section.strings("labels", faults)).flatten();
    let keep = keep.unwrap_or_default().into_iter().map(|mask| mask.value).collect();
    Mapping { name_from, address_from, port_from, keep }
}

fn http_sd(section: &Section<'_>, faults: &mut Faults) -> Option<HttpSd> {
    let mapping = mapping(section, faults);
    let trust = trust(section, faults);
    let token = section.read::<Secret>("token_file", faults).map(|given| given.value);
    let most = ByteSize(1 << 10)..=ByteSize(1 << 30);
    let check = |size: &ByteSize| match most.contains(size) {
        true => Ok(()),
        false => Err("a value from \"1KiB\" to \"1GiB\"".to_owned()),
    };
    let size = section.read_checked("max_size", check, faults).map_or(MAX_SIZE, |given| given.value);
    let Some(field) = section.field("url") else {
        let fault = Fault::new(section.place(), "`inventory.url` is missing");
        faults.push(fault.expected("an address, as in \"https://inventory.example.net/targets\""));
        return None;
    };
    let given = field.read::<String>(&mut Faults::default());
    let checked = given.map_or(Err("a string".to_owned()), |url| check_url(&url.value).map(|()| url.value));
    match checked {
        Ok(url) => {
            if token.is_some() && is_open(&url) {
                let fault = Fault::new(section.place(), "the token would travel where anybody can read it");
                faults.push(fault.expected("`url` with https://, or with an address of this machine"));
            }
            let most_bytes = usize::try_from(size.0).unwrap_or(usize::MAX);
            Some(HttpSd { url: Url::new(url), token, trust, mapping, most_bytes })
        }
        Err(expected) => {
            // Its text may be secret: not in a terminal, not in a log.
            let place = field.place();
            let line = place.line_column().map_or(0, |(line, _)| line);
            let place = Place::whole(format!("{}:{line}", place.file));
            let fault = Fault::new(place, "`inventory.url` cannot be used, and is not shown");
            faults.push(fault.expected(expected));
            None
        }
    }
}

/// A source with what stands for it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    pub name: Arc<str>,
    /// The word for it in the configuration.
    pub kind: &'static str,
    pub refresh: Duration,
    pub answer: Answer,
    /// Its hosts that are wanted.
    pub wanted: Arc<Found>,
}

/// Asks all sources. One without an answer is a fault; `None` stands for it, so that what needs its hosts is
/// not blamed, too.
pub(crate) fn ask(drafts: &[Draft], around: &Around<'_>, faults: &mut Faults) -> Option<Vec<Inventory>> {
    let mut names = BTreeMap::new();
    for draft in drafts {
        if let Some(first) = names.insert(draft.name.value.as_str(), &draft.name.place) {
            let title = format!("the inventory {} is here a second time", draft.name.value);
            faults.push(Fault::new(draft.name.place.clone(), title).also(first.clone(), "first here"));
            return None;
        }
    }
    let sources: Vec<Source> = drafts.iter().map(|draft| draft.source.clone()).collect();
    let mut whole = true;
    let mut inventories = Vec::new();
    for (draft, answer) in drafts.iter().zip(gather(&sources, around)) {
        let answered = answer.and_then(|answer| {
            let wanted = sift(draft, &answer.found)?;
            Ok(Inventory {
                name: draft.name.value.as_str().into(),
                kind: draft.source.kind.word(),
                refresh: draft.source.refresh,
                answer,
                wanted: Arc::new(wanted),
            })
        });
        match answered {
            Ok(inventory) => inventories.push(inventory),
            Err(more) => {
                faults.append(more);
                whole = false;
            }
        }
    }
    whole.then_some(inventories)
}

/// The hosts that a selector over the source's own names, groups and labels means.
fn sift(draft: &Draft, found: &Found) -> Result<Found, Faults> {
    let mut wanted = found.clone();
    if let Some(selector) = &draft.hosts {
        let hosts: Vec<Host> = found
            .hosts
            .iter()
            .map(|host| Host { labels: host.labels.clone(), ..Host::new(host.name.clone(), "") })
            .collect();
        let catalog = Catalog { hosts: &hosts, groups: &found.groups };
        let chosen = Selector::parse(&selector.value).and_then(|parsed| parsed.select(&catalog));
        let chosen =
            chosen.map_err(|error| Faults::from(selector_fault("inventory.hosts", selector, &error)))?;
        if chosen.is_empty() && !hosts.is_empty() {
            let title = format!("none of the {} hosts of {} is meant", hosts.len(), draft.name.value);
            return Err(Fault::new(selector.place.clone(), title)
                .expected("a selector of some of them")
                .into());
        }
        wanted.hosts = chosen.into_iter().map(|index| found.hosts[index].clone()).collect();
        let names: BTreeSet<_> = wanted.hosts.iter().map(|host| host.name.clone()).collect();
        wanted.groups.values_mut().for_each(|members| members.retain(|name| names.contains(name)));
    }
    for host in &mut wanted.hosts {
        for (name, value) in &draft.labels {
            host.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(wanted)
}
