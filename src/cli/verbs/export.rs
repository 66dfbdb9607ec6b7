//! `export`: samples for other programs, sweep by sweep, so that memory does not grow with their number.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::model::{HostName, Kind, Labels, ProbeName, Span, SweepId, parse_duration};
use crate::render::csv;
use crate::render::json::to_line;
use crate::select::matches_mask;
use crate::store::index::{HostSample, SweepRow};

/// Write samples for other programs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
csv and ndjson have the columns of v_sample (`dropsonde query --schema`); histograms are in sqlite only,
which has every view as a plain table. In csv, control characters that a host sent are escaped.

Examples:
  dropsonde export --format ndjson --sweep latest | jq .value
  dropsonde export --format csv --since 24h --metric 'node_pressure_*' --out pressure.csv
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    /// A database of plain tables
    Sqlite,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<Exit> {
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
        let temporary = Temporary::beside(path)?;
        recorded.reader.export_plain(&temporary.path)?;
        temporary.become_whole(path)
    }

    fn stream(&self, recorded: &Recorded<'_>, out: &mut dyn Write) -> Result<()> {
        let sweeps = self.sweeps(recorded)?;
        let hosts: Option<HashSet<HostName>> = match &self.hosts {
            Some(selector) => Some(recorded.hosts(selector, sweeps.last())?.into_iter().collect()),
            None => None,
        };
        if self.format == Format::Csv {
            let mut line = String::new();
            csv::line(&mut line, COLUMNS);
            out.write_all(line.as_bytes())?;
        }
        for sweep in &sweeps {
            self.one_sweep(recorded, sweep, hosts.as_ref(), out)?;
        }
        out.flush().context("write")
    }

    /// The oldest first.
    fn sweeps(&self, recorded: &Recorded<'_>) -> Result<Vec<SweepRow>> {
        if let Some(sweep) = &self.sweep {
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

    fn one_sweep(
        &self,
        recorded: &Recorded<'_>,
        sweep: &SweepRow,
        hosts: Option<&HashSet<HostName>>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let ledger = recorded.reader.ledger(&sweep.sweep)?;
        let started: HashMap<(HostName, ProbeName), i64> =
            ledger.into_iter().map(|row| ((row.host, row.probe), row.started.unix_s())).collect();
        let mut written = Ok(());
        recorded.reader.each_sample(&sweep.sweep, &mut |sample| {
            let wanted = hosts.is_none_or(|hosts| hosts.contains(&sample.host)) && self.wants(&sample);
            if written.is_ok() && wanted {
                let key = (sample.host.clone(), sample.series.probe.clone());
                let row = ExportRow::new(&sweep.sweep, started.get(&key).copied(), &sample);
                written = row.write(self.format, out);
            }
        })?;
        written
    }

    fn wants(&self, sample: &HostSample) -> bool {
        self.metric.is_empty() || self.metric.iter().any(|mask| matches_mask(mask, &sample.series.metric))
    }
}

/// Those of v_sample.
const COLUMNS: [&str; 9] = ["sweep", "ts", "host", "probe", "metric", "labels", "kind", "span", "value"];

#[derive(Debug, Serialize)]
struct ExportRow<'a> {
    sweep: &'a SweepId,
    /// Unix seconds.
    ts: Option<i64>,
    host: &'a HostName,
    probe: &'a ProbeName,
    metric: &'a str,
    labels: &'a Labels,
    kind: Kind,
    span: Span,
    value: f64,
}

impl<'a> ExportRow<'a> {
    fn new(sweep: &'a SweepId, ts: Option<i64>, sample: &'a HostSample) -> Self {
        let series = &sample.series;
        Self {
            sweep,
            ts,
            host: &sample.host,
            probe: &series.probe,
            metric: &series.metric,
            labels: &series.labels,
            kind: series.kind,
            span: series.span,
            value: sample.value,
        }
    }

    fn write(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        let mut line = String::new();
        if format == Format::Csv {
            let fields = [
                self.sweep.to_string(),
                self.ts.map(|ts| ts.to_string()).unwrap_or_default(),
                self.host.to_string(),
                self.probe.to_string(),
                self.metric.to_owned(),
                to_line(self.labels)?,
                self.kind.as_str().to_owned(),
                self.span.as_str().to_owned(),
                self.value.to_string(),
            ];
            csv::line(&mut line, fields);
        } else {
            line = to_line(self)?;
            line.push('\n');
        }
        Ok(out.write_all(line.as_bytes())?)
    }
}

/// Writes a file that is there whole or not at all: half an export would pass for one.
pub(super) fn whole_file(path: &Path, write: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let temporary = Temporary::beside(path)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.path);
    let file = made.with_context(|| format!("make {}", temporary.path.display()))?;
    write(&file).with_context(|| format!("write {}", temporary.path.display()))?;
    file.sync_all().with_context(|| format!("sync {}", temporary.path.display()))?;
    temporary.become_whole(path)
}

/// A file in the folder of the one that it is going to be, so that it can be renamed; removed unless it
/// gets that far.
struct Temporary {
    path: PathBuf,
    whole: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(Usage(format!("{} is not a file's name", path.display())).into());
        };
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".partial-{}", std::process::id()));
        Ok(Self { path: path.with_file_name(temporary), whole: false })
    }

    fn become_whole(mut self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).with_context(|| format!("rename to {}", path.display()))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.whole {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("remove {}: {error}", self.path.display());
                }
                _ => {}
            }
        }
    }
}
