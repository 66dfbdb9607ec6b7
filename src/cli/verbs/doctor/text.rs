//! `doctor` for people: faults first, each with what to type; what is good in a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Report;
use super::fold::{Command, Folded};
use super::json::word;
use crate::cli::summary::{general, ink};
use crate::collect::checkup::{Checkup, Fitness, Root};
use crate::collect::doctor::{Good, Kind, Place, Severity};
use crate::model::{HostName, Outcome, Probe};
use crate::render::{Cell, Column, Ink, Lines, Style, Table, escape, units};
use crate::select::fold;

/// A line that is not typed is no longer than this many probes.
const MOST_PROBES: usize = 6;

pub(super) fn text(report: &Report<'_>, style: &Style) -> String {
    let mut text: String = report.findings.iter().map(|finding| block(finding, style)).collect();
    if text.is_empty() {
        text.push_str(&format!("{}: nothing is amiss\n", style.paint(Ink::Green, "good")));
    }
    text.push_str(&here(report.good, style));
    if report.found.is_empty() {
        return text;
    }
    text.push('\n');
    text.push_str(&hosts(report.found).render(style));
    if report.found.iter().any(|it| it.outcome == Outcome::Ok) {
        text.push('\n');
        text.push_str(&fitness(report.found, report.probes).render(style));
    }
    text
}

/// What is amiss, whom it keeps from running, and the command alone on its line.
fn block(finding: &Folded, style: &Style) -> String {
    let plain = |text: &str| escape(text, Lines::Single).into_owned();
    let (word, ink) = match finding.severity {
        Severity::Fault => ("fault", Ink::Red),
        Severity::Note => ("note", Ink::Yellow),
    };
    let where_ = match finding.hosts.as_slice() {
        [] => "here".to_owned(),
        hosts => plain(&fold(hosts.iter().map(HostName::as_str))),
    };
    let check = finding.check.as_str();
    let mut text = format!(
        "{} {} {check}: {}\n",
        style.paint(ink, word),
        style.paint(Ink::Bold, &where_),
        plain(&finding.what)
    );
    if !finding.probes.is_empty() {
        let names: Vec<&str> = finding.probes.iter().take(MOST_PROBES).map(|name| name.as_str()).collect();
        let more = finding.probes.len().saturating_sub(MOST_PROBES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("  for {}{more}\n", names.join(", ")));
    }
    let commands = [(&finding.command, ""), (&finding.otherwise, "if that was not enough, ")];
    for (command, lead) in commands {
        let Some(Command { place, kind, text: command }) = command else { continue };
        let place = match (place, finding.hosts.len()) {
            (Place::Here, _) => "here",
            (Place::HereAsRoot, _) => "here as root",
            (Place::HostAsRoot, 1) => "on the host as root",
            (Place::HostAsRoot, _) => "on each of these hosts as root",
        };
        let verb = if *kind == Kind::Mend { "to mend it" } else { "to see more" };
        text.push_str(&format!("  {lead}{verb}, {place}:\n    {}\n", plain(command)));
    }
    text
}

fn here(good: &[Good], style: &Style) -> String {
    let parts: Vec<String> = good
        .iter()
        .map(|(check, detail)| format!("{}: {}", check.as_str(), escape(detail, Lines::Single)))
        .collect();
    format!("{} {}\n", style.paint(Ink::Green, "here"), parts.join("; "))
}

/// One row for all hosts that answered the same.
fn hosts(found: &[Checkup]) -> Table {
    let mut alike: BTreeMap<(bool, Outcome, &str, String), Vec<&Checkup>> = BTreeMap::new();
    for it in found {
        let words = |detail: &str| general(detail, (&it.host.name, Some(&it.host.address)));
        let (root, why) = match &it.root {
            Root::Direct => ("direct", String::new()),
            Root::Sudo => ("sudo -n", String::new()),
            Root::Doas => ("doas -n", String::new()),
            Root::Denied(why, _) => ("denied", words(why)),
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

/// One row for all probes of which the same is true on the same hosts.
fn fitness(found: &[Checkup], probes: &[Arc<Probe>]) -> Table {
    let mut rows: BTreeMap<(bool, &str, String, String), Vec<&str>> = BTreeMap::new();
    for probe in probes {
        let mut alike: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
        for it in found.iter().filter(|it| it.outcome == Outcome::Ok) {
            let fitness = it.fitness(probe);
            let why = match &fitness {
                Fitness::Ok => String::new(),
                Fitness::Unsupported(words) => words.join("; "),
                Fitness::Denied(why) => general(why, (&it.host.name, Some(&it.host.address))),
                Fitness::Unknown => "the host could not be asked".to_owned(),
            };
            alike.entry((word(&fitness), why)).or_default().push(it.host.name.as_str());
        }
        for ((verdict, why), names) in alike {
            rows.entry((verdict != "ok", verdict, fold(names), why)).or_default().push(probe.name.as_str());
        }
    }
    let several = found.len() > 1;
    let mut columns = vec![Column::left("VERDICT"), Column::right("N")];
    columns.extend(several.then(|| Column::left("HOSTS")));
    columns.extend([Column::left("PROBES").elastic(), Column::left("WHY")]);
    let mut table = Table::new(columns);
    for ((_, verdict, hosts, why), probes) in rows {
        let colour = match verdict {
            "ok" => Ink::Green,
            "unsupported" => Ink::Dim,
            _ => Ink::Yellow,
        };
        let mut cells = vec![Cell::from(verdict).ink(colour), Cell::new(probes.len().to_string())];
        cells.extend(several.then(|| Cell::new(hosts)));
        cells.extend([Cell::new(probes.join(" ")), Cell::new(why)]);
        table.row(cells);
    }
    table
}
