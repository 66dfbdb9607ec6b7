//! The page in one sentence. Findings of the same hosts are one incident: ten metrics of a dying disk are
//! one disk.

use std::collections::BTreeSet;

use super::names;
use super::size::size;
use super::when;
use crate::compare::{Explanation, Outlier, Outliers, SharedLabel};
use crate::model::HostName;
use crate::render::counted;

/// Incidents in the sentence.
const TOLD: usize = 3;

/// Hosts that differ together.
pub struct Incident<'a> {
    pub hosts: BTreeSet<&'a HostName>,
    /// The most important first; never empty.
    pub findings: Vec<&'a Outlier>,
}

/// The findings by their hosts, in the order of the first of each.
pub fn incidents(findings: &[Outlier]) -> Vec<Incident<'_>> {
    let mut found: Vec<Incident<'_>> = Vec::new();
    for it in findings {
        let hosts: BTreeSet<&HostName> = it.hosts.iter().map(|it| &it.host).collect();
        match found.iter_mut().find(|incident| hosts.is_subset(&incident.hosts)) {
            Some(incident) => incident.findings.push(it),
            None => found.push(Incident { hosts, findings: vec![it] }),
        }
    }
    found
}

/// How many hosts differ.
pub fn headline(answer: &Outliers) -> String {
    let hosts: BTreeSet<&HostName> =
        answer.findings.iter().flat_map(|it| &it.hosts).map(|it| &it.host).collect();
    match hosts.len() {
        0 if answer.lacking.is_empty() => format!("None of {} differs", counted(answer.answered, "host")),
        0 => format!("Nothing found on {}", counted(answer.answered, "host")),
        1 => format!("1 of {} differs", counted(answer.answered, "host")),
        many => format!("{many} of {} differ", counted(answer.answered, "host")),
    }
}

/// Which hosts, in what, since when, and what they share.
pub fn sentence(answer: &Outliers, explanations: &[Explanation]) -> String {
    let incidents = incidents(&answer.findings);
    if incidents.is_empty() {
        let sweeps = counted(answer.sweeps.len(), "sweep");
        let metrics = counted(answer.metrics, "metric");
        return format!("No host stands out in any of {metrics}, judged by {sweeps}.");
    }
    let mut parts: Vec<String> =
        incidents.iter().take(TOLD).map(|incident| told(incident, answer, explanations)).collect();
    if incidents.len() > TOLD {
        parts.push(format!("and {}", counted(incidents.len() - TOLD, "further difference")));
    }
    format!("{}.", parts.join("; "))
}

fn told(incident: &Incident<'_>, answer: &Outliers, explanations: &[Explanation]) -> String {
    let first = incident.findings[0];
    let hosts: Vec<&HostName> = incident.hosts.iter().copied().collect();
    let mut text = format!("{} in {}", names::hosts(&hosts), names::subject(&first.subject));
    text = format!("{text} ({})", size(first, first.first()));
    match incident.findings.len() {
        1 => {}
        many => text = format!("{text} and {}", counted(many - 1, "more metric")),
    }
    let since = when::since(first.since(), answer);
    if !since.is_empty() {
        text = format!("{text} {since}");
    }
    if let Some(label) = cause(incident, explanations) {
        let [with, _] = label.rest;
        let rest = match with {
            0 => "no other host has it".to_owned(),
            with => format!("{with} of the {} others too", label.rest[1]),
        };
        text = format!("{text}, sharing {} {} ({rest})", label.label, label.value);
    }
    text
}

/// The strongest label that an incident's hosts share.
fn cause<'a>(incident: &Incident<'_>, explanations: &'a [Explanation]) -> Option<&'a SharedLabel> {
    let of = |it: &&Outlier| {
        // A metric with two incidents has two explanations.
        let own = |explained: &&Explanation| {
            explained.metric == it.subject.metric
                && explained.hosts.iter().all(|host| incident.hosts.contains(host))
        };
        explanations.iter().find(own)?.shared.labels.first()
    };
    incident.findings.iter().find_map(of)
}
