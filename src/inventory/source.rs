//! A source of hosts that somebody else keeps, as our configuration names it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::ansible::Ansible;
use super::prometheus::Mapping;
use crate::http::{Secret, Trust, Url};

/// One `[[inventory]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub kind: Kind,
    /// An answer that is younger than this is taken again.
    pub refresh: Duration,
    /// For one attempt.
    pub timeout: Duration,
    /// So many answers in a row without any host are believed where there were hosts before; 0: never.
    pub believe_empty_after: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Ansible(Ansible),
    FileSd {
        /// `*` may stand in a file's name.
        paths: Vec<PathBuf>,
        mapping: Mapping,
    },
    HttpSd(HttpSd),
    SshConfig {
        /// `None`: the two that ssh reads.
        paths: Option<Vec<PathBuf>>,
        environment: BTreeMap<String, String>,
    },
    Command {
        command: Vec<String>,
        folder: PathBuf,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSd {
    pub url: Url,
    pub token: Option<Secret>,
    pub trust: Trust,
    pub mapping: Mapping,
    pub most_bytes: usize,
}

impl Kind {
    /// The word for it in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ansible(_) => "ansible",
            Self::FileSd { .. } => "file_sd",
            Self::HttpSd(_) => "http_sd",
            Self::SshConfig { .. } => "ssh_config",
            Self::Command { .. } => "command",
        }
    }

    /// Whether an answer costs another program's time. Files are read whenever somebody wants to know.
    pub(super) fn is_asked(&self) -> bool {
        match self {
            Self::Ansible(ansible) => !ansible.command.is_empty(),
            Self::HttpSd(_) | Self::Command { .. } => true,
            Self::FileSd { .. } | Self::SshConfig { .. } => false,
        }
    }
}

impl Source {
    /// Says whether an answer that was kept is one to this question. It names no secret.
    pub(super) fn identity(&self) -> String {
        let shown = match &self.kind {
            Kind::HttpSd(sd) => format!("{} {:?}", sd.url.as_str(), sd.mapping),
            // A variable that changed has nothing to do with the question.
            Kind::SshConfig { paths, .. } => format!("{paths:?}"),
            kind => format!("{kind:?}"),
        };
        blake3::hash(format!("{} {shown}", self.kind.word()).as_bytes()).to_hex().to_string()
    }
}
