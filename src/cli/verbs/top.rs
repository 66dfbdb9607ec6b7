//! `top`: the hosts by one metric, the worst first.

mod distributions;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::recorded::{Recorded, SpanChoice, did_you_mean, labels_text, usual_span};
use crate::cli::{Context, Exit};
use crate::compare::{self, Interval, Statistic};
use crate::model::{HostName, Kind, Span, Worse};
use crate::render::json::Schema;
use crate::render::reports::{MetricLine, MetricsReport, TopReport, TopRow};
use crate::render::{Cell, Column, Ink, Lines, Table, counted, escape, sparkline_within, units};
use crate::select::{matches_mask, nearest};
use crate::store::index::{HostSample, MetricRow, Series, SweepRow};

/// Lines for a person; JSON has all.
const LINES: usize = 20;

/// Sweeps of history.
const SWEEPS: usize = 24;

/// Columns of the longest bar.
const BAR: usize = 16;

/// Rank hosts by a metric, the worst first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A host that has several series of the metric (one for each disk, say) stands there with its worst; --by \
splits them. Peers are the other hosts of the selection, with the same --by labels. Which direction is \
worse is the metric's to say; where it does not, the largest value leads.

The histograms of a host are added up where they have the same buckets, and ranked by their p99; --by takes \
p50, p99.9, max, mean or count, too. A quantile is a bucket: the answer says between which bounds it lies.

Examples:
  dropsonde top
  dropsonde top node_load1 -H role=web
  dropsonde top node_disk_io_time_seconds_total --by device --label device=nvme0n1
  dropsonde top blockio_latency_seconds --by p50,device")]
pub struct Top {
    /// A metric's name; none, or one with `*`, lists metrics
    #[arg(value_name = "METRIC")]
    metric: Option<String>,
    /// Only these hosts
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: Option<String>,
    /// An id, the beginning of one, or `latest` [default: the newest with this metric]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// What stretch of time a counter's rate is over [default: window, where there is one]
    #[arg(long, value_enum)]
    span: Option<SpanChoice>,
    /// A row for each value of these labels, too; of a histogram also what to rank by: p99, max
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    by: Vec<String>,
    /// Only series with this label; `*` and `?` are wildcards
    #[arg(long, value_name = "LABEL=VALUE")]
    label: Vec<String>,
    /// How many rows [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// One line of the answer.
struct Line {
    host: HostName,
    /// The worst of the host's series, and of how many.
    series: Arc<Series>,
    count: u64,
    value: f64,
    peers: Option<f64>,
    ratio: Option<f64>,
    history: Vec<Option<f64>>,
    /// Where the value is a number of a distribution.
    spread: Option<Spread>,
}

/// The answer.
struct View {
    span: Span,
    /// Which number of a distribution is ranked.
    statistic: Option<String>,
    /// All there are, of which `lines` may be the first.
    rows: usize,
    hosts: usize,
    lines: Vec<Line>,
}

impl View {
    fn new(span: Span, statistic: Option<String>, lines: Vec<Line>) -> Self {
        let hosts = lines.iter().map(|line| &line.host).collect::<HashSet<_>>().len();
        Self { span, statistic, rows: lines.len(), hosts, lines }
    }
}

/// What a distribution's line was made from.
struct Spread {
    interval: Interval,
    observations: u64,
    members: Vec<Arc<Series>>,
}

impl Top {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let metrics = recorded.metrics()?;
        let mask = self.metric.as_deref().unwrap_or("*");
        if mask.contains('*') {
            list_metrics(context, metrics.0.iter().filter(|row| matches_mask(mask, &row.name)))?;
            return Ok(Exit::Good);
        }
        let metric = metrics.find(mask)?;
        let sweep = match &self.sweep {
            Some(text) => recorded.sweep(text)?,
            None => {
                let latest = recorded.reader.latest_sweep(Some(&metric.name))?;
                latest.ok_or_else(|| Usage(format!("no sweep has a value of {}", metric.name)))?
            }
        };
        let view = if metric.kind == Kind::Histogram {
            self.distributions(context, &recorded, (metric, &sweep))?
        } else {
            self.values(context, &recorded, (metric, &sweep))?
        };
        let View { rows, lines, .. } = &view;
        if context.global.json {
            context.print_json(&report(metric, &sweep, &view))?;
            return Ok(Exit::Good);
        }
        let title = title(metric, &sweep, &view, context);
        context.print(&format!("{title}{}", table(metric, &view).render(context.out_style())))?;
        if *rows > lines.len() {
            context.remark(&format!("{}; --limit {rows} shows all", counted(rows - lines.len(), "more row")));
        }
        if let Some(worst) = lines.first() {
            let (host, probe) = (&worst.host, &worst.series.probe);
            context
                .remark(&format!("behind the first: dropsonde show {host} {probe} --sweep {}", sweep.sweep));
        }
        Ok(Exit::Good)
    }

    /// The ranking of a metric that is a number.
    fn values(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        (metric, sweep): (&MetricRow, &SweepRow),
    ) -> Result<View> {
        if let Some(statistic) = self.by.iter().find(|by| Statistic::parse(by).is_some()) {
            let why = format!("{} is a {}, not a histogram", metric.name, metric.kind.as_str());
            return Err(Usage(format!("--by {statistic}: {why}")).into());
        }
        let samples = self.samples(recorded, metric, sweep)?;
        let span = samples.first().map_or(Span::Instant, |sample| sample.series.span);
        let mut view = View::new(span, None, self.lines(&samples, metric.worse));
        self.cut(context, &mut view);
        add_history(recorded, sweep, &mut view.lines)?;
        Ok(view)
    }

    fn cut(&self, context: &Context, view: &mut View) {
        let usual = if context.global.json { usize::MAX } else { LINES };
        view.lines.truncate(self.limit.unwrap_or(usual));
    }

    /// The values of one span that are asked for.
    fn samples(
        &self,
        recorded: &Recorded<'_>,
        metric: &MetricRow,
        sweep: &SweepRow,
    ) -> Result<Vec<HostSample>> {
        let mut samples = recorded.reader.metric_at(&sweep.sweep, &metric.name)?;
        samples.retain(|sample| sample.series.kind == metric.kind);
        self.narrow((recorded, metric, sweep), &self.by, &mut samples, |it| (&it.host, &it.series))?;
        let spans = || samples.iter().map(|sample| sample.series.span);
        let span = match self.span.map(Span::from) {
            Some(wanted) if !spans().any(|span| span == wanted) => {
                let only = usual_span(spans()).map_or("none", Span::as_str);
                let why =
                    format!("{} has no {} value in sweep {}", metric.name, wanted.as_str(), sweep.sweep);
                return Err(Usage(format!("{why}; it has: {only}")).into());
            }
            Some(wanted) => Some(wanted),
            None => usual_span(spans()),
        };
        samples.retain(|sample| Some(sample.series.span) == span);
        Ok(samples)
    }

    /// Keeps what is asked for of values or distributions; `of` says whose each is.
    fn narrow<T>(
        &self,
        (recorded, metric, sweep): (&Recorded<'_>, &MetricRow, &SweepRow),
        by: &[String],
        found: &mut Vec<T>,
        of: fn(&T) -> (&HostName, &Series),
    ) -> Result<()> {
        if let Some(selector) = &self.hosts {
            let hosts: HashSet<HostName> = recorded.hosts(selector, Some(sweep))?.into_iter().collect();
            found.retain(|it| hosts.contains(of(it).0));
        }
        if found.is_empty() {
            let of = self.hosts.as_ref().map_or(String::new(), |selector| format!(" of {selector}"));
            return Err(Usage(format!("no host{of} has {} in sweep {}", metric.name, sweep.sweep)).into());
        }
        let labels = |found: &[T]| -> BTreeSet<String> {
            found.iter().flat_map(|it| of(it).1.labels.keys()).cloned().collect()
        };
        for wanted in &self.label {
            let (label, mask) = wanted.split_once('=').ok_or_else(|| {
                Usage(format!("--label {wanted}: expected LABEL=VALUE, as in --label device=sda"))
            })?;
            let value = |it: &T| of(it).1.labels.get(label).cloned();
            let values: BTreeSet<String> = found.iter().filter_map(value).collect();
            if values.is_empty() {
                return Err(unknown_label(label, &metric.name, &labels(found)).into());
            }
            found.retain(|it| of(it).1.labels.get(label).is_some_and(|value| matches_mask(mask, value)));
            if found.is_empty() {
                let near = nearest(mask, values.iter().map(String::as_str));
                let near: Vec<String> = near.into_iter().map(|value| format!("{label}={value}")).collect();
                let name = &metric.name;
                return Err(Usage(format!("{name} has no {label}={mask}{}", did_you_mean(&near))).into());
            }
        }
        let known = labels(found);
        match by.iter().find(|label| !known.contains(*label)) {
            Some(label) => Err(unknown_label(label, &metric.name, &known).into()),
            None => Ok(()),
        }
    }

    /// Each host's worst series, the worst host first.
    fn lines(&self, samples: &[HostSample], worse: Worse) -> Vec<Line> {
        let mut hosts: BTreeMap<(Vec<Option<&String>>, &HostName), Vec<&HostSample>> = BTreeMap::new();
        for sample in samples {
            let by = self.by.iter().map(|label| sample.series.labels.get(label)).collect();
            hosts.entry((by, &sample.host)).or_default().push(sample);
        }
        let mut groups: BTreeMap<Vec<Option<&String>>, Vec<Line>> = BTreeMap::new();
        for ((by, host), samples) in hosts {
            let worst = compare::worst(samples.iter().map(|sample| sample.value), worse);
            let Some(found) = samples.iter().find(|sample| Some(sample.value) == worst) else { continue };
            groups.entry(by).or_default().push(Line {
                host: host.clone(),
                series: Arc::clone(&found.series),
                count: samples.len() as u64,
                value: found.value,
                peers: None,
                ratio: None,
                history: Vec::new(),
                spread: None,
            });
        }
        ranked(groups.into_values(), worse)
    }
}

/// Each line with its peers, those of its own group, and all of them in one order.
fn ranked(groups: impl Iterator<Item = Vec<Line>>, worse: Worse) -> Vec<Line> {
    let mut all = Vec::new();
    for mut lines in groups {
        let values: Vec<f64> = lines.iter().map(|line| line.value).collect();
        for ranked in compare::rank(&values, worse) {
            (lines[ranked.index].peers, lines[ranked.index].ratio) = (ranked.peers, ranked.ratio);
        }
        all.append(&mut lines);
    }
    // The open bucket begins where the one before it ends.
    let end = |line: &Line| line.spread.as_ref().map_or(line.value, |spread| spread.interval.hi);
    all.sort_by(|a, b| {
        compare::worst_first(a.value, b.value, worse)
            .then_with(|| compare::worst_first(end(a), end(b), worse))
    });
    all
}

fn unknown_label(label: &str, metric: &str, known: &BTreeSet<String>) -> Usage {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let has =
        if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    Usage(format!("{metric} has no label {label}; {has}"))
}

/// The last sweeps up to this one, the oldest first.
fn add_history(recorded: &Recorded<'_>, sweep: &SweepRow, lines: &mut [Line]) -> Result<()> {
    let sweeps = recorded.sweeps_until(sweep, SWEEPS)?;
    let mut wanted: BTreeMap<Arc<Series>, BTreeSet<HostName>> = BTreeMap::new();
    for line in lines.iter() {
        wanted.entry(Arc::clone(&line.series)).or_default().insert(line.host.clone());
    }
    let mut found = BTreeMap::new();
    for (series, hosts) in &wanted {
        found.insert(Arc::clone(series), recorded.reader.series_at(series, &sweeps, hosts)?);
    }
    for line in lines.iter_mut() {
        let sweeps = found.get(&line.series).into_iter().flatten();
        line.history = sweeps.map(|values| values.get(&line.host).copied()).collect();
    }
    drop_empty_columns(lines);
    Ok(())
}

fn drop_empty_columns(lines: &mut [Line]) {
    // A sweep in which none of them has a value was of other hosts or probes.
    let columns = lines.first().map_or(0, |line| line.history.len());
    let kept: Vec<bool> =
        (0..columns).map(|at| lines.iter().any(|line| line.history[at].is_some())).collect();
    for line in lines {
        let mut keep = kept.iter();
        line.history.retain(|_| keep.next().copied().unwrap_or(true));
    }
}

fn report<'a>(metric: &'a MetricRow, sweep: &'a SweepRow, view: &'a View) -> TopReport<'a> {
    let row = |line: &Line| TopRow {
        host: line.host.clone(),
        probe: line.series.probe.clone(),
        labels: line.series.labels.clone(),
        value: line.value,
        interval: line.spread.as_ref().map(|spread| (spread.interval.lo, spread.interval.hi)),
        observations: line.spread.as_ref().map(|spread| spread.observations),
        peers: line.peers,
        ratio: line.ratio,
        series: line.count,
        history: line.history.clone(),
    };
    TopReport {
        schema: Schema,
        metric: &metric.name,
        kind: metric.kind,
        unit: &metric.unit,
        worse: metric.worse,
        span: view.span,
        sweep: &sweep.sweep,
        statistic: view.statistic.as_deref(),
        hosts: view.hosts as u64,
        rows: view.lines.iter().map(row).collect(),
    }
}

fn title(metric: &MetricRow, sweep: &SweepRow, view: &View, context: &Context) -> String {
    let style = context.out_style();
    let name = escape(&metric.name, Lines::Single);
    let View { span, statistic, hosts, .. } = view;
    let mut text = format!(
        "{} · {} · sweep {} · {}\n",
        style.paint(Ink::Bold, &name),
        statistic.as_deref().unwrap_or(span.as_str()),
        sweep.sweep,
        counted(*hosts, "host")
    );
    if !metric.help.is_empty() {
        let help = escape(&metric.help, Lines::Single).into_owned();
        text.push_str(&format!("{}\n", style.paint(Ink::Dim, &help)));
    }
    text
}

fn table(metric: &MetricRow, view: &View) -> Table {
    let lines = &view.lines;
    let unit = if view.statistic.as_deref() == Some("count") { "" } else { metric.unit.as_str() };
    let labelled = lines.iter().any(|line| !labels(line).is_empty());
    // A shape takes a few sweeps; until then lengths say more.
    let history = lines.iter().any(|line| line.history.len() > 2);
    let mut columns = vec![Column::left("HOST")];
    let several = lines.iter().any(|line| line.series.probe != lines[0].series.probe);
    columns.extend(several.then(|| Column::left("PROBE")));
    columns.extend(labelled.then(|| Column::left("LABELS").elastic()));
    let value = view.statistic.as_deref().map_or("VALUE".to_owned(), str::to_uppercase);
    columns.push(Column::right(&value));
    columns.extend(view.statistic.is_some().then(|| Column::right("N")));
    columns.extend([Column::right("PEERS"), Column::right("RATIO")]);
    columns.push(Column::left(if history { "HISTORY" } else { "" }));
    let values = lines.iter().flat_map(|line| line.history.iter().flatten().chain([&line.value])).copied();
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    // One scale for all rows, from zero: a host's noise must not look like another's trouble.
    let (least, most) =
        (values.iter().copied().fold(0.0, f64::min), values.iter().copied().fold(0.0, f64::max));
    let mut table = Table::new(columns);
    for line in lines {
        let text = |value: Option<f64>| units::sample(value, unit, metric.kind);
        let mut value = Cell::new(match &line.spread {
            Some(Spread { interval, .. }) => units::interval(interval.lo, interval.hi, unit),
            None => text(Some(line.value)),
        });
        if warns(metric, line.value) {
            value = value.ink(Ink::Red);
        }
        let mut cells = vec![Cell::from(line.host.as_str())];
        cells.extend(several.then(|| Cell::from(line.series.probe.as_str())));
        cells.extend(labelled.then(|| Cell::new(labels(line))));
        cells.push(value);
        cells.extend(line.spread.as_ref().map(|spread| Cell::new(spread.observations.to_string())));
        cells.extend([Cell::new(text(line.peers)), Cell::new(units::times(line.ratio))]);
        cells.push(Cell::new(if history {
            sparkline_within(&line.history, least, most)
        } else {
            bar(line.value, most.max(-least))
        }));
        table.row(cells);
    }
    table
}

fn warns(metric: &MetricRow, value: f64) -> bool {
    metric.warn.is_some_and(|warn| match metric.worse {
        Worse::Lower => value <= warn,
        Worse::Higher | Worse::Either => value >= warn,
    })
}

fn labels(line: &Line) -> String {
    let text = labels_text(&line.series.labels);
    match (line.count, &line.spread) {
        (0 | 1, _) => text,
        (count, Some(_)) if text.is_empty() => format!("{count} added up"),
        (count, Some(_)) => format!("{text} ({count} added up)"),
        (count, None) => format!("{text} (worst of {count})"),
    }
}

fn bar(value: f64, most: f64) -> String {
    let share = if most > 0.0 { (value.abs() / most).clamp(0.0, 1.0) } else { 0.0 };
    // A cast of a float saturates, and the share is at most 1.
    "▇".repeat((share * BAR as f64).ceil() as usize)
}

fn list_metrics<'a>(context: &Context, metrics: impl Iterator<Item = &'a MetricRow>) -> Result<()> {
    let line = |row: &'a MetricRow| MetricLine {
        metric: &row.name,
        kind: row.kind,
        unit: &row.unit,
        worse: row.worse,
        warn: row.warn,
        help: &row.help,
    };
    let report = MetricsReport { schema: Schema, metrics: metrics.map(line).collect() };
    if context.global.json {
        return context.print_json(&report);
    }
    if report.metrics.is_empty() {
        return Err(
            Usage("no such metric was recorded yet; `dropsonde sweeps` lists what was".to_owned()).into()
        );
    }
    let mut table = Table::new([
        Column::left("METRIC"),
        Column::left("KIND"),
        Column::left("UNIT"),
        Column::left("ABOUT").elastic(),
    ]);
    for metric in &report.metrics {
        table.row([
            metric.metric.into(),
            metric.kind.as_str().into(),
            metric.unit.into(),
            metric.help.into(),
        ]);
    }
    context.print(&table.render(context.out_style()))
}
