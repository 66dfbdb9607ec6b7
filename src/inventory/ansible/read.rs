//! Files, folders and programs → one model → what we need of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::hosts::{self, Wanted};
use super::model::{ALL, Model};
use super::vars::{self, Folders, HostVars, document, is_vault};
use super::{FILE_CAP, USUAL_LABELS, ini, script, yaml_file};
use crate::inventory::found::Found;
use crate::inventory::process::{Job, JobError, run};
use crate::inventory::{Fault, Faults, Place, Text};

/// One inventory: what `-i` and `--playbook-dir` are to Ansible, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ansible {
    pub paths: Vec<PathBuf>,
    /// A program that prints what `--list` of a dynamic inventory does, with its arguments; none if empty.
    pub command: Vec<String>,
    pub playbook_dir: Option<PathBuf>,
    /// Masks of the variables that become labels.
    pub labels: Vec<String>,
    pub home: Option<PathBuf>,
    /// Where `command` runs, and relative paths of keys start without a file.
    pub folder: PathBuf,
    /// For each program that is run.
    pub timeout: Duration,
}

/// What a program may print: some 5 KiB for each of 10,000 hosts.
const MOST_PRINTED: usize = 64 << 20;

/// Hosts, groups and remarks of an inventory, or everything that is wrong with it.
pub(in crate::inventory) fn found(ansible: &Ansible) -> Result<Found, Faults> {
    let Gathered { model, vars, mut faults, mut remarks } = gather(ansible);
    let keys_from = ansible.playbook_dir.clone().unwrap_or_else(|| base(ansible));
    let wanted = Wanted { labels: &ansible.labels, home: ansible.home.as_deref(), keys_from: &keys_from };
    let mut found = hosts::found(&model, &vars, &wanted, &mut faults);
    remarks.append(&mut found.remarks);
    found.remarks = remarks;
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// All hosts with all variables and all groups, as `ansible-inventory --list` prints them: that program is
/// what the reading here is held against.
pub fn listing(ansible: &Ansible) -> Result<Value, Faults> {
    let Gathered { model, vars, faults, .. } = gather(ansible);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut hostvars = Map::new();
    for (host, vars) in model.hosts.iter().zip(&vars) {
        let vars: Map<String, Value> =
            vars.iter().map(|(name, var)| (name.to_owned(), var.value.clone())).collect();
        if !vars.is_empty() {
            hostvars.insert(host.name.clone(), vars.into());
        }
    }
    let mut list = Map::new();
    list.insert("_meta".to_owned(), json!({ "hostvars": hostvars }));
    for (number, group) in model.groups.iter().enumerate() {
        let hosts = group.hosts.iter().map(|host| model.hosts[*host].name.as_str());
        let children = group.children.iter().map(|child| model.groups[*child].name.as_str());
        let mut entry = Map::new();
        if number != ALL && !group.hosts.is_empty() {
            entry.insert("hosts".to_owned(), hosts.collect());
        }
        if !group.children.is_empty() {
            entry.insert("children".to_owned(), children.collect());
        }
        if !entry.is_empty() {
            list.insert(group.name.clone(), entry.into());
        }
    }
    Ok(list.into())
}

/// Variables that could be labels and are none by themselves.
pub fn further_labels(ansible: &Ansible) -> Result<Vec<String>, Faults> {
    let Gathered { vars, faults, .. } = gather(ansible);
    if faults.is_empty() { Ok(hosts::further_labels(&vars, &ansible.labels)) } else { Err(faults) }
}

impl Default for Ansible {
    /// No inventory yet; the usual labels and a time that any program should do with.
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            command: Vec::new(),
            playbook_dir: None,
            labels: USUAL_LABELS.map(str::to_owned).to_vec(),
            home: None,
            folder: PathBuf::from("/"),
            timeout: Duration::from_secs(30),
        }
    }
}

struct Gathered {
    model: Model,
    vars: Vec<HostVars>,
    faults: Faults,
    remarks: Vec<Fault>,
}

fn gather(ansible: &Ansible) -> Gathered {
    let mut reader = Reader { ansible, model: Model::new(), faults: Faults::default(), remarks: Vec::new() };
    for path in &ansible.paths {
        reader.path(path);
    }
    if let Some((program, arguments)) = ansible.command.split_first() {
        reader.command(program, arguments);
    }
    let Reader { mut model, mut faults, mut remarks, .. } = reader;
    model.settle();
    let inventory = ansible.paths.iter().map(|path| folder_of(path)).collect();
    let folders = Folders { inventory, play: ansible.playbook_dir.clone() };
    let vars = vars::of_hosts(&model, &folders, &mut faults, &mut remarks);
    Gathered { model, vars, faults, remarks }
}

/// A folder is its own, a file is in one.
fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().map(Path::to_path_buf).unwrap_or_default() }
}

fn base(ansible: &Ansible) -> PathBuf {
    ansible.paths.first().map_or_else(|| ansible.folder.clone(), |path| folder_of(path))
}

struct Reader<'a> {
    ansible: &'a Ansible,
    model: Model,
    faults: Faults,
    remarks: Vec<Fault>,
}

/// Names in a folder that are no inventory.
const IGNORED: [&str; 3] = ["host_vars", "group_vars", "vars_plugins"];
const IGNORED_ENDS: [&str; 13] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".ini", ".cfg", ".retry"];

impl Reader<'_> {
    fn path(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => {
                let fault =
                    Fault::new(Place::whole(path.display().to_string()), format!("no inventory: {error}"));
                self.faults.push(fault.expected("a file or a folder"));
            }
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(metadata) => self.file(path, metadata.mode()),
        }
    }

    fn folder(&mut self, path: &Path) {
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                let place = Place::whole(path.display().to_string());
                self.faults.push(Fault::new(place, format!("the folder cannot be read: {error}")));
                return;
            }
        };
        let mut names: Vec<String> =
            entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let ignored = |name: &&String| {
            name.starts_with('.')
                || IGNORED.contains(&name.as_str())
                || IGNORED_ENDS.iter().any(|end| name.ends_with(end))
        };
        for name in names.iter().filter(|name| !ignored(name)) {
            self.path(&path.join(name));
        }
    }

    fn file(&mut self, path: &Path, mode: u32) {
        let text = match Text::read(path, FILE_CAP) {
            Ok(text) => Ok(text),
            // A program need not be text.
            Err(faults) if mode & 0o111 != 0 && mode & 0o002 == 0 => Err(faults),
            Err(faults) => return self.faults.append(faults),
        };
        let shebang = text.as_ref().is_ok_and(|text| text.text.starts_with("#!"));
        if mode & 0o111 != 0 {
            match self.script(path) {
                Err(JobError::Start(error)) if shebang => {
                    let place = Place::whole(path.display().to_string());
                    self.faults.push(Fault::new(place, format!("the program does not start: {error}")));
                    return;
                }
                // A text that is executable by mistake.
                Err(JobError::Start(_)) => {}
                Err(JobError::Failed(why)) => {
                    let place = Place::whole(path.display().to_string());
                    self.faults.push(Fault::new(place, format!("the inventory's program failed: {why}")));
                    return;
                }
                Ok(()) => return,
            }
        } else if shebang {
            let place = Place::whole(path.display().to_string());
            let fault = Fault::new(place, "a program that may not be run");
            self.faults.push(fault.help(format!("make it executable: chmod +x {}", path.display())));
            return;
        }
        match text {
            Ok(text) => self.text(&text, path),
            Err(faults) => self.faults.append(faults),
        }
    }

    fn text(&mut self, text: &Text, path: &Path) {
        if is_vault(&text.text) {
            let fault = Fault::new(text.place(0..14), "an encrypted inventory cannot be read");
            self.faults.push(fault.help("vaults are not supported; keep the names of hosts out of them"));
            return;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let extension = name.rfind('.').filter(|at| *at > 0).map_or("", |at| &name[at..]);
        match extension {
            ".toml" => {
                let fault =
                    Fault::new(Place::whole(text.file.to_string()), "inventories in TOML are not supported");
                self.faults.push(fault.expected("INI or YAML"));
            }
            "" | ".yml" | ".yaml" | ".json" => self.perhaps_yaml(text, extension),
            _ => ini::read(text, &mut self.model, &mut self.faults),
        }
    }

    /// What is no YAML may be INI, whatever it is called.
    fn perhaps_yaml(&mut self, text: &Text, extension: &str) {
        let read = document(text);
        if let Ok(document) = &read
            && let Some(pairs) = document.map().filter(|pairs| !pairs.is_empty())
        {
            if let Some((key, _)) = pairs.iter().find(|(key, _)| key.text() == Some("plugin")) {
                let fault = Fault::new(text.place(key.span.clone()), "this configures a plugin of Ansible's");
                let help = "let Ansible run it: command = [\"ansible-inventory\", \"--list\", \"-i\", \"…\"]";
                self.faults.push(fault.help(help));
                return;
            }
            let told = (&mut self.faults, &mut self.remarks);
            return yaml_file::read(text, document, &mut self.model, told);
        }
        let mut model = self.model.clone();
        let mut faults = Faults::default();
        ini::read(text, &mut model, &mut faults);
        let first = text.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let looks_yaml =
            !extension.is_empty() || first.is_some_and(|line| line == "---" || line.ends_with(':'));
        match (faults.is_empty(), read) {
            (true, _) => self.model = model,
            (false, Err(faults)) if looks_yaml => self.faults.append(faults),
            (false, Ok(document)) if looks_yaml => {
                let told = (&mut self.faults, &mut self.remarks);
                yaml_file::read(text, &document, &mut self.model, told);
            }
            (false, _) => self.faults.append(faults),
        }
    }

    fn script(&mut self, path: &Path) -> Result<(), JobError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = Place::whole(path.display().to_string());
        let program = std::path::absolute(path).map_err(JobError::Start)?;
        let timeout = self.ansible.timeout;
        let job = |arguments: &[&str]| {
            run(&Job { program: &program, arguments, folder, timeout, most_bytes: MOST_PRINTED })
        };
        let printed = object(&job(&["--list"])?).map_err(JobError::Failed)?;
        let mut ask = |host: &str| {
            let fault =
                |why: String| Faults::from(Fault::new(place.clone(), format!("with --host {host}: {why}")));
            match job(&["--host", host]) {
                Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(Map::new()),
                Ok(bytes) => object(&bytes).map_err(fault),
                Err(JobError::Start(error)) => Err(fault(error.to_string())),
                Err(JobError::Failed(why)) => Err(fault(why)),
            }
        };
        script::read(&printed, &place, (&mut self.model, &mut self.faults), &mut ask);
        Ok(())
    }

    fn command(&mut self, program: &str, arguments: &[String]) {
        let place = Place::whole(program.to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let job = Job {
            program: Path::new(program),
            arguments: &arguments,
            folder: &self.ansible.folder,
            timeout: self.ansible.timeout,
            most_bytes: MOST_PRINTED,
        };
        let printed = match run(&job) {
            Ok(bytes) => object(&bytes),
            Err(JobError::Start(error)) => Err(format!("it does not start: {error}")),
            Err(JobError::Failed(why)) => Err(why),
        };
        match printed {
            Ok(printed) => {
                // Without `_meta` there is nobody to be asked for each host.
                let mut ask = |_: &str| Ok(Map::new());
                script::read(&printed, &place, (&mut self.model, &mut self.faults), &mut ask);
            }
            Err(why) => self.faults.push(Fault::new(place, format!("the inventory's command failed: {why}"))),
        }
    }
}

fn object(printed: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(printed) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it printed JSON that is no object".to_owned()),
        Err(error) => Err(format!("it printed something that is no JSON: {error}")),
    }
}
