//! The newest samples of all hosts in one file, for node_exporter's textfile collector. It is replaced at
//! once, so that nobody reads half of it, and it gives no times, which node_exporter would refuse.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::compare::Distribution;
use crate::config::Settings;
use crate::model::{HostName, Kind};
use crate::render::{Exposition, Families, foreign_label, label_text, number};
use crate::select::matches_mask;
use crate::store::index::{MetricRow, Reader, Series, SweepRow};
use crate::store::{StateDir, StoreError};

/// Why there is no new file; the old one stands.
#[derive(Debug, thiserror::Error)]
pub enum TextfileError {
    #[error("write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What its names begin with: a host's `node_load1` is not this machine's own, which node_exporter itself
/// gives under that name.
const PREFIX: &str = "dropsonde_";

/// How a file ends that is still being written.
const NEW: &str = ".new";

/// Writes the file, if the configuration wants one. Sweeps of two schedules may end together: one writes
/// after the other, and each what the index has by then, so that an older sweep takes no newer one's place.
pub(super) fn write(settings: &Settings, reader: &Reader) -> Result<(), TextfileError> {
    let Some(path) = &settings.metrics.textfile.0 else { return Ok(()) };
    let failed = |source: io::Error| TextfileError::Io { path: path.clone(), source };
    let _turn = StateDir::at(&settings.state_dir).lock("textfile.lock")?;
    tidy(path);
    let (new, file) = create(path).map_err(failed)?;
    let written = fill(settings, reader, file).map_err(|error| match error {
        Unfilled::Io(source) => TextfileError::Io { path: new.clone(), source },
        Unfilled::Store(error) => error.into(),
    });
    let written = written.and_then(|_locked| fs::rename(&new, path).map_err(failed));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

#[derive(Debug, thiserror::Error)]
enum Unfilled {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the file, whose lock says that somebody lives who will give it its name.
fn fill(settings: &Settings, reader: &Reader, new: File) -> Result<File, Unfilled> {
    let mut out = BufWriter::new(new);
    let sweeps = reader.latest_of_schedules()?;
    let known: HashSet<&HostName> = settings.fleet.hosts.iter().map(|host| &host.name).collect();
    let masks: Vec<&str> = settings.metrics.textfile_metrics.split_whitespace().collect();
    let mut families = Families::default();
    for metric in reader.metrics(None)? {
        let wanted = masks.iter().any(|mask| matches_mask(mask, &metric.name));
        // One name is one family; the first kind that a metric had keeps it.
        if wanted && families.take(&family(&metric), metric.kind == Kind::Histogram) {
            let text = one(reader, (&metric, &sweeps), &known)?;
            out.write_all(text.as_bytes())?;
        }
    }
    let file = out.into_inner().map_err(IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

/// A new file beside `path`, locked as long as it is open. node_exporter reads only what ends in .prom.
fn create(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        // Two collectors may have the same file, and the same process id in containers of their own.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(
            ".{:016x}{NEW}",
            getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?
        ));
        let new = path.with_file_name(name);
        let file = open(&new, OpenOptions::new().create_new(true))?;
        file.lock()?;
        // Whoever runs node_exporter reads it, whatever our umask keeps from others.
        file.set_permissions(Permissions::from_mode(0o644))?;
        // Another collector that looked between the two took it for a dead one's.
        if new.symlink_metadata().is_ok_and(|there| file.metadata().is_ok_and(|our| our.ino() == there.ino()))
        {
            return Ok((new, file));
        }
    }
}

/// Removes what writers have left that were killed. What cannot be removed is in nobody's way.
fn tidy(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let between =
            found.to_str().and_then(|it| it.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(NEW));
        let is_ours = between.is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_ours && open(&entry.path(), &mut OpenOptions::new()).is_ok_and(|it| it.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Nothing that somebody puts there may hold us up.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    options.write(true).mode(0o644).custom_flags(flags).open(path)
}

/// A rate is a gauge here: it is no total that a counter could go on from.
fn family(metric: &MetricRow) -> String {
    match metric.kind {
        Kind::Counter => {
            format!("{PREFIX}{}:rate", metric.name.strip_suffix("_total").unwrap_or(&metric.name))
        }
        Kind::Gauge | Kind::Histogram => format!("{PREFIX}{}", metric.name),
    }
}

/// One metric of the newest sweeps; what two of them have the newer one gives.
fn one(
    reader: &Reader,
    (metric, sweeps): (&MetricRow, &[SweepRow]),
    known: &HashSet<&HostName>,
) -> Result<String, StoreError> {
    let mut text = Exposition::default();
    let mut seen: HashSet<String> = HashSet::new();
    let kind = if metric.kind == Kind::Histogram { "histogram" } else { "gauge" };
    text.family(&family(metric), kind, &metric.help);
    for sweep in sweeps {
        if metric.kind == Kind::Histogram {
            for it in reader.histograms_at(&sweep.sweep, &metric.name)? {
                let labels = labels(&it.host, &it.series);
                if known.contains(&it.host)
                    && let Ok(distribution) = Distribution::try_from(&it.histogram)
                    && seen.insert(label_text(pairs(&labels)))
                {
                    histogram(&mut text, &labels, &distribution);
                }
            }
            continue;
        }
        for it in reader.metric_at(&sweep.sweep, &metric.name)? {
            let mut labels = labels(&it.host, &it.series);
            if metric.kind == Kind::Counter {
                labels.push(("span".to_owned(), it.series.span.as_str().to_owned()));
            }
            let is_meant = it.series.kind == metric.kind && known.contains(&it.host);
            if is_meant && seen.insert(label_text(pairs(&labels))) {
                text.line("", pairs(&labels), it.value);
            }
        }
    }
    Ok(if seen.is_empty() { String::new() } else { text.into_text() })
}

fn histogram(text: &mut Exposition, labels: &[(String, String)], distribution: &Distribution) {
    let mut upto = 0_u64;
    for bucket in distribution.buckets() {
        upto = upto.saturating_add(bucket.count);
        if bucket.hi.is_finite() {
            let le = number(bucket.hi);
            text.line("_bucket", pairs(labels).chain([("le", le.as_str())]), upto as f64);
        }
    }
    text.line("_bucket", pairs(labels).chain([("le", "+Inf")]), upto as f64);
    text.line("_sum", pairs(labels), distribution.sum().unwrap_or(f64::NAN));
    text.line("_count", pairs(labels), distribution.count() as f64);
}

fn labels(host: &HostName, series: &Series) -> Vec<(String, String)> {
    let own = [("host", host.as_str()), ("probe", series.probe.as_str())];
    let mut labels: Vec<(String, String)> =
        own.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
    for (label, value) in &series.labels {
        labels.push((foreign_label(label).into_owned(), value.clone()));
    }
    labels
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(label, value)| (label.as_str(), value.as_str()))
}
