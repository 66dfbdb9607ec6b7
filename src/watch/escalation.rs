//! Which dear probes follow a sweep, and where. It decides and puts the cost on record; running them is
//! the caller's.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::WatchError;
use super::sight::{Met, Sight};
use super::spent::{Grant, Wish, grant};
use crate::collect::{Errand, Target};
use crate::config::{Escalate, Settings};
use crate::model::{Cause, CollectorTime, HostName, Probe, Trigger};
use crate::select::{Selector, fold};

/// The errands that follow, and what a person should know of those that do not.
#[derive(Debug, Default)]
pub(super) struct Escalations {
    pub errands: Vec<Errand>,
    pub remarks: Vec<String>,
}

/// A rule that was met.
struct Due<'a> {
    wish: Wish<'a>,
    worst: Met,
}

pub(super) fn escalations(
    settings: &Settings,
    sight: &Sight,
    now: CollectorTime,
) -> Result<Escalations, WatchError> {
    let mut found = Escalations::default();
    // One that leads to another may never end.
    if sight.sweep.trigger == Trigger::Escalated {
        return Ok(found);
    }
    let mut due = Vec::new();
    for rule in &settings.escalations {
        due.extend(met(settings, sight, rule)?);
    }
    if due.is_empty() {
        return Ok(found);
    }
    let wishes: Vec<Wish<'_>> = due.iter().map(|due| due.wish.clone()).collect();
    let grants = granted(&settings.state_dir, &wishes, settings.limits.escalations_per_hour, now)?;
    let mut taken: BTreeMap<HostName, Vec<Arc<Probe>>> = BTreeMap::new();
    for (due, grant) in due.iter().zip(&grants) {
        found.remarks.extend(left_out(due.wish.rule, grant));
        let targets = targets(settings, due.wish.rule, grant, &mut taken);
        if !targets.is_empty() {
            found.errands.push(errand(due, targets, sight));
        }
    }
    Ok(found)
}

fn granted(
    root: &Path,
    wishes: &[Wish<'_>],
    per_hour: u32,
    now: CollectorTime,
) -> Result<Vec<Grant>, WatchError> {
    grant(root, wishes, per_hour, now).map_err(WatchError::Spent)
}

/// The hosts to go to, the worst first: those of the inventory, for nobody else can be called.
fn met<'a>(settings: &Settings, sight: &Sight, rule: &'a Escalate) -> Result<Option<Due<'a>>, WatchError> {
    let mut all: Vec<Met> = sight.met(&rule.when)?.into_values().flatten().collect();
    let known: HashSet<&HostName> = settings.fleet.hosts.iter().map(|host| &host.name).collect();
    all.retain(|met| known.contains(&met.host));
    let Some(worst) = all.first().cloned() else { return Ok(None) };
    let mut hosts: Vec<HostName> = Vec::new();
    match &rule.hosts {
        None => {
            let mut seen = HashSet::new();
            hosts.extend(all.into_iter().map(|met| met.host).filter(|host| seen.insert(host.clone())));
        }
        Some(selector) => {
            let catalog = settings.fleet.catalog();
            // It was checked when it was read, against the same inventory.
            let chosen = Selector::parse(selector).and_then(|it| it.select(&catalog)).unwrap_or_default();
            hosts.extend(chosen.into_iter().map(|index| settings.fleet.hosts[index].name.clone()));
        }
    }
    Ok(Some(Due { wish: Wish { rule, hosts }, worst }))
}

/// A probe goes to a host once, whichever rule asked first.
fn targets(
    settings: &Settings,
    rule: &Escalate,
    grant: &Grant,
    taken: &mut BTreeMap<HostName, Vec<Arc<Probe>>>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for name in &grant.hosts {
        let Some(host) = settings.fleet.host(name.as_str()) else { continue };
        let known = taken.entry(name.clone()).or_default();
        let wanted = rule.run.iter().filter_map(|probe| settings.probes.get(probe.as_str()));
        let new = |probe: &&Arc<Probe>| known.iter().all(|known| known.name != probe.name);
        let probes: Vec<Arc<Probe>> = wanted.filter(new).cloned().collect();
        known.extend(probes.iter().cloned());
        if !probes.is_empty() {
            targets.push(Target { host: Arc::new(host.clone()), probes });
        }
    }
    targets
}

fn errand(due: &Due<'_>, targets: Vec<Target>, sight: &Sight) -> Errand {
    Errand {
        trigger: Trigger::Escalated,
        schedule: None,
        cause: Some(Cause {
            rule: due.wish.rule.name.clone(),
            sweep: sight.sweep.sweep.clone(),
            metric: due.worst.metric.clone(),
            host: due.worst.host.clone(),
            value: Some(due.worst.value).filter(|value| value.is_finite()),
        }),
        targets,
        cursors: Default::default(),
        held: Default::default(),
    }
}

fn left_out(rule: &Escalate, grant: &Grant) -> Option<String> {
    let mut why = Vec::new();
    let mut add = |count: usize, what: &str| {
        if count > 0 {
            why.push(format!("{count} {what}"));
        }
    };
    add(grant.cooling, "visited within its cooldown");
    add(grant.over_rule, "over its budget of this hour");
    add(grant.over_fleet, "over limits.escalations_per_hour");
    if why.is_empty() {
        return None;
    }
    let gone = match grant.hosts.as_slice() {
        [] => "goes to no host".to_owned(),
        hosts => format!("goes to {}", fold(hosts)),
    };
    Some(format!("the escalation {} {gone}: {}", rule.name, why.join(", ")))
}
