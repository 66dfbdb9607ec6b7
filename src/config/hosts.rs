//! `[[hosts]]` and `[groups]`: read here, made into a fleet by `inventory`, whose problems get their
//! places back here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::become_root::Become;
use super::defaults::{Defaults, remote_root, user_name};
use super::fault::{Fault, Faults, Place};
use super::inventory::Inventory;
use super::jump::JumpHosts;
use super::knob::{Layered, between};
use super::reader::{Located, Section, WrittenValue, inside};
use crate::inventory::{
    Fleet, Found, GroupRule, HostBlock, Merged, Outright, Problem, Provenance, Unsaid, Whence,
    groups as inventory_groups, is_group_name, merge,
};
use crate::model::{Host, HostName, Labels, Reach, Refusal, RootBy, Said};
use crate::select::{self, SelectError};

pub(crate) const KEYS: &[&str] = &[
    "names",
    "address",
    "port",
    "user",
    "labels",
    "reach",
    "become",
    "jump",
    "identity_files",
    "known_hosts",
    "ssh_config",
    "proc_root",
    "sys_root",
];

const REACHES: [(&str, Reach); 2] = [("ssh", Reach::Ssh), ("local", Reach::Local)];

/// One `[[hosts]]` as it is written; what it leaves out the defaults fill in.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub names: Located<String>,
    address: Option<Located<String>>,
    port: Option<u16>,
    pub(super) user: Option<String>,
    labels: Labels,
    reach: Option<Reach>,
    pub(super) root_by: Option<RootBy>,
    jump: Option<String>,
    identity_files: Option<Vec<PathBuf>>,
    known_hosts: Option<Vec<PathBuf>>,
    ssh_config: Option<Vec<PathBuf>>,
    proc_root: Option<String>,
    sys_root: Option<String>,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Written> {
    let sections = root.sections("hosts", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Written> {
    let names = section.require::<String>("names", faults);
    let address = section.read::<String>("address", faults);
    let reach = section.word("reach", &REACHES, faults);
    if let (Some(Reach::Local), Some(address)) = (reach, &address) {
        let fault = Fault::new(address.place.clone(), "a host with `reach = \"local\"` has no address");
        faults.push(fault.help("it is this machine; leave `address` out"));
    }
    let port = section.read_checked("port", between(1, u16::MAX), faults);
    let user = section.read_checked("user", |name: &String| user_name(name), faults);
    let proc_root = section.read_checked("proc_root", |path: &String| remote_root(path), faults);
    let sys_root = section.read_checked("sys_root", |path: &String| remote_root(path), faults);
    let root_by = section.read::<Become>("become", faults);
    let written = Written {
        names: names?,
        address,
        port: port.map(|given| given.value),
        user: user.map(|given| given.value),
        labels: labels(section, faults),
        reach,
        root_by: root_by.map(|given| given.value.root_by(Some(&given.place))),
        jump: section.read::<JumpHosts>("jump", faults).map(|given| given.value.0),
        identity_files: section.read("identity_files", faults).map(|given| given.value),
        known_hosts: section.read("known_hosts", faults).map(|given| given.value),
        ssh_config: section.read("ssh_config", faults).map(|given| given.value),
        proc_root: proc_root.map(|given| given.value),
        sys_root: sys_root.map(|given| given.value),
        written: section.written().collect(),
    };
    Some(written)
}

pub(super) fn labels(section: &Section<'_>, faults: &mut Faults) -> Labels {
    labels_of(section, "labels", faults)
}

/// The labels of the table `key`.
pub(super) fn labels_of(section: &Section<'_>, key: &str, faults: &mut Faults) -> Labels {
    let mut labels = Labels::new();
    let Some(table) = section.open_section(key, faults) else { return labels };
    for (name, field) in table.fields() {
        if !is_label(name) {
            let fault = Fault::new(field.key_place(), format!("{name:?} cannot be a label"));
            faults.push(fault.expected("1 to 64 of A-Z a-z 0-9 _ . - /, the first a letter or _"));
            continue;
        }
        let Some(value) = field.read::<String>(faults) else { continue };
        if value.value.len() > 256 || value.value.contains(char::is_control) {
            let fault = Fault::new(value.place, format!("`{}` is not a label's value", table.path_of(name)));
            faults.push(fault.expected("up to 256 bytes without control characters"));
            continue;
        }
        labels.insert(name.to_owned(), value.value);
    }
    labels
}

fn is_label(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    first && name.len() <= 64 && name.bytes().all(plain)
}

impl Written {
    fn block(&self, defaults: &Defaults) -> HostBlock {
        // The contract's own defaults need not be sent with each probe.
        let root = |own: &Option<String>, default: &String, usual: &str| {
            Some(own.as_ref().unwrap_or(default)).filter(|root| *root != usual).cloned()
        };
        HostBlock {
            names: self.names.value.clone(),
            address: self.address.as_ref().map(|address| address.value.clone()),
            port: self.port,
            user: self.user.clone(),
            labels: self.labels.clone(),
            reach: self.reach,
            identity_files: self.identity_files.clone(),
            known_hosts: self.known_hosts.clone(),
            ssh_config: self.ssh_config.clone(),
            jump: self.jump.clone(),
            destination: None,
            said: Said::default(),
            first: None,
            root_by: self.root_by.clone(),
            ssh: Arc::default(),
            proc_root: root(&self.proc_root, &defaults.proc_root, "/proc"),
            sys_root: root(&self.sys_root, &defaults.sys_root, "/sys"),
        }
    }
}

/// Groups with where each name and each expression stands.
pub(crate) type Groups = std::collections::BTreeMap<String, (Place, Located<String>)>;

/// The fleet, and what was heard of its hosts from elsewhere.
pub(crate) struct Built {
    pub fleet: Fleet,
    /// Who names each host that is not ours alone.
    pub named_by: HashMap<HostName, Vec<Provenance>>,
    /// As in [`Merged`].
    pub bad_users: HashMap<HostName, Vec<Refusal>>,
    /// Where each of our own hosts stands.
    pub written: HashMap<HostName, Place>,
    pub remarks: Vec<Fault>,
}

/// Builds the fleet out of all files' hosts and groups and those of other programs; `whole` unless some of
/// them could not be read.
pub(crate) fn build(
    written: &[Written],
    groups: &Groups,
    inventories: &[Inventory],
    layered: &Layered<Defaults>,
    (whole, faults): (bool, &mut Faults),
) -> Built {
    let defaults = &layered.value;
    let blocks: Vec<HostBlock> = written.iter().map(|written| written.block(defaults)).collect();
    let answers: Vec<(Arc<str>, Arc<Found>)> =
        inventories.iter().map(|one| (Arc::clone(&one.name), Arc::clone(&one.wanted))).collect();
    let outright = Outright {
        port: layered.is_written("port"),
        user: layered.is_written("user"),
        identity_files: layered.is_written("identity_files"),
        root_by: layered.is_written("become"),
    };
    let Merged { blocks, whence, named_by, bad_users, mut remarks } = merge(&blocks, &answers, outright);
    let mut all = groups.clone();
    add_groups(&answers, &mut all, &mut remarks);
    let rules: Vec<GroupRule> = all
        .iter()
        .map(|(name, (_, expression))| GroupRule { name: name.clone(), expression: expression.value.clone() })
        .collect();
    let (fleet, problems) = Fleet::build((&blocks, &unsaid(layered)), &rules, whole);
    let groups: Vec<(&String, &(Place, Located<String>))> = all.iter().collect();
    for problem in problems {
        faults.push(located(problem, (written, &whence), &groups));
    }
    let mut stands = HashMap::new();
    for (whence, block) in whence.iter().zip(&blocks) {
        let Whence::Written(_) = whence else { continue };
        let names = select::expand(&block.names).unwrap_or_default();
        let names = names.iter().filter_map(|name| HostName::new(name).ok());
        stands.extend(names.map(|name| (name, place(whence, written))));
    }
    Built { fleet, named_by, bad_users, written: stands, remarks }
}

/// The first host that nobody says a user of, once all have been asked.
pub(crate) fn require_users(built: &Built, faults: &mut Faults) {
    let nobody = |host: &&Host| host.user.is_empty() && host.reach == Reach::Ssh;
    let Some(host) = built.fleet.hosts.iter().find(nobody) else { return };
    let named = || Some(built.named_by.get(&host.name)?.first()?.place.clone());
    let place = built.written.get(&host.name).cloned().or_else(named);
    let fault = Fault::new(place.unwrap_or_else(|| Place::whole("hosts")), "no user to log in as");
    faults.push(fault.help("set `defaults.user`; neither USER nor LOGNAME is set"));
}

fn place(whence: &Whence, written: &[Written]) -> Place {
    match whence {
        Whence::Written(number) => written[*number].names.place.clone(),
        Whence::Source(place) => place.clone(),
    }
}

/// The groups of other programs, unless the configuration has one of that name.
fn add_groups(answers: &[(Arc<str>, Arc<Found>)], groups: &mut Groups, remarks: &mut Vec<Fault>) {
    for (name, members) in inventory_groups(answers) {
        let place = Place::whole("inventory");
        if !is_group_name(&name) {
            remarks
                .push(Fault::new(place, format!("the group {name:?} is none here: its name cannot be one")));
            continue;
        }
        let expression = match members.is_empty() {
            // A group without hosts is still one that a selector may name.
            true => "*!*".to_owned(),
            false => select::fold(members.iter().map(HostName::as_str)),
        };
        let rule = (place.clone(), Located { value: expression, place });
        groups.entry(name).or_insert(rule);
    }
}

/// What hosts have that say nothing of their own. A default that nobody wrote gives way to an ssh_config.
fn unsaid(layered: &Layered<Defaults>) -> Unsaid {
    let defaults = &layered.value;
    let said = |key: &str| layered.is_written(key).then(|| "[defaults]".into());
    Unsaid {
        port: defaults.port,
        user: defaults.user.clone(),
        identity_files: defaults.identity_files.clone(),
        known_hosts: defaults.known_hosts.clone(),
        root_by: defaults.r#become.root_by(layered.place("become")),
        ssh_config: layered.is_written("ssh_config").then(|| defaults.ssh_config.clone()),
        said: Said {
            address: None,
            destination: None,
            port: said("port"),
            user: said("user"),
            identity_files: said("identity_files"),
            known_hosts: said("known_hosts"),
        },
    }
}

fn located(
    problem: Problem,
    (written, whence): (&[Written], &[Whence]),
    groups: &[(&String, &(Place, Located<String>))],
) -> Fault {
    let names = |block: usize| place(&whence[block], written);
    let address = |block: usize| match &whence[block] {
        Whence::Written(number) => {
            let address = written[*number].address.as_ref();
            address.map_or_else(|| names(block), |address| address.place.clone())
        }
        Whence::Source(place) => place.clone(),
    };
    match problem {
        Problem::Names { block, error } => match &whence[block] {
            Whence::Written(number) => selector_fault("hosts.names", &written[*number].names, &error),
            Whence::Source(place) => Fault::new(place.clone(), error.to_string()).expected(error.expected()),
        },
        Problem::HostName { block, bad } => {
            Fault::new(names(block), format!("{:?} cannot be a host's name", bad.text)).expected(bad.expected)
        }
        Problem::SharedAddress { block, hosts } => {
            Fault::new(address(block), format!("one address for {hosts} hosts"))
                .expected("an address with {name} in it, as in \"{name}.example.net\"")
                .help("or give each host its own [[hosts]]")
        }
        Problem::Address { block, host, address: text } => {
            Fault::new(address(block), format!("{text:?} cannot be the address of {host}"))
                .expected("a host name or an IP address; the port has its own key")
        }
        Problem::Duplicate { names: shared, first, second } => {
            let verb = if shared.len() == 1 { "is" } else { "are" };
            Fault::new(names(second), format!("{} {verb} here a second time", select::fold(&shared)))
                .expected("each host in one [[hosts]] only")
                .also(names(first), "first here")
        }
        Problem::TooMany { block, hosts, max } => {
            Fault::new(names(block), format!("with these there are {hosts} hosts"))
                .expected(format!("at most {max}"))
        }
        Problem::GroupName { group } => {
            let (name, (key, _)) = groups[group];
            Fault::new(key.clone(), format!("{name:?} cannot be a group's name"))
                .expected("1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit")
        }
        Problem::Group { group, error } => {
            let (name, (_, expression)) = groups[group];
            selector_fault(&format!("groups.{name}"), expression, &error)
        }
        Problem::TooDeep { group, max } => {
            let (name, (_, expression)) = groups[group];
            let title = format!("@{name} is the end of a chain of more than {max} groups");
            Fault::new(expression.place.clone(), title).expected("groups that can be followed")
        }
        Problem::Cycle { groups: cycle } => cycle_fault(&cycle, groups),
    }
}

fn cycle_fault(cycle: &[usize], groups: &[(&String, &(Place, Located<String>))]) -> Fault {
    let place = |number: usize| groups[number].1.1.place.clone();
    let name = |number: usize| groups[number].0;
    let (first, rest) = (cycle[0], &cycle[1..]);
    if rest.is_empty() {
        return Fault::new(place(first), format!("the group @{} needs itself", name(first)));
    }
    let ring: Vec<String> = cycle.iter().chain([&first]).map(|group| format!("@{}", name(*group))).collect();
    let fault = Fault::new(place(first), format!("groups need each other: {}", ring.join(" → ")));
    rest.iter()
        .fold(fault, |fault, group| fault.also(place(*group), format!("@{} is set here", name(*group))))
}

/// A selector's or node set's error, under the part of the string that it is about.
pub(crate) fn selector_fault(key: &str, expression: &Located<String>, error: &SelectError) -> Fault {
    let place = inside(&expression.place, &expression.value, error.span());
    let title = match error {
        SelectError::Syntax { found, .. } => format!("`{key}` cannot be read: found {found}"),
        SelectError::TooMany { count, .. } => format!("`{key}` stands for {count} names"),
        SelectError::UnknownHost { names, .. } => format!("no such host: {}", select::fold(names)),
        SelectError::UnknownGroup { name, .. } => format!("no such group: @{name}"),
        SelectError::UnknownLabel { name, .. } => format!("no host has the label `{name}`"),
    };
    let near = error.nearest();
    let help = (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")));
    Fault::new(place, title).expected(error.expected()).maybe_help(help)
}
