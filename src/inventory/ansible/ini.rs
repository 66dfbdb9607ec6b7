//! An inventory in Ansible's own INI: sections of hosts, of children and of variables.

use std::collections::BTreeMap;

use super::literal;
use super::model::{Model, Var};
use super::pattern::expand;
use super::words::words;
use crate::inventory::{Fault, Faults, Place, Text};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Hosts,
    Children,
    Vars,
}

/// A group that was named before its own section.
struct Pending {
    place: Place,
    /// Whose children it is to be; empty for one that only has variables.
    parents: Vec<usize>,
}

struct Reader<'a> {
    text: &'a Text,
    model: &'a mut Model,
    faults: &'a mut Faults,
    group: usize,
    part: Part,
    pending: BTreeMap<String, Pending>,
}

/// Adds what `text` says to the model.
pub(super) fn read(text: &Text, model: &mut Model, faults: &mut Faults) {
    let group = model.add_group("ungrouped");
    let mut reader = Reader { text, model, faults, group, part: Part::Hosts, pending: BTreeMap::new() };
    for line in text.text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with(['#', ';']) {
            reader.line(line);
        }
    }
    reader.finish();
}

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        match section(line) {
            Some((name, part)) => self.section(name, part),
            None if line.starts_with('[') && line.ends_with(']') => {
                let fault = Fault::new(self.text.place_of(line), "this cannot be a section");
                self.faults.push(fault.expected("[group], [group:children] or [group:vars], without blanks"));
            }
            None => match self.part {
                Part::Hosts => self.hosts(line),
                Part::Children => self.child(line),
                Part::Vars => self.var(line),
            },
        }
    }

    fn section(&mut self, name: &str, part: Option<&str>) {
        self.part = match part {
            None | Some("hosts") => Part::Hosts,
            Some("children") => Part::Children,
            Some("vars") => Part::Vars,
            Some(other) => {
                let fault = Fault::new(self.text.place_of(other), format!("[{name}:{other}] is no section"));
                let near = crate::inventory::suggestion(other, ["hosts", "children", "vars"]);
                self.faults.push(fault.expected("one of hosts, children, vars").maybe_help(near));
                return;
            }
        };
        if self.model.group(name).is_none() {
            if self.part == Part::Vars && !self.pending.contains_key(name) {
                let pending = Pending { place: self.text.place_of(name), parents: Vec::new() };
                self.pending.insert(name.to_owned(), pending);
            }
            self.model.add_group(name);
        }
        self.group = self.model.add_group(name);
        if self.part != Part::Vars
            && let Some(pending) = self.pending.remove(name)
        {
            let place = self.text.place_of(name);
            for parent in pending.parents {
                self.link(parent, self.group, place.clone());
            }
        }
    }

    fn hosts(&mut self, line: &str) {
        let place = self.text.place_of(line);
        let Some(words) = words(line) else {
            let fault = Fault::new(place, "a quote is not closed, or a backslash ends the line");
            self.faults.push(fault.expected("NAME KEY=VALUE KEY=\"A VALUE WITH BLANKS\""));
            return;
        };
        let Some((entry, assignments)) = words.split_first() else { return };
        let at = self.within(line, entry);
        let expanded = match expand(entry) {
            Ok(expanded) => expanded,
            Err(expected) => {
                let fault = Fault::new(at, format!("{entry:?} cannot be hosts"));
                self.faults.push(fault.expected(expected));
                return;
            }
        };
        if entry.ends_with(':') || entry == "---" || entry.is_empty() {
            let fault = Fault::new(at, format!("{entry:?} cannot be a host"));
            self.faults.push(fault.expected("a name or an address, with :PORT or without"));
            return;
        }
        for name in &expanded.names {
            self.model.add_host(name, Some(self.group), expanded.port, &at);
        }
        for assignment in assignments {
            let at = self.within(line, assignment.split('=').next().unwrap_or(assignment));
            let Some((key, value)) = assignment.split_once('=') else {
                let fault = Fault::new(at, format!("{assignment:?} sets no variable"));
                self.faults.push(fault.expected("KEY=VALUE"));
                continue;
            };
            let var = Var { value: literal::value(value), place: at };
            for name in &expanded.names {
                if let Err(expected) = self.model.set_host_var(name, key, var.clone()) {
                    self.faults.push(
                        Fault::new(var.place.clone(), format!("`{key}` of a group")).expected(expected),
                    );
                }
            }
        }
    }

    /// The place of a word of the line; the line where quotes hide it.
    fn within(&self, line: &str, word: &str) -> Place {
        match line.find(word).filter(|_| !word.is_empty()) {
            Some(at) => self.text.place_of(&line[at..at + word.len()]),
            None => self.text.place_of(line),
        }
    }

    fn child(&mut self, line: &str) {
        let end = line.find(|c: char| c.is_whitespace() || c == ':' || c == ']').unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let place = self.text.place_of(line);
        if name.is_empty() || !(rest.is_empty() || rest.starts_with('#')) {
            let fault = Fault::new(place, format!("{line:?} cannot be a group's name"));
            self.faults.push(fault.expected("one group in each line, without blanks and colons"));
            return;
        }
        match self.model.group(name) {
            Some(child) => self.link(self.group, child, self.text.place_of(name)),
            None => {
                let place = self.text.place_of(name);
                let pending = self.pending.entry(name.to_owned());
                pending.or_insert(Pending { place, parents: Vec::new() }).parents.push(self.group);
            }
        }
    }

    fn link(&mut self, parent: usize, child: usize, place: Place) {
        if let Err(title) = self.model.add_child(parent, child) {
            self.faults.push(Fault::new(place, title).expected("groups that lead somewhere"));
        }
    }

    fn var(&mut self, line: &str) {
        let Some((key, value)) = line.split_once('=') else {
            let fault = Fault::new(self.text.place_of(line), format!("{line:?} sets no variable"));
            self.faults.push(fault.expected("KEY=VALUE, one in each line"));
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        let var = Var { value: literal::value(value), place: self.text.place_of(key) };
        if let Err(expected) = self.model.set_group_var(self.group, key, var) {
            let title = format!("`{key}` cannot be {value:?}");
            self.faults.push(Fault::new(self.text.place_of(value), title).expected(expected));
        }
    }

    fn finish(self) {
        for (name, pending) in self.pending {
            let title = match pending.parents.first() {
                None => format!("[{name}:vars] is for a group that is nowhere"),
                Some(parent) => {
                    format!(
                        "[{}:children] has a group that is nowhere: {name}",
                        self.model.groups[*parent].name
                    )
                }
            };
            let names = self.model.groups.iter().map(|group| group.name.as_str());
            let near = crate::inventory::suggestion(&name, names.filter(|known| *known != name));
            let fault = Fault::new(pending.place, title).expected(format!("a section [{name}]"));
            self.faults.push(fault.maybe_help(near));
        }
    }
}

/// Name and kind of `[name]` or `[name:kind]`, with a comment behind it or without.
fn section(line: &str) -> Option<(&str, Option<&str>)> {
    let (head, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    let (name, kind) = match head.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (head, None),
    };
    let word = |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    let fits = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && kind.is_none_or(word)
        && (rest.is_empty() || rest.starts_with('#'));
    fits.then_some((name, kind))
}
