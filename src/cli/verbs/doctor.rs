//! `doctor`: what stands in the way of the probes, host by host, before a sweep finds out.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::run::this_machine;
use super::sweep::find_probe;
use crate::cli::summary::{general, ink};
use crate::cli::{Context, Exit, sweeping};
use crate::collect::checkup::{self, Checkup, Fitness, Root};
use crate::collect::ssh_settings;
use crate::model::{Cost, Host, Outcome, Privilege, Probe};
use crate::render::json::Schema;
use crate::render::{Cell, Column, Ink, Style, Table, units};
use crate::select::fold;

/// Say which probes could run where, and what is missing for the others; runs none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each host is asked over one connection what it lacks of the probes' needs, as the connection's user and, where \
a probe wants root, through sudo -n.

Exit status: 0 every host answered, 3 some did not, 4 none did. What a host lacks is a fact about it, no failure.

Examples:
  dropsonde doctor web06
  dropsonde doctor '@edge' --probe runqueue_latency --json
  dropsonde doctor --local")]
pub struct Doctor {
    /// Which hosts
    #[arg(value_name = "SELECTOR", default_value = "*")]
    selector: String,
    /// This machine, without SSH
    #[arg(long, conflicts_with = "selector")]
    local: bool,
    /// Only these probes [default: all]
    #[arg(long = "probe", value_name = "NAME")]
    probes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: Schema,
    hosts: Vec<HostLine<'a>>,
}

#[derive(Debug, Serialize)]
struct HostLine<'a> {
    name: &'a str,
    /// Whether it answered.
    outcome: Outcome,
    detail: Option<&'a str>,
    elapsed_s: f64,
    /// `direct`, `sudo`, `denied`; null where no probe wants it or the host did not answer.
    root: Option<&'static str>,
    root_detail: Option<&'a str>,
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

impl Doctor {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        let hosts: Vec<Host> = match self.local {
            true => vec![this_machine(settings)?],
            false => context.select_settled(&self.selector)?,
        };
        let probes: Vec<Arc<Probe>> = match self.probes.as_slice() {
            [] => settings.probes.probes.values().map(|shelved| Arc::clone(&shelved.probe)).collect(),
            names => names.iter().map(|name| find_probe(settings, name)).collect::<Result<_>>()?,
        };
        let ssh = Arc::new(ssh_settings(&settings.limits, &settings.defaults, sweeping::agent_socket()));
        let found = sweeping::runtime()?.block_on(checkup::check(hosts, &probes, ssh, &settings.limits));
        if context.global.json {
            context.print_json(&report(&found, &probes))?;
        } else {
            context.print(&text(&found, &probes, context.out_style()))?;
        }
        Ok(super::hosts::exit(found.iter().map(|it| it.outcome == Outcome::Ok)))
    }
}

const fn word(fitness: &Fitness) -> &'static str {
    match fitness {
        Fitness::Ok => "ok",
        Fitness::Unsupported(_) => "unsupported",
        Fitness::Denied(_) => "denied",
        Fitness::Unknown => "unknown",
    }
}

fn report<'a>(found: &'a [Checkup], probes: &'a [Arc<Probe>]) -> Report<'a> {
    let host = |it: &'a Checkup| {
        let (root, root_detail) = match &it.root {
            Root::Direct => (Some("direct"), None),
            Root::Sudo => (Some("sudo"), None),
            Root::Denied(why) => (Some("denied"), Some(why.as_str())),
            Root::Unknown => (None, None),
        };
        HostLine {
            name: it.host.name.as_str(),
            outcome: it.outcome,
            detail: it.detail.as_deref(),
            elapsed_s: it.elapsed.as_secs_f64(),
            root,
            root_detail,
            probes: probes.iter().map(|probe| probe_line(it, probe)).collect(),
        }
    };
    Report { schema: Schema, hosts: found.iter().map(host).collect() }
}

fn probe_line<'a>(it: &Checkup, probe: &'a Probe) -> ProbeLine<'a> {
    let need = |need: &crate::model::Need| {
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

fn text(found: &[Checkup], probes: &[Arc<Probe>], style: &Style) -> String {
    let mut text = hosts(found).render(style);
    if found.iter().any(|it| it.outcome == Outcome::Ok) {
        text.push('\n');
        text.push_str(&fitness(found, probes).render(style));
    }
    text
}

/// One row for all hosts that answered the same.
fn hosts(found: &[Checkup]) -> Table {
    let mut alike: BTreeMap<(bool, Outcome, &str, String), Vec<&Checkup>> = BTreeMap::new();
    for it in found {
        let words = |detail: &str| general(detail, (&it.host.name, Some(&it.host.address)));
        let (root, why) = match &it.root {
            Root::Direct => ("direct", String::new()),
            Root::Sudo => ("sudo -n", String::new()),
            Root::Denied(why) => ("denied", words(why)),
            Root::Unknown => ("-", String::new()),
        };
        let detail = it.detail.as_deref().map_or(why, words);
        alike.entry((it.outcome == Outcome::Ok, it.outcome, root, detail)).or_default().push(it);
    }
    let mut table = Table::new([
        Column::left("ANSWER"),
        Column::right("N"),
        Column::left("HOSTS"),
        Column::left("ROOT"),
        Column::right("TOOK"),
        Column::left("DETAIL").elastic(),
    ]);
    for ((_, outcome, root, detail), those) in alike {
        let slowest = those.iter().map(|it| it.elapsed).max().unwrap_or_default();
        table.row([
            Cell::from(outcome.as_str()).ink(ink(outcome)),
            Cell::new(those.len().to_string()),
            Cell::new(fold(those.iter().map(|it| it.host.name.as_str()))),
            Cell::from(root).ink(if root == "denied" { Ink::Yellow } else { Ink::Dim }),
            Cell::new(units::elapsed(slowest)),
            Cell::new(detail),
        ]);
    }
    table
}

/// Probe by probe; one row for all hosts of which the same is true.
fn fitness(found: &[Checkup], probes: &[Arc<Probe>]) -> Table {
    let several = found.len() > 1;
    let mut columns = vec![Column::left("PROBE"), Column::left("COST"), Column::left("ROOT")];
    columns.push(Column::left("VERDICT"));
    columns.extend(several.then(|| Column::left("HOSTS").elastic()));
    columns.push(Column::left("NEEDS").elastic());
    let mut table = Table::new(columns);
    for probe in probes {
        let mut alike: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
        for it in found.iter().filter(|it| it.outcome == Outcome::Ok) {
            let fitness = it.fitness(probe);
            let why = match &fitness {
                Fitness::Ok => probe.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                Fitness::Unsupported(words) => words.join("; "),
                Fitness::Denied(why) => general(why, (&it.host.name, Some(&it.host.address))),
                Fitness::Unknown => "the host could not be asked".to_owned(),
            };
            alike.entry((word(&fitness), why)).or_default().push(it.host.name.as_str());
        }
        for ((verdict, why), names) in alike {
            let colour = match verdict {
                "ok" => Ink::Green,
                "unsupported" => Ink::Dim,
                _ => Ink::Yellow,
            };
            let root = if probe.privilege == Privilege::Root { "root" } else { "-" };
            let mut cells =
                vec![Cell::from(probe.name.as_str()), Cell::from(probe.cost.as_str()), Cell::from(root)];
            cells.push(Cell::from(verdict).ink(colour));
            cells.extend(several.then(|| Cell::new(fold(names))));
            cells.push(Cell::new(why));
            table.row(cells);
        }
    }
    table
}
