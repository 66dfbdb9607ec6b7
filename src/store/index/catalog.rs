//! Names to numbers: hosts, probes, metrics, series. Numbers are given in the order of recording, so that
//! a rebuilt index gives the same ones.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::block::CHUNK;
use crate::model::{HostName, Kind, LabelPairs, Probe, ProbeHash, ProbeName, Span, SweepId, Worse};

/// Series of one metric, over all hosts and labels: a host that invents a label value with each reading
/// must not fill the index. Real fleets have thousands (cgroups, devices).
pub const MAX_SERIES_PER_METRIC: i64 = 100_000;

/// Series whose number is kept in memory, about 100 bytes each.
const MAX_CACHED: usize = 500_000;

/// What one reading's samples have in common.
pub(super) struct Source<'a> {
    pub probe_id: i64,
    pub definition: i64,
    pub probe: Option<&'a Probe>,
}

/// Remembers numbers that the database has given. Forget all after a transaction was rolled back.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    sweeps: HashMap<SweepId, i64>,
    hosts: HashMap<HostName, i64>,
    probes: HashMap<ProbeName, i64>,
    definitions: HashMap<(i64, ProbeHash), i64>,
    /// `None`: the metric has as many series as it may.
    series: HashMap<Box<[u8]>, Option<i64>>,
    key: Vec<u8>,
}

/// One series as a sample names it.
#[derive(Clone, Copy)]
pub(super) struct SeriesName<'a> {
    pub metric: &'a str,
    pub labels: &'a LabelPairs,
    pub kind: Kind,
    pub span: Span,
}

impl Catalog {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn sweep(&mut self, conn: &Connection, sweep: &SweepId) -> Result<i64> {
        if let Some(id) = self.sweeps.get(sweep) {
            return Ok(*id);
        }
        let id = conn
            .prepare_cached("SELECT id FROM sweep WHERE name = ?1")?
            .query_row([sweep.as_str()], |row| row.get(0))?;
        self.sweeps.insert(sweep.clone(), id);
        Ok(id)
    }

    /// A sweep is over: its number will not be asked for again.
    pub(super) fn forget_sweep(&mut self, sweep: &SweepId) {
        self.sweeps.remove(sweep);
    }

    pub(super) fn host(&mut self, conn: &Connection, host: &HostName) -> Result<i64> {
        if let Some(id) = self.hosts.get(host) {
            return Ok(*id);
        }
        let found = conn
            .prepare_cached("SELECT id FROM host WHERE name = ?1")?
            .query_row([host.as_str()], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => add_host(conn, host)?,
        };
        self.hosts.insert(host.clone(), id);
        Ok(id)
    }

    pub(super) fn probe(&mut self, conn: &Connection, probe: &ProbeName) -> Result<i64> {
        if let Some(id) = self.probes.get(probe) {
            return Ok(*id);
        }
        conn.prepare_cached("INSERT INTO probe (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
            .execute([probe.as_str()])?;
        let id = conn
            .prepare_cached("SELECT id FROM probe WHERE name = ?1")?
            .query_row([probe.as_str()], |row| row.get(0))?;
        self.probes.insert(probe.clone(), id);
        Ok(id)
    }

    /// The number of a definition; `None` when it was never archived.
    pub(super) fn definition(
        &mut self,
        conn: &Connection,
        probe_id: i64,
        hash: ProbeHash,
    ) -> Result<Option<i64>> {
        if let Some(id) = self.definitions.get(&(probe_id, hash)) {
            return Ok(Some(*id));
        }
        let found: Option<i64> = conn
            .prepare_cached("SELECT id FROM definition WHERE probe = ?1 AND hash = ?2")?
            .query_row(params![probe_id, hash.to_string()], |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            self.definitions.insert((probe_id, hash), id);
        }
        Ok(found)
    }

    pub(super) fn define(&mut self, conn: &Connection, probe: &Probe) -> Result<()> {
        let probe_id = self.probe(conn, &probe.name)?;
        if self.definition(conn, probe_id, probe.hash)?.is_none() {
            conn.prepare_cached("INSERT INTO definition (probe, hash, summary) VALUES (?1, ?2, ?3)")?
                .execute(params![probe_id, probe.hash.to_string(), probe.summary])?;
        }
        Ok(())
    }

    /// The number of a series, made when it is new; `None` when its metric may have no more.
    pub(super) fn series(
        &mut self,
        conn: &Connection,
        source: &Source<'_>,
        name: SeriesName<'_>,
    ) -> Result<Option<i64>> {
        write_key(&mut self.key, source, name);
        if let Some(id) = self.series.get(self.key.as_slice()) {
            return Ok(*id);
        }
        let metric = metric(conn, source, name)?;
        let id = find_or_add_series(conn, source.probe_id, metric, name)?;
        if self.series.len() >= MAX_CACHED {
            self.series.clear();
        }
        self.series.insert(self.key.as_slice().into(), id);
        Ok(id)
    }
}

/// The definition is part of the key: another one may give the metric another unit.
fn write_key(key: &mut Vec<u8>, source: &Source<'_>, name: SeriesName<'_>) {
    key.clear();
    key.extend_from_slice(&source.definition.to_le_bytes());
    key.extend_from_slice(&source.probe_id.to_le_bytes());
    key.extend_from_slice(&[name.kind as u8, name.span as u8]);
    let mut push = |text: &str| {
        key.extend_from_slice(&(text.len() as u32).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    push(name.metric);
    for (label, value) in name.labels {
        push(label);
        push(value);
    }
}

fn add_host(conn: &Connection, host: &HostName) -> Result<i64> {
    let id: i64 =
        conn.prepare_cached("SELECT coalesce(max(id) + 1, 0) FROM host")?.query_row([], |row| row.get(0))?;
    let (chunk, slot) = (id / i64::from(CHUNK), id % i64::from(CHUNK));
    conn.prepare_cached("INSERT OR IGNORE INTO chunk (id) VALUES (?1)")?.execute([chunk])?;
    conn.prepare_cached("INSERT INTO host (id, name, chunk, slot) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, host.as_str(), chunk, slot])?;
    Ok(id)
}

fn metric(conn: &Connection, source: &Source<'_>, name: SeriesName<'_>) -> Result<i64> {
    let spec = source.probe.and_then(|probe| probe.spec(name.metric));
    let unit = spec.map_or("", |spec| spec.unit.as_str());
    let worse = spec.map_or(Worse::Either, |spec| spec.worse);
    // The latest definition describes it; by number and not by arrival, so that a rebuilt index agrees.
    conn.prepare_cached(
        "INSERT INTO metric (name, unit, kind, help, worse, warn, resolution, judged, definition)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (name, unit, kind) DO UPDATE SET
             help = excluded.help, worse = excluded.worse, warn = excluded.warn,
             resolution = excluded.resolution, judged = excluded.judged, definition = excluded.definition
         WHERE excluded.definition > metric.definition",
    )?
    .execute(params![
        name.metric,
        unit,
        name.kind.as_str(),
        spec.map_or("", |spec| spec.help.as_str()),
        worse_word(worse),
        spec.and_then(|spec| spec.warn),
        spec.and_then(|spec| spec.resolution),
        spec.map(|spec| spec.judged.as_str()),
        source.definition,
    ])?;
    conn.prepare_cached("SELECT id FROM metric WHERE name = ?1 AND unit = ?2 AND kind = ?3")?
        .query_row(params![name.metric, unit, name.kind.as_str()], |row| row.get(0))
}

const fn worse_word(worse: Worse) -> &'static str {
    match worse {
        Worse::Higher => "higher",
        Worse::Lower => "lower",
        Worse::Either => "either",
    }
}

fn find_or_add_series(
    conn: &Connection,
    probe: i64,
    metric: i64,
    name: SeriesName<'_>,
) -> Result<Option<i64>> {
    let labels = labels_json(name.labels);
    let found = conn
        .prepare_cached(
            "SELECT id FROM series WHERE metric = ?1 AND labels = ?2 AND span = ?3 AND probe = ?4",
        )?
        .query_row(params![metric, labels, name.span.as_str(), probe], |row| row.get(0))
        .optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let room = conn
        .prepare_cached("UPDATE metric SET series = series + 1 WHERE id = ?1 AND series < ?2")?
        .execute(params![metric, MAX_SERIES_PER_METRIC])?;
    if room == 0 {
        return Ok(None);
    }
    conn.prepare_cached("INSERT INTO series (metric, labels, span, probe) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![metric, labels, name.span.as_str(), probe])?;
    Ok(Some(conn.last_insert_rowid()))
}

/// `{"cpu":"0"}`, keys sorted, so that one set of labels has one text.
pub(super) fn labels_json(labels: &LabelPairs) -> String {
    let sorted: BTreeMap<&str, &str> =
        labels.iter().map(|(label, value)| (label.as_ref(), value.as_str())).collect();
    serde_json::to_string(&sorted).unwrap_or_default()
}
