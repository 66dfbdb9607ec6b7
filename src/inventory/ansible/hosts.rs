//! Ansible's variables → how we reach a host, and its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::model::{Model, Var};
use super::vars::HostVars;
use super::ways;
use crate::inventory::found::{Field, Found, FoundHost, host_name, is_label_value, label_name, written};
use crate::inventory::{Fault, Faults};
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

pub(super) fn found(model: &Model, vars: &[HostVars], wanted: &Wanted<'_>, faults: &mut Faults) -> Found {
    let mut found = Found::default();
    let mut remarks = Remarks::default();
    let mut names: BTreeMap<usize, HostName> = BTreeMap::new();
    for (number, (host, vars)) in model.hosts.iter().zip(vars).enumerate() {
        let plugin = match ways::plugin(vars) {
            Ok(plugin) => plugin,
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
        one.reach = if plugin.is_some() { Reach::Ssh } else { Reach::Local };
        let mut reading = Reading { vars, wanted, host: &mut one, remarks: &mut remarks };
        if let Some(plugin) = plugin {
            reading.connection(plugin);
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

pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

pub(super) fn is_vault(value: &Value) -> bool {
    value.get("__ansible_vault").is_some()
}

/// What one host's variables say.
pub(super) struct Reading<'a> {
    vars: &'a HostVars,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) host: &'a mut FoundHost,
    pub(super) remarks: &'a mut Remarks,
}

impl Reading<'_> {
    /// The last of `names` that is set wins, as in Ansible; `None` as well if its value is nothing.
    pub(super) fn var(&self, names: &[&str]) -> Option<(String, Var)> {
        let found =
            names.iter().rev().find_map(|name| Some(((*name).to_owned(), self.vars.get(name)?.clone())));
        found.filter(|(_, var)| !var.value.is_null())
    }

    pub(super) fn refuse(&mut self, field: Field, (name, var): (&str, &Var), reason: &str) {
        let value = match &var.value {
            value if is_vault(value) => "an encrypted value".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        self.refuse_as(field, &format!("{name} = {value}"), var, reason);
    }

    /// Without the value, which may be a key.
    pub(super) fn refuse_unseen(&mut self, field: Field, (name, var): (&str, &Var), reason: &str) {
        self.refuse_as(field, name, var, reason);
    }

    fn refuse_as(&mut self, field: Field, directive: &str, var: &Var, reason: &str) {
        let refusal =
            Refusal { at: written(&var.place), directive: directive.to_owned(), reason: reason.to_owned() };
        self.host.refused.push((field, refusal));
    }

    /// The variable's text, or a refusal.
    pub(super) fn text(&mut self, field: Field, names: &[&str], instead: &str) -> Option<(String, Var)> {
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
pub(super) struct Remarks {
    /// Arguments that many hosts have in common are kept once.
    first: BTreeSet<Arc<FirstLines>>,
    about: BTreeMap<(String, usize, String), (Var, BTreeSet<String>)>,
}

impl Remarks {
    pub(super) fn shared(&mut self, first: FirstLines) -> Arc<FirstLines> {
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
