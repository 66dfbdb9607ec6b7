//! What the page rests on: what was planned, what came, and which hosts failed and why.

use std::collections::BTreeMap;

use super::html::{CELL, Html, NOTE, NUMBER, ROW_HEAD};
use super::page::Page;
use super::when;
use crate::compare::{Lacking, Shortage};
use crate::model::{CollectorTime, Outcome, ProbeName};
use crate::render::{counted, escape_limited, units};

const TROUBLES: usize = 40;
const DETAIL: usize = 300;
const NAMED: usize = 4;

/// The ledger of the judged sweep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// `scheduled: hourly`.
    pub trigger: String,
    /// `None` while it runs.
    pub ended: Option<CollectorTime>,
    pub interrupted: bool,
    pub probes: Vec<ProbeCoverage>,
    /// The most hosts first.
    pub troubles: Vec<Trouble>,
}

/// How one probe's readings ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeCoverage {
    pub probe: ProbeName,
    pub outcomes: BTreeMap<Outcome, u64>,
    pub bytes_wire: u64,
    pub samples: u64,
}

/// Readings that failed alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub probe: ProbeName,
    pub outcome: Outcome,
    pub detail: String,
    /// Folded.
    pub hosts: String,
    pub count: usize,
}

pub fn section(html: &mut Html, page: &Page<'_>) {
    let (answer, coverage) = (page.outliers, page.coverage);
    let count = |of: fn(Outcome) -> bool| -> u64 {
        let all = coverage.probes.iter().flat_map(|probe| &probe.outcomes);
        all.filter(|(outcome, _)| of(**outcome)).map(|(_, count)| count).sum()
    };
    html.raw("<section id=\"coverage\"><h2>Coverage</h2><div class=\"card\"><p>");
    html.text(&format!(
        "{} of {} answered. {} planned, {} came in whole; {} compared, over {}{}.",
        answer.answered,
        counted(answer.planned, "host"),
        counted(count(|_| true) as usize, "reading"),
        count(|outcome| outcome == Outcome::Ok),
        counted(answer.metrics, "metric"),
        counted(answer.sweeps.len(), "sweep"),
        match when::history(answer) {
            age if age.is_zero() => String::new(),
            age => format!(" in {}", units::age(age)),
        }
    ));
    html.raw("</p>");
    if coverage.interrupted {
        html.element(NOTE, "The sweep was interrupted: what was not read yet is missing here.");
    } else if coverage.ended.is_none() {
        html.element(NOTE, "The sweep was not over when this page was made.");
    }
    for it in shortages(&answer.lacking) {
        html.element(NOTE, &it);
    }
    probes(html, coverage);
    troubles(html, coverage);
    html.raw("</div></section>");
}

fn probes(html: &mut Html, coverage: &Coverage) {
    html.raw("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Probe</th>");
    for head in ["Planned", "Ok", "Unsupported", "Failed", "Samples", "Bytes"] {
        html.raw("<th scope=\"col\" class=\"n\">").raw(head).raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for it in &coverage.probes {
        let of = |outcome: Outcome| it.outcomes.get(&outcome).copied().unwrap_or(0);
        let planned: u64 = it.outcomes.values().sum();
        let failed = planned - of(Outcome::Ok) - of(Outcome::Unsupported);
        html.raw("<tr>").element(ROW_HEAD, it.probe.as_str());
        for number in [planned, of(Outcome::Ok), of(Outcome::Unsupported), failed, it.samples] {
            html.element(NUMBER, &number.to_string());
        }
        html.element(NUMBER, &units::value(it.bytes_wire as f64, "bytes")).raw("</tr>");
    }
    html.raw("</tbody></table></div>");
}

fn troubles(html: &mut Html, coverage: &Coverage) {
    if coverage.troubles.is_empty() {
        html.element(NOTE, "Every planned reading came in.");
        return;
    }
    let readings = coverage.troubles.iter().map(|it| it.count).sum();
    html.raw("<details open><summary>").text(&counted(readings, "reading"));
    html.raw(
        " without an answer</summary><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Probe</th>",
    );
    html.raw(
        "<th scope=\"col\">Outcome</th><th scope=\"col\" class=\"n\">Hosts</th><th scope=\"col\">Which</th>",
    );
    html.raw("<th scope=\"col\">Why</th></tr></thead><tbody>");
    for it in coverage.troubles.iter().take(TROUBLES) {
        html.raw("<tr>").element(ROW_HEAD, it.probe.as_str()).element(CELL, it.outcome.as_str());
        html.element(NUMBER, &it.count.to_string()).element(CELL, &escape_limited(&it.hosts, DETAIL));
        html.raw("<td class=\"why\"><bdi>").text(&escape_limited(&it.detail, DETAIL)).raw("</bdi></td></tr>");
    }
    html.raw("</tbody></table></div>");
    if coverage.troubles.len() > TROUBLES {
        html.element(
            NOTE,
            &format!("{} of failure.", counted(coverage.troubles.len() - TROUBLES, "more kind")),
        );
    }
    html.raw("</details>");
}

/// What is missing, in a sentence each. Groups that lack the same share one: a label of hypervisors may have
/// hundreds of values.
pub fn shortages(all: &[Shortage]) -> Vec<String> {
    let mut told: Vec<(&Shortage, Vec<&str>)> = Vec::new();
    for it in all {
        let alike = |(first, _): &&mut (&Shortage, Vec<&str>)| {
            (first.lacking, &first.metrics, first.enough_at) == (it.lacking, &it.metrics, it.enough_at)
                && first.group.is_some() == it.group.is_some()
        };
        match told.iter_mut().find(alike) {
            Some((_, groups)) => groups.extend(it.group.as_deref()),
            None => told.push((it, it.group.as_deref().into_iter().collect())),
        }
    }
    told.into_iter().map(|(first, groups)| shortage(first, &groups)).collect()
}

fn shortage(it: &Shortage, groups: &[&str]) -> String {
    let of = match it.metrics.as_slice() {
        [] => String::new(),
        few if few.len() <= NAMED => format!(" of {}", few.join(", ")),
        many => format!(" of {} ({}, …)", counted(many.len(), "metric"), many[..NAMED].join(", ")),
    };
    let group =
        |group: &&str| if group.is_empty() { "without a value".to_owned() } else { (*group).to_owned() };
    let named: Vec<String> = groups.iter().take(NAMED).map(group).collect();
    let group = match groups.len() {
        0 => String::new(),
        1 => format!(" in the group {}", named[0]),
        few if few <= NAMED => format!(" in the groups {}", named.join(", ")),
        many => format!(" in {} ({}, …)", counted(many, "group"), named.join(", ")),
    };
    let enough = it.enough_at.map_or(String::new(), |at| format!("; enough at {}", when::date(at)));
    match it.lacking {
        Lacking::Peers { have, need } => {
            format!("Not enough data{of}{group}: {} for a host, {need} are needed.", counted(have, "peer"))
        }
        Lacking::OddPeers { have, need } => format!(
            "Judged for changes only{of}{group}: {} for a host, and what has always differed takes {need}.",
            counted(have, "peer")
        ),
        Lacking::Sweeps { have, need } => format!(
            "Not enough data{of}{group} to tell a change from a habit: {} of {need}{enough}.",
            counted(have, "sweep")
        ),
    }
}
