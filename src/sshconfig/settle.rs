//! A host of the inventory and the files' answer → the host as it is connected to: what the
//! configuration says outright stays, an ssh_config fills the rest, and what neither says is built in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::directives::{Standing, directive};
use super::evaluate::{Answer, Setting, evaluate};
use super::jump::{self, Hop};
use super::options::{Reading, is_none, refusal};
use super::{Here, Query, Source, Trouble, World};
use crate::model::{Consult, Host, HostName, Proxy, Refusal, SshOptions, Written};

/// More jump hosts in a row than anybody has: what passes it goes round in a circle.
const MAX_HOPS: usize = 16;

/// A host with nothing left to ask, and where its values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub host: Host,
    pub effective: Vec<Effective>,
}

/// One value that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// `address`, `port`, `user`, `identity_files`, `known_hosts`, or a directive's name.
    pub key: &'static str,
    pub value: String,
    pub origin: Origin,
    /// What becomes of it, where it is a directive.
    pub standing: Option<Standing>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration or an inventory.
    Said(Arc<str>),
    File(Written),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(who) => f.write_str(who),
            Self::File(at) => write!(f, "{at}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Settles a host that `consult` asks for. Whatever the files say, there is a host: what is wrong with
/// them is among its refusals.
pub fn settle(
    host: &Host,
    consult: &Consult,
    sources: &[Source],
    (here, world): (&Here, &dyn World),
) -> Settled {
    let said = &consult.said;
    let destination = match &consult.destination {
        Some(pattern) => pattern.replace("{name}", host.name.as_str()),
        None => host.name.to_string(),
    };
    let query = Query {
        destination: &destination,
        hostname: said.address.as_ref().map(|_| host.address.as_str()),
        port: said.port.as_ref().map(|_| host.port),
        user: said.user.as_ref().map(|_| host.user.as_str()),
    };
    let jump_sources = sources.iter().filter(|source| !source.is_arguments).cloned().collect();
    let settler = Settler { sources, jump_sources, here, world };
    let settled = settler.settle(host, (consult, &query), None, &mut Vec::new());
    settled.unwrap_or_else(|trouble| refused(host, trouble))
}

fn refused(host: &Host, trouble: Trouble) -> Settled {
    let mut refused = host.ssh.refused.clone();
    refused.push(Refusal { at: trouble.at, directive: String::new(), reason: trouble.what });
    let ssh = Arc::new(SshOptions { refused, ..SshOptions::default() });
    Settled { host: Host { ssh, consult: None, ..host.clone() }, effective: Vec::new() }
}

struct Settler<'a> {
    sources: &'a [Source],
    /// What the jump hosts are asked of.
    jump_sources: Vec<Source>,
    here: &'a Here,
    world: &'a dyn World,
}

impl Settler<'_> {
    /// `path` are the questions that lead here, for those that go round in a circle. A jump host that is
    /// reached through `others` has no proxy of its own, whatever the files say.
    fn settle(
        &self,
        host: &Host,
        (consult, query): (&Consult, &Query<'_>),
        others: Option<&[Hop]>,
        path: &mut Vec<Hop>,
    ) -> Result<Settled, Trouble> {
        let given = others.map(jump::source);
        let sources = if path.is_empty() { self.sources } else { &self.jump_sources };
        let sources: Vec<Source> = given.into_iter().chain(sources.iter().cloned()).collect();
        let answer = evaluate(query, &sources, (self.here, self.world))?;
        let mut reading =
            Reading { answer: &answer, here: self.here, world: self.world, refused: Vec::new() };
        let mut options = reading.options();
        options.has_no_own_known_hosts =
            consult.said.known_hosts.is_none() && reading.has_no_own_known_hosts();
        let mut settled = Host { consult: None, ..host.clone() };
        self.places(&mut settled, consult, &mut reading);
        self.files(&mut settled, consult, &mut reading);
        path.push(Hop::asked(query));
        options.proxy = match &consult.jump {
            _ if others.is_some() => Proxy::Direct,
            Some(written) => self.said_jump((host, &settled), (consult, written), &mut reading, path),
            None => self.proxy(host, &mut reading, path),
        };
        path.pop();
        // What was refused before anybody was asked still is.
        options.refused.clone_from(&host.ssh.refused);
        options.refused.append(&mut reading.refused);
        settled.ssh = Arc::new(options);
        let effective = effective(&settled, consult, &answer);
        Ok(Settled { host: settled, effective })
    }

    /// Where to connect, and as whom.
    fn places(&self, host: &mut Host, consult: &Consult, reading: &mut Reading<'_>) {
        let (said, answer) = (&consult.said, reading.answer);
        if said.address.is_none() {
            host.address.clone_from(&answer.hostname);
            if !is_address(&host.address) && self.world.canonical_address(&host.address).is_none() {
                reading.refuse("HostName", "expected a host name or an IP address");
            }
        }
        let first = |name: &str| answer.get(name).and_then(|setting| setting.values.first());
        if said.port.is_none()
            && let Some(port) = first("Port").and_then(|port| port.parse().ok())
        {
            host.port = port;
        }
        if said.user.is_none()
            && let Some(user) = first("User")
        {
            let variables = |name: &str| self.world.variable(name);
            // Not %r, which is the user, nor %C, which is made of it.
            match answer.tokens.only("Ldhijklnpu").expand(user, Some(&variables)) {
                Ok(user) if is_user(&user) => host.user = user,
                Ok(_) => reading.refuse("User", "expected a login name"),
                Err(why) => reading.refuse("User", &why),
            }
        }
    }

    fn files(&self, host: &mut Host, consult: &Consult, reading: &mut Reading<'_>) {
        if consult.said.identity_files.is_none()
            && let Some(files) = reading.paths("IdentityFile")
        {
            host.identity_files = files;
        }
        if consult.said.known_hosts.is_some() {
            return;
        }
        let (own, global) =
            (reading.paths("UserKnownHostsFile"), reading.literal_paths("GlobalKnownHostsFile"));
        if own.is_none() && global.is_none() {
            return;
        }
        let usual = |folder: &str, names: [&str; 2]| -> Vec<PathBuf> {
            names.iter().map(|name| PathBuf::from(folder).join(name)).collect()
        };
        let home = format!("{}/.ssh", self.here.home);
        host.known_hosts = own.unwrap_or_else(|| usual(&home, ["known_hosts", "known_hosts2"]));
        host.known_hosts
            .extend(global.unwrap_or_else(|| usual("/etc/ssh", ["ssh_known_hosts", "ssh_known_hosts2"])));
    }

    fn proxy(&self, host: &Host, reading: &mut Reading<'_>, path: &mut Vec<Hop>) -> Proxy {
        let answer = reading.answer;
        if let Some(setting) = answer.get("ProxyJump") {
            let written = setting.values.first().map_or("", String::as_str);
            match jump::parse(written)
                .and_then(|hops| self.chain((host, &self.here.user), hops.as_deref(), path))
            {
                Ok(hops) if hops.is_empty() => {}
                Ok(hops) => return Proxy::Jump(hops),
                Err(why) => {
                    reading.refused.push(refusal("ProxyJump", setting, &why));
                    return Proxy::Direct;
                }
            }
        }
        let Some(command) = answer.get("ProxyCommand").and_then(|it| it.values.first()) else {
            return Proxy::Direct;
        };
        if is_none(command) {
            return Proxy::Direct;
        }
        match answer.tokens.only("hknpr").expand(command, None) {
            Ok(command) => Proxy::Command(command),
            Err(why) => {
                reading.refuse("ProxyCommand", &why);
                Proxy::Direct
            }
        }
    }

    /// The way that the configuration says outright. A jump host of which nothing else says it has the
    /// login name of the hosts behind it, where the configuration has one for them.
    fn said_jump(
        &self,
        (host, settled): (&Host, &Host),
        (consult, written): (&Consult, &str),
        reading: &mut Reading<'_>,
        path: &mut Vec<Hop>,
    ) -> Proxy {
        let user = consult.said.user.as_ref().map_or(&self.here.user, |_| &host.user);
        let itself = |hops: Option<Vec<Hop>>| match hops.as_ref().and_then(|hops| hops.last()) {
            Some(last) if path.last().is_some_and(|to| last.is(&to.host, settled.port, &settled.user)) => {
                Err(format!("the host cannot be reached through itself: {last}"))
            }
            _ => Ok(hops),
        };
        let hops = jump::parse(written).and_then(itself);
        match hops.and_then(|hops| self.chain((host, user), hops.as_deref(), path)) {
            Ok(hops) if hops.is_empty() => Proxy::Direct,
            Ok(hops) => Proxy::Jump(hops),
            Err(reason) => {
                let at = Written { file: "the configuration".into(), line: 0 };
                reading.refused.push(Refusal { at, directive: format!("jump = {written:?}"), reason });
                Proxy::Direct
            }
        }
    }

    /// The jump hosts in the order of the way: those that the first one needs itself come before it.
    fn chain(
        &self,
        (host, user): (&Host, &str),
        hops: Option<&[Hop]>,
        path: &mut Vec<Hop>,
    ) -> Result<Vec<Arc<Host>>, String> {
        let mut chain = Vec::new();
        let hops = hops.unwrap_or_default();
        for (place, hop) in hops.iter().enumerate() {
            if !hop.is_plain() {
                return Err(format!("{:?} is no host's name", hop.host));
            }
            // Those behind the first are reached through it, whatever proxy they would have alone.
            let others = hops.get(..place).filter(|others| !others.is_empty());
            if others.is_none() && (path.len() > MAX_HOPS || path.contains(hop)) {
                let ring: Vec<String> = path.iter().chain([hop]).map(ToString::to_string).collect();
                return Err(format!("it goes round in a circle: {}", ring.join(" → ")));
            }
            let jump = self.jump((host, user), (hop, others), path).map_err(|trouble| trouble.to_string())?;
            if let Some(refusal) = jump.ssh.refused.first() {
                return Err(format!("the way through {} is barred: {refusal}", hop.host));
            }
            if let Proxy::Jump(before) = &jump.ssh.proxy {
                chain.extend(before.iter().cloned());
            }
            chain.push(Arc::new(jump));
        }
        Ok(chain)
    }

    fn jump(
        &self,
        (host, user): (&Host, &str),
        (hop, others): (&Hop, Option<&[Hop]>),
        path: &mut Vec<Hop>,
    ) -> Result<Host, Trouble> {
        let clean = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = hop.host.chars().map(clean).collect();
        let name = HostName::new(&name).unwrap_or_else(|_| host.name.clone());
        let mut jump = Host {
            address: hop.host.clone(),
            port: hop.port.unwrap_or(22),
            identity_files: host.identity_files.clone(),
            known_hosts: host.known_hosts.clone(),
            ..Host::new(name, hop.user.as_deref().unwrap_or(user))
        };
        let query =
            Query { destination: &hop.host, hostname: None, port: hop.port, user: hop.user.as_deref() };
        let mut consult = Consult::default();
        let who: Arc<str> = "ProxyJump".into();
        consult.said.port = hop.port.map(|_| Arc::clone(&who));
        consult.said.user = hop.user.as_ref().map(|_| who);
        jump = self.settle(&jump, (&consult, &query), others, path)?.host;
        Ok(jump)
    }
}

/// A name that can stand in a message, a known_hosts file and a proxy's command line.
fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 253 && !text.starts_with(['-', '.']) && text.bytes().all(plain)
}

/// As ssh checks a user that is put together: it may end up in a proxy's command line.
fn is_user(text: &str) -> bool {
    let bad = |c: char| c.is_control() || "'`\";&<>|(){}".contains(c);
    !text.is_empty() && text.len() <= 256 && !text.starts_with('-') && !text.contains(bad)
}

/// Directives that the five values of a host come from, which are shown by those values' names.
const SHOWN_AS: [(&str, &str); 6] = [
    ("address", "HostName"),
    ("port", "Port"),
    ("user", "User"),
    ("identity_files", "IdentityFile"),
    ("known_hosts", "UserKnownHostsFile"),
    ("known_hosts", "GlobalKnownHostsFile"),
];

fn effective(host: &Host, consult: &Consult, answer: &Answer) -> Vec<Effective> {
    let said = &consult.said;
    let files = |files: &[PathBuf]| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        files.join(" ")
    };
    let values = [
        ("address", host.address.clone(), &said.address),
        ("port", host.port.to_string(), &said.port),
        ("user", host.user.clone(), &said.user),
        ("identity_files", files(&host.identity_files), &said.identity_files),
        ("known_hosts", files(&host.known_hosts), &said.known_hosts),
    ];
    let mut all = Vec::new();
    for (key, value, who) in values {
        let from_files =
            || SHOWN_AS.iter().filter(|(shown, _)| *shown == key).find_map(|(_, name)| answer.get(name));
        let origin = match (who, from_files()) {
            (Some(who), _) => Origin::Said(Arc::clone(who)),
            (None, Some(setting)) => Origin::File(setting.at.clone()),
            (None, None) => match &said.destination {
                Some(who) if key == "address" => Origin::Said(Arc::clone(who)),
                _ => Origin::Default,
            },
        };
        all.push(Effective { key, value, origin, standing: None });
    }
    if let Some(jump) = &consult.jump {
        let origin = Origin::Said("[[hosts]]".into());
        all.push(Effective { key: "jump", value: jump.clone(), origin, standing: None });
    }
    for (name, settings) in answer.settings() {
        if SHOWN_AS.iter().any(|(_, shown)| *shown == name) {
            continue;
        }
        all.extend(settings.iter().map(|setting| shown(name, setting)));
    }
    all
}

fn shown(name: &'static str, setting: &Setting) -> Effective {
    Effective {
        key: name,
        value: setting.values.join(" "),
        origin: Origin::File(setting.at.clone()),
        standing: directive(name).map(|directive| directive.standing),
    }
}
