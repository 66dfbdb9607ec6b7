//! How a verb ended, decided in one place.

use std::process::ExitCode;

/// The exit status of every verb: a contract with scripts and timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Good,
    Internal,
    /// Usage or configuration.
    Usage,
    /// Some readings failed.
    Partial,
    NoHostReached,
    /// Only with `--fail-on-findings`.
    Findings,
    Interrupted,
}

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::NoHostReached => 4,
            Self::Findings => 10,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
