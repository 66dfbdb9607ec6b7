//! One source, asked once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ansible;
use super::fault::{Fault, Faults, Place, suggestion};
use super::fleet::is_address;
use super::found::{Found, FoundHost, host_name, is_label_value, is_user, label_name};
use super::process::{Job, JobError, run};
use super::prometheus::{Mapping, Targets};
use super::source::{HttpSd, Kind, Source};
use super::text::{Cap, Text};
use crate::http::{Call, StatusCode};
use crate::model::{HostName, Reach};
use crate::openssh::Machine;
use crate::render::{Lines, escape, escape_bytes};
use crate::select::{self, matches_mask};
use crate::sshconfig;

const TARGETS_CAP: Cap = Cap { bytes: 64 << 20, shown: "64MiB", help: "targets can stand in several files" };

/// What a command may print: some 5 KiB for each of 10,000 hosts.
const MOST_PRINTED: usize = 64 << 20;

/// Asks; `credentials` is where systemd puts secrets.
pub(super) fn ask(source: &Source, credentials: Option<&Path>) -> Result<Found, Faults> {
    match &source.kind {
        Kind::Ansible(inventory) => ansible::found(inventory),
        Kind::FileSd { paths, mapping } => file_sd(paths, mapping),
        Kind::HttpSd(sd) => http_sd(sd, source, credentials),
        Kind::SshConfig { paths, environment } => {
            let machine = Machine::new(environment.clone());
            let files = machine.sources(paths.as_deref());
            let names = sshconfig::names(&files, &machine).map_err(|(at, why)| {
                let fault = Fault::new(Place::whole(at.to_string()), why);
                Faults::from(fault)
            })?;
            Ok(literal(names.into_iter().map(|(name, at)| (name, Place::whole(at.to_string())))))
        }
        Kind::Command { command, folder } => printed(command, folder, source.timeout),
    }
}

/// Hosts by their names alone. What cannot be one of ours (`*.example.org`, `git@…`) is none.
fn literal(names: impl Iterator<Item = (String, Place)>) -> Found {
    let mut found = Found::default();
    for (name, place) in names {
        match host_name(&name) {
            Some(checked) => {
                let mut host = FoundHost::new(checked, place);
                host.address = (host.name.as_str() != name).then_some(name);
                found.hosts.push(host);
            }
            None => found.remarks.push(Fault::new(place, format!("{name:?} cannot be a host's name"))),
        }
    }
    found
}

fn file_sd(paths: &[PathBuf], mapping: &Mapping) -> Result<Found, Faults> {
    let mut targets = Targets::new(mapping);
    for path in paths {
        for path in glob(path) {
            match Text::read(&path, TARGETS_CAP) {
                Ok(text) => targets.add(&text, ("__meta_filepath", &text.file)),
                Err(faults) => targets.faults(faults),
            }
        }
    }
    targets.done()
}

/// The files that a path means; one without a wildcard means itself, whether it is there or not.
fn glob(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !name.contains(['*', '?']) {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok).collect());
    let entries: Vec<std::fs::DirEntry> = entries.unwrap_or_default();
    let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
    let fits = |found: &String| matches_mask(&name, found) && !found.starts_with('.');
    let mut found: Vec<PathBuf> = names.filter(fits).map(|name| folder.join(name)).collect();
    found.sort();
    found
}

fn http_sd(sd: &HttpSd, source: &Source, credentials: Option<&Path>) -> Result<Found, Faults> {
    let shown = format!("{}/…", sd.url.origin());
    let fault = |what: String| Faults::from(Fault::new(Place::whole(shown.clone()), what));
    let token = sd.token.as_ref().map(|token| token.read(credentials)).transpose();
    let token = token.map_err(|error| fault(error.to_string()))?;
    let refresh = source.refresh.as_secs().to_string();
    let call = Call {
        url: sd.url.as_str(),
        trust: &sd.trust,
        timeout: source.timeout,
        token: token.as_deref(),
        headers: &[("Accept", "application/json"), ("X-Prometheus-Refresh-Interval-Seconds", &refresh)],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fault(error.to_string()))?;
    let body = runtime.block_on(get(call, sd.most_bytes));
    // A name server that does not answer may hold a thread long after we have given up.
    runtime.shutdown_background();
    let body = body.map_err(fault)?;
    let body = String::from_utf8(body).map_err(|_| fault("the answer is not UTF-8".to_owned()))?;
    let text = Text { file: shown.as_str().into(), folder: PathBuf::from("/"), text: body.into() };
    let mut targets = Targets::new(&sd.mapping);
    // Not all of it: a label may be kept, and the address may be secret.
    targets.add(&text, ("__meta_url", &shown));
    targets.done()
}

async fn get(call: Call<'_>, most: usize) -> Result<Vec<u8>, String> {
    let reply = call.get().await.map_err(|error| error.to_string())?;
    let status = reply.status();
    if status != StatusCode::OK {
        let said = escape_bytes(reply.start(200).await.trim_ascii(), Lines::Single).into_owned();
        let colon = if said.is_empty() { "" } else { ": " };
        let redirected = match status.is_redirection() {
            true => " (redirects are not followed: give the address that this one leads to)",
            false => "",
        };
        return Err(format!("it answered {status}{redirected}{colon}{said}"));
    }
    let kind = reply.header("content-type").unwrap_or_default().to_owned();
    // A page to log in is an answer with status 200, too.
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let kind = escape(&kind, Lines::Single);
        return Err(format!("it answered with {kind:?} as its type, where application/json is meant"));
    }
    reply.whole(most).await.map_err(|error| error.to_string())
}

/// A program's lines, or its JSON.
fn printed(command: &[String], folder: &Path, timeout: Duration) -> Result<Found, Faults> {
    let (program, arguments) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let job =
        Job { program: Path::new(program), arguments: &arguments, folder, timeout, most_bytes: MOST_PRINTED };
    let failed = |why: String| Faults::from(Fault::new(Place::whole(program.to_owned()), why));
    let bytes = run(&job).map_err(|error| match error {
        JobError::Start(error) => failed(format!("it does not start: {error}")),
        JobError::Failed(why) => failed(why),
    })?;
    let out = String::from_utf8(bytes).map_err(|_| failed("what it printed is not UTF-8".to_owned()))?;
    let name: Arc<str> = format!("output of {program}").into();
    let text = Text { file: name, folder: folder.to_owned(), text: out.into() };
    let json = text.text.trim_start().starts_with(['[', '{']);
    let mut answer =
        Answer { text: &text, found: Found::default(), positions: HashMap::new(), faults: Faults::default() };
    if json {
        match serde_json::from_str(&text.text) {
            Ok(value) => answer.json(&value),
            Err(error) => return Err(failed(format!("it printed something that is no JSON: {error}"))),
        }
    } else {
        text.text.lines().for_each(|line| answer.line(line));
    }
    if answer.faults.is_empty() { Ok(answer.found) } else { Err(answer.faults) }
}

struct Answer<'a> {
    text: &'a Text,
    found: Found,
    positions: HashMap<HostName, usize>,
    faults: Faults,
}

/// What an object may say of a host.
const KEYS: [&str; 6] = ["name", "address", "port", "user", "labels", "reach"];

impl Answer<'_> {
    /// A node set, and labels for its hosts: `web[01-04] role=web dc=eu`.
    fn line(&mut self, line: &str) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split_whitespace();
        let Some(names) = words.next() else { return };
        let place = self.text.place_of(names);
        let names = match select::expand(names) {
            Ok(names) => names,
            Err(error) => {
                let fault = Fault::new(place, format!("{names:?} cannot be hosts"));
                return self.faults.push(fault.expected(error.expected()));
            }
        };
        let mut labels = crate::model::Labels::new();
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => drop(labels.insert(label_name(name), value.to_owned())),
                None => {
                    let fault = Fault::new(self.text.place_of(word), format!("{word:?} is no label"));
                    self.faults.push(fault.expected("LABEL=VALUE behind the hosts"));
                }
            }
        }
        for name in names {
            if let Some(mut host) = self.named(&name, place.clone()) {
                host.labels.clone_from(&labels);
                self.join(host);
            }
        }
    }

    fn named(&mut self, name: &str, place: Place) -> Option<FoundHost> {
        let checked: Option<HostName> = host_name(name);
        let Some(checked) = checked else {
            let fault = Fault::new(place, format!("{name:?} cannot be a host's name"));
            self.faults.push(fault.expected("1 to 253 of A-Z a-z 0-9 . _ -, the first a letter or digit"));
            return None;
        };
        let mut host = FoundHost::new(checked, place);
        host.address = (host.name.as_str() != name).then(|| name.to_owned());
        Some(host)
    }

    /// A list of names or of objects, or what `hosts --json` prints.
    fn json(&mut self, value: &Value) {
        let list = value.as_array().or_else(|| value.get("hosts")?.as_array());
        let Some(list) = list else {
            return self.wrong("what it printed", "a list of hosts, or an object with one under `hosts`");
        };
        for item in list {
            match item {
                Value::String(name) => {
                    let host = self.named(name, Place::whole(&*self.text.file));
                    host.into_iter().for_each(|host| self.join(host));
                }
                Value::Object(said) => self.object(said),
                _ => self.wrong("a host", "a name or an object"),
            }
        }
    }

    fn wrong(&mut self, what: &str, expected: &str) {
        let fault = Fault::new(Place::whole(&*self.text.file), format!("{what} is something else"));
        self.faults.push(fault.expected(expected));
    }

    fn object(&mut self, said: &serde_json::Map<String, Value>) {
        let Some(name) = said.get("name").and_then(Value::as_str) else {
            return self.wrong("a host's `name`", "a text");
        };
        let Some(mut host) = self.named(name, Place::whole(&*self.text.file)) else { return };
        for (key, value) in said {
            match (key.as_str(), value) {
                // What `hosts --json` says beside is where it has the host from.
                ("name" | "from", _) => {}
                (key, _) if !KEYS.contains(&key) => {
                    let title = format!("unknown key `{}` of {name}", escape(key, Lines::Single));
                    let near = suggestion(key, KEYS);
                    let fault = Fault::new(Place::whole(&*self.text.file), title);
                    let known = "`name`, `address`, `port`, `user`, `labels` and `reach`";
                    self.faults.push(fault.expected(known).maybe_help(near));
                }
                (_, Value::Null) => {}
                ("reach", Value::String(reach)) if reach == "ssh" => host.reach = Reach::Ssh,
                ("reach", Value::String(reach)) if reach == "local" => host.reach = Reach::Local,
                ("address", Value::String(address)) if is_address(address) => {
                    host.address = (address != name).then(|| address.clone());
                }
                ("port", Value::Number(port)) => {
                    host.port =
                        port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
                    if host.port.is_none() {
                        self.wrong(&format!("the port of {name}"), "a number from 1 to 65535");
                    }
                }
                ("user", Value::String(user)) if is_user(user) => host.user = Some(user.clone()),
                ("labels", Value::Object(labels)) => {
                    for (label, value) in labels {
                        let text = match value {
                            Value::String(text) => text.clone(),
                            value => value.to_string(),
                        };
                        if is_label_value(&text) && !text.is_empty() {
                            host.labels.insert(label_name(label), text);
                        }
                    }
                }
                _ => self.wrong(&format!("`{key}` of {name}"), "what `dropsonde hosts --json` prints"),
            }
        }
        self.join(host);
    }

    /// A host that is named more than once is one, with the labels of all its lines.
    fn join(&mut self, host: FoundHost) {
        let Some(at) = self.positions.get(&host.name) else {
            self.positions.insert(host.name.clone(), self.found.hosts.len());
            return self.found.hosts.push(host);
        };
        let first = &mut self.found.hosts[*at];
        let way = |host: &FoundHost| (host.address.clone(), host.port, host.user.clone(), host.reach);
        if way(first) != way(&host) {
            let title = format!("{} is here a second time, reached in another way", host.name);
            let fault = Fault::new(host.place, title).also(first.place.clone(), "first here");
            return self.faults.push(fault.expected("each host once, or the same of it each time"));
        }
        for (label, value) in host.labels {
            let known = first.labels.entry(label.clone()).or_insert_with(|| value.clone());
            if *known != value {
                let title = format!("`{label}` of {} is {known:?} and {value:?}", first.name);
                let fault = Fault::new(host.place.clone(), title).also(first.place.clone(), "first here");
                self.faults.push(fault.expected("one value for each label of a host"));
            }
        }
    }
}
