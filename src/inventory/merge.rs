//! Our own blocks of hosts and what the sources name → blocks again, each host in one of them. What the
//! configuration says outright wins, then the source that comes first; labels add up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::fault::{Fault, Place};
use super::fleet::HostBlock;
use super::found::{Field, Found, FoundHost};
use crate::model::{HostName, Labels, Reach, Refusal, SshOptions};
use crate::select;

/// What `[defaults]` says outright, and sources may not say otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outright {
    pub port: bool,
    pub user: bool,
    pub identity_files: bool,
    pub root_by: bool,
}

/// What a block was made from, for whoever wants to point at it.
#[derive(Debug, Clone, PartialEq)]
pub enum Whence {
    /// One of our own, by its number.
    Written(usize),
    /// Named by a source.
    Source(Place),
}

/// A source that names a host, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    pub source: Arc<str>,
    pub place: Place,
}

#[derive(Debug, Clone, Default)]
pub struct Merged {
    pub blocks: Vec<HostBlock>,
    pub whence: Vec<Whence>,
    /// Who names each host that a source names.
    pub named_by: HashMap<HostName, Vec<Provenance>>,
    /// Of what hosts are refused for, the part that is about their user: who says that in time lifts it.
    pub bad_users: HashMap<HostName, Vec<Refusal>>,
    pub remarks: Vec<Fault>,
}

/// What all sources together say of one host.
struct Together<'a> {
    hosts: Vec<(&'a str, &'a FoundHost)>,
}

/// `answers` in the order of the sources.
pub fn merge(written: &[HostBlock], answers: &[(Arc<str>, Arc<Found>)], outright: Outright) -> Merged {
    let mut order: Vec<&HostName> = Vec::new();
    let mut together: HashMap<&HostName, Together<'_>> = HashMap::new();
    let mut merged = Merged::default();
    for (source, found) in answers {
        for host in &found.hosts {
            let all = together.entry(&host.name).or_insert_with(|| {
                order.push(&host.name);
                Together { hosts: Vec::new() }
            });
            if all.hosts.iter().any(|(known, _)| *known == &**source) {
                continue;
            }
            all.hosts.push((source, host));
            let provenance = Provenance { source: Arc::clone(source), place: host.place.clone() };
            merged.named_by.entry(host.name.clone()).or_default().push(provenance);
        }
    }
    merged.remarks = order.iter().filter_map(|name| together[*name].disagreement()).collect();
    for (number, block) in written.iter().enumerate() {
        let names = select::expand(&block.names).unwrap_or_default();
        if !names.iter().any(|name| known(&together, name)) {
            merged.push(block.clone(), Whence::Written(number));
            continue;
        }
        for name in &names {
            let own = HostBlock { names: name.clone(), ..block.clone() };
            let block = match HostName::new(name).ok().and_then(|name| together.remove(&name)) {
                Some(all) => merged.under(&all, own, outright),
                None => own,
            };
            merged.push(block, Whence::Written(number));
        }
    }
    for name in order {
        if let Some(all) = together.remove(name) {
            let whence = Whence::Source(all.hosts[0].1.place.clone());
            let own = HostBlock { names: name.to_string(), ..HostBlock::default() };
            let block = merged.under(&all, own, outright);
            merged.push(block, whence);
        }
    }
    merged
}

fn known(together: &HashMap<&HostName, Together<'_>>, name: &str) -> bool {
    HostName::new(name).is_ok_and(|name| together.contains_key(&name))
}

impl Merged {
    fn under(&mut self, all: &Together<'_>, own: HostBlock, outright: Outright) -> HostBlock {
        let refused = all.refused(&own, outright);
        let about_user = refused.iter().filter(|(field, _)| *field == Field::User);
        let about_user: Vec<Refusal> = about_user.map(|(_, refusal)| refusal.clone()).collect();
        if let (Some((_, host)), false) = (all.hosts.first(), about_user.is_empty()) {
            self.bad_users.insert(host.name.clone(), about_user);
        }
        let refused = refused.into_iter().map(|(_, refusal)| refusal).collect();
        all.under(own, outright, refused)
    }

    fn push(&mut self, block: HostBlock, whence: Whence) {
        self.blocks.push(block);
        self.whence.push(whence);
    }
}

impl Together<'_> {
    fn first<T: Clone>(&self, of: impl Fn(&FoundHost) -> &Option<T>) -> Option<(T, Arc<str>)> {
        let said = self.hosts.iter().find_map(|(source, host)| Some((of(host).clone()?, *source)));
        said.map(|(value, source)| (value, format!("inventory {source}").into()))
    }

    /// What cannot be obeyed, and nobody who counts before has said otherwise.
    fn refused(&self, own: &HostBlock, outright: Outright) -> Vec<(Field, Refusal)> {
        let mut refused = Vec::new();
        for (number, (_, host)) in self.hosts.iter().enumerate() {
            // What a source before this one says counts, and nobody needs to know what this one says.
            let before = |says: fn(&FoundHost) -> bool| self.hosts[..number].iter().any(|(_, it)| says(it));
            for (field, refusal) in &host.refused {
                let is_said = match field {
                    Field::Address => own.address.is_some() || before(|it| it.address.is_some()),
                    Field::Port => own.port.is_some() || outright.port || before(|it| it.port.is_some()),
                    Field::User => own.user.is_some() || outright.user || before(|it| it.user.is_some()),
                    Field::IdentityFiles => {
                        let ours = own.identity_files.is_some() || outright.identity_files;
                        ours || before(|it| it.identity_files.is_some())
                    }
                    Field::Reach => own.reach.is_some() || is_elsewhere(own) || number > 0,
                    Field::Arguments => own.jump.is_some() || before(|it| it.first.is_some()),
                    Field::Way => false,
                };
                if !is_said {
                    refused.push((*field, refusal.clone()));
                }
            }
        }
        refused
    }

    /// Fills in what our own block does not say.
    fn under(&self, mut own: HostBlock, outright: Outright, refused: Vec<Refusal>) -> HostBlock {
        // An address, or a way to it, is another machine's.
        if own.reach.is_none() && !is_elsewhere(&own) {
            own.reach = self.hosts.first().map(|(_, host)| host.reach);
        }
        if own.address.is_none()
            && let Some((address, who)) = self.first(|host| &host.address)
        {
            // It is what `ssh` would be given: an ssh_config may know more of it.
            own.destination = Some(address.clone());
            (own.address, own.said.address) = (Some(address), Some(who));
        }
        if own.port.is_none()
            && !outright.port
            && let Some((port, who)) = self.first(|host| &host.port)
        {
            (own.port, own.said.port) = (Some(port), Some(who));
        }
        if own.user.is_none()
            && !outright.user
            && let Some((user, who)) = self.first(|host| &host.user)
        {
            (own.user, own.said.user) = (Some(user), Some(who));
        }
        if own.identity_files.is_none()
            && !outright.identity_files
            && let Some((files, who)) = self.first(|host| &host.identity_files)
        {
            (own.identity_files, own.said.identity_files) = (Some(files), Some(who));
        }
        if own.root_by.is_none() && !outright.root_by {
            own.root_by = self.hosts.iter().find_map(|(_, host)| host.root_by.clone());
        }
        own.first = own.first.or_else(|| self.hosts.iter().find_map(|(_, host)| host.first.clone()));
        if !refused.is_empty() {
            own.ssh = Arc::new(SshOptions { refused, ..SshOptions::default() });
        }
        own.labels = self.labels(std::mem::take(&mut own.labels));
        own
    }

    /// A label that somebody else has already gets its source's name before it, unless they agree.
    fn labels(&self, own: Labels) -> Labels {
        let mut labels = own;
        for (source, host) in &self.hosts {
            for (name, value) in &host.labels {
                match labels.get(name) {
                    None => drop(labels.insert(name.clone(), value.clone())),
                    Some(known) if known == value => {}
                    Some(_) => {
                        let prefixed = format!("{source}.{name}");
                        if prefixed.len() <= 64 {
                            labels.entry(prefixed).or_insert_with(|| value.clone());
                        }
                    }
                }
            }
        }
        labels
    }

    /// Two sources that mean different machines by one name.
    fn disagreement(&self) -> Option<Fault> {
        let (first, one) = self.hosts.first()?;
        if let Some((second, other)) = self.hosts.iter().find(|(_, other)| other.reach != one.reach) {
            let way = |host: &FoundHost| match host.reach {
                Reach::Ssh => "reached over SSH",
                Reach::Local => "this machine",
            };
            let (one_way, other_way) = (way(one), way(other));
            let title =
                format!("{} is {one_way} in {first} and {other_way} in {second}: the first counts", one.name);
            return Some(Fault::new(other.place.clone(), title));
        }
        let mut said = self.hosts.iter().filter_map(|(source, host)| {
            Some((source, host, host.address.as_deref().filter(|address| *address != host.name.as_str())?))
        });
        let (first, _, address) = said.next()?;
        let (second, host, other) = said.find(|(_, _, other)| *other != address)?;
        let title =
            format!("{} is at {address} in {first} and at {other} in {second}: the first counts", host.name);
        Some(Fault::new(host.place.clone(), title))
    }
}

/// Whether a block says where another machine is, or the way to it.
fn is_elsewhere(own: &HostBlock) -> bool {
    own.address.is_some() || own.jump.is_some()
}

/// The groups of all sources; of one name, their hosts together.
pub fn groups(answers: &[(Arc<str>, Arc<Found>)]) -> BTreeMap<String, Vec<HostName>> {
    let mut groups: BTreeMap<String, Vec<HostName>> = BTreeMap::new();
    for (_, found) in answers {
        for (name, hosts) in &found.groups {
            groups.entry(name.clone()).or_default().extend(hosts.iter().cloned());
        }
    }
    groups
}
