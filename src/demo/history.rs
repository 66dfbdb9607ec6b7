//! A fleet's past, as hourly sweeps that ran before there was anybody to run them. It records nothing and
//! knows no clock: whoever has the state directory asks it sweep by sweep.

use std::sync::Arc;

use crate::model::{
    BadName, CollectorTime, HostName, Plan, PlannedHost, Probe, ProbeName, Reading, SweepId, Trigger,
};

use super::drive::Seeded;
use super::host::{FleetShape, HostModel, fleet};

const HOUR_S: i64 = 3_600;

/// Between two hosts of one sweep.
const APART_NS: i64 = 3_000_000;

/// What the ids of a history's sweeps say: which fleet it is of, and when that was first made. So a demo that
/// is started again tells the same story from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    fleet: u32,
    hour: u32,
}

impl Mark {
    /// Hours since 1970 take 20 bits until the year 2089.
    const HOUR_BITS: u32 = 20;

    pub fn new(hosts: usize, seed: u64, made: CollectorTime) -> Self {
        let fleet = (Seeded::new(seed, hosts as u64).bits() >> 32) as u32 >> Self::HOUR_BITS;
        Self { fleet, hour: (made.unix_s() / HOUR_S) as u32 & ((1 << Self::HOUR_BITS) - 1) }
    }

    /// The mark of a sweep that a history had.
    pub fn of(sweep: &SweepId) -> Option<Self> {
        let (_, digits) = sweep.as_str().rsplit_once('-')?;
        let bits = u32::from_str_radix(digits, 16).ok()?;
        Some(Self { fleet: bits >> Self::HOUR_BITS, hour: bits & ((1 << Self::HOUR_BITS) - 1) })
    }

    /// Whether the two are of the same hosts.
    pub fn is_of_same_fleet(self, other: Self) -> bool {
        self.fleet == other.fleet
    }

    /// When the fleet was first made, to the hour.
    pub fn made(self) -> CollectorTime {
        CollectorTime::from_unix_s(i64::from(self.hour) * HOUR_S)
    }

    fn salt(self) -> u32 {
        self.fleet << Self::HOUR_BITS | self.hour
    }
}

/// The last `count` full hours up to `now`, the oldest first.
pub fn hours(now: CollectorTime, count: usize) -> Vec<CollectorTime> {
    let last = now.unix_s() / HOUR_S;
    (0..count as i64).rev().map(|back| CollectorTime::from_unix_s((last - back) * HOUR_S)).collect()
}

/// The past of one fleet.
#[derive(Debug)]
pub struct History {
    hosts: Vec<HostModel>,
    probes: Vec<Arc<Probe>>,
    mark: Mark,
}

/// A sweep of the past: what was planned, and what came of it.
#[derive(Debug)]
pub struct PastSweep {
    pub plan: Plan,
    pub readings: Vec<(Reading, Vec<u8>)>,
}

impl History {
    /// Of the hosts that `mark` stands for: `hosts` of them, made from `seed`.
    pub fn new(hosts: usize, seed: u64, mark: Mark, probes: Vec<Arc<Probe>>) -> Result<Self, BadName> {
        let hosts = fleet(FleetShape { hosts, seed, now: mark.made() })?;
        Ok(Self { hosts, probes, mark })
    }

    pub fn probes(&self) -> &[Arc<Probe>] {
        &self.probes
    }

    /// The sweep that began at `at`. `cursor` says where a probe went on from on a host.
    pub fn sweep<'a>(
        &self,
        at: CollectorTime,
        cursor: impl Fn(&HostName, &ProbeName) -> Option<&'a str>,
    ) -> PastSweep {
        let names: Vec<ProbeName> = self.probes.iter().map(|probe| probe.name.clone()).collect();
        let planned = |host: &HostModel| PlannedHost {
            name: host.name.clone(),
            labels: host.labels.clone(),
            probes: names.clone(),
        };
        let plan = Plan {
            sweep: SweepId::at(at, self.mark.salt()),
            trigger: Trigger::Backfill,
            schedule: Some("hourly".to_owned()),
            cause: None,
            started: at,
            hosts: self.hosts.iter().map(planned).collect(),
        };
        let mut readings = Vec::with_capacity(plan.planned());
        for (nth, host) in self.hosts.iter().enumerate() {
            let began = CollectorTime::from_unix_ns(at.unix_ns() + APART_NS * (nth as i64 + 1));
            for probe in &self.probes {
                readings.extend(host.reading(probe, began, cursor(&host.name, &probe.name)));
            }
        }
        PastSweep { plan, readings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_an_id() {
        let made = CollectorTime::from_unix_s(1_795_381_601);
        let mark = Mark::new(24, 1, made);
        assert_eq!(Mark::of(&SweepId::at(made, mark.salt())), Some(mark));
        assert_eq!(mark.made(), CollectorTime::from_unix_s(1_795_381_200));
        assert!(mark.is_of_same_fleet(Mark::new(24, 1, CollectorTime::from_unix_s(0))));
        assert!(!mark.is_of_same_fleet(Mark::new(25, 1, made)));
        assert!(!mark.is_of_same_fleet(Mark::new(24, 2, made)));
    }

    #[test]
    fn hours_are_full_and_end_with_the_present() {
        let hours = hours(CollectorTime::from_unix_s(10 * 3_600 + 59), 3);
        assert_eq!(hours, [8, 9, 10].map(|hour| CollectorTime::from_unix_s(hour * 3_600)));
    }
}
