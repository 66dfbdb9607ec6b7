//! An inventory in YAML: groups with `hosts`, `vars` and `children`, each a mapping.

use super::model::{Model, Var};
use super::pattern::expand;
use crate::inventory::yaml::{Node, Value};
use crate::inventory::{Fault, Faults, Text, suggestion};

struct Reader<'a> {
    text: &'a Text,
    model: &'a mut Model,
    faults: &'a mut Faults,
    remarks: &'a mut Vec<Fault>,
}

const KEYS: [&str; 3] = ["hosts", "vars", "children"];

/// Adds what the document says to the model.
pub(super) fn read(
    text: &Text,
    document: &Node,
    model: &mut Model,
    (faults, remarks): (&mut Faults, &mut Vec<Fault>),
) {
    let mut reader = Reader { text, model, faults, remarks };
    let Some(groups) = document.map() else {
        let title = format!("an inventory cannot be {}", document.kind());
        reader.fault(document, title, "a mapping of groups, as in `all: {hosts: {web1: {}}}`");
        return;
    };
    for (name, group) in groups {
        reader.group(name, group);
    }
}

impl Reader<'_> {
    fn fault(&mut self, node: &Node, title: String, expected: &str) {
        self.faults.push(Fault::new(self.text.place(node.span.clone()), title).expected(expected));
    }

    fn skipped(&mut self, node: &Node, title: String) {
        self.remarks.push(Fault::new(self.text.place(node.span.clone()), title));
    }

    fn group(&mut self, name: &Node, body: &Node) -> Option<usize> {
        let Some(text) = name.text().filter(|text| !text.is_empty()) else {
            self.fault(name, format!("a group's name cannot be {}", name.kind()), "a text; put it in quotes");
            return None;
        };
        if body.is_null() {
            return Some(self.model.add_group(text));
        }
        let Some(sections) = body.map() else {
            self.skipped(body, format!("{text} is no group, and Ansible passes over it, too"));
            return None;
        };
        let group = self.model.add_group(text);
        for (key, section) in sections {
            self.section(group, key, section);
        }
        Some(group)
    }

    fn section(&mut self, group: usize, key: &Node, section: &Node) {
        let word = key.key_text();
        if !KEYS.contains(&word.as_str()) {
            match suggestion(&word, KEYS) {
                Some(near) => {
                    let place = self.text.place(key.span.clone());
                    let title =
                        format!("unknown key `{word}` in the group {}", self.model.groups[group].name);
                    self.faults.push(Fault::new(place, title).help(near));
                }
                None => {
                    let name = &self.model.groups[group].name;
                    let title = format!("`{word}` in the group {name} is passed over, as Ansible does");
                    self.skipped(key, title);
                }
            }
            return;
        }
        match &section.value {
            Value::Null => {}
            Value::Map(pairs) => pairs.iter().for_each(|(name, body)| self.entry(group, &word, name, body)),
            // One name is as good as a mapping of it to nothing.
            Value::Text(_) if word != "vars" => {
                let nothing = Node { value: Value::Null, span: section.span.clone() };
                self.entry(group, &word, section, &nothing);
            }
            _ => self.fault(section, format!("`{word}` cannot be {}", section.kind()), "a mapping"),
        }
    }

    fn entry(&mut self, group: usize, section: &str, name: &Node, body: &Node) {
        match section {
            "hosts" => self.hosts(group, name, body),
            "vars" => {
                let place = self.text.place(name.span.clone());
                let var = Var { value: body.json(), place };
                let key = name.key_text();
                if let Err(expected) = self.model.set_group_var(group, &key, var) {
                    self.fault(body, format!("`{key}` cannot be {}", body.kind()), &expected);
                }
            }
            _ => {
                let Some(child) = self.group(name, body) else { return };
                if let Err(title) = self.model.add_child(group, child) {
                    self.fault(name, title, "groups that lead somewhere");
                }
            }
        }
    }

    fn hosts(&mut self, group: usize, name: &Node, body: &Node) {
        let Some(entry) = name.text().filter(|text| !text.is_empty()) else {
            self.fault(name, format!("a host cannot be {}", name.kind()), "a text; put it in quotes");
            return;
        };
        let expanded = match expand(entry) {
            Ok(expanded) => expanded,
            Err(expected) => {
                self.fault(name, format!("{entry:?} cannot be hosts"), &expected);
                return;
            }
        };
        let vars = match &body.value {
            Value::Null | Value::Bool(false) => &[][..],
            Value::Map(pairs) => pairs,
            _ => {
                let title = format!("the variables of {entry} cannot be {}", body.kind());
                self.fault(body, title, "a mapping");
                return;
            }
        };
        let place = self.text.place(name.span.clone());
        for host in &expanded.names {
            self.model.add_host(host, Some(group), expanded.port, &place);
        }
        for (key, value) in vars {
            let var = Var { value: value.json(), place: self.text.place(key.span.clone()) };
            for host in &expanded.names {
                if let Err(expected) = self.model.set_host_var(host, &key.key_text(), var.clone()) {
                    self.fault(value, format!("`{}` of a group", key.key_text()), &expected);
                }
            }
        }
    }
}
