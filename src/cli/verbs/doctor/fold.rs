//! The same finding of many hosts is one.

use std::collections::{BTreeMap, HashMap};

use crate::cli::summary::general;
use crate::collect::checkup::Checkup;
use crate::collect::doctor::{Check, Finding, Kind, Place, Remedy, Severity};
use crate::model::{Host, HostName, ProbeName};
use crate::render::shell_word;
use crate::select;

/// A finding of all hosts that have it.
#[derive(Debug)]
pub(super) struct Folded {
    pub severity: Severity,
    pub check: Check,
    /// None: it is about the machine that this runs on.
    pub hosts: Vec<HostName>,
    pub what: String,
    pub probes: Vec<ProbeName>,
    pub command: Option<Command>,
    /// Where that was not enough.
    pub otherwise: Option<Command>,
}

#[derive(Debug)]
pub(super) struct Command {
    pub place: Place,
    pub kind: Kind,
    pub text: String,
}

/// What findings have in common that are one. Commands that only look may differ: the first host's is shown.
type Key = (Severity, Check, bool, String, Vec<ProbeName>, Option<Remedy>);

/// Faults first. `program` is this program as it is typed.
pub(super) fn fold(findings: Vec<Finding>, found: &[Checkup], program: &str) -> Vec<Folded> {
    let hosts: HashMap<&HostName, &Host> = found.iter().map(|it| (&it.host.name, &it.host)).collect();
    let mut alike: BTreeMap<Key, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        let address = |name: &HostName| hosts.get(name).map(|host| host.address.as_str());
        let what = match &finding.host {
            Some(name) => general(&finding.what, (name, address(name))),
            None => finding.what.clone(),
        };
        let remedy = finding.remedy.clone().filter(|remedy| remedy.kind() == Kind::Mend);
        let is_here = finding.host.is_none();
        let key = (finding.severity, finding.check, !is_here, what, finding.probes.clone(), remedy);
        alike.entry(key).or_default().push(finding);
    }
    alike.into_iter().filter_map(|(key, those)| folded(key.3, those, program)).collect()
}

fn folded(what: String, those: Vec<Finding>, program: &str) -> Option<Folded> {
    let hosts: Vec<HostName> = those.iter().filter_map(|finding| finding.host.clone()).collect();
    let same = those.windows(2).all(|two| two[0].what == two[1].what);
    let first = those.into_iter().next()?;
    let selector = shell_word(&select::fold(hosts.iter().map(HostName::as_str)));
    let command = |remedy: Remedy| Command {
        place: remedy.place(),
        kind: remedy.kind(),
        text: remedy.command(program, &selector),
    };
    Some(Folded {
        severity: first.severity,
        check: first.check,
        hosts,
        what: if same { first.what } else { what },
        probes: first.probes,
        command: first.remedy.map(command),
        otherwise: first.otherwise.map(command),
    })
}
