//! What a sweep has to know before it runs: who is in it, where each probe goes on from, and which probes a
//! host is spared. It starts nothing, and whatever it cannot learn makes no sweep fail but the index itself.

use std::path::Path;
use std::sync::Arc;

use super::{Cursors, Errand, Held, Target};
use crate::config::{Schedule, Settings};
use crate::model::{Format, Host, Probe, Trigger};
use crate::openssh::Machine;
use crate::select::{SelectError, Selector};
use crate::store::StoreError;
use crate::store::index::Reader;
use crate::store::quarantine::Releases;

/// The errand of a schedule. Loading the settings has checked that its hosts and probes are there.
pub fn scheduled(settings: &Settings, schedule: &Schedule) -> Result<Errand, SelectError> {
    let chosen = Selector::parse(&schedule.hosts)?.select(&settings.fleet.catalog())?;
    let probes: Vec<Arc<Probe>> =
        schedule.probes.iter().filter_map(|name| settings.probes.get(name.as_str()).cloned()).collect();
    let host = |index: usize| Arc::new(settings.fleet.hosts[index].clone());
    let target = |index| Target { host: host(index), probes: probes.clone() };
    Ok(Errand {
        trigger: Trigger::Scheduled,
        schedule: Some(schedule.name.clone()),
        cause: None,
        targets: chosen.into_iter().map(target).collect(),
        cursors: Cursors::new(),
        held: Held::new(),
    })
}

/// Fills in what ssh_config files say of its hosts, and what the index knows: the cursors, and what is in
/// quarantine. Blocks. Without an index nothing was read yet.
pub fn complete(errand: &mut Errand, state: &Path) -> Result<(), StoreError> {
    settle(errand);
    let probes = errand.probes();
    errand.cursors = cursors(state, &probes)?;
    errand.held = held(state, &probes)?;
    Ok(())
}

/// The files are read anew for each errand: what a person changed in between counts, as it does for ssh.
fn settle(errand: &mut Errand) {
    let hosts: Vec<Arc<Host>> = errand.targets.iter().map(|target| Arc::clone(&target.host)).collect();
    let settled = Machine::of_this_process().settle_all(&hosts);
    for (target, host) in errand.targets.iter_mut().zip(settled) {
        target.host = host;
    }
}

/// Where each probe goes on from that has to know.
pub fn cursors(state: &Path, probes: &[Arc<Probe>]) -> Result<Cursors, StoreError> {
    let wanted: Vec<_> = probes.iter().filter(|probe| probe.format == Format::KernelLog).collect();
    if wanted.is_empty() || !has_index(state) {
        return Ok(Cursors::new());
    }
    let reader = Reader::open(state)?;
    wanted.into_iter().map(|probe| Ok((probe.name.clone(), reader.cursors(&probe.name)?))).collect()
}

fn has_index(state: &Path) -> bool {
    state.join("index.sqlite").exists()
}

/// Which of these probes are in quarantine where, in the words of their readings. Only the definition that
/// offended is: a probe that was mended runs again.
fn held(state: &Path, probes: &[Arc<Probe>]) -> Result<Held, StoreError> {
    let mut held = Held::new();
    if !has_index(state) {
        return Ok(held);
    }
    let strikes = Reader::open(state)?.strikes()?;
    if strikes.is_empty() {
        return Ok(held);
    }
    let releases = Releases::read(state).unwrap_or_else(|error| {
        // A sweep of everything else is worth more than this file, and hosts are spared meanwhile.
        tracing::warn!("nothing counts as released: {error}");
        Releases::default()
    });
    for it in releases.held(strikes) {
        if probes.iter().any(|probe| probe.name == it.probe && probe.hash.to_string() == it.hash) {
            let why = format!(
                "quarantined since {} after {} offences in a row, the last: {}; release with: dropsonde \
                 quarantine release {} {}",
                it.since.rfc3339(),
                it.count,
                it.what,
                it.host,
                it.probe
            );
            held.entry(it.probe).or_default().insert(it.host, why);
        }
    }
    Ok(held)
}
