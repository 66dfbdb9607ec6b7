//! Why there is no connection: an outcome, and words that say what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::{AlgorithmKind, keys};

use super::connect::Role;
use crate::model::{Host, Outcome, duration_text};
use crate::render::shell_word;
use crate::transport::known_hosts::{HostId, KnownHosts, Verdict, fingerprint};

/// What a server writes ends up in details: a line or two of it are enough.
const MAX_QUOTED_CHARS: usize = 200;

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectError {
    pub outcome: Outcome,
    /// A lowercase fragment with the phase, the address and the remedy.
    pub detail: String,
    /// The server dropped us before it knew who we are, as a busy one does (MaxStartups, a full accept
    /// queue): another try may well succeed.
    pub transient: bool,
    /// What failed is a jump host on the way. All that are behind it are told the same.
    pub on_the_way: bool,
    /// How that jump host answered.
    pub jump: Option<Outcome>,
    /// How far it came, where that is known.
    pub phase: Option<Phase>,
    /// The line of a known_hosts file that has another key for the host.
    pub stale: Option<Box<StaleKey>>,
    /// How the login ended, where it came that far.
    pub login: Option<LoginEnd>,
}

/// How a login ended that let nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginEnd {
    /// There was no key to offer.
    NoKey,
    /// No key that was offered is let in.
    Refused,
    /// A key was taken, and the server wants more than that.
    NotEnough,
    /// The server takes no key, nor anything else.
    NoMethod,
    /// The server went away after a key was offered, as it does where the account may not be used.
    Closed,
}

/// What `ssh-keygen -R` has to be given to forget a host's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleKey {
    /// As known_hosts files name the host.
    pub name: String,
    pub file: PathBuf,
}

impl ConnectError {
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            transient: false,
            on_the_way: false,
            jump: None,
            phase: None,
            stale: None,
            login: None,
        }
    }

    pub(super) fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Unreachable, detail)
    }

    pub(super) fn broken_off(phase: Phase, peer: &dyn fmt::Display, why: &str) -> Self {
        let transient = matches!(phase, Phase::Banner | Phase::KeyExchange);
        let detail = format!("{} {peer} failed: {why}", phase.words().0);
        Self { transient, phase: Some(phase), ..Self::unreachable(detail) }
    }

    pub(super) fn timed_out(phase: Phase, limit: Duration, peer: &dyn fmt::Display) -> Self {
        let (what, remedy) = phase.words();
        let detail = format!("{what} {peer} took longer than {}: {remedy}", duration_text(limit));
        Self { phase: Some(phase), ..Self::new(Outcome::TimedOut, detail) }
    }

    pub(super) fn in_phase(self, phase: Phase) -> Self {
        Self { phase: Some(phase), ..self }
    }
}

/// The phases of a connection, up to the point where commands can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Resolve,
    Connect,
    Banner,
    KeyExchange,
    Authentication,
    /// Commands have deadlines of their own.
    Session,
}

impl Phase {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Resolve => ("resolving", "check the name and the resolver, or give the host an address"),
            Self::Connect => ("connecting to", "the host is down or a firewall drops packets"),
            Self::Banner => ("the SSH banner of", "sshd is stuck or overloaded, or this is not an SSH port"),
            Self::KeyExchange => ("the key exchange with", "sshd is stuck or overloaded"),
            Self::Authentication => ("authentication at", "sshd or ssh-agent is stuck (PAM, LDAP, DNS?)"),
            Self::Session => ("the session with", "the connection is stuck"),
        }
    }
}

/// A host that an ssh_config says something of which we do not obey is not connected to, and neither is
/// one whose ssh_config nobody has asked.
pub fn barred(host: &Host) -> Result<(), ConnectError> {
    if host.consult.is_some() {
        let detail = "its ssh_config was not asked, which is a fault of this program: please report it";
        return Err(ConnectError::unreachable(detail));
    }
    let refused: Vec<String> = host.ssh.refused.iter().map(ToString::to_string).collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(ConnectError::unreachable(format!("not connected to: {}", refused.join("; "))))
}

/// The words for a host key that was not accepted.
pub(super) fn host_key(
    host: &Host,
    id: &HostId,
    key: &[u8],
    (known, verdict, role): (&KnownHosts, &Verdict, Role),
) -> ConnectError {
    let shown = fingerprint(key);
    let name = match role {
        Role::Target => host.name.as_str(),
        // It is learned on the way to any of them.
        Role::Jump => "HOST, with a HOST behind it",
    };
    match verdict {
        Verdict::Known(_) => ConnectError::unreachable("the host key is known, but the connection was lost"),
        Verdict::Revoked(place) => ConnectError::new(
            Outcome::HostKeyChanged,
            format!(
                "{} shows the key {shown}, which {place} marks as @revoked: do not connect to it",
                id.as_str()
            ),
        ),
        Verdict::Changed { at, fingerprint, .. } => {
            let stale = StaleKey { name: id.as_str().to_owned(), file: at.file.clone() };
            let detail = format!(
                "{} shows the key {shown}, but {at} has {fingerprint}: if the host was set up anew, run \
                 ssh-keygen -R {} -f {} and then dropsonde hosts trust {name}",
                id.as_str(),
                shell_word(id.as_str()),
                shell_word(&at.file.display().to_string()),
            );
            let stale = Some(Box::new(stale));
            ConnectError { stale, ..ConnectError::new(Outcome::HostKeyChanged, detail) }
        }
        Verdict::Unknown { authority } => {
            let searched = match known.files() {
                [] => "no known_hosts file is configured".to_owned(),
                files => format!("it is not in {}", list(files)),
            };
            let authority = authority
                .as_ref()
                .map(|place| format!("; it shows no certificate of the authority in {place}"));
            let lax = host
                .ssh
                .lax_host_keys
                .as_ref()
                .map(|at| format!("; {at} would have it accepted unseen, which this program never does"));
            let unread = known.warnings().iter().find(|warning| warning.line.is_none());
            let unread = unread.map(|warning| format!("; {warning}"));
            ConnectError::new(
                Outcome::HostKeyUnknown,
                format!(
                    "{} shows the key {shown}, and {searched}: check it on the host and run dropsonde hosts \
                     trust {name}{}{}{}",
                    id.as_str(),
                    authority.unwrap_or_default(),
                    lax.unwrap_or_default(),
                    unread.unwrap_or_default(),
                ),
            )
        }
    }
}

fn list(files: &[impl AsRef<Path>]) -> String {
    files.iter().map(|file| file.as_ref().display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What went wrong on the line, without russh's own terms.
pub(super) fn words(error: &russh::Error) -> String {
    use russh::Error;
    match error {
        Error::Disconnect | Error::HUP | Error::RecvError | Error::SendError => CLOSED.to_owned(),
        Error::IO(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "it reset the connection".to_owned()
            }
            _ => error.to_string(),
        },
        Error::NoCommonAlgo { kind, theirs, .. } => {
            let what = match kind {
                AlgorithmKind::Kex => "key exchange",
                AlgorithmKind::Key => "host key algorithm",
                AlgorithmKind::Cipher => "cipher",
                AlgorithmKind::Compression => "compression",
                AlgorithmKind::Mac => "MAC",
            };
            let text = clip(&format!("no {what} in common; it offers {}", theirs.join(", ")));
            match kind {
                AlgorithmKind::Key if theirs.iter().any(|name| name == "ssh-rsa") => format!(
                    "{text}; ssh-rsa signs with SHA-1, which this program does not take: update its sshd, or give \
                     it an ed25519 host key (ssh-keygen -A)"
                ),
                _ => text,
            }
        }
        Error::Version => "it does not speak SSH 2.0".to_owned(),
        Error::WrongServerSig => "its host key signature is wrong".to_owned(),
        Error::Join(_) => "its packets made the SSH library fail".to_owned(),
        Error::Keys(keys::Error::SshKey(error)) | Error::SshKey(error) => broken(error),
        other => broken(other),
    }
}

/// Whether it just went away, as a busy server does. Whoever said something that is no SSH says it again.
pub(super) fn is_gone(error: &russh::Error) -> bool {
    use russh::Error;
    match error {
        Error::Disconnect | Error::HUP | Error::RecvError | Error::SendError => true,
        Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ),
        _ => false,
    }
}

/// What is left of a text that may be long: the end of it is what tells why.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

pub(super) const CLOSED: &str = "it closed the connection";

fn broken(error: &dyn fmt::Display) -> String {
    clip(&format!("it broke the SSH protocol ({})", error.to_string().to_lowercase()))
}

/// Cut to a readable length. Escaping is for whoever shows it.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
