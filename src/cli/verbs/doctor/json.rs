//! `doctor --json`.

use serde::Serialize;

use super::Report;
use super::fold::{Command, Folded};
use crate::collect::checkup::{Checkup, Fitness, Root};
use crate::collect::doctor::{Check, Kind, Place, Severity};
use crate::model::{Cost, HostName, Need, Outcome, Privilege, Probe, ProbeName};
use crate::render::json::Schema;

#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    schema: Schema,
    /// What is as it should be on this machine.
    here: Vec<GoodLine<'a>>,
    findings: Vec<FindingLine<'a>>,
    hosts: Vec<HostLine<'a>>,
}

#[derive(Debug, Serialize)]
struct GoodLine<'a> {
    check: Check,
    detail: &'a str,
}

#[derive(Debug, Serialize)]
struct FindingLine<'a> {
    /// `fault`, `note`.
    severity: Severity,
    check: Check,
    /// Empty: about the machine that `doctor` ran on.
    hosts: &'a [HostName],
    what: &'a str,
    probes: &'a [ProbeName],
    /// Null where no command helps.
    remedy: Option<RemedyLine<'a>>,
    /// What shows more where the remedy was not enough.
    otherwise: Option<RemedyLine<'a>>,
}

#[derive(Debug, Serialize)]
struct RemedyLine<'a> {
    /// `here`, `here_as_root`, `host_as_root`.
    place: Place,
    /// `mend`, `look`.
    kind: Kind,
    command: &'a str,
}

#[derive(Debug, Serialize)]
struct HostLine<'a> {
    name: &'a str,
    /// Whether it answered.
    outcome: Outcome,
    detail: Option<&'a str>,
    elapsed_s: f64,
    /// `direct`, `sudo`, `doas`, `denied`; null where no probe wants it or the host did not answer.
    root: Option<&'static str>,
    root_detail: Option<&'a str>,
    /// Null where the host did not answer, or cannot tell the time.
    skew_s: Option<f64>,
    gzip: Option<bool>,
    probes: Vec<ProbeLine<'a>>,
}

#[derive(Debug, Serialize)]
struct ProbeLine<'a> {
    probe: &'a str,
    cost: Cost,
    privilege: Privilege,
    /// `ok`, `unsupported`, `denied`, `unknown`.
    verdict: &'static str,
    needs: Vec<NeedLine>,
}

#[derive(Debug, Serialize)]
struct NeedLine {
    need: String,
    /// Null where the host could not be asked.
    met: Option<bool>,
    /// What the host has instead.
    seen: Option<String>,
}

pub(super) fn answer<'a>(report: &Report<'a>) -> Answer<'a> {
    let good = report.good.iter().map(|(check, detail)| GoodLine { check: *check, detail });
    Answer {
        schema: Schema,
        here: good.collect(),
        findings: report.findings.iter().map(finding).collect(),
        hosts: report.found.iter().map(|it| host(it, report)).collect(),
    }
}

fn finding(folded: &Folded) -> FindingLine<'_> {
    FindingLine {
        severity: folded.severity,
        check: folded.check,
        hosts: &folded.hosts,
        what: &folded.what,
        probes: &folded.probes,
        remedy: folded.command.as_ref().map(remedy),
        otherwise: folded.otherwise.as_ref().map(remedy),
    }
}

fn remedy(command: &Command) -> RemedyLine<'_> {
    RemedyLine { place: command.place, kind: command.kind, command: &command.text }
}

fn host<'a>(it: &'a Checkup, report: &Report<'a>) -> HostLine<'a> {
    let (root, root_detail) = match &it.root {
        Root::Direct => (Some("direct"), None),
        Root::Sudo => (Some("sudo"), None),
        Root::Doas => (Some("doas"), None),
        Root::Denied(why, _) => (Some("denied"), Some(why.as_str())),
        Root::Unknown => (None, None),
    };
    HostLine {
        name: it.host.name.as_str(),
        outcome: it.outcome,
        detail: it.detail.as_deref(),
        elapsed_s: it.elapsed.as_secs_f64(),
        root,
        root_detail,
        skew_s: it.skew_s,
        gzip: it.has("gzip"),
        probes: report.probes.iter().map(|probe| probe_line(it, probe)).collect(),
    }
}

fn probe_line<'a>(it: &Checkup, probe: &'a Probe) -> ProbeLine<'a> {
    let need = |need: &Need| {
        let answer = it.lack(probe, need);
        NeedLine {
            need: need.to_string(),
            met: answer.map(|lack| lack.is_none()),
            seen: answer.flatten().and_then(|lack| lack.seen.clone()),
        }
    };
    ProbeLine {
        probe: probe.name.as_str(),
        cost: probe.cost,
        privilege: probe.privilege,
        verdict: word(&it.fitness(probe)),
        needs: probe.needs.iter().map(need).collect(),
    }
}

pub(super) const fn word(fitness: &Fitness) -> &'static str {
    match fitness {
        Fitness::Ok => "ok",
        Fitness::Unsupported(_) => "unsupported",
        Fitness::Denied(_) => "denied",
        Fitness::Unknown => "unknown",
    }
}
