//! `history`: how a metric went on some hosts, beside the fleet.

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::findings::subject_text;
use crate::cli::recorded::{Recorded, SpanChoice, label_masks};
use crate::cli::{Context, Exit};
use crate::compare::{Band, Course, Subject};
use crate::model::{CollectorTime, HostName, Kind, Span, SweepId};
use crate::render::findings::{HistoryReport, HostHistory, SweepTime};
use crate::render::json::Schema;
use crate::render::units::{self, Per};
use crate::render::{
    Cell, Chart, Column, Ink, Lines, Table, counted, escape, line_ink, sparkline_within, squeeze,
};
use crate::select::matches_mask;
use crate::survey;

/// Sweeps at most: more than a chart has letters.
const SWEEPS: usize = 1_000;

/// Lines in the chart, those farthest from the fleet; JSON has all hosts.
const LINES: usize = 4;

/// Hosts in the table below it.
const HOSTS: usize = 20;

/// Letters, where there is no terminal to say so.
const WIDTH: usize = 90;
const ROWS: usize = 10;

/// Columns of a host's shape.
const SHAPE: usize = 30;

/// Fewer hosts in a sweep are no fleet.
const BAND: usize = 5;

/// Chart a metric of some hosts over time, beside the middle of all hosts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shaded is where the middle 80 % of all hosts lie (p10 to p90). A host that has several series of the metric \
stands there with its worst; --label picks one. Of a counter, the rate from one sweep to the next.

Examples:
  dropsonde history node_load1 -H web06
  dropsonde history node_disk_io_time_seconds_total -H role=db --label device=sda --since 2d
  dropsonde history node_load1 -H 'web[01-04]' --json")]
pub struct History {
    /// What is drawn
    #[arg(value_name = "METRIC")]
    metric: String,
    /// These hosts
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: String,
    /// A time, or how long ago
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: String,
    /// Only series with this label; `*` and `?` are wildcards
    #[arg(long, value_name = "LABEL=VALUE")]
    label: Vec<String>,
    /// What stretch of time a counter's rate is over [default: between]
    #[arg(long, value_enum)]
    span: Option<SpanChoice>,
}

impl History {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let metric = recorded.metrics()?.find(&self.metric)?.clone();
        let chosen = recorded.hosts(&self.hosts, None)?;
        let from = recorded.moment(&self.since)?;
        let mut sweeps = recorded.reader.sweeps_between(from, CollectorTime::from_unix_ns(i64::MAX))?;
        let cut = sweeps.len().saturating_sub(SWEEPS);
        sweeps.drain(..cut);
        if sweeps.is_empty() {
            return Err(
                Usage(format!("no sweep since {}; --since looks farther back", from.rfc3339())).into()
            );
        }
        let ids: Vec<SweepId> = sweeps.into_iter().map(|row| row.sweep).collect();
        let frame = recorded.reader.frame(&recorded.reader.hosts()?, &ids)?;
        let labels = label_masks(&self.label)?;
        let wanted = |subject: &Subject| {
            let span = self
                .span
                .map(Span::from)
                .is_none_or(|span| metric.kind != Kind::Counter || subject.span == span);
            let fits = |(label, mask): &(&str, &str)| {
                subject.labels.get(*label).is_some_and(|value| matches_mask(mask, value))
            };
            subject.kind == metric.kind && span && labels.iter().all(fits)
        };
        let course = survey::whole(&recorded.reader, &frame, &metric.name, &wanted)?;
        let course = course.ok_or_else(|| Usage(format!("no series of {} is like that", metric.name)))?;
        let rows: Vec<usize> = chosen.iter().filter_map(|host| course.row(host)).collect();
        let columns: Vec<usize> = (0..course.sweeps.len())
            .filter(|column| rows.iter().any(|row| course.at(*column, *row).is_some()))
            .collect();
        if columns.is_empty() {
            let since = from.rfc3339();
            return Err(Usage(format!("no value of {} on {} since {since}", metric.name, self.hosts)).into());
        }
        let mut view = View { course: &course, rows, columns };
        if context.global.json {
            context.print_json(&view.report())?;
        } else {
            view.farthest_first();
            context.print(&view.text(context))?;
            if cut > 0 {
                context.remark(&format!("{cut} older sweeps are left out"));
            }
        }
        Ok(Exit::Good)
    }
}

/// Some hosts in the sweeps that have any of them.
struct View<'a> {
    course: &'a Course,
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl View<'_> {
    fn history(&self, row: usize) -> Vec<Option<f64>> {
        self.columns.iter().map(|column| self.course.at(*column, row)).collect()
    }

    fn bands(&self) -> Vec<Option<Band>> {
        let band = |column: &usize| {
            let enough = self.course.present(*column).nth(BAND - 1).is_some();
            if enough { self.course.band(*column) } else { None }
        };
        self.columns.iter().map(band).collect()
    }

    /// Whoever strays from the middle of all hosts is what a person looks for. In a fleet that is too small
    /// for a middle the order stays.
    fn farthest_first(&mut self) {
        let bands = self.bands();
        let strayed = |row: usize| {
            let values = self.history(row);
            let away = values
                .iter()
                .zip(&bands)
                .filter_map(|(value, band)| Some((value.as_ref()? - band.as_ref()?.p50).abs()));
            away.fold(0.0, f64::max)
        };
        let mut rows: Vec<(f64, usize)> = self.rows.iter().map(|row| (strayed(*row), *row)).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.rows = rows.into_iter().map(|(_, row)| row).collect();
    }

    fn report(&self) -> HistoryReport<'_> {
        let (subject, bands) = (&self.course.subject, self.bands());
        let of = |take: fn(Band) -> f64| bands.iter().map(|band| band.map(take)).collect();
        HistoryReport {
            schema: Schema,
            metric: &subject.metric,
            labels: &subject.labels,
            kind: subject.kind,
            unit: &self.course.about.unit,
            span: subject.span,
            statistic: subject.statistic,
            worst_of: subject.worst_of,
            sweeps: self
                .columns
                .iter()
                .map(|column| &self.course.sweeps[*column])
                .map(|it| SweepTime { sweep: &it.sweep, started: it.started.rfc3339() })
                .collect(),
            hosts: self
                .rows
                .iter()
                .map(|row| HostHistory { host: &self.course.hosts[*row], values: self.history(*row) })
                .collect(),
            p10: of(|band| band.p10),
            p50: of(|band| band.p50),
            p90: of(|band| band.p90),
        }
    }

    fn text(&self, context: &Context) -> String {
        let style = context.out_style();
        let (course, bands) = (self.course, self.bands());
        let histories: Vec<Vec<Option<f64>>> = self.rows.iter().map(|row| self.history(*row)).collect();
        let lines = &histories[..histories.len().min(LINES)];
        let band: Vec<Option<(f64, f64)>> = bands.iter().map(|it| it.map(|it| (it.p10, it.p90))).collect();
        let at = self.positions();
        let mut chart = Chart { at: &at, lines, band: &band, columns: 0, rows: ROWS };
        // One and the same time for all rates: they stand beside each other.
        let most = histories.iter().flatten().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
        let (unit, kind) = (&course.about.unit, course.subject.kind);
        let per = Per::of_sample(most, unit, kind);
        let spell = |value: f64| units::sample_per(value, unit, kind, per);
        let indent = chart.indent(spell);
        chart.columns = style.width.unwrap_or(WIDTH).clamp(40, 200) - indent;
        let name = escape(&subject_text(&course.subject), Lines::Single).into_owned();
        let worst = if course.subject.worst_of { " · each host's worst" } else { "" };
        let drawn = match self.rows.len() {
            0..=LINES => String::new(),
            all => format!(" · drawn: {LINES} of {all} hosts, the farthest from the fleet"),
        };
        let mut text = format!(
            "{} · {}{worst} · {}{drawn}\n",
            style.paint(Ink::Bold, &name),
            course.subject.span.as_str(),
            counted(self.columns.len(), "sweep")
        );
        text.push_str(&chart.render(style, spell));
        text.push_str(&self.axis(indent, chart.columns));
        text.push_str(&self.table(&histories, spell).render(style));
        if self.rows.len() > HOSTS {
            text.push_str(&format!("… and {}\n", counted(self.rows.len() - HOSTS, "more host")));
        }
        text
    }

    fn ends(&self) -> (i64, i64) {
        let at = |column: &usize| self.course.sweeps[*column].started.unix_s();
        (self.columns.first().map_or(0, at), self.columns.last().map_or(0, at))
    }

    /// By time and not by number: a sweep that is missing leaves its place.
    fn positions(&self) -> Vec<f64> {
        let (first, last) = self.ends();
        let all = (last - first).max(1) as f64;
        let at = |column: &usize| (self.course.sweeps[*column].started.unix_s() - first) as f64 / all;
        self.columns.iter().map(at).collect()
    }

    fn axis(&self, indent: usize, columns: usize) -> String {
        let spell = |at_s: i64| CollectorTime::from_unix_s(at_s).utc().format("%m-%d %H:%M").to_string();
        let (first, last) = self.ends();
        let (left, right) = (spell(first), format!("{}Z", spell(last)));
        let gap = columns.saturating_sub(left.len() + right.len()).max(1);
        format!("{}{left}{}{right}\n", " ".repeat(indent), " ".repeat(gap))
    }

    fn table(&self, histories: &[Vec<Option<f64>>], spell: impl Fn(f64) -> String) -> Table {
        let mut table = Table::new([
            Column::left("HOST"),
            Column::right("NOW"),
            Column::right("FLEET"),
            Column::right("LEAST"),
            Column::right("MOST"),
            Column::left("SHAPE"),
        ]);
        let spell = |value: Option<f64>| value.map_or_else(|| units::value(None, ""), &spell);
        let values = || histories.iter().flatten().flatten().copied();
        let (least, most) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
        let fleet = self.bands().last().copied().flatten().map(|band| band.p50);
        for (nth, (row, history)) in self.rows.iter().zip(histories).enumerate().take(HOSTS) {
            let host: &HostName = &self.course.hosts[*row];
            let mut name = Cell::from(host.as_str());
            if nth < LINES {
                name = name.ink(line_ink(nth));
            }
            let present = || history.iter().flatten().copied();
            table.row([
                name,
                Cell::new(spell(history.last().copied().flatten())),
                Cell::new(spell(fleet)),
                Cell::new(spell(present().reduce(f64::min))),
                Cell::new(spell(present().reduce(f64::max))),
                Cell::new(sparkline_within(&squeeze(history, SHAPE), least, most)),
            ]);
        }
        table
    }
}
