//! Which readings a sweep still owes. Each planned one gets exactly one outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{CollectorTime, HostName, Outcome, Plan, Probe, ProbeHash, ProbeName, Reading, SweepEnd};
use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Ledger {
    plan: Arc<Plan>,
    probes: Arc<[Arc<Probe>]>,
    /// Host → its probes that have no outcome yet.
    owed: HashMap<HostName, Vec<ProbeName>>,
    pub counts: BTreeMap<Outcome, u64>,
    /// When the latest reading ended.
    pub latest: CollectorTime,
}

impl Ledger {
    pub(super) fn new(plan: Arc<Plan>, probes: Arc<[Arc<Probe>]>) -> Self {
        let owed = plan.hosts.iter().map(|host| (host.name.clone(), host.probes.clone())).collect();
        Self { latest: plan.started, plan, probes, owed, counts: BTreeMap::new() }
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(super) fn probe(&self, name: &ProbeName) -> Option<&Arc<Probe>> {
        self.probes.iter().find(|probe| probe.name == *name)
    }

    /// Takes a reading off what is owed.
    pub(super) fn settle(&mut self, reading: &Reading) -> Result<(), StoreError> {
        let (host, probe) = (&reading.host, &reading.probe);
        let owed = self.owed.get_mut(host);
        let place = owed.as_ref().and_then(|owed| owed.iter().position(|name| name == probe));
        let (Some(owed), Some(place)) = (owed, place) else {
            let planned = self.plan.hosts.iter().any(|it| it.name == *host && it.probes.contains(probe));
            let (host, probe) = (host.clone(), probe.clone());
            return Err(match planned {
                true => StoreError::Twice { host, probe },
                false => StoreError::NotPlanned { host, probe },
            });
        };
        owed.swap_remove(place);
        *self.counts.entry(reading.outcome).or_default() += 1;
        let elapsed_ns = i64::try_from(reading.elapsed.as_nanos()).unwrap_or(0);
        let ended = CollectorTime::from_unix_ns(reading.started.unix_ns().saturating_add(elapsed_ns));
        self.latest = self.latest.max(ended);
        Ok(())
    }

    /// The end of a sweep that nobody ended: when its last reading did.
    pub(super) fn interrupted(&self) -> SweepEnd {
        let elapsed_ns = self.latest.unix_ns().saturating_sub(self.plan.started.unix_ns());
        SweepEnd {
            ended: self.latest,
            elapsed: Duration::from_nanos(u64::try_from(elapsed_ns).unwrap_or(0)),
            outcomes: self.counts.clone(),
            interrupted: true,
        }
    }

    /// What is still owed, as readings that say why there is nothing, in the order of the plan.
    pub(super) fn skipped(&mut self, why: &str) -> Vec<Reading> {
        let plan = Arc::clone(&self.plan);
        let mut readings = Vec::new();
        for host in &plan.hosts {
            let mut owed = self.owed.remove(&host.name).unwrap_or_default();
            owed.sort_by_key(|probe| host.probes.iter().position(|planned| planned == probe));
            for probe in owed {
                let hash = self.probe(&probe).map_or(ProbeHash([0; 32]), |probe| probe.hash);
                *self.counts.entry(Outcome::Skipped).or_default() += 1;
                readings.push(skipped(host.name.clone(), probe, hash, (self.latest, why)));
            }
        }
        readings
    }
}

fn skipped(host: HostName, probe: ProbeName, hash: ProbeHash, (at, why): (CollectorTime, &str)) -> Reading {
    Reading {
        host,
        probe,
        probe_hash: hash,
        outcome: Outcome::Skipped,
        detail: Some(why.to_owned()),
        exit: None,
        started: at,
        elapsed: Duration::ZERO,
        clock: None,
        cpu: None,
        stderr: String::new(),
        cursor: None,
        wire: Bytes::new(),
        bytes_raw: 0,
    }
}
