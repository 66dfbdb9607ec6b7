//! A sweep in a few lines: how many ended how, and the failures with their hosts folded.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use std::io::Write;

use super::Context;
use crate::collect::Kept;
use crate::model::Outcome;
use crate::render::json::{ReadingReport, SweepReport, to_line};
use crate::render::{Cell, Column, Ink, Style, Table, units};
use crate::select::fold;

/// The whole summary.
pub fn text(report: &SweepReport, style: &Style) -> String {
    let mut groups: BTreeMap<(&str, Outcome, Option<String>), Vec<&ReadingReport>> = BTreeMap::new();
    for reading in &report.readings {
        let detail = reading.detail.as_deref().map(|detail| generic(detail, reading.host.as_str()));
        groups.entry((reading.probe.as_str(), reading.outcome, detail)).or_default().push(reading);
    }
    let elapsed = std::time::Duration::from_secs_f64(report.elapsed_s.max(0.0));
    let ok = report.outcomes.get(&Outcome::Ok).copied().unwrap_or_default();
    let mut text =
        format!("sweep {} · {ok}/{} ok · {}\n", report.sweep, report.planned, units::elapsed(elapsed));
    let mut table = Table::new([
        Column::left("PROBE"),
        Column::left("OUTCOME"),
        Column::right("N"),
        Column::left("HOSTS").elastic(),
        Column::left("DETAIL"),
    ]);
    for ((probe, outcome, detail), readings) in groups {
        let hosts = fold(readings.iter().map(|reading| reading.host.as_str()));
        table.row([
            Cell::from(probe),
            Cell::new(outcome.as_str()).ink(ink(outcome)),
            Cell::new(readings.len().to_string()),
            Cell::new(hosts),
            Cell::new(detail.unwrap_or_default()),
        ]);
    }
    text.push_str(&table.render(style));
    text
}

/// A detail without the host's own name, so that hosts with the same trouble stand in one line.
fn generic(detail: &str, host: &str) -> String {
    detail.replace(host, "HOST")
}

pub fn ink(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Ok => Ink::Green,
        Outcome::Unsupported | Outcome::Skipped => Ink::Dim,
        _ => Ink::Red,
    }
}

/// One reading as a line of JSON on stdout, at once.
pub fn ndjson(context: &Context, kept: &Kept) -> Result<()> {
    let report =
        ReadingReport { bytes_wire: kept.bytes_wire, ..ReadingReport::new(&kept.reading, kept.samples) };
    let mut out = context.out();
    writeln!(out, "{}", to_line(&report)?).and_then(|()| out.flush()).context("write to stdout")
}
