//! `doctor`: what stands in the way of a sweep, here and host by host, and what to type about it, before
//! a sweep finds out.

mod fold;
mod json;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;

use super::run::this_machine;
use super::sweep::find_probe;
use crate::cli::{Context, Exit, sweeping};
use crate::collect::checkup::{self, Checkup};
use crate::collect::doctor::{
    Check, Finding, Good, Here, Keys, Kind, Remedy, Severity, Wanted, look, of_all,
};
use crate::collect::{clock, ssh_settings};
use crate::config::Settings;
use crate::model::{Host, Outcome, Probe, ProbeName};
use crate::render::shell_word;

/// Look for everything a sweep needs, here and on hosts, and print the command that mends what is amiss
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Here: the configuration, the state directory, the clock, the limit on open files, key files, ssh-agent and \
known_hosts. Each host is resolved, connected to, logged in to and asked over that one connection what it \
lacks of the probes' needs, as the connection's user and, where a probe wants root, through sudo -n or \
doas -n. No probe is run and nothing is recorded.

A fault keeps something from a probe of a schedule, or of --probe, or from every sweep. Anything else is a \
note. Commands are printed to be typed as they are, here or on the host.

Exit status: 0 every host answered, 3 some did not, 4 none did; 2 the configuration is broken or names no \
host; 10 there are faults (with --fail-on-findings).

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
    /// Exit with 10 if there is a fault
    #[arg(long)]
    fail_on_findings: bool,
}

/// All that was found out.
struct Report<'a> {
    found: &'a [Checkup],
    probes: &'a [Arc<Probe>],
    good: &'a [Good],
    findings: &'a [fold::Folded],
}

impl Doctor {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        let hosts = self.hosts(context, settings)?;
        let probes: Vec<Arc<Probe>> = match self.probes.as_slice() {
            [] => settings.probes.probes.values().map(|shelved| Arc::clone(&shelved.probe)).collect(),
            names => names.iter().map(|name| find_probe(settings, name)).collect::<Result<_>>()?,
        };
        let agent = sweeping::agent_socket();
        let ssh = Arc::new(ssh_settings(&settings.limits, &settings.defaults, agent.clone()));
        let agent = agent.filter(|_| settings.defaults.agent);
        let (keys, found) = sweeping::runtime()?.block_on(async {
            let keys = Keys::of(&hosts, agent.as_deref()).await;
            (keys, checkup::check(hosts.clone(), &probes, ssh, &settings.limits).await)
        });
        let (mut findings, good) = look(&Here { settings, hosts: &hosts, now: clock::now() }, &keys);
        findings.extend(hosts.is_empty().then(nobody));
        let wanted = Wanted { probes: &probes, asked_for: self.asked_for(settings, &probes) };
        findings.extend(of_all(&found, &wanted, &keys));
        let folded = fold::fold(findings, &found, &program(context));
        let report = Report { found: &found, probes: &probes, good: &good, findings: &folded };
        if context.global.json {
            context.print_json(&json::answer(&report))?;
        } else {
            context.print(&text::text(&report, context.out_style()))?;
        }
        let is_faulty = folded.iter().any(|finding| finding.severity == Severity::Fault);
        Ok(match self.fail_on_findings && is_faulty {
            true => Exit::Findings,
            false if hosts.is_empty() => Exit::Usage,
            false => super::hosts::exit(found.iter().map(|it| it.outcome == Outcome::Ok)),
        })
    }

    /// None where the configuration names none: the rest can be looked at all the same.
    fn hosts(&self, context: &Context, settings: &Settings) -> Result<Vec<Host>> {
        match self.local {
            true => Ok(vec![this_machine(settings)?]),
            false if settings.fleet.hosts.is_empty() && self.selector == "*" => Ok(Vec::new()),
            false => context.select_settled(&self.selector),
        }
    }

    /// The probes that somebody wants: those that are named here, or else in a schedule.
    fn asked_for(&self, settings: &Settings, probes: &[Arc<Probe>]) -> BTreeSet<ProbeName> {
        match self.probes.as_slice() {
            [] => settings.schedules.iter().flat_map(|schedule| &schedule.probes).cloned().collect(),
            _ => probes.iter().map(|probe| probe.name.clone()).collect(),
        }
    }
}

fn nobody() -> Finding {
    let remedy = Remedy::Verb { kind: Kind::Look, arguments: "init --help".to_owned() };
    let what = "the configuration names no host: add [[hosts]] names = \"…\" or an [[inventory]]";
    Finding::here(Check::Config, what, Some(remedy))
}

/// This program as it was called, with what it was told of configuration and state: a command that is
/// printed must be about the same files.
pub(super) fn program(context: &Context) -> String {
    let called = std::env::args().next().filter(|name| name.contains('/'));
    let mut words = vec![shell_word(called.as_deref().unwrap_or("dropsonde"))];
    let global = &context.global;
    let paths = [("--config", &global.config), ("--state", &global.state)];
    for (option, path) in paths {
        if let Some(path) = path {
            words.extend([option.to_owned(), shell_word(&path.display().to_string())]);
        }
    }
    for setting in &global.settings {
        words.extend(["--set".to_owned(), shell_word(setting)]);
    }
    words.join(" ")
}
