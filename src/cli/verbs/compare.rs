//! `compare`: two sides, metric by metric, the most different first.

mod distributions;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::recorded::{Metrics, Recorded, SpanChoice, labels_text, usual_span};
use crate::cli::{Context, Exit};
use crate::compare::{Contrast, Sorted, contrast, resolution};
use crate::model::{HostName, Kind, LabelPairs, Outcome, Span, SweepId, Worse};
use crate::render::json::{CompareReport, CompareRow};
use crate::render::{Cell, Column, Ink, Table, sparkline_within, units};
use crate::select::{fold, matches_mask};
use crate::store::index::{ReadingRow, Series, SweepRow};

/// Lines for a person; JSON has all.
const LINES: usize = 25;

/// Sweeps of history.
const SWEEPS: usize = 12;

/// Sweeps among which one with both sides is looked for.
const LOOK_BACK: usize = 200;

/// Put two hosts or groups side by side, the most different metrics first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A and B are selectors: a host, a node set, @group, label=value. Values are the sides' medians, the ratio
is B over A. A difference within 5 % of the usual value, or below what the metric can tell apart, is
none: --all shows it. A host on both sides counts for the smaller one only.

Histograms stand in a table of their own: the hosts of a side added up, quantiles as the bounds they lie
between, and the distance of the two shapes, from 0% (the same) to 100% (all of one side below the other).

Examples:
  dropsonde compare web01 web06
  dropsonde compare role=web web06 --metric 'node_pressure_*'")]
pub struct Compare {
    #[arg(value_name = "A")]
    a: String,
    #[arg(value_name = "B")]
    b: String,
    /// An id, the beginning of one, or `latest` [default: the newest with readings of both sides]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
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

/// The hosts of both sides; none is on both.
struct Sides {
    a: BTreeSet<HostName>,
    b: BTreeSet<HostName>,
}

struct Line {
    series: Arc<Series>,
    contrast: Contrast,
}

impl Compare {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let given = self.sweep.as_deref().map(|text| recorded.sweep(text)).transpose()?;
        let sides = self.sides(context, &recorded, given.as_ref())?;
        let sweep = match given {
            Some(sweep) => sweep,
            None => newest_with(&recorded, &sides)?,
        };
        let probes = self.probe.iter().map(|name| recorded.probe(name)).collect::<Result<HashSet<_>>>()?;
        let metrics = recorded.metrics()?;
        let wanted = |series: &Series| {
            (probes.is_empty() || probes.contains(&series.probe))
                && (self.metric.is_empty()
                    || self.metric.iter().any(|mask| matches_mask(mask, &series.metric)))
        };
        let mut lines = lines(&recorded, (&sweep, &sides), &metrics, wanted)?;
        let mut shapes = distributions::lines(&recorded, (&sweep, &sides), wanted)?;
        if lines.is_empty() && shapes.is_empty() {
            return Err(Usage(format!("sweep {} has nothing of that on either side", sweep.sweep)).into());
        }
        self.keep_one_span(&mut lines);
        sort(&mut lines);
        if context.global.json {
            lines.truncate(self.limit.unwrap_or(usize::MAX));
            shapes.truncate(self.limit.unwrap_or(usize::MAX));
            let rows = lines.iter().map(row).chain(shapes.iter().map(distributions::Line::row));
            context.print_json(&CompareReport { rows: rows.collect(), ..Default::default() })?;
            return Ok(Exit::Good);
        }
        self.print(context, &recorded, (&sweep, &sides, &metrics), lines)?;
        self.print_shapes(context, &metrics, shapes)?;
        Ok(Exit::Good)
    }

    fn sides(&self, context: &Context, recorded: &Recorded<'_>, sweep: Option<&SweepRow>) -> Result<Sides> {
        let side = |selector: &str| -> Result<BTreeSet<HostName>> {
            Ok(recorded.hosts(selector, sweep)?.into_iter().collect())
        };
        let (mut a, mut b) = (side(&self.a)?, side(&self.b)?);
        let shared: BTreeSet<HostName> = b.intersection(&a).cloned().collect();
        // `compare @web web06` asks for web06 against the rest of its group.
        let (larger, name) = if a.len() > b.len() { (&mut a, "B") } else { (&mut b, "A") };
        larger.retain(|host| !shared.contains(host));
        if larger.is_empty() {
            return Err(Usage(format!("{} and {} are the same hosts", self.a, self.b)).into());
        }
        if !shared.is_empty() {
            context.remark(&format!("{} is on both sides: counted for {name} only", fold(shared)));
        }
        Ok(Sides { a, b })
    }

    /// A counter has a rate over the probe's window and one between sweeps; one line of it is enough.
    fn keep_one_span(&self, lines: &mut Vec<Line>) {
        let mut spans: HashMap<(String, Kind), Vec<Span>> = HashMap::new();
        for Line { series, .. } in lines.iter() {
            spans.entry((series.metric.clone(), series.kind)).or_default().push(series.span);
        }
        let wanted = self.span.map(Span::from);
        lines.retain(|Line { series, .. }| {
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
        (sweep, sides, metrics): (&SweepRow, &Sides, &Metrics),
        mut lines: Vec<Line>,
    ) -> Result<()> {
        let found = lines.len();
        if !self.all {
            lines.retain(|line| line.contrast.distance > 0.0);
        }
        let differing = lines.len();
        lines.truncate(self.limit.unwrap_or(if self.all { usize::MAX } else { LINES }));
        let sweeps = recorded.sweeps_until(sweep, SWEEPS)?;
        let mut histories = Vec::with_capacity(lines.len());
        for line in &lines {
            histories.push([
                medians(recorded, &line.series, &sweeps, &sides.a)?,
                medians(recorded, &line.series, &sweeps, &sides.b)?,
            ]);
        }
        let side =
            |name: &str, hosts: &BTreeSet<HostName>| format!("{name} {} ({})", fold(hosts), hosts.len());
        let title = format!("{} · {} · sweep {}\n", side("A", &sides.a), side("B", &sides.b), sweep.sweep);
        let table = table(&lines, &histories, metrics).render(context.out_style());
        context.print(&format!("{title}{table}"))?;
        if differing > lines.len() {
            context
                .remark(&format!("{} more differ; --limit {differing} shows them", differing - lines.len()));
        }
        if found > differing {
            context.remark(&format!(
                "{} series are alike or on one side only; --all shows them",
                found - differing
            ));
        }
        Ok(())
    }
}

impl Compare {
    fn print_shapes(
        &self,
        context: &Context,
        metrics: &Metrics,
        mut shapes: Vec<distributions::Line>,
    ) -> Result<()> {
        let found = shapes.len();
        if !self.all {
            shapes.retain(distributions::Line::differs);
        }
        if found > shapes.len() {
            let alike = found - shapes.len();
            context.remark(&format!("{alike} histograms are alike or on one side only; --all shows them"));
        }
        shapes.truncate(self.limit.unwrap_or(if self.all { usize::MAX } else { LINES }));
        if shapes.is_empty() {
            return Ok(());
        }
        let table = distributions::table(&shapes, metrics).render(context.out_style());
        context.print(&format!("\n{table}"))?;
        let left_out: u64 = shapes.iter().map(distributions::Line::left_out).sum();
        if left_out > 0 {
            context.remark(&format!(
                "{left_out} histograms have other buckets than the first host of their side: left out"
            ));
        }
        Ok(())
    }
}

/// An ad-hoc sweep of one host is often the newest: the newest in which both sides answered is asked.
fn newest_with(recorded: &Recorded<'_>, sides: &Sides) -> Result<SweepRow> {
    for sweep in recorded.reader.sweeps(LOOK_BACK)? {
        let ledger = recorded.reader.ledger(&sweep.sweep)?;
        let answered =
            |side: &BTreeSet<HostName>| ledger.iter().any(|row| has_numbers(row) && side.contains(&row.host));
        if answered(&sides.a) && answered(&sides.b) {
            return Ok(sweep);
        }
    }
    let why = format!("none of the last {LOOK_BACK} sweeps has samples of both sides");
    Err(Usage(format!("{why}; --sweep names an older one")).into())
}

/// A reading may have histograms only, which are no samples.
fn has_numbers(row: &ReadingRow) -> bool {
    row.samples > 0 || row.outcome == Outcome::Ok
}

fn lines(
    recorded: &Recorded<'_>,
    (sweep, sides): (&SweepRow, &Sides),
    metrics: &Metrics,
    wanted: impl Fn(&Series) -> bool,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut open: Option<(Arc<Series>, [Vec<f64>; 2])> = None;
    let mut close = |open: Option<(Arc<Series>, [Vec<f64>; 2])>| {
        if let Some((series, [a, b])) = open.filter(|(_, [a, b])| !a.is_empty() || !b.is_empty()) {
            let unit = metrics.unit(&series.metric, series.kind);
            let contrast = contrast(&a, &b, resolution(unit, series.kind, series.span));
            lines.push(Line { series, contrast });
        }
    };
    // Values come series by series: only one is held at a time.
    recorded.reader.each_sample(&sweep.sweep, &mut |sample| {
        if !open.as_ref().is_some_and(|(series, _)| Arc::ptr_eq(series, &sample.series)) {
            close(open.replace((Arc::clone(&sample.series), Default::default())));
        }
        let Some((series, [a, b])) = &mut open else { return };
        if sides.a.contains(&sample.host) && wanted(series) {
            a.push(sample.value);
        } else if sides.b.contains(&sample.host) && wanted(series) {
            b.push(sample.value);
        }
    })?;
    close(open);
    Ok(lines)
}

fn sort(lines: &mut [Line]) {
    let one_sided = |line: &Line| line.contrast.n.contains(&0);
    lines.sort_by(|x, y| {
        let farther = y.contrast.distance.total_cmp(&x.contrast.distance);
        farther.then_with(|| (one_sided(x), &x.series).cmp(&(one_sided(y), &y.series)))
    });
}

/// Whether a metric is there of more than one probe, so that its name alone does not tell.
fn is_ambiguous<'a>(all: impl Iterator<Item = &'a Arc<Series>>) -> bool {
    let mut probes = BTreeMap::new();
    let mut all = all.map(|series| (&series.metric, &series.probe));
    all.any(|(metric, probe)| *probes.entry(metric).or_insert(probe) != probe)
}

fn labels_of(series: &Series) -> LabelPairs {
    series.labels.iter().map(|(label, value)| (label.clone().into(), value.clone())).collect()
}

fn row(line: &Line) -> CompareRow {
    CompareRow {
        metric: line.series.metric.clone(),
        probe: line.series.probe.clone(),
        labels: labels_of(&line.series).into(),
        a: line.contrast.a,
        b: line.contrast.b,
        ratio: line.contrast.ratio,
        n: line.contrast.n,
        shift: None,
        delta: None,
        p: None,
        p_bh: None,
        distribution: None,
    }
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
    let labelled = lines.iter().any(|line| !line.series.labels.is_empty());
    let sweeps = histories.first().map_or(0, |[a, _]| a.len());
    // Sweeps in which neither side of any line has a value were of other hosts or probes.
    let filled = |at: &usize| histories.iter().flatten().any(|side| side[*at].is_some());
    let kept: Vec<usize> = (0..sweeps).filter(filled).collect();
    let ambiguous = is_ambiguous(lines.iter().map(|line| &line.series));
    let mut columns = vec![Column::left("METRIC")];
    columns.extend(ambiguous.then(|| Column::left("PROBE")));
    columns.extend(labelled.then(|| Column::left("LABELS").elastic()));
    columns.extend([Column::right("A"), Column::right("B"), Column::right("RATIO"), Column::right("N")]);
    let history = kept.len() > 1;
    columns.extend(
        history.then(|| [Column::left("A OVER TIME"), Column::left("B OVER TIME")]).into_iter().flatten(),
    );
    let mut table = Table::new(columns);
    for (Line { series, contrast }, sides) in lines.iter().zip(histories) {
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
        if history {
            cells.extend(sparklines(sides, &kept));
        }
        table.row(cells);
    }
    table
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
