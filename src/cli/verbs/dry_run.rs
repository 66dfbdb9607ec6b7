//! `sweep --dry-run`: exactly what would be sent, byte for byte, but for the two random tokens of a
//! run. It opens no connection and writes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::cli::{Context, Exit};
use crate::collect::{Errand, Target, request, root_refused, wire_limits};
use crate::config::Limits;
use crate::model::{Outcome, Probe, Reach};
use crate::render::json::Schema;
use crate::render::{Lines, counted, escape};
use crate::select::fold;
use crate::wire::{Nonce, RunTag, refused};

/// Stands where a run has its random tokens.
const TAG: RunTag = RunTag::new([0x11; 16]);
const NONCE: Nonce = Nonce::new([0x22; 16]);

#[derive(Debug, Serialize)]
struct DryRun<'a> {
    schema: Schema,
    planned: usize,
    /// What stands in `stdin` where a run has random digits.
    tag: String,
    nonce: String,
    hosts: Vec<DryHost<'a>>,
    /// Planned, and not sent.
    held: Vec<DryHeld<'a>>,
}

#[derive(Debug, Serialize)]
struct DryHeld<'a> {
    host: &'a str,
    probe: &'a str,
    /// `skipped`, `denied`.
    outcome: Outcome,
    why: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
struct DryHost<'a> {
    name: &'a str,
    address: &'a str,
    port: u16,
    user: &'a str,
    local: bool,
    probes: Vec<DryProbe<'a>>,
}

#[derive(Debug, Serialize)]
struct DryProbe<'a> {
    probe: &'a str,
    command: &'static str,
    stdin: String,
}

pub fn print(context: &Context, errand: &Errand, limits: &Limits) -> Result<Exit> {
    let limits = wire_limits(limits);
    let why = |target, probe| why(errand, target, probe);
    let hosts = errand.targets.iter().map(|target| {
        let host = &target.host;
        let probes = target.probes.iter().filter(|probe| why(target, probe).is_none()).map(|probe| {
            let cursor = errand.cursor(&host.name, &probe.name);
            let request = request((host, probe), (TAG, NONCE), limits, cursor);
            // A script is UTF-8, and so is all that is put around it.
            let stdin = String::from_utf8_lossy(&request.stdin()).into_owned();
            DryProbe { probe: probe.name.as_str(), command: request.command(), stdin }
        });
        DryHost {
            name: host.name.as_str(),
            address: &host.address,
            port: host.port,
            user: &host.user,
            local: host.reach == Reach::Local,
            probes: probes.collect(),
        }
    });
    let hosts: Vec<DryHost<'_>> = hosts.collect();
    let all = errand.targets.iter().flat_map(|target| target.probes.iter().map(move |probe| (target, probe)));
    let held: Vec<DryHeld<'_>> = all
        .filter_map(|(target, probe)| {
            let (outcome, why) = why(target, probe)?;
            Some(DryHeld { host: target.host.name.as_str(), probe: probe.name.as_str(), outcome, why })
        })
        .collect();
    let planned = hosts.iter().map(|host| host.probes.len()).sum::<usize>() + held.len();
    let (tag, nonce) = (TAG.to_string(), NONCE.to_string());
    let dry = DryRun { schema: Schema, planned, tag, nonce, hosts, held };
    if context.global.json {
        context.print_json(&dry)?;
    } else {
        context.print(&text(&dry))?;
        for DryHeld { host, probe, outcome, why } in &dry.held {
            let why = escape(why, Lines::Single);
            context.remark(&format!("dropsonde: {probe} on {host} would be {}: {why}", outcome.as_str()));
        }
        context.remark(&format!(
            "dropsonde: {} planned, nothing sent; {TAG} and {NONCE} stand for random digits",
            counted(planned, "reading")
        ));
    }
    Ok(Exit::Good)
}

/// Why a probe would not be sent to a host: it is in quarantine there, or may not be root.
fn why<'a>(errand: &'a Errand, target: &Target, probe: &Probe) -> Option<(Outcome, Cow<'a, str>)> {
    if let Some(why) = errand.held(&target.host.name, &probe.name) {
        return Some((Outcome::Skipped, why.into()));
    }
    root_refused(&target.host, probe).map(|refusal| (Outcome::Denied, refused(refusal).into()))
}

/// Hosts that would get the same are shown once, folded.
fn text(dry: &DryRun<'_>) -> String {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&DryHost<'_>>> = BTreeMap::new();
    for host in &dry.hosts {
        for probe in &host.probes {
            groups.entry((probe.probe, probe.command, &probe.stdin)).or_default().push(host);
        }
    }
    let mut text = String::new();
    for ((probe, command, stdin), hosts) in groups {
        text.push_str(&format!("# {probe} on {}\n", fold(hosts.iter().map(|host| host.name))));
        for host in hosts {
            text.push_str(&format!("#   {}: {}\n", host.name, destination(host)));
        }
        text.push_str(&format!("# command: {command}\n# stdin, {} bytes:\n", stdin.len()));
        text.push_str(&escape(stdin, Lines::Block));
        text.push('\n');
    }
    text
}

fn destination(host: &DryHost<'_>) -> String {
    if host.local {
        return "this machine, without SSH".to_owned();
    }
    let address = escape(host.address, Lines::Single);
    format!("{}@{address} port {}", escape(host.user, Lines::Single), host.port)
}
