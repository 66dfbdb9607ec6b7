//! `show`: one reading, its numbers or its bytes.

use std::io::{IsTerminal, Write};

use anyhow::{Context as _, Result};

use crate::cli::failure::Usage;
use crate::cli::recorded::{Metrics, Recorded};
use crate::cli::{Context, Exit, distributions, summary};
use crate::collect::{Archived, Caps};
use crate::model::{Fault, Format, Kind, Labels, Parsed, Sample};
use crate::render::json::ProbeReport;
use crate::render::{Cell, Column, Ink, Lines, Style, Table, escape, escape_bytes, units};
use crate::store::index::{ReadingNumbers, ReadingRow};
use crate::store::{StateDir, StoreError};

/// Print one reading: its samples, or the bytes the host sent
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde show web06 proc
  dropsonde show web06 proc --sweep 20261122T23 --json
  dropsonde show web06 kernel_log --raw | less")]
pub struct Show {
    /// A host of that sweep
    #[arg(value_name = "HOST")]
    host: String,
    /// What was read there
    #[arg(value_name = "PROBE")]
    probe: String,
    /// An id, the beginning of one, or `latest` [default: the newest with this host and probe]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Write the probe's output as it came, byte for byte; not to a terminal
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl Show {
    pub fn run(self, context: &Context) -> Result<Exit> {
        if self.raw && std::io::stdout().is_terminal() {
            let why = "--raw writes what the host sent, which may hold control sequences, and stdout is a \
                       terminal: pipe it into a file or a pager";
            return Err(Usage(why.to_owned()).into());
        }
        let recorded = Recorded::open(context)?;
        let row = self.find(&recorded)?;
        let state = StateDir::at(&context.state_dir()?);
        if self.raw {
            return raw(context, &state, &row);
        }
        let numbers = recorded.reader.numbers(&row.sweep, &row.host, &row.probe)?;
        if context.global.json {
            let parsed = parsed(numbers);
            context.print_json(&ProbeReport::new(&row.probe, row.outcome, &parsed))?;
            return Ok(Exit::Good);
        }
        let archived = match Archived::open(&state, &row) {
            Ok(archived) => Some(archived),
            Err(error) => {
                context.remark(&format!(
                    "dropsonde: from the index only: {}",
                    escape(&error.to_string(), Lines::Single)
                ));
                None
            }
        };
        let style = context.out_style();
        let mut text = header(&row, archived.as_ref(), style);
        if archived.as_ref().is_some_and(|archived| is(archived, Format::HostContext)) {
            text.push_str(&facts(&recorded.reader.facts(&row.host, end_of(&row))?, style));
        }
        text.push_str(&body(&numbers, &recorded.metrics()?, style));
        if let Some(archived) = &archived {
            text.push_str(&output(archived)?);
            text.push_str(&stderr(archived, style));
        }
        context.print(&text)?;
        Ok(Exit::Good)
    }

    fn find(&self, recorded: &Recorded<'_>) -> Result<ReadingRow> {
        let host = recorded.host(&self.host)?;
        let probe = recorded.probe(&self.probe)?;
        let Some(sweep) = &self.sweep else {
            let latest = recorded.reader.latest(&host, &probe)?;
            return latest.ok_or_else(|| {
                Usage(format!(
                    "no sweep has a reading of {probe} on {host}; `dropsonde sweeps latest -v` lists some"
                ))
                .into()
            });
        };
        let sweep = recorded.sweep(sweep)?.sweep;
        let row = recorded.reader.reading(&sweep, &host, &probe)?;
        row.ok_or_else(|| StoreError::NoReading { sweep, host, probe }.into())
    }
}

fn raw(context: &Context, state: &StateDir, row: &ReadingRow) -> Result<Exit> {
    let archived = Archived::open(state, row)?;
    if archived.reading.wire.is_empty() {
        let outcome = row.outcome;
        return Err(Usage(format!("this reading has no output: it is {outcome}")).into());
    }
    let bytes = archived.output(Caps::default())?;
    let mut out = context.out();
    out.write_all(&bytes).and_then(|()| out.flush()).context("write to stdout")?;
    Ok(Exit::Good)
}

fn is(archived: &Archived, format: Format) -> bool {
    archived.probe.as_ref().is_some_and(|probe| probe.format == format)
}

/// What the reading's labels were after it: its own may have changed them.
fn end_of(row: &ReadingRow) -> crate::model::CollectorTime {
    let elapsed_ns = i64::try_from(row.elapsed.as_nanos()).unwrap_or(0);
    crate::model::CollectorTime::from_unix_ns(row.started.unix_ns().saturating_add(elapsed_ns))
}

fn parsed(numbers: ReadingNumbers) -> Parsed {
    Parsed {
        samples: numbers.samples,
        histograms: numbers.histograms,
        faults: numbers.faults.into_iter().map(Fault).collect(),
        ..Parsed::default()
    }
}

fn header(row: &ReadingRow, archived: Option<&Archived>, style: &Style) -> String {
    let outcome = style.paint(summary::ink(row.outcome), row.outcome.as_str());
    let host = style.paint(Ink::Bold, row.host.as_str());
    let mut text = format!("{host} {} {outcome} · sweep {}\n", row.probe, row.sweep);
    let mut line = |name: &str, value: String| {
        text.push_str(&format!("{} {value}\n", style.paint(Ink::Dim, &format!("  {name:<8}"))));
    };
    if let Some(detail) = &row.detail {
        line("detail", escape(detail, Lines::Single).into_owned());
    }
    if let Some(exit) = row.exit.filter(|exit| *exit != 0) {
        line("exit", exit.to_string());
    }
    line("started", format!("{} · took {}", row.started.rfc3339(), units::elapsed(row.elapsed)));
    if let Some(clock) = archived.and_then(|archived| archived.reading.clock.as_ref()) {
        let skew_s = (clock.start.unix_ns().saturating_sub(row.started.unix_ns())) as f64 / 1e9;
        line(
            "clock",
            format!(
                "{} on the host, {} from ours · up {} · boot {}",
                clock.start.rfc3339(),
                units::value(skew_s, "seconds"),
                units::value(clock.uptime_end_s, "seconds"),
                escape(&clock.boot_id, Lines::Single)
            ),
        );
    }
    let (wire, raw) =
        (units::value(row.bytes_wire as f64, "bytes"), units::value(row.bytes_raw as f64, "bytes"));
    line("bytes", format!("{wire} on the wire, {raw} of output"));
    if let Some(cpu) = row.cpu {
        line("cpu", format!("{} on the host", units::elapsed(cpu)));
    }
    if row.truncated {
        line("cut", "a cap on samples or labels was reached; the archive has all of it".to_owned());
    }
    text
}

fn facts(facts: &Labels, style: &Style) -> String {
    let mut table = Table::new([Column::left("LABEL"), Column::left("VALUE").elastic()]);
    for (label, value) in facts {
        table.row([Cell::from(label.as_str()), Cell::from(value.as_str())]);
    }
    section(&table, style)
}

/// A table behind an empty line, if it has a row.
fn section(table: &Table, style: &Style) -> String {
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}

fn body(numbers: &ReadingNumbers, metrics: &Metrics, style: &Style) -> String {
    let mut text = section(&samples(&numbers.samples, metrics), style);
    let unit = |metric: &str| metrics.unit(metric, Kind::Histogram);
    let histograms = distributions::text(&numbers.histograms, unit, style);
    if !histograms.is_empty() {
        text.push_str(&format!("\n{histograms}"));
    }
    let mut faults = Table::new([Column::left("FAULT").elastic()]);
    for fault in &numbers.faults {
        faults.row([Cell::from(fault.as_str()).ink(Ink::Yellow)]);
    }
    text.push_str(&section(&faults, style));
    text
}

fn samples(samples: &[Sample], metrics: &Metrics) -> Table {
    let mut table = Table::new([
        Column::left("METRIC"),
        Column::left("LABELS").elastic(),
        Column::left("SPAN"),
        Column::right("VALUE"),
    ]);
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|a, b| (&a.metric, &a.labels, a.span).cmp(&(&b.metric, &b.labels, b.span)));
    for sample in sorted {
        table.row([
            Cell::new(sample.metric.as_ref()),
            Cell::new(labels(&sample.labels)),
            Cell::new(sample.span.as_str()).ink(Ink::Dim),
            Cell::new(metrics.text(&sample.metric, sample.kind, sample.value)),
        ]);
    }
    table
}

fn labels(labels: &[(std::borrow::Cow<'static, str>, String)]) -> String {
    let pairs: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join(",")
}

/// What a text probe printed: it has no samples to show instead.
fn output(archived: &Archived) -> Result<String> {
    if !is(archived, Format::Text) || archived.reading.wire.is_empty() {
        return Ok(String::new());
    }
    let bytes = archived.output(Caps::default())?;
    Ok(block(&escape_bytes(&bytes, Lines::Block)))
}

fn stderr(archived: &Archived, style: &Style) -> String {
    let said = &archived.reading.stderr;
    if said.trim().is_empty() {
        return String::new();
    }
    format!("\n{}{}", style.paint(Ink::Bold, "STDERR"), block(&escape(said, Lines::Block)))
}

fn block(text: &str) -> String {
    format!("\n{}\n", text.trim_end_matches('\n'))
}
