//! Sweeps: who runs what, and how it went.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CollectorTime, HostName, Labels, Outcome, ProbeName, SweepId};

/// Why a sweep ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Scheduled,
    Adhoc,
    Escalated,
    Backfill,
}

impl Trigger {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Adhoc => "adhoc",
            Self::Escalated => "escalated",
            Self::Backfill => "backfill",
        }
    }
}

/// What is still there of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Every byte that came off the wire.
    #[default]
    Raw,
    /// What was read out of them.
    Numbers,
    /// The same, where a reading's numbers stand for those of several sweeps or went into another's.
    Merged,
}

impl Kept {
    pub const ALL: [Self; 3] = [Self::Raw, Self::Numbers, Self::Merged];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Numbers => "numbers",
            Self::Merged => "merged",
        }
    }
}

/// One host of a plan. The labels are the inventory's at that time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedHost {
    pub name: HostName,
    pub labels: Labels,
    pub probes: Vec<ProbeName>,
}

/// What made an escalated sweep run: the first of the hosts that met a rule, the one that is worst off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The sweep that it was met in.
    pub sweep: SweepId,
    pub metric: String,
    pub host: HostName,
    /// `None` for a value that JSON has no number for: it was infinite.
    pub value: Option<f64>,
}

/// Who runs what now. It is the first member of the sweep's archive: after a crash it says which
/// readings are owed an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub sweep: SweepId,
    pub trigger: Trigger,
    pub schedule: Option<String>,
    /// Of an escalated sweep. Archives of before there were any lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    pub started: CollectorTime,
    pub hosts: Vec<PlannedHost>,
}

impl Plan {
    /// How many readings are owed.
    pub fn planned(&self) -> usize {
        self.hosts.iter().map(|host| host.probes.len()).sum()
    }
}

/// The last member of a sweep's archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepEnd {
    pub ended: CollectorTime,
    pub elapsed: Duration,
    pub outcomes: BTreeMap<Outcome, u64>,
    /// The first signal came before all was done.
    pub interrupted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_before_there_were_causes_is_read() {
        let old = r#"{"sweep":"20261122T230000Z-1f2e3d4c","trigger":"scheduled","schedule":"hourly","started":5,"hosts":[]}"#;
        let plan: Plan = serde_json::from_str(old).unwrap();
        assert_eq!((plan.cause.as_ref(), plan.schedule.as_deref()), (None, Some("hourly")));
        assert_eq!(serde_json::to_string(&plan).unwrap(), old);
        let infinite =
            r#"{"rule":"r","sweep":"20261122T230000Z-1f2e3d4c","metric":"m","host":"a","value":null}"#;
        let cause: Cause = serde_json::from_str(infinite).unwrap();
        assert_eq!(
            serde_json::to_string(&Plan { cause: Some(cause), ..plan }).unwrap().matches(infinite).count(),
            1
        );
    }
}
