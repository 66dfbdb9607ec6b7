//! `config`: what the settings come to and where each one stands, or everything that is wrong with
//! them. It writes no file.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use super::hosts;
use crate::cli::{Context, Exit};
use crate::config::{self, Entry, Fault, Faults, Settings};
use crate::render::{Ink, Lines, Style, counted, escape};

/// Show or check the configuration
#[derive(Debug, clap::Args)]
pub struct Config {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Verb {
    /// Print every value and where it came from (the default)
    Show,
    /// Read everything and report every fault
    Check,
}

impl Config {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None | Some(Verb::Show) => show(context),
            Some(Verb::Check) => check(context),
        }
    }
}

fn show(context: &Context) -> Result<Exit> {
    let settings = context.settings()?;
    if context.global.json {
        context.print_json(&json!({
            "schema": 1,
            "config_file": settings.config_file,
            "drop_ins": settings.drop_ins,
            "values": settings.entries_json(),
        }))?;
    } else {
        context.print(&text(&settings.entries(), context.out_style()))?;
    }
    Ok(Exit::Good)
}

/// A value wider than this pushes its own origin aside, not everybody's.
const WIDEST_VALUE: usize = 40;

/// As TOML with dotted keys, which can be copied into a file; the origin is its comment.
fn text(entries: &[Entry], style: &Style) -> String {
    let shown = |text: String| escape(&text, Lines::Single).into_owned();
    let rows: Vec<(&str, String, String)> = entries
        .iter()
        .map(|entry| (entry.key.as_str(), shown(entry.value_text()), shown(entry.origin.to_string())))
        .collect();
    let keys = rows.iter().map(|(key, ..)| key.len()).max().unwrap_or_default();
    let values =
        rows.iter().map(|(_, value, _)| value.chars().count()).filter(|width| *width <= WIDEST_VALUE);
    let values = values.max().unwrap_or_default();
    let mut out = String::new();
    for (key, value, origin) in rows {
        let origin = format!("# {origin}");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{key:keys$} = {value:values$}  {}", style.paint(Ink::Dim, &origin));
    }
    out
}

fn check(context: &Context) -> Result<Exit> {
    // A list that was kept must not hide that the real one is broken.
    let sources = config::Sources { fresh: true, ..context.sources()? };
    let loaded = config::load(&sources).and_then(|settings| match stale(&settings) {
        faults if faults.is_empty() => Ok(settings),
        faults => Err(faults),
    });
    match loaded {
        Ok(settings) => good(&settings, context),
        Err(faults) if context.global.json => {
            context.print_json(&json!({ "schema": 1, "ok": false, "faults": faults_json(&faults) }))?;
            Ok(Exit::Usage)
        }
        Err(faults) => Err(faults.into()),
    }
}

/// What is wrong with lists of hosts whose last good answers stand in.
fn stale(settings: &Settings) -> Faults {
    let failed = settings.inventories.iter().filter_map(|inventory| inventory.answer.failed.as_ref());
    Faults(failed.flat_map(|faults| faults.iter().cloned()).collect())
}

fn good(settings: &Settings, context: &Context) -> Result<Exit> {
    let inventories = settings.inventories.iter().flat_map(|inventory| &inventory.wanted.remarks);
    let mut remarks: Vec<String> = inventories.chain(&settings.remarks).map(Fault::to_string).collect();
    remarks.extend(hosts::barred(&context.settle(&settings.fleet.hosts)?));
    let hosts = settings.fleet.hosts.len();
    let probes = settings.probes.probes.len();
    let schedules = settings.schedules.len();
    if context.global.json {
        context.print_json(&json!({
            "schema": 1,
            "ok": true,
            "hosts": hosts,
            "probes": probes,
            "schedules": schedules,
            "faults": [],
            "remarks": remarks,
        }))?;
    } else {
        // One line each: the line that one is about may hold a password.
        for remark in remarks {
            context.remark(&format!("dropsonde: {}", escape(&remark, Lines::Single)));
        }
        let (hosts, probes) = (counted(hosts, "host"), counted(probes, "probe"));
        context.print(&format!("ok: {hosts}, {probes}, {}\n", counted(schedules, "schedule")))?;
    }
    Ok(Exit::Good)
}

fn faults_json(faults: &Faults) -> serde_json::Value {
    let one = |fault: &Fault| {
        let position = fault.place.line_column();
        json!({
            "file": &*fault.place.file,
            "line": position.map(|(line, _)| line),
            "column": position.map(|(_, column)| column),
            "title": fault.title,
            "expected": fault.expected,
            "help": fault.help,
        })
    };
    faults.iter().map(one).collect()
}
