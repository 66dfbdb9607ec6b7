//! `check`: the archive against the index, and how all of it is.

mod health;

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, sweeping};
use crate::collect::{Options, Recorder};
use crate::render::json::Schema;
use crate::render::reports::{CheckAnswer, FindingLine};
use crate::render::{Ink, Lines, Style, counted, escape, units};
use crate::store::{self, CheckReport, Finding, Severity, StoreError};

/// Verify the archive against the index, and say how the state directory is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What a collector that was stopped has left is mended first: torn tails are cut, readings without an \
outcome become skipped, the index catches up. A state directory that cannot be written to is looked at \
as it stands.

Exit status: 0 nothing is lost or to rebuild, 1 something is, 10 anything was found at all, or is to be \
warned of (with --fail-on-findings).")]
pub struct Check {
    /// Read every byte and compare its hash
    #[arg(long)]
    deep: bool,
    /// Only look: mend nothing
    #[arg(long)]
    read_only: bool,
    /// Exit with 10 on any finding, notes and warnings included
    #[arg(long)]
    fail_on_findings: bool,
}

impl Check {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let state = context.state_dir()?;
        must_exist(&state)?;
        let recovered = if self.read_only { Vec::new() } else { mend(context, &state)? };
        let report = store::check(&state, self.deep)?;
        let health = health::look(context, &state);
        let warned = health.as_ref().is_some_and(|health| !health.warnings().is_empty());
        if context.global.json {
            let health = health.as_ref().map(health::answer);
            context.print_json(&CheckAnswer { health, ..answer(&report, recovered) })?;
        } else {
            recovered.iter().for_each(|what| context.remark(&format!("mended: {what}")));
            let mut text = text(&report, self.deep, context.out_style());
            text.extend(health.as_ref().map(|health| health::text(health, context.out_style())));
            context.print(&text)?;
        }
        Ok(match (report.is_clean(), self.fail_on_findings) {
            (_, true) if warned || !report.findings.is_empty() => Exit::Findings,
            (false, _) => Exit::Internal,
            (true, _) => Exit::Good,
        })
    }
}

/// A slip in `--state` must not make a new, clean state directory.
pub(super) fn must_exist(state: &Path) -> Result<(), Usage> {
    if state.is_dir() {
        return Ok(());
    }
    Err(Usage(format!("{}: no state directory is there; --state names another", state.display())))
}

/// Opens the directory as a collector does, and says what that has mended.
fn mend(context: &Context, state: &Path) -> Result<Vec<String>> {
    match Recorder::open(state, Options::default()) {
        Ok((recorder, recovered)) => {
            sweeping::runtime()?.block_on(recorder.close())?;
            Ok(recovered.iter().map(|what| escape(&what.to_string(), Lines::Single).into_owned()).collect())
        }
        Err(error) if is_read_only(&error) => {
            context.remark(&format!("nothing is mended: {error}"));
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_read_only(error: &StoreError) -> bool {
    let kind = match error {
        StoreError::Io { source, .. } => source.kind(),
        _ => return false,
    };
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Index => "index",
        Severity::Archive => "archive",
    }
}

fn answer(report: &CheckReport, recovered: Vec<String>) -> CheckAnswer<'_> {
    CheckAnswer {
        schema: Schema,
        clean: report.is_clean(),
        sweeps: report.sweeps,
        running: report.running,
        readings: report.readings,
        bytes: report.bytes,
        recovered,
        findings: report.findings.iter().map(line).collect(),
        health: None,
    }
}

fn line(finding: &Finding) -> FindingLine<'_> {
    let Finding { severity, sweep, what, remedy } = finding;
    FindingLine { severity: word(*severity), sweep: sweep.as_ref(), what, remedy }
}

fn text(report: &CheckReport, deep: bool, style: &Style) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let ink = if finding.severity == Severity::Note { Ink::Dim } else { Ink::Red };
        let place = finding.sweep.as_ref().map_or(String::new(), |sweep| format!(" sweep {sweep}:"));
        let what = escape(&finding.what, Lines::Single);
        let severity = style.paint(ink, word(finding.severity));
        text.push_str(&format!("{severity}:{place} {what}; {}\n", finding.remedy));
    }
    let verdict = match (report.is_clean(), deep) {
        (false, _) => style.paint(Ink::Red, "damaged"),
        (true, true) => style.paint(Ink::Green, "clean, every byte read"),
        (true, false) => style.paint(Ink::Green, "clean"),
    };
    let bytes = units::value(report.bytes as f64, "bytes");
    let running = match report.running {
        0 => String::new(),
        running => format!(" ({running} running)"),
    };
    text.push_str(&format!(
        "{verdict}: {}{running}, {}, {bytes}\n",
        counted(report.sweeps as usize, "sweep"),
        counted(report.readings as usize, "reading")
    ));
    text
}
