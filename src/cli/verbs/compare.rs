//! `compare`: two sides, metric by metric, the most different first.

mod distributions;
mod numbers;
mod sides;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use anyhow::Result;

use numbers::{LEAST, Line};
use sides::Sides;

use crate::cli::failure::Usage;
use crate::cli::findings::known_mask;
use crate::cli::recorded::{Metrics, Recorded, SpanChoice, labels_text, usual_span};
use crate::cli::{Context, Exit};
use crate::compare::{Contrast, Sorted};
use crate::model::{HostName, Kind, Span, SweepId, Worse};
use crate::render::json::CompareReport;
use crate::render::{Cell, Column, Ink, Lines, Table, counted, escape, sparkline_within, units};
use crate::select::matches_mask;
use crate::store::index::Series;

/// Lines for a person; JSON has all.
const LINES: usize = 25;

/// Sweeps of history.
const SWEEPS: usize = 12;

/// Put two hosts, groups or times side by side, the most different metrics first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A and B are selectors: a host, a node set, @group, label=value. Values are the sides' medians, the ratio \
is B over A. A difference within 5 % of the usual value, or below what the metric can tell apart, is \
none: --all shows it. A host on both sides counts for the smaller one only.

A --at TIME is A since that time against A in the same hours of the day before. With --over it is so long before \
and after. With --to, A at the one time is compared with A (or B) at the other. Sweeps without a counterpart \
on the other side are left out. A time is 2026-11-22T15:00Z, 2d (ago), or a sweep.

N is how many hosts a side has: each counts once, with its median, as the sweeps of one host are no sample. Two \
groups are compared by Mann and Whitney's test; hosts at two times each with itself, by Wilcoxon's. P is \
corrected for the number of rows (Benjamini and Hochberg). Under 4 hosts a side there is none: `~ (need \u{2265} 4)`. \
Nor is there where the hours of the day are not the same: `~`. SHIFT is by how much B lies above A (Hodges and \
Lehmann), with the interval that holds it at 95 %. B > A says in how many sweeps, or on how many hosts.

Rows with a P below 0.05 stand first. Those and the others each begin with the largest difference.

Histograms stand in a table of their own: the hosts of a side added up, quantiles as the bounds they lie \
between, and the distance of the two shapes, from 0% (the same) to 100% (all of one side below the other).

Examples:
  dropsonde compare web01 web06
  dropsonde compare role=web web06 --metric 'node_pressure_*'
  dropsonde compare web01 web06 --over 24h
  dropsonde compare role=web --at 2026-11-22T15:00Z
  dropsonde compare role=web --at 2d --to latest")]
pub struct Compare {
    /// A SELECTOR
    #[arg(value_name = "A")]
    a: String,
    /// Another one; without it the hosts of A are compared with themselves at another time (--at)
    #[arg(value_name = "B")]
    b: Option<String>,
    /// An id, the beginning of one, or `latest` [default: the newest with readings of both sides]
    #[arg(long, value_name = "SWEEP", conflicts_with = "at")]
    sweep: Option<String>,
    /// When: A before and after it, or with --to or B in the last sweep up to it
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// When B is, or A again
    #[arg(long, value_name = "TIME", requires = "at")]
    to: Option<String>,
    /// Not one sweep but all of so long up to it; with --at alone, so long before and after
    #[arg(long, value_name = "DURATION", value_parser = sides::over)]
    over: Option<Duration>,
    /// Only metrics that fit; `*` and `?` are wildcards
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// Only this probe's
    #[arg(long, value_name = "PROBE")]
    probe: Vec<String>,
    /// What stretch of time a counter's rate is over [default: window, where there is one]
    #[arg(long, value_enum)]
    span: Option<SpanChoice>,
    /// How many rows [default: 25; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Rows without a difference, and of one side only, too
    #[arg(long)]
    all: bool,
}

impl Compare {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let sides = self.sides(context, &recorded)?;
        let probes = self.probe.iter().map(|name| recorded.probe(name)).collect::<Result<HashSet<_>>>()?;
        let metrics = recorded.metrics()?;
        let wanted = |series: &Series| {
            (probes.is_empty() || probes.contains(&series.probe))
                && (self.metric.is_empty()
                    || self.metric.iter().any(|mask| matches_mask(mask, &series.metric)))
        };
        let mut lines = numbers::lines(&recorded, &sides, wanted)?;
        let mut shapes = distributions::lines(&recorded, &sides, wanted)?;
        if lines.is_empty() && shapes.is_empty() {
            self.metric.iter().try_for_each(|mask| known_mask(&metrics, mask))?;
            let where_ =
                sides.at_once().map_or("these sweeps have".to_owned(), |it| format!("sweep {it} has"));
            return Err(Usage(format!("{where_} nothing of that on either side")).into());
        }
        for changed in numbers::changed_meaning(&lines) {
            context.remark(&escape(&changed, Lines::Single));
        }
        self.keep_one_span(&mut lines);
        numbers::finish(&mut lines);
        if context.global.json {
            lines.truncate(self.limit.unwrap_or(usize::MAX));
            shapes.truncate(self.limit.unwrap_or(usize::MAX));
            let rows = lines.iter().map(Line::row).chain(shapes.iter().map(distributions::Line::row));
            context.print_json(&CompareReport {
                sweeps: [sides.a.sweeps.len(), sides.b.sweeps.len()],
                same_hosts: sides.same_hosts,
                same_hours: sides.same_hours,
                rows: rows.collect(),
                ..Default::default()
            })?;
            return Ok(Exit::Good);
        }
        let mut some = self.print(context, &recorded, (&sides, &metrics), lines)?;
        some |= self.print_shapes(context, &metrics, shapes)?;
        if !some {
            context.print("Nothing differs.\n")?;
        }
        Ok(Exit::Good)
    }

    /// A counter has a rate over the probe's window and one between sweeps; one line of it is enough.
    fn keep_one_span(&self, lines: &mut Vec<Line>) {
        let mut spans: HashMap<(String, Kind), Vec<Span>> = HashMap::new();
        for series in lines.iter().map(Line::series) {
            spans.entry((series.metric.clone(), series.kind)).or_default().push(series.span);
        }
        let wanted = self.span.map(Span::from);
        lines.retain(|line| {
            let series = line.series();
            let all = spans.get(&(series.metric.clone(), series.kind)).into_iter().flatten().copied();
            let chosen = match wanted {
                Some(wanted) if series.kind == Kind::Counter => Some(wanted),
                _ => usual_span(all),
            };
            chosen == Some(series.span)
        });
    }

    fn print(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        (sides, metrics): (&Sides, &Metrics),
        mut lines: Vec<Line>,
    ) -> Result<bool> {
        let found = lines.len();
        if !self.all {
            lines.retain(|line| line.contrast.distance > 0.0);
        }
        let differing = lines.len();
        lines.truncate(self.limit.unwrap_or(if self.all { usize::MAX } else { LINES }));
        context.print(&sides.title())?;
        if !lines.is_empty() {
            let histories = histories(recorded, sides, &lines)?;
            context.print(&table(&lines, &histories, metrics).render(context.out_style()))?;
            remark_on_chance(context, sides, &lines);
        }
        if differing > lines.len() {
            let more = counted(differing - lines.len(), "more difference");
            context.remark(&format!("{more}; --limit {differing} shows all"));
        }
        if found > differing {
            let alike = counted(found - differing, "more row");
            context.remark(&format!("{alike}, alike or on one side only; --all shows all"));
        }
        Ok(differing > 0)
    }
}

impl Compare {
    fn print_shapes(
        &self,
        context: &Context,
        metrics: &Metrics,
        mut shapes: Vec<distributions::Line>,
    ) -> Result<bool> {
        let found = shapes.len();
        if !self.all {
            shapes.retain(distributions::Line::differs);
        }
        if found > shapes.len() {
            let alike = counted(found - shapes.len(), "more histogram");
            context.remark(&format!("{alike}, alike or on one side only; --all shows all"));
        }
        shapes.truncate(self.limit.unwrap_or(if self.all { usize::MAX } else { LINES }));
        if shapes.is_empty() {
            return Ok(false);
        }
        let table = distributions::table(&shapes, metrics).render(context.out_style());
        context.print(&format!("\n{table}"))?;
        let left_out: u64 = shapes.iter().map(distributions::Line::left_out).sum();
        if left_out > 0 {
            let left_out = counted(left_out as usize, "histogram");
            context
                .remark(&format!("left out: {left_out} with other buckets than the first host of the side"));
        }
        Ok(true)
    }
}

/// Why there is no P.
fn remark_on_chance(context: &Context, sides: &Sides, lines: &[Line]) {
    if lines.iter().any(|line| line.test.is_none()) {
        let once =
            if sides.a.sweeps.len() > 1 { "" } else { "; --over 24h says in how many sweeps of a day" };
        context.remark(&format!("~: fewer than {LEAST} hosts on a side are no sample of hosts{once}"));
    } else if !sides.same_hours {
        context.remark(
            "no P: the sides are of different hours of the day, and a daily course would pass for a change; \
             --over 24h compares whole days",
        );
    }
}

/// Both sides over time, where they are of one: two times are no series.
fn histories(recorded: &Recorded<'_>, sides: &Sides, lines: &[Line]) -> Result<Vec<[Vec<Option<f64>>; 2]>> {
    let Some(sweep) = sides.at_once() else { return Ok(vec![Default::default(); lines.len()]) };
    let sweeps = recorded.reader.sweeps_until(sweep, SWEEPS)?;
    let both = |line: &Line| -> Result<[Vec<Option<f64>>; 2]> {
        Ok([
            medians(recorded, line.series(), &sweeps, &sides.a.hosts)?,
            medians(recorded, line.series(), &sweeps, &sides.b.hosts)?,
        ])
    };
    lines.iter().map(both).collect()
}

/// Whether a metric is there of more than one probe, so that its name alone does not tell.
fn is_ambiguous<'a>(all: impl Iterator<Item = &'a Series>) -> bool {
    let mut probes = BTreeMap::new();
    let mut all = all.map(|series| (&series.metric, &series.probe));
    all.any(|(metric, probe)| *probes.entry(metric).or_insert(probe) != probe)
}

/// A side's median in each sweep.
fn medians(
    recorded: &Recorded<'_>,
    series: &Series,
    sweeps: &[SweepId],
    hosts: &BTreeSet<HostName>,
) -> Result<Vec<Option<f64>>> {
    let found = recorded.reader.series_at(series, sweeps, hosts)?;
    Ok(found.into_iter().map(|values| values.into_values().collect::<Sorted>().median()).collect())
}

fn table(lines: &[Line], histories: &[[Vec<Option<f64>>; 2]], metrics: &Metrics) -> Table {
    let labelled = lines.iter().any(|line| !line.series().labels.is_empty());
    let sweeps = histories.first().map_or(0, |[a, _]| a.len());
    // Sweeps in which neither side of any line has a value were of other hosts or probes.
    let filled = |at: &usize| histories.iter().flatten().any(|side| side[*at].is_some());
    let kept: Vec<usize> = (0..sweeps).filter(filled).collect();
    let ambiguous = is_ambiguous(lines.iter().map(|line| line.series()));
    let mut columns = vec![Column::left("METRIC")];
    columns.extend(ambiguous.then(|| Column::left("PROBE")));
    columns.extend(labelled.then(|| Column::left("LABELS").elastic()));
    let above = lines.iter().any(|line| line.above.is_some());
    columns.extend(["A", "B", "RATIO", "N"].map(Column::right));
    columns.extend(above.then(|| Column::right("B > A")));
    let shifted = lines.iter().any(|line| line.shift.is_some());
    columns.extend(shifted.then(|| Column::right("SHIFT")));
    columns.push(Column::right("P"));
    let history = kept.len() > 1;
    columns.extend(
        history.then(|| [Column::left("A OVER TIME"), Column::left("B OVER TIME")]).into_iter().flatten(),
    );
    let mut table = Table::new(columns);
    for (line, sides) in lines.iter().zip(histories) {
        let (series, contrast) = (line.series(), &line.contrast);
        let text = |value: Option<f64>| metrics.text(&series.metric, series.kind, value);
        let mut ratio = Cell::new(units::times(contrast.ratio));
        if is_worse(contrast, metrics.of(&series.metric, series.kind).map_or(Worse::Either, |row| row.worse))
        {
            ratio = ratio.ink(Ink::Red);
        }
        let mut cells = vec![Cell::from(series.metric.as_str())];
        cells.extend(ambiguous.then(|| Cell::from(series.probe.as_str())));
        cells.extend(labelled.then(|| Cell::new(labels_text(&series.labels))));
        cells.extend([Cell::new(text(contrast.a)), Cell::new(text(contrast.b)), ratio]);
        cells.push(Cell::new(format!("{}:{}", contrast.n[0], contrast.n[1])));
        let share = |[above, all]: [u64; 2]| format!("{above}/{all}");
        cells.extend(above.then(|| Cell::new(line.above.map_or("-".to_owned(), share))));
        cells.extend(shifted.then(|| Cell::new(shift_text(line, text))));
        cells.push(Cell::new(chance_text(line)));
        if history {
            cells.extend(sparklines(sides, &kept));
        }
        table.row(cells);
    }
    table
}

/// By how much, and between which bounds.
fn shift_text(line: &Line, text: impl Fn(Option<f64>) -> String) -> String {
    let Some(shift) = line.shift else { return "-".to_owned() };
    let estimate = text(Some(shift.estimate));
    match shift.interval {
        Some(it) => format!("{estimate} ({} to {})", text(Some(it.lo)), text(Some(it.hi))),
        None => estimate,
    }
}

fn chance_text(line: &Line) -> String {
    match (line.p_bh, line.test) {
        (Some(p), _) if p < 0.01 => format!("{p:.0e}"),
        (Some(p), _) => format!("{p:.2}"),
        (None, None) => format!("~ (need ≥ {LEAST})"),
        (None, Some(_)) => "~".to_owned(),
    }
}

fn is_worse(contrast: &Contrast, worse: Worse) -> bool {
    let (Some(a), Some(b)) = (contrast.a, contrast.b) else { return false };
    contrast.distance > 0.0
        && match worse {
            Worse::Higher => b > a,
            Worse::Lower => b < a,
            Worse::Either => false,
        }
}

/// Both sides on one scale, from zero: else noise on one side looks like a difference.
fn sparklines(sides: &[Vec<Option<f64>>; 2], kept: &[usize]) -> [Cell; 2] {
    let values = || sides.iter().flatten().flatten().copied().filter(|value| value.is_finite());
    let (least, most) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    sides.each_ref().map(|side| {
        let side: Vec<Option<f64>> = kept.iter().map(|at| side[*at]).collect();
        Cell::new(sparkline_within(&side, least, most))
    })
}
