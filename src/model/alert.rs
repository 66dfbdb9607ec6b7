//! Alerts: how bad one is, and those that the collector raises about itself.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [(&'static str, Self); 3] =
        [("info", Self::Info), ("warning", Self::Warning), ("critical", Self::Critical)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What the collector says about itself. No configuration is needed for these, only a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnAlert {
    NoHostReached,
    LowSuccess,
    SweepFailed,
    SweepMissed,
    LowSpace,
    InventoryStale,
}

/// A row of the one table of these alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAlertFacts {
    pub alert: OwnAlert,
    /// What it is called in messages and in a receiver's `only`.
    pub name: &'static str,
    pub severity: Severity,
    pub meaning: &'static str,
    /// What to look at first.
    pub remedy: &'static str,
    /// When it is over.
    pub over: &'static str,
}

impl OwnAlert {
    pub const ALL: [OwnAlertFacts; 6] = [
        OwnAlertFacts {
            alert: Self::NoHostReached,
            name: "collector_no_host_reached",
            severity: Severity::Critical,
            meaning: "a sweep of the schedule had hosts to visit and none let the collector in",
            remedy: "the collector's own network, key and known_hosts: `dropsonde hosts check`",
            over: "a sweep of the schedule reaches a host",
        },
        OwnAlertFacts {
            alert: Self::LowSuccess,
            name: "collector_low_success",
            severity: Severity::Warning,
            meaning: "fewer readings of a sweep succeeded than the schedule's `min_success` wants",
            remedy: "what the others ended with: `dropsonde sweeps latest`",
            over: "a sweep of the schedule succeeds well enough",
        },
        OwnAlertFacts {
            alert: Self::SweepFailed,
            name: "collector_sweep_failed",
            severity: Severity::Critical,
            meaning: "a sweep broke off because the collector could not record it",
            remedy: "the disk of the state directory, then `dropsonde check`",
            over: "a sweep of the schedule is recorded to its end",
        },
        OwnAlertFacts {
            alert: Self::SweepMissed,
            name: "collector_sweep_missed",
            severity: Severity::Warning,
            meaning: "a sweep was due and did not run: the collector was down, or the one before it still ran",
            remedy: "how long sweeps take and when they are due: `dropsonde sweeps`, `dropsonde schedule`",
            over: "a sweep of the schedule ends",
        },
        OwnAlertFacts {
            alert: Self::LowSpace,
            name: "collector_low_space",
            severity: Severity::Critical,
            meaning: "the file system of the state directory has less space left than `retention.low_space`",
            remedy: "what may go: `dropsonde prune --dry-run`, or a larger disk",
            over: "there is enough space again",
        },
        OwnAlertFacts {
            alert: Self::InventoryStale,
            name: "collector_inventory_stale",
            severity: Severity::Warning,
            meaning: "another program's list of hosts cannot be read, and its last good one stands in",
            remedy: "what is wrong with it: `dropsonde config check`",
            over: "the list can be read again",
        },
    ];

    pub fn facts(self) -> &'static OwnAlertFacts {
        Self::ALL.iter().find(|facts| facts.alert == self).unwrap_or(&Self::ALL[0])
    }
}
