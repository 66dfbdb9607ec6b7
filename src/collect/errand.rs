//! What a sweep is asked to do: which probes on which hosts, and why. It is decided before anything
//! runs, so `--dry-run` and a sweep see the same thing.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{
    Cause, CollectorTime, Host, HostName, Plan, PlannedHost, Privilege, Probe, ProbeName, Reach, Refusal,
    RootBy, SweepId, Trigger,
};
use crate::wire::{self, Nonce, Request, RunTag};

/// One host's part of a sweep.
#[derive(Debug, Clone)]
pub struct Target {
    pub host: Arc<Host>,
    pub probes: Vec<Arc<Probe>>,
}

/// Where a probe's next reading on a host goes on from.
pub type Cursors = HashMap<ProbeName, HashMap<HostName, String>>;

/// Probes that are planned and not run on a host, and why.
pub type Held = HashMap<ProbeName, HashMap<HostName, String>>;

/// Some probes on some hosts, once.
#[derive(Debug, Clone)]
pub struct Errand {
    pub trigger: Trigger,
    pub schedule: Option<String>,
    /// Of an escalation.
    pub cause: Option<Cause>,
    pub targets: Vec<Target>,
    pub cursors: Cursors,
    pub held: Held,
}

impl Errand {
    /// The plan as the archive keeps it, and the definitions of the probes that it names.
    pub fn plan(&self, sweep: SweepId, started: CollectorTime) -> (Plan, Vec<Arc<Probe>>) {
        let planned = |target: &Target| PlannedHost {
            name: target.host.name.clone(),
            labels: target.host.labels.clone(),
            probes: target.probes.iter().map(|probe| probe.name.clone()).collect(),
        };
        let hosts = self.targets.iter().map(planned).collect();
        let plan = Plan {
            sweep,
            trigger: self.trigger,
            schedule: self.schedule.clone(),
            cause: self.cause.clone(),
            started,
            hosts,
        };
        (plan, self.probes())
    }

    /// Every probe that is in it, each once.
    pub fn probes(&self) -> Vec<Arc<Probe>> {
        let mut probes: Vec<Arc<Probe>> = Vec::new();
        // Most hosts have the same ones: the few that are new are looked for among the few that are known.
        for probe in self.targets.iter().flat_map(|target| &target.probes) {
            if !probes.iter().any(|known| known.name == probe.name) {
                probes.push(Arc::clone(probe));
            }
        }
        probes
    }

    /// Why the probe is not run on the host, if it is not.
    pub fn held(&self, host: &HostName, probe: &ProbeName) -> Option<&str> {
        self.held.get(probe)?.get(host).map(String::as_str)
    }

    pub fn cursor(&self, host: &HostName, probe: &ProbeName) -> Option<&str> {
        self.cursors.get(probe)?.get(host).map(String::as_str)
    }
}

/// The request that runs `probe` on `host`; sent by a visit and shown by `--dry-run`.
pub fn request<'a>(
    (host, probe): (&'a Host, &'a Probe),
    (tag, nonce): (RunTag, Nonce),
    limits: wire::Limits,
    cursor: Option<&'a str>,
) -> Request<'a> {
    let become_root = wants_root(host, probe);
    Request { probe, host, tag, nonce, limits, cursor, become_root, only_check: false }
}

/// Whether sudo or doas is asked for root.
pub(super) fn becomes_root(host: &Host, probe: &Probe) -> bool {
    wants_root(host, probe) && !matches!(host.root_by, RootBy::Refused(_))
}

/// Whether the probe needs root, and who logs in is not root.
fn wants_root(host: &Host, probe: &Probe) -> bool {
    probe.privilege == Privilege::Root && !is_root_already(host)
}

/// Why the probe, which needs root, is not run on the host, where the configuration or an inventory says so.
pub fn root_refused<'a>(host: &'a Host, probe: &Probe) -> Option<&'a Refusal> {
    match &host.root_by {
        RootBy::Refused(refusal) if wants_root(host, probe) => Some(refusal),
        _ => None,
    }
}

/// Whether what runs on the host is root's without sudo.
pub(super) fn is_root_already(host: &Host) -> bool {
    match host.reach {
        Reach::Ssh => host.user == "root",
        Reach::Local => rustix::process::geteuid().is_root(),
    }
}
