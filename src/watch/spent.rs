//! What escalations have cost so far: which rule went to which host when. It is on the disk before a probe
//! starts, so that a restart, or two collectors at once, cannot spend the same budget twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Escalate;
use crate::model::{CollectorTime, HostName};
use crate::store::note::Note;
use crate::store::{StateDir, StoreError};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u8,
    visits: Vec<Visit>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Visit {
    rule: String,
    host: HostName,
    at_ns: i64,
}

impl Visit {
    /// How long ago it was.
    fn age(&self, now: CollectorTime) -> Duration {
        Duration::from_nanos(u64::try_from(now.unix_ns().saturating_sub(self.at_ns)).unwrap_or(0))
    }
}

/// Hosts that one rule wants to go to, the most urgent first.
#[derive(Debug, Clone)]
pub(super) struct Wish<'a> {
    pub rule: &'a Escalate,
    pub hosts: Vec<HostName>,
}

/// What a wish got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grant {
    pub hosts: Vec<HostName>,
    /// Visited by the rule not long ago.
    pub cooling: usize,
    /// Over the rule's budget, and over that of all rules.
    pub over_rule: usize,
    pub over_fleet: usize,
}

/// Grants what cooldowns and budgets leave room for, in the order of the wishes, and puts it on record.
pub(super) fn grant(
    root: &Path,
    wishes: &[Wish<'_>],
    per_hour: u32,
    now: CollectorTime,
) -> Result<Vec<Grant>, StoreError> {
    let note = Note::new(StateDir::at(root), "escalations");
    let mut pen = note.pen()?;
    let mut visits = note.read::<File>()?.visits;
    let set_back = has_been(&mut visits, now);
    let grants: Vec<Grant> = wishes.iter().map(|wish| wish.grant(&mut visits, per_hour, now)).collect();
    if set_back || grants.iter().any(|grant| !grant.hosts.is_empty()) {
        let cooldown = |rule: &str| {
            wishes.iter().find(|wish| wish.rule.name == rule).map_or(WEEK, |wish| wish.rule.cooldown)
        };
        visits.retain(|visit| visit.age(now) < cooldown(&visit.rule).max(HOUR));
        pen.replace(&File { schema: 1, visits })?;
    }
    Ok(grants)
}

/// What a clock that was ahead and is right again puts into the future has just been. That is written down:
/// a cooldown would else begin anew at every look until that day has come. Says whether there was any.
fn has_been(visits: &mut [Visit], now: CollectorTime) -> bool {
    let now_ns = now.unix_ns();
    let ahead = visits.iter().any(|visit| visit.at_ns > now_ns);
    visits.iter_mut().for_each(|visit| visit.at_ns = visit.at_ns.min(now_ns));
    ahead
}

/// No rule remembers longer.
const WEEK: Duration = Duration::from_secs(7 * 86_400);

impl Wish<'_> {
    fn grant(&self, visits: &mut Vec<Visit>, per_hour: u32, now: CollectorTime) -> Grant {
        let rule = self.rule;
        let own = |visit: &&Visit| visit.rule == rule.name;
        let cooling: BTreeSet<HostName> = visits
            .iter()
            .filter(own)
            .filter(|visit| visit.age(now) < rule.cooldown)
            .map(|visit| visit.host.clone())
            .collect();
        let recent = || visits.iter().filter(|visit| visit.age(now) < HOUR);
        let mut of_rule = (rule.per_hour as usize).saturating_sub(recent().filter(own).count());
        let mut of_fleet = (per_hour as usize).saturating_sub(recent().count());
        let mut grant = Grant::default();
        for host in &self.hosts {
            if cooling.contains(host) {
                grant.cooling += 1;
            } else if of_rule == 0 {
                grant.over_rule += 1;
            } else if of_fleet == 0 {
                grant.over_fleet += 1;
            } else {
                of_rule -= 1;
                of_fleet -= 1;
                grant.hosts.push(host.clone());
            }
        }
        let visit =
            |host: &HostName| Visit { rule: rule.name.clone(), host: host.clone(), at_ns: now.unix_ns() };
        visits.extend(grant.hosts.iter().map(visit));
        grant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Condition;

    fn rule(name: &str, cooldown_s: u64, per_hour: u32) -> Escalate {
        Escalate {
            name: name.to_owned(),
            when: Condition::Changed("m".to_owned()),
            run: Vec::new(),
            hosts: None,
            cooldown: Duration::from_secs(cooldown_s),
            per_hour,
        }
    }

    fn hosts(names: &str) -> Vec<HostName> {
        names.split(' ').map(|name| HostName::new(name).unwrap()).collect()
    }

    fn at(now_s: i64) -> CollectorTime {
        CollectorTime::from_unix_s(1_800_000_000 + now_s)
    }

    /// The hosts that `names` get, and how many of them are cooling, over the rule's and the fleet's budget.
    fn check(
        (root, per_hour, now_s): (&Path, u32, i64),
        rule: &Escalate,
        names: &str,
        expected: (&str, [usize; 3]),
    ) {
        let wishes = [Wish { rule, hosts: hosts(names) }];
        let grant = grant(root, &wishes, per_hour, at(now_s)).unwrap().remove(0);
        let got: Vec<&str> = grant.hosts.iter().map(HostName::as_str).collect();
        let refused = [grant.cooling, grant.over_rule, grant.over_fleet];
        assert_eq!((got.join(" ").as_str(), refused), expected, "{names} at {now_s}");
    }

    #[test]
    fn budgets_and_cooldowns_hold_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (a, b) = (rule("a", 600, 3), rule("b", 7_200, 10));
        check((root, 5, 0), &a, "x y", ("x y", [0, 0, 0]));
        // Each call reads the file anew, as after a restart.
        check((root, 5, 1), &a, "x y z w", ("z", [2, 1, 0]));
        check((root, 5, 2), &b, "x y z", ("x y", [0, 0, 1]));
        check((root, 5, 601), &a, "x", ("", [0, 1, 0]));
        check((root, 5, 3_602), &a, "x z", ("x z", [0, 0, 0]));
        // An hour later the fleet has room again, and the longer cooldown still holds.
        check((root, 5, 3_603), &b, "x z", ("z", [1, 0, 0]));
        check((root, 5, 7_300), &b, "x", ("x", [0, 0, 0]));
    }

    #[test]
    fn a_clock_that_was_set_back_frees_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let a = rule("a", 600, 1);
        check((folder.path(), 9, 100_000), &a, "x", ("x", [0, 0, 0]));
        check((folder.path(), 9, 0), &a, "x y", ("", [1, 1, 0]));
        // And holds up nothing longer than it would have, had it been right.
        check((folder.path(), 9, 599), &a, "x y", ("", [1, 1, 0]));
        check((folder.path(), 9, 3_600), &a, "x", ("x", [0, 0, 0]));
    }

    #[test]
    fn rules_share_the_fleets_budget_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (rule("a", 0, 9), rule("b", 0, 9));
        let wishes = [Wish { rule: &a, hosts: hosts("x y") }, Wish { rule: &b, hosts: hosts("x y") }];
        let grants = grant(folder.path(), &wishes, 3, at(0)).unwrap();
        assert_eq!(grants[0].hosts, hosts("x y"));
        assert_eq!((grants[1].hosts.clone(), grants[1].over_fleet), (hosts("x"), 1));
    }
}
