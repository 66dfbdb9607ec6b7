//! Prometheus's lists of targets, out of files or over HTTP: groups of `targets` with their `labels`. As in
//! Prometheus, a target is its `__address__`, and labels that begin with `__` end with the discovery, unless
//! somebody asks for them. What the targets' ports serve is not asked: they are not SSH's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ansible::document;
use super::fault::{Fault, Faults, Place, suggestion};
use super::fleet::is_address;
use super::found::{Found, FoundHost, host_name, is_label_value, label_name};
use super::text::Text;
use super::yaml::{Node, Value};
use crate::model::Labels;
use crate::render::counted;
use crate::select::{self, matches_mask};

/// Which labels say what about a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Its name; without it, the host of `__address__`.
    pub name_from: Option<String>,
    /// Where it is reached; without it, the host of `__address__`.
    pub address_from: Option<String>,
    /// SSH's port: a label with a number, or one with `host:port` such as `__address__`.
    pub port_from: Option<String>,
    /// Masks of labels that begin with `__` and are kept; those that do not are kept anyway.
    pub keep: Vec<String>,
}

const KEYS: [&str; 2] = ["targets", "labels"];

/// Reads lists into one answer.
pub(super) struct Targets<'a> {
    mapping: &'a Mapping,
    found: Found,
    positions: HashMap<String, usize>,
    /// Labels whose values differ between targets of one host, with those hosts.
    several: BTreeMap<String, BTreeSet<String>>,
    faults: Faults,
}

impl<'a> Targets<'a> {
    pub fn new(mapping: &'a Mapping) -> Self {
        Self {
            mapping,
            found: Found::default(),
            positions: HashMap::new(),
            several: BTreeMap::new(),
            faults: Faults::default(),
        }
    }

    pub fn faults(&mut self, faults: Faults) {
        self.faults.append(faults);
    }

    /// Adds a list; `meta` is the label that says which one it is.
    pub fn add(&mut self, text: &Text, meta: (&str, &str)) {
        let document = match document(text) {
            Ok(document) => document,
            Err(faults) => return self.faults.append(faults),
        };
        match &document.value {
            Value::List(groups) => groups.iter().for_each(|group| self.group(text, group, meta)),
            _ => {
                let title = format!("targets cannot be {}", document.kind());
                let fault = Fault::new(text.place(document.span.clone()), title);
                self.faults
                    .push(fault.expected("a list, as in [{\"targets\": [\"web1:9100\"], \"labels\": {}}]"));
            }
        }
    }

    pub fn done(self) -> Result<Found, Faults> {
        let Self { mut found, several, faults, .. } = self;
        if !faults.is_empty() {
            return Err(faults);
        }
        for (label, hosts) in several {
            let all = if hosts.len() > 50 { counted(hosts.len(), "host") } else { select::fold(&hosts) };
            let title = format!("targets of one host differ in `{label}`, and the first is taken ({all})");
            found.remarks.push(Fault::new(Place::whole("targets"), title));
        }
        Ok(found)
    }

    fn group(&mut self, text: &Text, group: &Node, meta: (&str, &str)) {
        let Some(pairs) = group.map() else {
            let title = format!("a group of targets cannot be {}", group.kind());
            let fault = Fault::new(text.place(group.span.clone()), title);
            return self.faults.push(fault.expected("a mapping with `targets` and `labels`"));
        };
        let mut labels = Labels::from([(meta.0.to_owned(), meta.1.to_owned())]);
        let mut targets = &[][..];
        for (key, value) in pairs {
            match (key.key_text().as_str(), &value.value) {
                (_, Value::Null) => {}
                ("targets", Value::List(items)) => targets = items,
                ("labels", Value::Map(pairs)) => {
                    for (name, value) in pairs {
                        match plain(text, value) {
                            Some(value) => drop(labels.insert(name.key_text(), value.to_owned())),
                            None => {
                                let title = format!("a label cannot be {}", value.kind());
                                let fault = Fault::new(text.place(value.span.clone()), title);
                                self.faults.push(fault.expected("a text"));
                            }
                        }
                    }
                }
                (word @ ("targets" | "labels"), _) => {
                    let title = format!("`{word}` cannot be {}", value.kind());
                    let expected = if word == "targets" { "a list of texts" } else { "a mapping" };
                    self.faults.push(Fault::new(text.place(value.span.clone()), title).expected(expected));
                }
                (word, _) => {
                    let fault = Fault::new(text.place(key.span.clone()), format!("unknown key `{word}`"));
                    let near = suggestion(word, KEYS);
                    self.faults.push(fault.expected("`targets` and `labels`").maybe_help(near));
                }
            }
        }
        for target in targets {
            self.target(text, target, &labels);
        }
    }

    fn target(&mut self, text: &Text, target: &Node, labels: &Labels) {
        let place = text.place(target.span.clone());
        let Some(address) = target.text().filter(|text| !text.is_empty() && !text.contains('/')) else {
            let title = match target.text() {
                Some(text) => format!("{text:?} cannot be a target"),
                None => format!("a target cannot be {}", target.kind()),
            };
            return self.faults.push(Fault::new(place, title).expected("HOST:PORT"));
        };
        let mut labels = labels.clone();
        labels.insert("__address__".to_owned(), address.to_owned());
        match self.host(&place, &labels) {
            Ok(host) => self.join(host, &labels),
            Err(faults) => self.faults.append(faults),
        }
    }

    /// What one target says of its host.
    fn host(&self, place: &Place, labels: &Labels) -> Result<FoundHost, Faults> {
        let said = |label: &str| {
            let value = labels.get(label).filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                let near = suggestion(label, labels.keys().map(String::as_str));
                let title = format!("the target has no label `{label}`");
                Faults::from(Fault::new(place.clone(), title).maybe_help(near))
            })
        };
        let (own, _) = split(&labels["__address__"]);
        let name = match &self.mapping.name_from {
            Some(label) => split(said(label)?).0,
            None => own,
        };
        let Some(checked) = host_name(name) else {
            let fault = Fault::new(place.clone(), format!("{name:?} cannot be a host's name"));
            return Err(fault.expected("1 to 253 of A-Z a-z 0-9 . _ -, the first a letter or digit").into());
        };
        let address = match &self.mapping.address_from {
            Some(label) => split(said(label)?).0,
            None => own,
        };
        if !is_address(address) {
            let fault = Fault::new(place.clone(), format!("{address:?} cannot be an address"));
            return Err(fault.expected("a host name or an IP address").into());
        }
        let mut host = FoundHost::new(checked, place.clone());
        // A host whose name is its address has said nothing about it: an ssh_config may.
        host.address = (address != host.name.as_str()).then(|| address.to_owned());
        if let Some(label) = &self.mapping.port_from {
            let value = said(label)?;
            let port = split(value).1.unwrap_or(value);
            host.port = port.parse().ok().filter(|port: &u16| *port > 0);
            if host.port.is_none() {
                let title = format!("`{label}` is {value:?}, which is no port");
                return Err(Fault::new(place.clone(), title).into());
            }
        }
        Ok(host)
    }

    /// A host with several targets is one host.
    fn join(&mut self, mut host: FoundHost, labels: &Labels) {
        for (name, value) in labels {
            let kept =
                !name.starts_with("__") || self.mapping.keep.iter().any(|mask| matches_mask(mask, name));
            if kept && !value.is_empty() && is_label_value(value) {
                host.labels.insert(label_name(name), value.clone());
            }
        }
        let Some(at) = self.positions.get(host.name.as_str()) else {
            self.positions.insert(host.name.to_string(), self.found.hosts.len());
            self.found.hosts.push(host);
            return;
        };
        let first = &mut self.found.hosts[*at];
        if (&first.address, first.port) != (&host.address, host.port) {
            let title = format!("{} is here a second time, at another address or port", host.name);
            let fault = Fault::new(host.place, title).also(first.place.clone(), "first here");
            self.faults.push(fault.help("take the name from a label that tells them apart: name_from"));
            return;
        }
        for (name, value) in host.labels {
            match first.labels.get(&name) {
                Some(known) if *known != value => {
                    self.several.entry(name).or_default().insert(host.name.to_string());
                }
                Some(_) => {}
                None => drop(first.labels.insert(name, value)),
            }
        }
    }
}

/// A scalar as it was written: Prometheus knows texts only.
fn plain<'t>(text: &'t Text, node: &'t Node) -> Option<&'t str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => text.text.get(node.span.clone()),
        _ => None,
    }
}

/// Host and port of `host:port`, `[v6]:port`, or a host alone.
fn split(address: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match address.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str, mapping: &Mapping) -> Result<Found, Faults> {
        let text = Text { file: "sd.yml".into(), folder: "/".into(), text: list.into() };
        let mut targets = Targets::new(mapping);
        targets.add(&text, ("__meta_filepath", "sd.yml"));
        targets.done()
    }

    fn shown(list: &str, mapping: &Mapping) -> String {
        match read(list, mapping) {
            Err(faults) => faults.to_string(),
            Ok(found) => {
                let hosts = found.hosts.iter().map(|host| {
                    let address = host.address.as_deref().unwrap_or("-");
                    let port = host.port.map_or(String::new(), |port| format!(":{port}"));
                    let labels: Vec<String> = host.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                    format!("{} {address}{port} {}", host.name, labels.join(","))
                });
                hosts.collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn targets_become_hosts() {
        let usual = Mapping::default();
        let check = |list: &str, expected: &str| assert_eq!(shown(list, &usual), expected, "{list}");
        check(
            "[{\"targets\": [\"web1:9100\", \"web2\"], \"labels\": {\"dc\": \"eu\", \"__x\": \"y\"}}]",
            "web1 - dc=eu; web2 - dc=eu",
        );
        check(
            "- targets: ['[2001:db8::1]:9100', '10.0.0.1:1']\n  labels: {rack: 07}\n",
            "2001-db8--1 2001:db8::1 rack=07; 10.0.0.1 - rack=07",
        );
        check(
            "- targets: [a:1, a:2]\n  labels: {job: x}\n- targets: [a:3]\n  labels: {job: y, t: z}\n",
            "a - job=x,t=z",
        );
        check("[]", "");
        check(
            "- target: [a]\n",
            "sd.yml:1:3: unknown key `target`; expected `targets` and `labels`; did you mean `targets`?",
        );
        check(
            "- targets: ['http://a/x']\n",
            "sd.yml:1:13: \"http://a/x\" cannot be a target; expected HOST:PORT",
        );
        check(
            "a: b\n",
            "sd.yml:1:1: targets cannot be a mapping; expected a list, as in [{\"targets\": [\"web1:9100\"], \"labels\": {}}]",
        );
        let remarks =
            read("- {targets: [a:1], labels: {job: x}}\n- {targets: [a:2], labels: {job: y}}\n", &usual);
        assert!(remarks.unwrap().remarks[0].title.contains("differ in `job`"));
    }

    #[test]
    fn labels_say_name_address_and_port() {
        let text = |label: &str| Some(label.to_owned());
        let mapping = Mapping {
            name_from: text("__meta_node"),
            address_from: text("__meta_ip"),
            port_from: text("__meta_ssh"),
            keep: vec!["__meta_n*".to_owned()],
        };
        let list = "- targets: ['10.0.0.1:9100']\n  labels: {__meta_node: n1, __meta_ip: 10.9.9.9, __meta_ssh: 2222}\n";
        assert_eq!(shown(list, &mapping), "n1 10.9.9.9:2222 __meta_node=n1");
        let by_address = Mapping { port_from: text("__address__"), ..Mapping::default() };
        assert_eq!(shown("- targets: [a:2200]\n", &by_address), "a -:2200 ");
        let missing = shown("- targets: [a:1]\n  labels: {__meta_nod: x}\n", &mapping);
        assert!(missing.contains("has no label `__meta_node`; did you mean `__meta_nod`?"), "{missing}");
        let twice = "- targets: [a:1]\n  labels: {__meta_node: n, __meta_ip: x, __meta_ssh: 1}\n- targets: [b:1]\n  labels: {__meta_node: n, __meta_ip: y, __meta_ssh: 1}\n";
        assert!(shown(twice, &mapping).contains("n is here a second time"), "{}", shown(twice, &mapping));
    }
}
