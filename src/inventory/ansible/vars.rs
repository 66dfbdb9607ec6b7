//! Variables from `group_vars/` and `host_vars/`, and which of all wins: those of `all`, of the other groups
//! by depth, priority and name, of `group_vars/all`, of the other groups' files, of the host, of its files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::VARS_CAP;
use super::model::{ALL, Model, Var, Vars};
use crate::inventory::yaml::{self, Node};
use crate::inventory::{Fault, Faults, Text};

/// One host's variables, what wins first.
#[derive(Debug, Clone)]
pub(super) struct HostVars {
    layers: [Rc<Vars>; 3],
}

impl HostVars {
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    /// Each variable once.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        let layers = &self.layers;
        layers.iter().enumerate().flat_map(move |(number, layer)| {
            let hidden = move |name: &String| layers[..number].iter().any(|above| above.contains_key(name));
            layer.iter().filter(move |(name, _)| !hidden(name)).map(|(name, var)| (name.as_str(), var))
        })
    }
}

/// Where files of variables are looked for, in order.
pub(super) struct Folders {
    /// Those of the inventory's own files.
    pub inventory: Vec<PathBuf>,
    /// That of the playbooks.
    pub play: Option<PathBuf>,
}

/// The variables of each host of the model.
pub(super) fn of_hosts(
    model: &Model,
    folders: &Folders,
    faults: &mut Faults,
    remarks: &mut Vec<Fault>,
) -> Vec<HostVars> {
    let mut files = Files { known: HashMap::new(), faults, remarks };
    let mut of_groups: HashMap<Vec<usize>, Rc<Vars>> = HashMap::new();
    let none: Rc<Vars> = Rc::default();
    let mut all = Vec::with_capacity(model.hosts.len());
    for (host, groups) in model.hosts.iter().zip(model.memberships()) {
        let below = match of_groups.get(&groups) {
            Some(vars) => Rc::clone(vars),
            None => {
                let vars = Rc::new(files.of_groups(model, &groups, folders));
                of_groups.insert(groups, Rc::clone(&vars));
                vars
            }
        };
        let mut own = Vars::new();
        files.add(folders, "host_vars", &[&host.name], &mut own);
        let own = if own.is_empty() { Rc::clone(&none) } else { Rc::new(own) };
        all.push(HostVars { layers: [own, Rc::new(host.vars.clone()), below] });
    }
    all
}

struct Files<'a> {
    known: HashMap<(PathBuf, String), Rc<Vars>>,
    faults: &'a mut Faults,
    remarks: &'a mut Vec<Fault>,
}

impl Files<'_> {
    fn of_groups(&mut self, model: &Model, groups: &[usize], folders: &Folders) -> Vars {
        let mut vars = model.groups[ALL].vars.clone();
        for group in groups {
            vars.extend(model.groups[*group].vars.clone());
        }
        let names: Vec<&str> = groups.iter().map(|group| model.groups[*group].name.as_str()).collect();
        self.add(folders, "group_vars", &["all"], &mut vars);
        self.add(folders, "group_vars", &names, &mut vars);
        vars
    }

    /// Folder by folder, the playbooks' last.
    fn add(&mut self, folders: &Folders, kind: &str, names: &[&str], vars: &mut Vars) {
        for folder in folders.inventory.iter().chain(&folders.play) {
            let folder = folder.join(kind);
            for name in names {
                vars.extend(self.named(&folder, name).iter().map(|(key, var)| (key.clone(), var.clone())));
            }
        }
    }

    fn named(&mut self, folder: &Path, name: &str) -> Rc<Vars> {
        let key = (folder.to_owned(), name.to_owned());
        if let Some(vars) = self.known.get(&key) {
            return Rc::clone(vars);
        }
        let mut vars = Vars::new();
        // A name that is a path is no file's here.
        if !name.contains('/') && folder.is_dir() {
            for path in self.find(folder, name) {
                self.read(&path, &mut vars);
            }
        }
        let vars = Rc::new(vars);
        self.known.insert(key, Rc::clone(&vars));
        vars
    }

    /// The file of that name, or the files of the folder of that name.
    fn find(&mut self, folder: &Path, name: &str) -> Vec<PathBuf> {
        for extension in EXTENSIONS {
            let path = folder.join(format!("{name}{extension}"));
            if path.is_dir() {
                let mut found = Vec::new();
                self.walk(&path, &mut found);
                return found;
            }
            if path.exists() {
                return vec![path];
            }
        }
        Vec::new()
    }

    fn walk(&mut self, folder: &Path, found: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                let place = crate::inventory::Place::whole(folder.display().to_string());
                self.faults.push(Fault::new(place, format!("the folder cannot be read: {error}")));
                return;
            }
        };
        let mut names: Vec<String> =
            entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        for name in names.iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')) {
            let path = folder.join(name);
            let extension = name.rfind('.').map_or("", |at| &name[at..]);
            if path.is_dir() {
                if extension.is_empty() {
                    self.walk(&path, found);
                }
            } else if EXTENSIONS.contains(&extension) && path.is_file() {
                found.push(path);
            }
        }
    }

    fn read(&mut self, path: &Path, vars: &mut Vars) {
        let text = match Text::read(path, VARS_CAP) {
            Ok(text) => text,
            Err(faults) => return self.faults.append(faults),
        };
        if is_vault(&text.text) {
            let place = text.place(0..text.text.find('\n').unwrap_or(text.text.len()));
            self.remarks.push(Fault::new(place, "an encrypted file: its variables are not known here"));
            return;
        }
        match document(&text) {
            Err(faults) => self.faults.append(faults),
            Ok(document) => match document.map() {
                Some(pairs) => vars.extend(pairs.iter().map(|(key, value)| {
                    (key.key_text(), Var { value: value.json(), place: text.place(key.span.clone()) })
                })),
                None if is_nothing(&document) => {}
                None => {
                    let place = text.place(document.span.clone());
                    let title = format!("variables cannot be {}", document.kind());
                    self.faults.push(Fault::new(place, title).expected("a mapping of names to values"));
                }
            },
        }
    }
}

/// An empty file, or one that says nothing in another way.
fn is_nothing(document: &Node) -> bool {
    document.is_null() || document.list().is_some_and(<[Node]>::is_empty)
}

const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

pub(super) fn is_vault(text: &str) -> bool {
    text.starts_with("$ANSIBLE_VAULT")
}

/// JSON if it is JSON, else YAML.
pub(in crate::inventory) fn document(text: &Text) -> Result<Node, Faults> {
    if text.text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(&text.text)
    {
        return Ok(Node::from_json(value, &(0..text.text.len())));
    }
    yaml::load(&text.text).map_err(|error| {
        let end = text.text.trim_end().len();
        let span = error.span.start.min(end)..error.span.end.min(end);
        Fault::new(text.place(span), format!("this is no YAML: {}", error.title)).into()
    })
}
