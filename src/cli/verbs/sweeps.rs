//! `sweeps`: the ledger. Every planned reading stands in it with its outcome.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::recorded::Recorded;
use crate::cli::ticks::Ticks;
use crate::cli::{Context, Exit, summary};
use crate::model::{Cause, HostName, Kind, Outcome, SweepId};
use crate::render::json::{ReadingReport, SweepReport};
use crate::render::reports::{NotRun, SweepLine, SweepsReport};
use crate::render::{Cell, Column, Ink, Lines, Table, counted, escape, units};
use crate::select::fold;
use crate::store::index::{ReadingRow, SweepRow};

/// List sweeps, or every outcome of one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde sweeps
  dropsonde sweeps latest --verbose
  dropsonde sweeps 20261122T23 --json")]
pub struct Sweeps {
    /// An id, the beginning of one, or `latest`
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "sweep")]
    limit: usize,
}

impl Sweeps {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        match &self.sweep {
            None => self.list(context, &recorded)?,
            Some(text) => one(context, &recorded, &recorded.sweep(text)?)?,
        }
        Ok(Exit::Good)
    }

    fn list(&self, context: &Context, recorded: &Recorded<'_>) -> Result<()> {
        let ticks = Ticks::read(context)?;
        let late = ticks.lateness_s();
        let mut report = SweepsReport::default();
        let rows = recorded.reader.sweeps(self.limit)?;
        // A list of the last few sweeps is one of what was not run meanwhile, too.
        let since = rows.last().filter(|_| rows.len() >= self.limit).map(|row| row.started);
        report.not_run = ticks.not_run(None, since);
        for row in rows {
            let late_s = late.get(&row.sweep).copied();
            report.sweeps.push(SweepLine { late_s, ..line(recorded, row)? });
        }
        if context.global.json {
            return context.print_json(&report);
        }
        if report.sweeps.is_empty() {
            context.remark("no sweep was recorded yet; `dropsonde sweep` runs one");
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("SWEEP"),
            Column::left("TRIGGER"),
            Column::left("STARTED"),
            Column::right("TOOK"),
            Column::right("PLANNED"),
            Column::right("OK"),
            Column::left("OTHERS").elastic(),
        ]);
        report.sweeps.iter().for_each(|sweep| {
            table.row(cells(sweep));
        });
        context.print(&table.render(context.out_style()))?;
        print_not_run(context, &report.not_run)
    }
}

/// Rows of what was not run, for a person.
const NOT_RUN: usize = 10;

fn print_not_run(context: &Context, not_run: &[NotRun<'_>]) -> Result<()> {
    if not_run.is_empty() {
        return Ok(());
    }
    let shown = if context.global.verbose > 0 { not_run.len() } else { NOT_RUN };
    let mut table = Table::new([
        Column::left("NOT RUN"),
        Column::left("DUE"),
        Column::left("UNTIL"),
        Column::right("N"),
        Column::left("WHY").elastic(),
    ]);
    for it in not_run.iter().take(shown) {
        table.row([
            Cell::from(it.schedule),
            Cell::from(it.due.as_str()),
            Cell::from(if it.count > 1 { it.until.as_str() } else { "" }),
            Cell::new(it.count.to_string()),
            Cell::new(format!("{}: {}", it.fate, it.why)).ink(Ink::Yellow),
        ]);
    }
    context.print(&format!("\n{}", table.render(context.out_style())))?;
    if not_run.len() > shown {
        context.remark(&format!("{} more that were not run; --verbose shows them", not_run.len() - shown));
    }
    Ok(())
}

fn line(recorded: &Recorded<'_>, row: SweepRow) -> Result<SweepLine> {
    let outcomes = outcomes(recorded, &row.sweep)?;
    Ok(SweepLine {
        sweep: row.sweep,
        trigger: row.trigger,
        schedule: row.schedule,
        late_s: None,
        cause: row.cause,
        started: row.started.rfc3339(),
        ended: row.ended.map(|ended| ended.rfc3339()),
        elapsed_s: row.elapsed.map(|elapsed| elapsed.as_secs_f64()),
        interrupted: row.interrupted,
        planned: row.planned,
        readings: row.readings,
        ok: row.ok,
        outcomes,
    })
}

/// Every outcome with its count, 0 too.
fn outcomes(recorded: &Recorded<'_>, sweep: &SweepId) -> Result<BTreeMap<Outcome, u64>> {
    let mut counts: BTreeMap<Outcome, u64> = Outcome::ALL.into_iter().map(|outcome| (outcome, 0)).collect();
    counts.extend(recorded.reader.outcome_counts(sweep)?);
    Ok(counts)
}

fn cells(sweep: &SweepLine) -> [Cell; 7] {
    let took = match sweep.elapsed_s {
        Some(elapsed_s) => units::value(elapsed_s, "seconds"),
        None => format!("{}/{}", sweep.readings, sweep.planned),
    };
    let others = sweep.outcomes.iter().filter(|(outcome, count)| **outcome != Outcome::Ok && **count > 0);
    let mut others: Vec<String> = others.map(|(outcome, count)| format!("{count} {outcome}")).collect();
    others.extend(sweep.late_s.map(|late_s| format!("late by {}", units::value(late_s, "seconds"))));
    if sweep.interrupted {
        others.push("interrupted".to_owned());
    } else if sweep.ended.is_none() {
        others.push("running".to_owned());
    }
    let trigger = match (&sweep.schedule, &sweep.cause) {
        (Some(schedule), _) => format!("{} {schedule}", sweep.trigger.as_str()),
        (None, Some(cause)) => format!("{} {}", sweep.trigger.as_str(), cause.rule),
        (None, None) => sweep.trigger.as_str().to_owned(),
    };
    let all = sweep.ok == sweep.planned;
    [
        Cell::from(sweep.sweep.as_str()),
        Cell::from(trigger),
        Cell::from(sweep.started.as_str()),
        Cell::from(took),
        Cell::new(sweep.planned.to_string()),
        Cell::new(sweep.ok.to_string()).ink(if all { Ink::Green } else { Ink::Yellow }),
        Cell::new(others.join(", ")),
    ]
}

fn one(context: &Context, recorded: &Recorded<'_>, sweep: &SweepRow) -> Result<()> {
    let mut report = SweepReport::new(sweep.sweep.clone(), sweep.trigger, sweep.started);
    report.planned = sweep.planned;
    report.cause.clone_from(&sweep.cause);
    report.elapsed_s = sweep.elapsed.map_or(0.0, |elapsed| elapsed.as_secs_f64());
    recorded.reader.ledger(&sweep.sweep)?.iter().for_each(|row| report.push(reading(row)));
    if context.global.json {
        return context.print_json(&report);
    }
    context.print(&summary::text(&report, context.out_style()))?;
    if let Some(cause) = &sweep.cause {
        context.print(&format!("because of {}\n", because(recorded, cause)?))?;
    }
    print_faults(context, recorded, &sweep.sweep)?;
    if context.global.verbose > 0 {
        context.print(&format!("\n{}", readings(&report).render(context.out_style())))?;
    }
    let owed = sweep.planned.saturating_sub(report.readings.len() as u64);
    if owed > 0 {
        context.remark(&format!(
            "without an outcome yet: {}; the sweep runs, or its collector was stopped",
            counted(owed as usize, "reading")
        ));
    }
    Ok(())
}

/// What an escalation followed, in a person's words.
fn because(recorded: &Recorded<'_>, cause: &Cause) -> Result<String> {
    let metrics = recorded.metrics()?;
    let kind = metrics.find(&cause.metric).map_or(Kind::Gauge, |row| row.kind);
    let value = metrics.text(&cause.metric, kind, cause.value);
    let rule = escape(&cause.rule, Lines::Single);
    Ok(format!("{rule}: {} of {} was {value} in sweep {}", cause.metric, cause.host, cause.sweep))
}

/// Lines of faults for a person.
const FAULTS: usize = 10;

/// What was amiss with readings that arrived, those that most hosts share first.
fn print_faults(context: &Context, recorded: &Recorded<'_>, sweep: &SweepId) -> Result<()> {
    let mut faults: Vec<_> = recorded.reader.faults(sweep)?.into_iter().collect();
    if faults.is_empty() {
        return Ok(());
    }
    faults.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
    let all = faults.len();
    if context.global.verbose == 0 {
        faults.truncate(FAULTS);
    }
    let mut table = Table::new([
        Column::left("PROBE"),
        Column::right("N"),
        Column::left("HOSTS").elastic(),
        Column::left("FAULT").elastic(),
    ]);
    for ((probe, text), hosts) in &faults {
        table.row([
            Cell::from(probe.as_str()),
            Cell::new(hosts.len().to_string()),
            Cell::new(fold(hosts.iter().map(HostName::as_str))),
            Cell::from(text.as_str()).ink(Ink::Yellow),
        ]);
    }
    context.print(&format!("\n{}", table.render(context.out_style())))?;
    if all > faults.len() {
        context.remark(&format!("{}; --verbose shows all", counted(all - faults.len(), "more fault")));
    }
    Ok(())
}

fn reading(row: &ReadingRow) -> ReadingReport {
    ReadingReport {
        host: row.host.clone(),
        probe: row.probe.clone(),
        outcome: row.outcome,
        detail: row.detail.clone(),
        exit: row.exit,
        elapsed_s: row.elapsed.as_secs_f64(),
        bytes_wire: row.bytes_wire,
        bytes_raw: row.bytes_raw,
        samples: row.samples,
        histograms: None,
    }
}

fn readings(report: &SweepReport) -> Table {
    let mut table = Table::new([
        Column::left("HOST"),
        Column::left("PROBE"),
        Column::left("OUTCOME"),
        Column::right("EXIT"),
        Column::right("TOOK"),
        Column::right("WIRE"),
        Column::right("RAW"),
        Column::right("SAMPLES"),
        Column::left("DETAIL").elastic(),
    ]);
    for reading in &report.readings {
        table.row([
            Cell::from(reading.host.as_str()),
            Cell::from(reading.probe.as_str()),
            Cell::new(reading.outcome.as_str()).ink(summary::ink(reading.outcome)),
            Cell::new(reading.exit.map_or_else(|| "-".to_owned(), |exit| exit.to_string())),
            Cell::new(units::value(reading.elapsed_s, "seconds")),
            Cell::new(units::value(reading.bytes_wire as f64, "bytes")),
            Cell::new(units::value(reading.bytes_raw as f64, "bytes")),
            Cell::new(reading.samples.to_string()),
            Cell::new(reading.detail.clone().unwrap_or_default()),
        ]);
    }
    table
}
