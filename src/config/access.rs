//! `[[access]]`: whom to log in as and how to become root, on all hosts that a selector names, whoever
//! lists them. A host's own `[[hosts]]` has the last word.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::become_root::Become;
use super::defaults::user_name;
use super::fault::{Fault, Faults};
use super::hosts::{Built, Written, selector_fault};
use super::reader::{Located, Section, WrittenValue};
use crate::model::{Consult, Host, HostName, Reach, RootBy, Said};
use crate::select::{self, Selector};

pub(crate) const KEYS: &[&str] = &["hosts", "user", "become"];

/// One `[[access]]`.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    hosts: Located<String>,
    user: Option<String>,
    root_by: Option<RootBy>,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Rule> {
    let sections = root.sections("access", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Rule> {
    let hosts = section.require::<String>("hosts", faults);
    let user = section.read_checked("user", |name: &String| user_name(name), faults);
    let root_by = section.read::<Become>("become", faults);
    let hosts = hosts?;
    if section.written().count() == 1 {
        let fault = Fault::new(hosts.place.clone(), "this `[[access]]` says nothing of its hosts");
        faults.push(fault.expected("`user`, `become` or both beside `hosts`"));
    }
    Some(Rule {
        hosts,
        user: user.map(|given| given.value),
        root_by: root_by.map(|given| given.value.root_by(Some(&given.place))),
        written: section.written().collect(),
    })
}

/// Hosts whose own `[[hosts]]` says one of the two.
#[derive(Debug, Default)]
struct Own {
    user: HashSet<HostName>,
    root_by: HashSet<HostName>,
}

impl Own {
    fn of(written: &[Written]) -> Self {
        let mut own = Self::default();
        for block in written.iter().filter(|block| block.user.is_some() || block.root_by.is_some()) {
            let names = select::expand(&block.names.value).unwrap_or_default();
            for name in names.iter().filter_map(|name| HostName::new(name).ok()) {
                if block.user.is_some() {
                    own.user.insert(name.clone());
                }
                if block.root_by.is_some() {
                    own.root_by.insert(name);
                }
            }
        }
        own
    }
}

/// Gives the hosts of a whole fleet what the rules say of them; of several the last one counts.
pub(crate) fn apply(rules: &[Rule], built: &mut Built, written: &[Written], faults: &mut Faults) {
    if rules.is_empty() {
        return;
    }
    let own = Own::of(written);
    let (fleet, bad_users) = (&mut built.fleet, &built.bad_users);
    let mut changed = Changed::default();
    for rule in rules {
        let chosen = Selector::parse(&rule.hosts.value).and_then(|chosen| chosen.select(&fleet.catalog()));
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(error) => {
                faults.push(selector_fault("access.hosts", &rule.hosts, &error));
                continue;
            }
        };
        for index in chosen {
            let Some(host) = fleet.hosts.get_mut(index) else { continue };
            if let Some(user) = rule.user.as_ref().filter(|_| !own.user.contains(&host.name)) {
                host.user.clone_from(user);
                changed.say(host);
                if let Some(refusals) = bad_users.get(&host.name) {
                    Arc::make_mut(&mut host.ssh).refused.retain(|refusal| !refusals.contains(refusal));
                }
            }
            if let Some(root_by) = rule.root_by.as_ref().filter(|_| !own.root_by.contains(&host.name)) {
                host.root_by = root_by.clone();
            }
        }
    }
}

/// What ssh_config files are asked of hosts whose user is settled now, by what they were asked before; shared
/// as before. The old one is kept, so that nothing else can come to lie where it was.
#[derive(Default)]
struct Changed(HashMap<*const Consult, (Arc<Consult>, Arc<Consult>)>);

impl Changed {
    fn say(&mut self, host: &mut Host) {
        let Some(before) = host.consult.take().filter(|_| host.reach == Reach::Ssh) else { return };
        let (_, after) = self.0.entry(Arc::as_ptr(&before)).or_insert_with(|| {
            let said = Said { user: Some("[[access]]".into()), ..before.said.clone() };
            let after = Arc::new(Consult { said, ..Consult::clone(&before) });
            (before, after)
        });
        host.consult = Some(Arc::clone(after));
    }
}
