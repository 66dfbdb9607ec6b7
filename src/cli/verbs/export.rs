//! `export`: samples for other programs, sweep by sweep, so that memory does not grow with their number.

mod openmetrics;
mod rows;
mod totals;

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::cli::failure::Usage;
use crate::cli::outfile::{whole_file, whole_path};
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::model::{HostName, Kind, ProbeName, SweepId, parse_duration};
use crate::render::csv;
use crate::select::matches_mask;
use crate::store::index::SweepRow;

use rows::{COLUMNS, ExportRow, HISTOGRAM_COLUMNS, HistogramRow};

/// Write samples for other programs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
csv and ndjson have the columns of v_sample or, with --histograms, of v_histogram (`dropsonde query \
--schema`). openmetrics has the time of each reading and is the newest sweep, or those since --since: numbers \
and histograms; rates stand there as gauges called NAME:rate, and with --totals counters as what they are, read \
from the archive again. sqlite has every view as a plain table. In csv and openmetrics, control characters \
that a host sent are escaped.

Examples:
  dropsonde export --format ndjson --sweep latest | jq .value
  dropsonde export --format csv --since 24h --metric 'node_pressure_*' --out pressure.csv
  dropsonde export --format csv --histograms --metric 'blockio_*' --sweep latest
  dropsonde export --format openmetrics --out sweep.om
  dropsonde export --format openmetrics --since 2d --totals --metric 'node_disk_*' --out backfill.om
  dropsonde export --format sqlite --out fleet.sqlite")]
pub struct Export {
    #[arg(long, value_enum)]
    format: Format,
    /// Write this file, whole or not at all [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One sweep: an id, the beginning of one, or `latest` [default: all]
    #[arg(long, value_name = "SWEEP", conflicts_with = "since")]
    sweep: Option<String>,
    /// Sweeps that started no longer ago than this, as in 24h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Only these hosts
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: Option<String>,
    /// Only metrics that fit; `*` and `?` are wildcards
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// Histograms instead of samples
    #[arg(long)]
    histograms: bool,
    /// In openmetrics, the counters' totals too
    #[arg(long)]
    totals: bool,
}

/// What of a sweep is exported.
struct Wanted<'a> {
    hosts: Option<HashSet<HostName>>,
    metrics: &'a [String],
}

impl Wanted<'_> {
    fn host(&self, host: &HostName) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(host))
    }

    fn metric(&self, name: &str) -> bool {
        self.metrics.is_empty() || self.metrics.iter().any(|mask| matches_mask(mask, name))
    }
}

/// When each reading of a sweep was started, in unix seconds.
struct Moments(HashMap<(HostName, ProbeName), i64>);

impl Moments {
    fn of(recorded: &Recorded<'_>, sweep: &SweepId) -> Result<Self> {
        let ledger = recorded.reader.ledger(sweep)?;
        Ok(Self(ledger.into_iter().map(|row| ((row.host, row.probe), row.started.unix_s())).collect()))
    }

    fn at(&self, host: &HostName, probe: &ProbeName) -> Option<i64> {
        self.0.get(&(host.clone(), probe.clone())).copied()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    /// For Prometheus and its kin, with times
    Openmetrics,
    /// A database of plain tables
    Sqlite,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<Exit> {
        if self.totals && self.format != Format::Openmetrics {
            return Err(Usage("--totals is for openmetrics".to_owned()).into());
        }
        let recorded = Recorded::open(context)?;
        match (&self.out, self.format) {
            (_, Format::Sqlite) => self.database(&recorded)?,
            (None, _) => self.stream(&recorded, &mut context.out()).context("write to stdout")?,
            (Some(path), _) => whole_file(path, |file| self.stream(&recorded, &mut BufWriter::new(file)))?,
        }
        Ok(Exit::Good)
    }

    /// A snapshot of everything.
    fn database(&self, recorded: &Recorded<'_>) -> Result<()> {
        if self.sweep.is_some() || self.since.is_some() || self.hosts.is_some() || !self.metric.is_empty() {
            let why =
                "a sqlite export is everything: leave out --sweep, --since, -H and --metric, or take csv";
            return Err(Usage(why.to_owned()).into());
        }
        let Some(path) = &self.out else {
            return Err(Usage("a sqlite export needs --out FILE".to_owned()).into());
        };
        whole_path(path, |path| Ok(recorded.reader.export_plain(path, None)?))
    }

    fn stream(&self, recorded: &Recorded<'_>, out: &mut dyn Write) -> Result<()> {
        let sweeps = self.sweeps(recorded)?;
        let hosts: Option<HashSet<HostName>> = match &self.hosts {
            Some(selector) => Some(recorded.hosts(selector, sweeps.last())?.into_iter().collect()),
            None => None,
        };
        let wanted = Wanted { hosts, metrics: &self.metric };
        if self.format == Format::Csv {
            let mut line = String::new();
            if self.histograms {
                csv::line(&mut line, HISTOGRAM_COLUMNS);
            } else {
                csv::line(&mut line, COLUMNS);
            }
            out.write_all(line.as_bytes())?;
        }
        if self.format == Format::Openmetrics {
            self.openmetrics(recorded, &sweeps, &wanted, out)?;
            return out.flush().context("write");
        }
        for sweep in &sweeps {
            let moments = Moments::of(recorded, &sweep.sweep)?;
            match self.histograms {
                true => self.histograms(recorded, sweep, (&wanted, &moments), out)?,
                false => self.samples(recorded, sweep, (&wanted, &moments), out)?,
            }
        }
        out.flush().context("write")
    }

    fn openmetrics(
        &self,
        recorded: &Recorded<'_>,
        sweeps: &[SweepRow],
        wanted: &Wanted<'_>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let moments: Vec<Moments> =
            sweeps.iter().map(|sweep| Moments::of(recorded, &sweep.sweep)).collect::<Result<_>>()?;
        let totals = self.totals.then(|| totals::Totals::read(recorded, sweeps, wanted)).transpose()?;
        openmetrics::Exposition { recorded, sweeps, moments: &moments, wanted }.write(totals, out)
    }

    /// The oldest first.
    fn sweeps(&self, recorded: &Recorded<'_>) -> Result<Vec<SweepRow>> {
        if self.format == Format::Openmetrics && self.histograms {
            let why = "openmetrics has numbers and histograms: leave out --histograms";
            return Err(Usage(why.to_owned()).into());
        }
        let newest = (self.format == Format::Openmetrics && self.since.is_none()).then_some("latest");
        if let Some(sweep) = self.sweep.as_deref().or(newest) {
            return Ok(vec![recorded.sweep(sweep)?]);
        }
        let mut sweeps = recorded.reader.sweeps(usize::MAX)?;
        if let Some(since) = self.since {
            let start = chrono::Utc::now() - since;
            sweeps.retain(|sweep| sweep.started.utc() >= start);
        }
        sweeps.reverse();
        Ok(sweeps)
    }

    fn samples(
        &self,
        recorded: &Recorded<'_>,
        sweep: &SweepRow,
        (wanted, moments): (&Wanted<'_>, &Moments),
        out: &mut dyn Write,
    ) -> Result<()> {
        let mut written = Ok(());
        recorded.reader.each_sample(&sweep.sweep, &mut |sample| {
            if written.is_ok() && wanted.host(&sample.host) && wanted.metric(&sample.series.metric) {
                let ts = moments.at(&sample.host, &sample.series.probe);
                written = ExportRow::new(&sweep.sweep, ts, &sample).write(self.format, out);
            }
        })?;
        written
    }

    fn histograms(
        &self,
        recorded: &Recorded<'_>,
        sweep: &SweepRow,
        (wanted, moments): (&Wanted<'_>, &Moments),
        out: &mut dyn Write,
    ) -> Result<()> {
        let metrics = recorded.metrics()?;
        let mut written = Ok(());
        recorded.reader.each_histogram(&sweep.sweep, &mut |it| {
            if written.is_ok() && wanted.host(&it.host) && wanted.metric(&it.series.metric) {
                let unit = metrics.unit(&it.series.metric, Kind::Histogram);
                let ts = moments.at(&it.host, &it.series.probe);
                written = HistogramRow::new((&sweep.sweep, ts), unit, &it).write(self.format, out);
            }
        })?;
        written
    }
}
