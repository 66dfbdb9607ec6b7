//! What this machine logs in with: files of keys, the agent, files of host keys.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::finding::{Check, Finding, Place, Remedy};
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
            remedy(path, fault)
        });
        faulty.or_else(|| Remedy::mend(Place::Here, "ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519 -N ''"))
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
                    findings.push(Finding::here(Check::Key, fault.to_string(), remedy(path, fault)));
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
            match answer {
                Ok(agent) => {
                    good.push((Check::Agent, format!("{} in ssh-agent", counted(agent.keys.len(), "key"))))
                }
                // Where a file is enough to log in with, nobody needs the agent.
                Err(why) => {
                    let finding = Finding::here(Check::Agent, why.clone(), self.agent_remedy(socket));
                    findings.push(if whole > 0 { finding.note() } else { finding });
                }
            }
        }
        (findings, good)
    }

    fn agent_remedy(&self, socket: &Path) -> Option<Remedy> {
        let socket_is_there = fs::symlink_metadata(socket).is_ok();
        let key = self.files.keys().next().map(|path| shell_word(&path.display().to_string()));
        match socket_is_there {
            true => Remedy::mend(Place::Here, format!("ssh-add {}", key.unwrap_or_default()).trim_end()),
            false => Remedy::mend(Place::Here, "eval \"$(ssh-agent -s)\" && ssh-add"),
        }
    }
}

/// What makes a file of keys usable.
fn remedy(path: &Path, fault: &KeyFault) -> Option<Remedy> {
    let file = shell_word(&path.display().to_string());
    match fault {
        KeyFault::Exposed { .. } => Remedy::mend(Place::Here, format!("chmod 600 {file}")),
        KeyFault::Encrypted { .. } => Remedy::mend(Place::Here, format!("ssh-add {file}")),
        KeyFault::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Remedy::mend(Place::Here, format!("ssh-keygen -t ed25519 -N '' -f {file}"))
        }
        KeyFault::Unreadable { .. } => {
            let owner = rustix::process::geteuid().as_raw();
            Remedy::mend(Place::HereAsRoot, format!("chown {owner} {file} && chmod 600 {file}"))
        }
        KeyFault::NotAKey { .. } => Remedy::look(Place::Here, format!("ssh-keygen -y -P '' -f {file}")),
    }
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
        let file = shell_word(&path.display().to_string());
        let known = KnownHosts::load(std::slice::from_ref(path));
        for warning in known.warnings() {
            let remedy = match warning.line {
                Some(line) => Remedy::mend(Place::Here, format!("sed -i {line}d {file}")),
                None => Remedy::look(Place::Here, format!("ls -ld {file}")),
            };
            let finding = Finding::here(Check::KnownHosts, warning.to_string(), remedy);
            findings.push(if warning.line.is_some() { finding.note() } else { finding });
        }
        let Ok(metadata) = fs::metadata(path) else { continue };
        there += 1;
        if metadata.mode() & 0o022 != 0 {
            let mode = metadata.mode() & 0o7777;
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
