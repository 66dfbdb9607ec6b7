//! What this machine logs in with: files of keys, the agent, files of host keys.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::finding::{Check, Finding, Kind, Place, Remedy};
use crate::model::{Agent, Host, Reach};
use crate::render::{counted, shell_word};
use crate::transport::known_hosts::KnownHosts;
use crate::transport::ssh::{AgentSeen, KeyFault, KeySeen, inspect_agent, inspect_key};

/// The keys of some hosts, each looked at once.
#[derive(Debug, Default)]
pub struct Keys {
    files: BTreeMap<PathBuf, KeySeen>,
    agents: BTreeMap<PathBuf, Result<AgentSeen, String>>,
    usual_agent: Option<PathBuf>,
}

impl Keys {
    /// Reads the key files of `hosts` and asks their agents; `agent` is the one of those that name none.
    pub async fn of(hosts: &[Host], agent: Option<&Path>) -> Self {
        let mut keys = Self { usual_agent: agent.map(Path::to_owned), ..Self::default() };
        for host in hosts.iter().filter(|host| host.reach == Reach::Ssh) {
            for path in &host.identity_files {
                if !keys.files.contains_key(path) {
                    keys.files.insert(path.clone(), inspect_key(path));
                }
            }
            if let Some(socket) = keys.socket(host).map(Path::to_owned)
                && !keys.agents.contains_key(&socket)
            {
                let answer = inspect_agent(&socket).await;
                keys.agents.insert(socket, answer);
            }
        }
        keys
    }

    fn socket<'a>(&'a self, host: &'a Host) -> Option<&'a Path> {
        match &host.ssh.agent {
            Agent::Usual => self.usual_agent.as_deref(),
            Agent::Off => None,
            Agent::Socket(path) => Some(path),
        }
    }

    fn held(&self, public: &str) -> bool {
        let mut answers = self.agents.values().flatten();
        answers.any(|agent| agent.keys.iter().any(|key| key == public))
    }

    fn is_good(&self, seen: &KeySeen) -> bool {
        seen.fault.is_none() || seen.public.as_ref().is_some_and(|public| self.held(public))
    }

    /// The public half of the first key that the host would be offered and that can sign.
    pub(super) fn first_good(&self, host: &Host) -> Option<&str> {
        let of_files = host.identity_files.iter().filter_map(|path| self.files.get(path));
        let mut good = of_files.filter(|seen| self.is_good(seen)).filter_map(|seen| seen.public.as_deref());
        let of_agent = || {
            let agent = self.agents.get(self.socket(host)?)?.as_ref().ok()?;
            agent.keys.first().map(String::as_str).filter(|_| !host.ssh.identities_only)
        };
        good.next().or_else(of_agent)
    }

    /// What mends the first key of a host that has no good one.
    pub(super) fn first_remedy(&self, host: &Host) -> Option<Remedy> {
        let faulty = host.identity_files.iter().find_map(|path| {
            let fault = self.files.get(path)?.fault.as_ref()?;
            self.remedy(path, fault)
        });
        // No file is named: either the agent is meant to have the key, or the configuration lacks one.
        let of_agent = || self.socket(host).and_then(|socket| self.agent_remedy(socket, None));
        let name = shell_word(host.name.as_str());
        let show = || Remedy::Verb { kind: Kind::Look, arguments: format!("hosts show {name}") };
        faulty.or_else(of_agent).or_else(|| Some(show()))
    }

    /// What is wrong with them; good things in words.
    pub(super) fn findings(&self) -> (Vec<Finding>, Vec<(Check, String)>) {
        let (mut findings, mut good) = (Vec::new(), Vec::new());
        let mut whole = 0;
        for (path, seen) in &self.files {
            match &seen.fault {
                // Only the agent has to be able to read it.
                Some(KeyFault::Encrypted { .. } | KeyFault::Unreadable { .. }) if self.is_good(seen) => {
                    whole += 1
                }
                Some(fault) => {
                    findings.push(Finding::here(Check::Key, fault.to_string(), self.remedy(path, fault)));
                }
                None => whole += 1,
            }
            if let Some(why) = &seen.certificate_fault {
                let certificate = format!("{}-cert.pub", path.display());
                let command = format!("ssh-keygen -L -f {}", shell_word(&certificate));
                findings.push(Finding::here(Check::Key, why.clone(), Remedy::look(Place::Here, command)));
            }
        }
        if whole > 0 {
            good.push((Check::Key, counted(whole, "key file")));
        }
        for (socket, answer) in &self.agents {
            let trouble = match answer {
                Ok(agent) if agent.keys.is_empty() => {
                    format!("ssh-agent at {} holds no key", socket.display())
                }
                Ok(agent) => {
                    good.push((Check::Agent, format!("{} in ssh-agent", counted(agent.keys.len(), "key"))));
                    continue;
                }
                Err(why) => why.clone(),
            };
            let locked =
                |(_, seen): &(&PathBuf, &KeySeen)| matches!(seen.fault, Some(KeyFault::Encrypted { .. }));
            let key = self.files.iter().find(locked).or_else(|| self.files.first_key_value());
            let remedy = self.agent_remedy(socket, key.map(|(path, _)| path.as_path()));
            // Where a file is enough to log in with, nobody needs the agent.
            let finding = Finding::here(Check::Agent, trouble, remedy);
            findings.push(if whole > 0 { finding.note() } else { finding });
        }
        (findings, good)
    }

    /// What gives the agent behind that socket a key: that one, or ssh's usual ones. One that does not answer
    /// is replaced, for `ssh-add` would wait for it.
    fn agent_remedy(&self, socket: &Path, key: Option<&Path>) -> Option<Remedy> {
        let add = match key {
            Some(key) => format!("ssh-add {}", shell_word(&key.display().to_string())),
            None => "ssh-add".to_owned(),
        };
        let is_usual = self.usual_agent.as_deref() == Some(socket);
        let answers = self.agents.get(socket).is_some_and(Result::is_ok);
        let at = shell_word(&socket.display().to_string());
        let command = match (is_usual, answers) {
            (true, true) => add,
            (true, false) => format!("eval \"$(ssh-agent -s)\" && {add}"),
            (false, true) => format!("SSH_AUTH_SOCK={at} {add}"),
            (false, false) => format!("rm -f {at} && ssh-agent -a {at} && SSH_AUTH_SOCK={at} {add}"),
        };
        Remedy::mend(Place::Here, command)
    }

    /// What makes a file of keys usable.
    fn remedy(&self, path: &Path, fault: &KeyFault) -> Option<Remedy> {
        let file = shell_word(&path.display().to_string());
        match fault {
            KeyFault::Folder { .. } => Remedy::look(Place::Here, format!("ls -l {file}")),
            KeyFault::Exposed { .. } => Remedy::mend(Place::Here, format!("chmod 600 {file}")),
            KeyFault::Encrypted { .. } => {
                match self.usual_agent.as_deref().or(self.agents.keys().next().map(PathBuf::as_path)) {
                    Some(socket) => self.agent_remedy(socket, Some(path)),
                    None => Remedy::mend(Place::Here, format!("eval \"$(ssh-agent -s)\" && ssh-add {file}")),
                }
            }
            KeyFault::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.exists());
                let folder = folder.map(|folder| {
                    format!("mkdir -p -m 0700 {} && ", shell_word(&folder.display().to_string()))
                });
                let make = format!("{}ssh-keygen -t ed25519 -N '' -f {file}", folder.unwrap_or_default());
                Remedy::mend(Place::Here, make)
            }
            KeyFault::Unreadable { .. } => {
                let uid = rustix::process::geteuid().as_raw();
                match fs::metadata(path).is_ok_and(|metadata| metadata.uid() == uid) {
                    true => Remedy::mend(Place::Here, format!("chmod 600 {file}")),
                    // Whose it is needs it: who it should be read by is not ours to say.
                    false => Remedy::look(Place::Here, format!("namei -l {file}; id")),
                }
            }
            KeyFault::NotAKey { .. } => Remedy::look(Place::Here, format!("ssh-keygen -y -P '' -f {file}")),
        }
    }
}

/// What a file has that cannot be used. All of its lines are one finding: when one is taken out, those behind
/// it have other numbers.
fn unread(known: &KnownHosts, path: &Path) -> Vec<Finding> {
    let file = shell_word(&path.display().to_string());
    let (lines, whole): (Vec<_>, Vec<_>) =
        known.warnings().iter().partition(|warning| warning.line.is_some());
    let whole = whole.into_iter().map(|warning| {
        let look = Remedy::look(Place::Here, format!("ls -ld {file}"));
        Finding::here(Check::KnownHosts, warning.to_string(), look)
    });
    let mut findings: Vec<Finding> = whole.collect();
    if let Some(first) = lines.first() {
        let more = match lines.len() {
            1 => String::new(),
            many => format!(" (and {} more of its lines)", many - 1),
        };
        let drop: Vec<String> =
            lines.iter().filter_map(|warning| warning.line).map(|line| format!("{line}d")).collect();
        let place = match access(path, Access::WRITE_OK) {
            Ok(()) => Place::Here,
            Err(_) => Place::HereAsRoot,
        };
        let mend = Remedy::mend(place, format!("sed -i {} {file}", shell_word(&drop.join(";"))));
        findings.push(Finding::here(Check::KnownHosts, format!("{first}{more}"), mend).note());
    }
    findings
}

/// Files of host keys: what in them cannot be used, and who else may write to them.
pub(super) fn known_hosts(hosts: &[Host]) -> (Vec<Finding>, Vec<(Check, String)>) {
    let mut files: Vec<&PathBuf> =
        hosts.iter().filter(|host| host.reach == Reach::Ssh).flat_map(|host| &host.known_hosts).collect();
    files.sort_unstable();
    files.dedup();
    let mut findings = Vec::new();
    let mut there = 0;
    for path in files {
        let known = KnownHosts::load(std::slice::from_ref(path));
        findings.extend(unread(&known, path));
        let Ok(metadata) = fs::metadata(path) else { continue };
        there += 1;
        if metadata.mode() & 0o022 != 0 {
            let mode = metadata.mode() & 0o7777;
            let file = shell_word(&path.display().to_string());
            let what = format!("others may write host keys into {} (mode {mode:04o})", path.display());
            findings.push(Finding::here(
                Check::KnownHosts,
                what,
                Remedy::mend(Place::Here, format!("chmod go-w {file}")),
            ));
        }
    }
    let good = (there > 0).then(|| (Check::KnownHosts, counted(there, "known_hosts file")));
    (findings, good.into_iter().collect())
}
