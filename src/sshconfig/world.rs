//! What an evaluation is given: the question, the files to start from, and what only the machine knows.

use std::fmt;
use std::sync::Arc;

use super::file::File;
use crate::model::Written;

/// What ssh would be asked, and what its command line would say already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// What `Host` patterns see: `ssh DESTINATION`.
    pub destination: &'a str,
    pub hostname: Option<&'a str>,
    pub port: Option<u16>,
    pub user: Option<&'a str>,
}

/// A file that ssh starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub file: Arc<File>,
    /// The user's own: it may name homes, and what it includes is looked for in `~/.ssh`.
    pub is_user: bool,
    /// Not a file but ssh's own arguments: the ssh that reaches a jump host is not given them.
    pub is_arguments: bool,
}

/// Facts about who asks and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub user: String,
    pub uid: u32,
    pub home: String,
    pub host_name: String,
}

/// What only the machine can tell.
pub trait World {
    /// The files that an `Include` of `path` means, in the order in which they are read. None is no fault.
    fn include(&self, path: &str, is_user: bool) -> Result<Vec<Arc<File>>, String>;

    /// Whether a shell command ends with status 0.
    fn succeeds(&self, command: &str) -> Result<bool, String>;

    fn variable(&self, name: &str) -> Option<String>;

    fn home_of(&self, user: &str) -> Option<String>;

    /// Whether an address of ours is in one of `networks`, separated by commas.
    fn is_in_networks(&self, networks: &str) -> Result<bool, String>;

    /// `text` as addresses are usually written; `None` where it is a name.
    fn canonical_address(&self, text: &str) -> Option<String>;

    /// As `Match version` has it: `OpenSSH_10.0`.
    fn version(&self) -> Option<String>;
}

/// Why ssh would not connect at all: it would end with this, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Trouble {
    pub at: Written,
    pub what: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}
