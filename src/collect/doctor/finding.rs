//! One thing that is amiss, and what to type about it.

use serde::Serialize;

use crate::model::{HostName, ProbeName};
use crate::render::shell_word;
use crate::transport::ssh::StaleKey;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A sweep that was asked for will lack something.
    Fault,
    /// Nothing that was asked for is lost by it.
    Note,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Config,
    State,
    Clock,
    Descriptors,
    Agent,
    Key,
    KnownHosts,
    SshConfig,
    Resolve,
    Connect,
    HostKey,
    Auth,
    Shell,
    Gzip,
    Root,
    Time,
    Need,
}

impl Check {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::State => "state",
            Self::Clock => "clock",
            Self::Descriptors => "descriptors",
            Self::Agent => "agent",
            Self::Key => "key",
            Self::KnownHosts => "known_hosts",
            Self::SshConfig => "ssh_config",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::HostKey => "host_key",
            Self::Auth => "auth",
            Self::Shell => "shell",
            Self::Gzip => "gzip",
            Self::Root => "root",
            Self::Time => "time",
            Self::Need => "need",
        }
    }
}

/// Where a command is to be typed, and as whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Where `doctor` ran, by whoever ran it.
    Here,
    HereAsRoot,
    /// On each of the hosts.
    HostAsRoot,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Afterwards the finding is gone.
    Mend,
    /// It shows more, where the cause cannot be seen from here or the decision is a person's.
    Look,
}

/// What to type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    Type {
        place: Place,
        kind: Kind,
        command: String,
    },
    /// `hosts trust`, after the lines that are wrong are forgotten.
    Trust {
        forget: Vec<StaleKey>,
    },
    /// Another verb of this program, with its arguments.
    Verb {
        kind: Kind,
        arguments: String,
    },
}

impl Remedy {
    pub fn mend(place: Place, command: impl Into<String>) -> Option<Self> {
        Some(Self::Type { place, kind: Kind::Mend, command: command.into() })
    }

    pub fn look(place: Place, command: impl Into<String>) -> Option<Self> {
        Some(Self::Type { place, kind: Kind::Look, command: command.into() })
    }

    pub const fn place(&self) -> Place {
        match self {
            Self::Type { place, .. } => *place,
            Self::Trust { .. } | Self::Verb { .. } => Place::Here,
        }
    }

    pub const fn kind(&self) -> Kind {
        match self {
            Self::Type { kind, .. } | Self::Verb { kind, .. } => *kind,
            Self::Trust { .. } => Kind::Mend,
        }
    }

    /// As it is typed. `program` is this program with its options, `hosts` the selector of those that it is
    /// about; both are words for a shell already.
    pub fn command(&self, program: &str, hosts: &str) -> String {
        match self {
            Self::Type { command, .. } => command.clone(),
            Self::Verb { arguments, .. } => format!("{program} {arguments}"),
            Self::Trust { forget } => {
                let forgotten = |key: &StaleKey| {
                    let file = shell_word(&key.file.display().to_string());
                    format!("ssh-keygen -R {} -f {file} && ", shell_word(&key.name))
                };
                let forget: String = forget.iter().map(forgotten).collect();
                format!("{forget}{program} hosts trust {hosts}")
            }
        }
    }
}

/// One thing that is amiss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub check: Check,
    /// `None`: about the machine that `doctor` runs on.
    pub host: Option<HostName>,
    /// A lowercase fragment. It may quote a host: escape it.
    pub what: String,
    /// The probes that cannot run for it.
    pub probes: Vec<ProbeName>,
    pub remedy: Option<Remedy>,
    /// What shows more where the remedy was not enough: of some faults only the host knows the cause.
    pub otherwise: Option<Remedy>,
}

impl Finding {
    /// Of this machine.
    pub fn here(check: Check, what: impl Into<String>, remedy: Option<Remedy>) -> Self {
        let (severity, host, what, probes) = (Severity::Fault, None, what.into(), Vec::new());
        Self { severity, check, host, what, probes, remedy, otherwise: None }
    }

    pub(super) fn or_else(self, otherwise: Option<Remedy>) -> Self {
        Self { otherwise, ..self }
    }

    pub(super) fn note(self) -> Self {
        Self { severity: Severity::Note, ..self }
    }

    pub(super) fn on(self, host: &HostName) -> Self {
        Self { host: Some(host.clone()), ..self }
    }
}
