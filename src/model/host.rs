//! Targets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Consult, HostName, Refusal, SshOptions};

/// Label → value, as the inventory or a host's own facts give them.
pub type Labels = BTreeMap<String, String>;

/// How a host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    #[default]
    Ssh,
    /// The collector's own machine: the same contract, no SSH.
    Local,
}

impl Reach {
    /// The word for it in the configuration and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Local => "local",
        }
    }
}

/// How a user who is not root has root on a host. No password is ever given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RootBy {
    /// `sudo -n`.
    #[default]
    Sudo,
    /// `doas -n`.
    Doas,
    /// Not at all, and where that is said: a probe that needs root is not run there.
    Refused(Arc<Refusal>),
}

/// One target, with every default already applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub name: HostName,
    /// Name or IP address to connect to.
    pub address: String,
    pub port: u16,
    pub user: String,
    pub labels: Labels,
    pub reach: Reach,
    /// Tried in order; an empty list leaves the agent alone.
    pub identity_files: Vec<PathBuf>,
    pub known_hosts: Vec<PathBuf>,
    /// What an ssh_config says of it beyond the above. Shared by the hosts that it says the same of.
    pub ssh: Arc<SshOptions>,
    /// Until the ssh_config files are asked, what they are to be asked; `None` where nobody has to be.
    pub consult: Option<Arc<Consult>>,
    pub root_by: RootBy,
    /// Where the host's /proc and /sys are seen by a probe (a container's mounts, say).
    pub proc_root: Option<String>,
    pub sys_root: Option<String>,
}

impl Host {
    /// Reached over SSH under its own name, as `user` on port 22, with nothing else said of it.
    pub fn new(name: HostName, user: impl Into<String>) -> Self {
        Self {
            address: name.to_string(),
            name,
            port: 22,
            user: user.into(),
            labels: Labels::new(),
            reach: Reach::Ssh,
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            ssh: Arc::default(),
            consult: None,
            root_by: RootBy::default(),
            proc_root: None,
            sys_root: None,
        }
    }
}
