//! How a reading ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a reading ended. Every planned (sweep, host, probe) has exactly one; the reason in words
/// travels beside it as the reading's detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Complete, proved by the trailer, and the script said 0.
    Ok,
    /// The host lacks something the probe needs; the detail names it.
    Unsupported,
    /// Complete, but the script's exit status was not 0.
    Failed,
    /// A deadline passed: the probe's own or one of the connection's.
    TimedOut,
    /// A cap on bytes, ratio, lines or samples cut the output.
    Truncated,
    /// The stream ended before its trailer, or its CRC is wrong.
    Incomplete,
    /// No connection: name not resolved, refused, reset, no route.
    Unreachable,
    /// The server refused every key.
    AuthFailed,
    /// known_hosts has another key for this host.
    HostKeyChanged,
    /// known_hosts has no key for this host.
    HostKeyUnknown,
    /// A gate, `sudo -n` or the server's policy refused to run it.
    Denied,
    /// Planned, and on purpose or by interruption never run; the detail says why.
    Skipped,
}

impl Outcome {
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Unsupported,
        Self::Failed,
        Self::TimedOut,
        Self::Truncated,
        Self::Incomplete,
        Self::Unreachable,
        Self::AuthFailed,
        Self::HostKeyChanged,
        Self::HostKeyUnknown,
        Self::Denied,
        Self::Skipped,
    ];

    /// The word in the archive, the index, JSON and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Truncated => "truncated",
            Self::Incomplete => "incomplete",
            Self::Unreachable => "unreachable",
            Self::AuthFailed => "auth_failed",
            Self::HostKeyChanged => "host_key_changed",
            Self::HostKeyUnknown => "host_key_unknown",
            Self::Denied => "denied",
            Self::Skipped => "skipped",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// Whether nothing went wrong: a missing tool is a fact about the host, not a failure.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::Unsupported)
    }

    /// Whether the host never let us in, so nothing of the visit could run.
    pub const fn is_no_contact(self) -> bool {
        matches!(self, Self::Unreachable | Self::AuthFailed | Self::HostKeyChanged | Self::HostKeyUnknown)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
