//! Hosts that have an ssh_config to ask → hosts with nothing left to ask.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use super::files::Files;
use super::glob::glob;
use super::networks;
use super::passwd::{User, users};
use super::run::Runner;
use crate::model::{Host, Reach, SshOptions};
use crate::sshconfig::{File, Here, Settled, Source, World, settle};

/// ssh's own file for the whole machine; what it includes is looked for beside it.
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// Commands of `Match exec` that run at once, at most.
const AT_ONCE: usize = 8;

/// This machine as an ssh_config sees it. What it has read and run it remembers, so one serves a whole
/// sweep, and the next one sees what changed since.
#[derive(Debug)]
pub struct Machine {
    here: Here,
    environment: BTreeMap<String, String>,
    users: Vec<User>,
    files: Files,
    runner: Runner,
    version: OnceLock<Option<String>>,
    shared: Mutex<HashMap<String, Arc<SshOptions>>>,
}

impl Machine {
    /// With the process's environment: `HOME` is where `~` leads, and `SHELL` runs commands.
    pub fn new(environment: BTreeMap<String, String>) -> Self {
        let users = users();
        let uid = rustix::process::getuid().as_raw();
        let known = users.iter().find(|user| user.uid == uid);
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let named = known.map(|user| user.name.clone());
        let home = variable("HOME").filter(|home| home.starts_with('/'));
        let here = Here {
            user: named.or_else(|| variable("USER")).or_else(|| variable("LOGNAME")).unwrap_or_default(),
            uid,
            home: home.or_else(|| known.map(|user| user.home.clone())).unwrap_or_else(|| "/".to_owned()),
            host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        let runner = Runner::new(environment.get("SHELL").map(String::as_str));
        let (files, version, shared) = (Files::default(), OnceLock::new(), Mutex::default());
        Self { here, environment, users, files, runner, version, shared }
    }

    /// With the environment of this process.
    pub fn of_this_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(utf8).collect())
    }

    pub fn here(&self) -> &Here {
        &self.here
    }

    /// Whether ssh, which asks the machine's list of users, would look for the user's file where we do.
    pub(super) fn home_is_usual(&self) -> bool {
        self.home_of(&self.here.user).is_some_and(|home| home == self.here.home)
    }

    /// How many commands were run.
    pub fn commands_run(&self) -> usize {
        self.runner.count()
    }

    /// The files to start from: `listed`, or the two that ssh reads.
    pub fn sources(&self, listed: Option<&[PathBuf]>) -> Vec<Source> {
        let Some(listed) = listed else {
            let own = Path::new(&self.here.home).join(".ssh/config");
            let own = self.files.get(&own, true).map(|file| file_of(file, true));
            let system = self.files.get(Path::new(SYSTEM), false);
            return own.into_iter().chain(system.map(|file| file_of(file, false))).collect();
        };
        let source = |path: &PathBuf| {
            let file = self.files.get(path, false).unwrap_or_else(|| {
                let fault = "is not there; `ssh_config` names it";
                Arc::new(File::broken(path.display().to_string().into(), fault))
            });
            file_of(file, path != Path::new(SYSTEM))
        };
        listed.iter().map(source).collect()
    }

    /// `host` with what its ssh_config says, and where each value comes from. A host that has none to ask
    /// is given back as it is.
    pub fn settle(&self, host: &Host) -> Settled {
        let Some(consult) = host.consult.as_ref().filter(|_| host.reach == Reach::Ssh) else {
            return Settled { host: Host { consult: None, ..host.clone() }, effective: Vec::new() };
        };
        let mut sources = self.sources(consult.files.as_deref());
        if let Some(first) = &consult.first {
            let file = Arc::new(File::parse(Arc::clone(&first.name), first.text.as_bytes()));
            sources.insert(0, Source { file, is_user: true, is_arguments: true });
        }
        let mut settled = settle(host, consult, &sources, (&self.here, self));
        settled.host.ssh = self.shared(&settled.host.ssh);
        settled
    }

    /// All of `hosts`, in their order. Commands that they need run several at once.
    pub fn settle_all(&self, hosts: &[Arc<Host>]) -> Vec<Arc<Host>> {
        let one = |host: &Arc<Host>| match &host.consult {
            Some(_) => Arc::new(self.settle(host).host),
            None => Arc::clone(host),
        };
        let waits = hosts.iter().filter_map(|host| host.consult.as_ref()).any(|consult| {
            self.sources(consult.files.as_deref()).iter().any(|source| source.file.runs_commands())
        });
        if !waits || hosts.len() < 2 {
            return hosts.iter().map(one).collect();
        }
        let share = hosts.len().div_ceil(AT_ONCE);
        thread::scope(|scope| {
            let parts: Vec<_> = hosts
                .chunks(share)
                .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>()))
                .collect();
            let ended = parts.into_iter().map(|part| part.join());
            // A host must not get lost with a thread: the panic goes on here.
            ended.flat_map(|part| part.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }

    /// Options that many hosts have in common are kept once.
    fn shared(&self, options: &Arc<SshOptions>) -> Arc<SshOptions> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shared.entry(format!("{options:?}")).or_insert_with(|| Arc::clone(options)))
    }
}

fn file_of(file: Arc<File>, is_user: bool) -> Source {
    Source { file, is_user, is_arguments: false }
}

impl World for Machine {
    fn include(&self, path: &str, is_user: bool) -> Result<Vec<Arc<File>>, String> {
        let path = match path.strip_prefix('~') {
            Some(rest) => {
                let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
                let home = if user.is_empty() { Some(self.here.home.clone()) } else { self.home_of(user) };
                let Some(home) = home else { return Ok(Vec::new()) };
                format!("{home}/{below}")
            }
            None if path.starts_with('/') => path.to_owned(),
            None if is_user => format!("{}/.ssh/{path}", self.here.home),
            None => format!("/etc/ssh/{path}"),
        };
        Ok(glob(&path).iter().filter_map(|path| self.files.get(path, true)).collect())
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        self.runner.succeeds(command)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn home_of(&self, user: &str) -> Option<String> {
        self.users.iter().find(|known| known.name == user).map(|known| known.home.clone())
    }

    fn is_in_networks(&self, networks: &str) -> Result<bool, String> {
        networks::are_ours(networks)
    }

    fn canonical_address(&self, text: &str) -> Option<String> {
        let (address, zone) =
            text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
        let address = address.parse::<IpAddr>().ok()?;
        match zone {
            None => Some(address.to_string()),
            Some(zone) if address.is_ipv6() && !zone.is_empty() => Some(format!("{address}%{zone}")),
            Some(_) => None,
        }
    }

    fn version(&self) -> Option<String> {
        self.version.get_or_init(super::oracle::version).clone()
    }
}
