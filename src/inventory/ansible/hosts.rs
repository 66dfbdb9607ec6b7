//! Ansible's variables → how we reach a host, and its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::arguments::Lines;
use super::model::{Model, Var};
use super::vars::HostVars;
use crate::inventory::found::{
    Field, Found, FoundHost, host_name, is_label_value, is_user, label_name, written,
};
use crate::inventory::{Fault, Faults, is_address};
use crate::model::{FirstLines, HostName, Reach, Refusal};
use crate::render::counted;
use crate::select::{self, matches_mask};

/// What of an inventory becomes what of ours.
pub(super) struct Wanted<'a> {
    /// Masks of the variables that become labels.
    pub labels: &'a [String],
    pub home: Option<&'a Path>,
    /// Where a relative path of a key starts.
    pub keys_from: &'a Path,
}

/// Connections that are SSH.
const SSH: [&str; 5] = ["ssh", "smart", "paramiko", "paramiko_ssh", "libssh"];

pub(super) fn found(model: &Model, vars: &[HostVars], wanted: &Wanted<'_>, faults: &mut Faults) -> Found {
    let mut found = Found::default();
    let mut remarks = Remarks::default();
    let mut names: BTreeMap<usize, HostName> = BTreeMap::new();
    for (number, (host, vars)) in model.hosts.iter().zip(vars).enumerate() {
        let reach = match connection(vars) {
            Ok(reach) => reach,
            Err((var, kind)) => {
                let title = format!("`ansible_connection` is {kind}: left out, only SSH is spoken here");
                remarks.add(var, title, &host.name);
                continue;
            }
        };
        let Some(name) = host_name(&host.name) else {
            let fault = Fault::new(host.place.clone(), format!("{:?} cannot be a host's name", host.name));
            faults.push(fault.expected("1 to 253 of A-Z a-z 0-9 . _ -, the first a letter or digit"));
            continue;
        };
        let mut one = FoundHost::new(name.clone(), host.place.clone());
        one.reach = reach;
        let mut reading = Reading { vars, wanted, host: &mut one, remarks: &mut remarks };
        if reach == Reach::Ssh {
            reading.connection();
        }
        reading.privilege();
        reading.labels();
        if one.address.is_none() && name.as_str() != host.name {
            one.address = Some(host.name.clone());
        }
        names.insert(number, name);
        found.hosts.push(one);
    }
    groups(model, &names, &mut found);
    found.remarks = remarks.faults();
    found
}

/// Each group is one of ours and a label of its hosts, so that `explain` sees it, too.
fn groups(model: &Model, names: &BTreeMap<usize, HostName>, found: &mut Found) {
    let positions: BTreeMap<HostName, usize> =
        found.hosts.iter().enumerate().map(|(at, host)| (host.name.clone(), at)).collect();
    for (number, group) in model.groups.iter().enumerate() {
        if ["all", "ungrouped"].contains(&group.name.as_str()) {
            continue;
        }
        let members: Vec<HostName> =
            model.all_of(number).into_iter().filter_map(|host| names.get(&host).cloned()).collect();
        let label = label_name(&format!("group.{}", group.name));
        for at in members.iter().filter_map(|name| positions.get(name)) {
            found.hosts[*at].labels.insert(label.clone(), "yes".to_owned());
        }
        found.groups.insert(group.name.clone(), members);
    }
}

/// How the host is reached, or what it would take.
fn connection(vars: &HostVars) -> Result<Reach, (&Var, String)> {
    let Some(var) = vars.get("ansible_connection") else { return Ok(Reach::Ssh) };
    let Some(kind) = var.value.as_str() else { return Err((var, var.value.to_string())) };
    match kind.strip_prefix("ansible.builtin.").unwrap_or(kind) {
        "local" => Ok(Reach::Local),
        kind if SSH.contains(&kind) => Ok(Reach::Ssh),
        // What cannot be read is refused, host by host, in `Reading::connection`.
        kind if is_template(kind) => Ok(Reach::Ssh),
        _ => Err((var, format!("{kind:?}"))),
    }
}

pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

pub(super) fn is_vault(value: &Value) -> bool {
    value.get("__ansible_vault").is_some()
}

/// What one host's variables say.
pub(super) struct Reading<'a> {
    vars: &'a HostVars,
    wanted: &'a Wanted<'a>,
    pub(super) host: &'a mut FoundHost,
    remarks: &'a mut Remarks,
}

impl Reading<'_> {
    /// The last of `names` that is set wins, as in Ansible; `None` as well if its value is nothing.
    pub(super) fn var(&self, names: &[&str]) -> Option<(String, Var)> {
        let found =
            names.iter().rev().find_map(|name| Some(((*name).to_owned(), self.vars.get(name)?.clone())));
        found.filter(|(_, var)| !var.value.is_null())
    }

    fn refuse(&mut self, field: Field, (name, var): (&str, &Var), reason: &str) {
        let value = match &var.value {
            value if is_vault(value) => "an encrypted value".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let refusal = Refusal {
            at: written(&var.place),
            directive: format!("{name} = {value}"),
            reason: reason.to_owned(),
        };
        self.host.refused.push((field, refusal));
    }

    /// The variable's text, or a refusal.
    fn text(&mut self, field: Field, names: &[&str], instead: &str) -> Option<(String, Var)> {
        let (name, var) = self.var(names)?;
        let text = match &var.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let reason = match &text {
            Some(text) if is_template(text) => "templates are not supported",
            Some(text) => return Some((text.clone(), var)),
            None if is_vault(&var.value) => "values in a vault are not supported",
            None => "this is no text",
        };
        self.refuse(field, (&name, &var), &format!("{reason}; {instead}"));
        None
    }

    fn connection(&mut self) {
        if let Some((name, var)) = self.var(&["ansible_connection"])
            && var.value.as_str().is_some_and(is_template)
        {
            self.refuse(Field::Way, (&name, &var), "templates are not supported; write the connection out");
        }
        let own = format!("say it in [[hosts]] names = \"{}\"", self.host.name);
        if let Some((address, var)) = self.text(Field::Address, &["ansible_host", "ansible_ssh_host"], &own) {
            match is_address(&address) {
                true => self.host.address = Some(address),
                false => {
                    self.refuse(Field::Address, ("ansible_host", &var), "this is no name and no address")
                }
            }
        }
        if let Some((port, var)) = self.text(Field::Port, &["ansible_port", "ansible_ssh_port"], &own) {
            match port.trim().parse().ok().filter(|port: &u16| *port > 0) {
                Some(port) => self.host.port = Some(port),
                None => self.refuse(Field::Port, ("ansible_port", &var), "this is no port"),
            }
        }
        if let Some((user, var)) = self.text(Field::User, &["ansible_user", "ansible_ssh_user"], &own) {
            match is_user(&user) {
                true => self.host.user = Some(user),
                false => self.refuse(Field::User, ("ansible_user", &var), "this is no login name"),
            }
        }
        let names = ["ansible_private_key_file", "ansible_ssh_private_key_file"];
        if let Some((path, var)) = self.text(Field::IdentityFiles, &names, &own) {
            match self.key(&path) {
                Some(path) => self.host.identity_files = Some(vec![path]),
                None => {
                    let reason = "of variables and homes only ~/ is supported in a path";
                    self.refuse(Field::IdentityFiles, (names[1], &var), reason);
                }
            }
        }
        self.arguments();
    }

    fn key(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() || path.contains('$') {
            return None;
        }
        match path.strip_prefix('~') {
            Some(rest) => Some(self.wanted.home?.join(rest.strip_prefix('/')?)),
            None => Some(self.wanted.keys_from.join(path)),
        }
    }

    fn arguments(&mut self) {
        let write_out = "write the arguments out";
        let mut lines = Lines::default();
        for name in ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"] {
            let Some((text, var)) = self.text(Field::Way, &[name], write_out) else { continue };
            let at = written(&var.place);
            lines.name = format!("{at}: {name}");
            for (argument, reason) in lines.add(&text) {
                let refusal = Refusal { at: at.clone(), directive: format!("{name}: {argument}"), reason };
                self.host.refused.push((Field::Way, refusal));
            }
        }
        self.host.first = lines.done().map(|first| self.remarks.shared(first));
        if let Some((program, var)) = self.text(Field::Way, &["ansible_ssh_executable"], write_out)
            && Path::new(&program).file_name().is_none_or(|name| name != "ssh")
        {
            let reason = "hosts are reached without a program; take the variable away";
            self.refuse(Field::Way, ("ansible_ssh_executable", &var), reason);
        }
    }

    pub(super) fn remark(&mut self, var: &Var, title: String) {
        self.remarks.add(var, title, self.host.name.as_str());
    }

    fn labels(&mut self) {
        for (name, var) in self.vars.iter() {
            if !is_wanted(name, self.wanted.labels) {
                continue;
            }
            let text = match &var.value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                value => {
                    let what = if is_vault(value) { "encrypted" } else { "no plain value" };
                    let title = format!("`{name}` is {what}, and so no label");
                    self.remarks.add(var, title, self.host.name.as_str());
                    continue;
                }
            };
            if is_template(&text) {
                let title = format!("`{name}` is a template, which is not supported, and so no label");
                self.remarks.add(var, title, self.host.name.as_str());
            } else if !is_label_value(&text) {
                let title = format!("`{name}` is longer than a label can be, or has control characters");
                self.remarks.add(var, title, self.host.name.as_str());
            } else if !text.is_empty() {
                self.host.labels.insert(label_name(name), text);
            }
        }
    }
}

/// Whether a variable becomes a label. A mask with a wildcard leaves out what may be a secret and what is
/// Ansible's own; the name itself does not.
fn is_wanted(name: &str, masks: &[String]) -> bool {
    let shy = || {
        let lower = name.to_ascii_lowercase();
        let secret = SECRETS.iter().any(|word| lower.contains(word));
        secret || lower.starts_with("ansible_")
    };
    masks.iter().any(|mask| match mask.contains(['*', '?']) {
        true => matches_mask(mask, name) && !shy(),
        false => mask == name,
    })
}

const SECRETS: [&str; 12] =
    ["pass", "pwd", "secret", "token", "key", "cred", "vault", "private", "salt", "hash", "cert", "auth"];

/// One remark for all hosts that one line is about.
#[derive(Default)]
struct Remarks {
    /// Arguments that many hosts have in common are kept once.
    first: BTreeSet<Arc<FirstLines>>,
    about: BTreeMap<(String, usize, String), (Var, BTreeSet<String>)>,
}

impl Remarks {
    fn shared(&mut self, first: FirstLines) -> Arc<FirstLines> {
        if let Some(known) = self.first.get(&first) {
            return Arc::clone(known);
        }
        let first = Arc::new(first);
        self.first.insert(Arc::clone(&first));
        first
    }

    fn add(&mut self, var: &Var, title: String, host: &str) {
        let key = (var.place.file.to_string(), var.place.span.start, title);
        let (_, hosts) = self.about.entry(key).or_insert_with(|| (var.clone(), BTreeSet::new()));
        hosts.insert(host.to_owned());
    }

    fn faults(self) -> Vec<Fault> {
        let remark = |((_, _, title), (var, hosts)): ((_, _, String), (Var, BTreeSet<String>))| {
            let all = match hosts.len() {
                1..=50 => select::fold(&hosts),
                many => counted(many, "host"),
            };
            Fault::new(var.place, format!("{title} ({all})"))
        };
        self.about.into_iter().map(remark).collect()
    }
}

/// Variables that could be labels and are none yet: plain values of several hosts that tell some of them apart,
/// and look like no secret.
pub(super) fn further_labels(vars: &[HostVars], wanted: &[String]) -> Vec<String> {
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, var) in vars.iter().flat_map(HostVars::iter) {
        let plain = matches!(&var.value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        let text = var.value.as_str().map_or_else(|| var.value.to_string(), str::to_owned);
        if plain && text.len() <= 64 && !text.is_empty() && !is_template(&text) {
            values.entry(name).or_default().push(text);
        }
    }
    let everything = ["*".to_owned()];
    let tells_apart = |(name, texts): &(&str, Vec<String>)| {
        let distinct: BTreeSet<&String> = texts.iter().collect();
        let shared = texts.len() >= 2 * distinct.len();
        let apart = distinct.len() > 1 || texts.len() < vars.len();
        shared && apart && is_wanted(name, &everything) && !is_wanted(name, wanted)
    };
    values.into_iter().filter(tells_apart).map(|(name, _)| name.to_owned()).collect()
}
