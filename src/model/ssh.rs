//! What `ssh` itself would do differently for one host, as plain data: everything of an ssh_config
//! that is more than an address, a port, a user and files of keys, which [`Host`](super::Host) has of
//! its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Host;

/// How a host is reached and trusted beyond the usual. The default is what a host has that no
/// ssh_config mentions: straight to it, our own algorithms, strict host keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOptions {
    /// The way there.
    pub proxy: Proxy,
    /// Offer only the keys of `identity_files` and `certificate_files`, also of those that the agent
    /// holds.
    pub identities_only: bool,
    pub agent: Agent,
    /// OpenSSH certificates to offer with the keys they belong to.
    pub certificate_files: Vec<PathBuf>,
    /// The name under which known_hosts files know the host, in place of its address and port.
    pub host_key_alias: Option<String>,
    /// Where an ssh_config asks for less than strict host keys (`no`, `accept-new`). It is not obeyed:
    /// an unknown key is refused, and the refusal names this place.
    pub lax_host_keys: Option<Written>,
    pub algorithms: Algorithms,
    pub address_family: AddressFamily,
    /// The address of ours to connect from.
    pub bind_address: Option<String>,
    /// The interface of ours to connect from.
    pub bind_interface: Option<String>,
    /// For name, connection and banner together, in place of `limits.connect_timeout`.
    pub connect_timeout: Option<Duration>,
    /// How often a connection is tried before the host counts as unreachable; at least 1.
    pub connection_attempts: u32,
    /// How long a quiet connection is left alone before the server is asked for a sign of life;
    /// `None`: it is never asked.
    pub server_alive_interval: Option<Duration>,
    /// How many such questions may stay unanswered.
    pub server_alive_count: u32,
    /// An ssh_config says that the user has no known_hosts file: those of the host are everybody's.
    pub has_no_own_known_hosts: bool,
    /// A program that prints known_hosts lines, with its tokens as they are written.
    pub known_hosts_command: Option<String>,
    /// Where the directives of [`FROM`] stand.
    pub written: Vec<(&'static str, Written)>,
    /// What this program does not obey: a host with one of them is not connected to.
    pub refused: Vec<Refusal>,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self {
            proxy: Proxy::Direct,
            identities_only: false,
            agent: Agent::Usual,
            certificate_files: Vec::new(),
            host_key_alias: None,
            lax_host_keys: None,
            has_no_own_known_hosts: false,
            algorithms: Algorithms::default(),
            address_family: AddressFamily::Any,
            bind_address: None,
            bind_interface: None,
            connect_timeout: None,
            connection_attempts: 1,
            server_alive_interval: None,
            server_alive_count: 3,
            known_hosts_command: None,
            written: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// Directives of which only the connection shows that they cannot be obeyed.
pub const FROM: [&str; 3] = ["AddressFamily", "BindAddress", "BindInterface"];

impl SshOptions {
    /// `directive`, behind the file and line where it stands.
    #[must_use]
    pub fn place(&self, directive: &str) -> String {
        match self.written.iter().find(|(name, _)| *name == directive) {
            Some((_, at)) => format!("{at}: {directive}"),
            None => directive.to_owned(),
        }
    }
}

/// What ssh_config files may still say of a host, and what was said elsewhere already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consult {
    /// The files to ask, in order; `None`: the two that ssh reads.
    pub files: Option<Vec<PathBuf>>,
    /// What ssh would be given as its destination, with `{name}` for the host's name; `None`: that name.
    pub destination: Option<String>,
    /// The jump hosts that the configuration names, as a `ProxyJump` would; `none` for no proxy at all.
    pub jump: Option<String>,
    pub said: Said,
    /// What counts before all files; it is the first of the sources that are asked then.
    pub first: Option<Arc<FirstLines>>,
}

/// Lines of an ssh_config that stand in no such file: what somebody would give ssh as its arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirstLines {
    /// Where they come from, for messages.
    pub name: Arc<str>,
    pub text: String,
}

/// Who said each of what an ssh_config could say, too: `[[hosts]]`, `[defaults]`, an inventory's name.
/// `None`: nobody, and the host has what everybody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub address: Option<Arc<str>>,
    /// Of an address that an ssh_config may still turn into another.
    pub destination: Option<Arc<str>>,
    pub port: Option<Arc<str>>,
    pub user: Option<Arc<str>>,
    pub identity_files: Option<Arc<str>>,
    pub known_hosts: Option<Arc<str>>,
}

/// The way to a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    #[default]
    Direct,
    /// Through these, the first one first: the one that is connected to from here. The proxy of each
    /// but the first is of no account; the first one's is `Direct` or `Command`. Targets behind the
    /// same jump hosts share them, so that their connections can be shared, too.
    Jump(Vec<Arc<Host>>),
    /// A shell command whose stdin and stdout are the connection, with its tokens replaced.
    Command(String),
}

/// Where keys beyond those of files come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Agent {
    /// As `defaults.agent` says.
    #[default]
    Usual,
    /// No agent is asked.
    Off,
    Socket(PathBuf),
}

/// Which addresses of a name are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    #[default]
    Any,
    Inet,
    Inet6,
}

/// Changes to what is offered and accepted; `None` leaves our own list as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Algorithms {
    pub key_exchange: Option<AlgorithmList>,
    pub ciphers: Option<AlgorithmList>,
    pub macs: Option<AlgorithmList>,
    pub host_key: Option<AlgorithmList>,
    /// What we may sign with to log in.
    pub pubkey: Option<AlgorithmList>,
    /// What a certificate authority may have signed with.
    pub ca_signature: Option<AlgorithmList>,
    /// Shorter RSA keys are refused, the host's and ours.
    pub min_rsa_bits: Option<u32>,
}

/// A list of algorithms as an ssh_config writes it: `a,b`, `+a`, `-a*` or `^a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmList {
    pub change: ListChange,
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListChange {
    /// The names take the usual list's place.
    Replace,
    /// The names go behind the usual list.
    Append,
    /// The names, which may be patterns, are taken out of the usual list.
    Remove,
    /// The names go before the usual list.
    Prepend,
}

/// A file and a line in it, counted from 1; 0 is the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written {
    pub file: Arc<str>,
    pub line: u32,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A directive that this program would have to ignore, and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub at: Written,
    /// The directive with its value, as it is written.
    pub directive: String,
    /// What is wrong with it and what to do: a fragment.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.directive.is_empty() {
            write!(f, "{}: ", self.directive)?;
        }
        f.write_str(&self.reason)
    }
}
