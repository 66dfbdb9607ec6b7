//! What a dynamic inventory prints: groups as JSON, and under `_meta` the variables of every host.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::model::{Model, Var};
use crate::inventory::{Fault, Faults, Place};

/// The variables of one host, where `_meta` did not have them all: `None` where nobody can be asked.
pub(super) type Ask<'a> = dyn FnMut(&str) -> Result<Map<String, Value>, Faults> + 'a;

struct Reader<'a> {
    place: &'a Place,
    model: &'a mut Model,
    faults: &'a mut Faults,
    hosts: BTreeSet<String>,
}

/// Adds what a program printed to the model. `ask` is asked for each host's variables if the answer has no
/// `_meta` with all of them.
pub(super) fn read(
    printed: &Map<String, Value>,
    place: &Place,
    (model, faults): (&mut Model, &mut Faults),
    ask: &mut Ask<'_>,
) {
    let mut reader = Reader { place, model, faults, hosts: BTreeSet::new() };
    let mut meta = None;
    for (name, data) in printed {
        match name.as_str() {
            "_meta" => meta = data.get("hostvars"),
            _ => reader.group(name, data),
        }
    }
    for host in std::mem::take(&mut reader.hosts) {
        let asked;
        let vars = match meta {
            Some(Value::Object(hostvars)) => match hostvars.get(&host) {
                Some(Value::Object(vars)) => vars,
                None | Some(Value::Null) => continue,
                Some(_) => {
                    reader.fault(format!("the variables of {host} in `_meta`"), "an object");
                    continue;
                }
            },
            Some(_) => {
                reader.fault("`hostvars` in `_meta`".to_owned(), "an object");
                return;
            }
            None => match ask(&host) {
                Ok(vars) => {
                    asked = vars;
                    &asked
                }
                Err(faults) => {
                    reader.faults.append(faults);
                    // The next one would answer as this one did.
                    return;
                }
            },
        };
        for (key, value) in vars {
            let var = Var { value: value.clone(), place: place.clone() };
            if let Err(expected) = reader.model.set_host_var(&host, key, var) {
                reader.fault(format!("`{key}` of {host}"), &expected);
            }
        }
    }
}

impl Reader<'_> {
    fn fault(&mut self, what: String, expected: &str) {
        let fault = Fault::new(self.place.clone(), format!("{what} in what it printed is something else"));
        self.faults.push(fault.expected(expected));
    }

    fn group(&mut self, name: &str, data: &Value) {
        if name.is_empty() {
            self.fault("a group without a name".to_owned(), "a name");
            return;
        }
        let group = self.model.add_group(name);
        let Some(sections) = data.as_object() else {
            // The old form: a list of hosts.
            self.hosts(group, name, data);
            return;
        };
        if !["hosts", "vars", "children"].iter().any(|key| sections.contains_key(*key)) {
            // A host that is its own group, with its variables.
            self.host(group, name);
            self.vars(group, sections);
            return;
        }
        if let Some(hosts) = sections.get("hosts") {
            self.hosts(group, name, hosts);
        }
        match sections.get("vars") {
            None => {}
            Some(Value::Object(vars)) => self.vars(group, vars),
            Some(_) => self.fault(format!("`vars` of the group {name}"), "an object"),
        }
        match sections.get("children") {
            None => {}
            Some(Value::Array(children)) => children.iter().for_each(|child| self.child(group, child)),
            Some(_) => self.fault(format!("`children` of the group {name}"), "a list of groups"),
        }
    }

    fn child(&mut self, group: usize, child: &Value) {
        let Some(name) = child.as_str().filter(|name| !name.is_empty()) else {
            self.fault("a child".to_owned(), "a group's name");
            return;
        };
        let child = self.model.add_group(name);
        if let Err(title) = self.model.add_child(group, child) {
            self.faults.push(Fault::new(self.place.clone(), title).expected("groups that lead somewhere"));
        }
    }

    fn hosts(&mut self, group: usize, name: &str, hosts: &Value) {
        let Some(hosts) = hosts.as_array() else {
            self.fault(format!("`hosts` of the group {name}"), "a list of names");
            return;
        };
        for host in hosts {
            match host.as_str().filter(|host| !host.is_empty()) {
                Some(host) => self.host(group, host),
                None => self.fault(format!("a host of the group {name}"), "a name"),
            }
        }
    }

    fn host(&mut self, group: usize, host: &str) {
        self.model.add_host(host, Some(group), None, self.place);
        self.hosts.insert(host.to_owned());
    }

    fn vars(&mut self, group: usize, vars: &Map<String, Value>) {
        for (key, value) in vars {
            let var = Var { value: value.clone(), place: self.place.clone() };
            if let Err(expected) = self.model.set_group_var(group, key, var) {
                self.fault(format!("`{key}`"), &expected);
            }
        }
    }
}
