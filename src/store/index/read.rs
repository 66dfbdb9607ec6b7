//! The questions that verbs ask. A reader has its own read-only connection; a sweep that is being
//! recorded is seen as far as it has been indexed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::block::{Block, CHUNK};
use super::query::{self, QueryLimits, Table, Value};
use super::rows::{HistoryPoint, HostSample, MetricRow, ReadingNumbers, ReadingRow, Series, SweepRow};
use super::{histogram, numbers, open};
use crate::model::{
    CollectorTime, Histogram, HostName, Kind, Labels, Outcome, ProbeName, Sample, Span, SweepId, Trigger,
    Worse,
};
use crate::store::{StateDir, StoreError};

pub(super) type SqlResult<T> = rusqlite::Result<T>;

#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    conn: RefCell<Connection>,
}

impl Reader {
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let state = StateDir::at(root);
        let conn = open::open_read_only(&state)?;
        Ok(Self { path: state.index(), conn: RefCell::new(conn) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn ask<T>(&self, question: impl FnOnce(&Connection) -> SqlResult<T>) -> Result<T, StoreError> {
        question(&self.conn.borrow()).map_err(|error| StoreError::index(&self.path, error))
    }

    /// Anyone's SQL; see [`QueryLimits`].
    pub fn query(&self, sql: &str, limits: QueryLimits) -> Result<Table, StoreError> {
        let mut table = Table::default();
        let columns = self.query_each(sql, limits, &mut |_, row| {
            table.cut = table.rows.len() >= limits.max_rows;
            if !table.cut {
                table.rows.push(row);
            }
            !table.cut
        })?;
        Ok(Table { columns, ..table })
    }

    /// The same, row by row, for answers that should not stand in memory; `row` says whether to go on.
    pub fn query_each(
        &self,
        sql: &str,
        limits: QueryLimits,
        row: &mut dyn FnMut(&[String], Vec<Value>) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        query::run(&mut self.conn.borrow_mut(), sql, limits, row)
    }

    /// The latest `limit` sweeps, the newest first.
    pub fn sweeps(&self, limit: usize) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT * FROM sweep ORDER BY id DESC LIMIT ?1";
        self.ask(|conn| list(conn, sql, [i64::try_from(limit).unwrap_or(i64::MAX)], sweep_row))
    }

    pub fn sweep(&self, sweep: &SweepId) -> Result<Option<SweepRow>, StoreError> {
        self.ask(|conn| one(conn, "SELECT * FROM sweep WHERE name = ?1", [sweep.as_str()], sweep_row))
    }

    /// The newest sweep, or the newest that has a value of `metric`.
    pub fn latest_sweep(&self, metric: Option<&str>) -> Result<Option<SweepRow>, StoreError> {
        let Some(metric) = metric else { return Ok(self.sweeps(1)?.into_iter().next()) };
        self.ask(|conn| {
            let series = find_series(conn, metric)?;
            let mut latest = None;
            for (id, series) in series {
                let staged: Option<i64> = one(
                    conn,
                    "SELECT max(g.sweep) FROM stage g JOIN json_each(stage_series(g.data)) i
                     WHERE g.probe = (SELECT id FROM probe WHERE name = ?1) AND i.value = ?2",
                    params![series.probe.as_str(), id],
                    |row| row.get(0),
                )?
                .flatten();
                let block: Option<i64> = one(
                    conn,
                    "SELECT max((SELECT max(sweep) FROM block WHERE series = ?1 AND chunk = c.id)) FROM chunk c",
                    [id],
                    |row| row.get(0),
                )?
                .flatten();
                latest = latest.max(staged).max(block);
            }
            one(conn, "SELECT * FROM sweep WHERE id = ?1", [latest], sweep_row)
        })
    }

    /// Every reading of a sweep and its outcome, by host in the order of the inventory.
    pub fn ledger(&self, sweep: &SweepId) -> Result<Vec<ReadingRow>, StoreError> {
        let sql = format!("{READING} WHERE w.name = ?1 ORDER BY r.host, p.name");
        self.ask(|conn| list(conn, &sql, [sweep.as_str()], reading_row))
    }

    pub fn reading(
        &self,
        sweep: &SweepId,
        host: &HostName,
        probe: &ProbeName,
    ) -> Result<Option<ReadingRow>, StoreError> {
        let sql = format!("{READING} WHERE w.name = ?1 AND h.name = ?2 AND p.name = ?3");
        self.ask(|conn| one(conn, &sql, [sweep.as_str(), host.as_str(), probe.as_str()], reading_row))
    }

    /// The newest reading of a probe on a host.
    pub fn latest(&self, host: &HostName, probe: &ProbeName) -> Result<Option<ReadingRow>, StoreError> {
        // Sweeps newest first, each a look at the key: no index of its own is needed for it.
        let sql = format!(
            "{READING} WHERE r.sweep = (
                SELECT s.id FROM sweep s WHERE EXISTS (
                    SELECT 1 FROM reading x WHERE x.sweep = s.id
                    AND x.host = (SELECT id FROM host WHERE name = ?1)
                    AND x.probe = (SELECT id FROM probe WHERE name = ?2))
                ORDER BY s.id DESC LIMIT 1)
             AND h.name = ?1 AND p.name = ?2"
        );
        self.ask(|conn| one(conn, &sql, [host.as_str(), probe.as_str()], reading_row))
    }

    /// Which readings of a sweep ended how.
    pub fn outcomes(&self, sweep: &SweepId) -> Result<Vec<(HostName, ProbeName, Outcome)>, StoreError> {
        Ok(self.ledger(sweep)?.into_iter().map(|row| (row.host, row.probe, row.outcome)).collect())
    }

    /// Where the probe's next reading on this host should go on from.
    pub fn cursor(&self, host: &HostName, probe: &ProbeName) -> Result<Option<String>, StoreError> {
        let sql = "SELECT c.value FROM cursor c WHERE c.host = (SELECT id FROM host WHERE name = ?1)
                   AND c.probe = (SELECT id FROM probe WHERE name = ?2)";
        self.ask(|conn| one(conn, sql, [host.as_str(), probe.as_str()], |row| row.get(0)))
    }

    /// All cursors of a probe, for the plan of a sweep.
    pub fn cursors(&self, probe: &ProbeName) -> Result<HashMap<HostName, String>, StoreError> {
        let sql = "SELECT h.name, c.value FROM cursor c JOIN host h ON h.id = c.host
                   WHERE c.probe = (SELECT id FROM probe WHERE name = ?1)";
        let rows =
            self.ask(|conn| list(conn, sql, [probe.as_str()], |row| Ok((name(row, 0)?, row.get(1)?))))?;
        Ok(rows.into_iter().collect())
    }

    /// A host's labels as they were at a moment: its own facts, and over them the inventory's.
    pub fn facts(&self, host: &HostName, at: CollectorTime) -> Result<Labels, StoreError> {
        let sql = "SELECT label, value FROM (
                       SELECT source, label, value, max(since_ns) FROM host_label
                       WHERE host = (SELECT id FROM host WHERE name = ?1) AND since_ns <= ?2
                       GROUP BY source, label)
                   WHERE value IS NOT NULL ORDER BY source = 'inventory'";
        let rows = self.ask(|conn| {
            list(conn, sql, params![host.as_str(), at.unix_ns()], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// What is known about a metric; several when its unit or kind changed.
    pub fn metrics(&self, metric: Option<&str>) -> Result<Vec<MetricRow>, StoreError> {
        let sql = "SELECT * FROM metric WHERE ?1 IS NULL OR name = ?1 ORDER BY name, unit, kind";
        self.ask(|conn| list(conn, sql, [metric], metric_row))
    }

    /// What one reading gave: samples (`between` too), histograms, faults.
    pub fn numbers(
        &self,
        sweep: &SweepId,
        host: &HostName,
        probe: &ProbeName,
    ) -> Result<ReadingNumbers, StoreError> {
        self.ask(|conn| {
            let sql = "SELECT w.id, h.id, p.id, h.chunk, h.slot FROM sweep w, host h, probe p
                       WHERE w.name = ?1 AND h.name = ?2 AND p.name = ?3";
            let found = one(conn, sql, [sweep.as_str(), host.as_str(), probe.as_str()], |row| {
                Ok(Place {
                    sweep: row.get(0)?,
                    host: row.get(1)?,
                    probe: row.get(2)?,
                    chunk: row.get(3)?,
                    slot: row.get(4)?,
                })
            })?;
            let Some(place) = found else { return Ok(ReadingNumbers::default()) };
            Ok(ReadingNumbers {
                samples: place.samples(conn)?,
                histograms: place.histograms(conn)?,
                faults: list(
                    conn,
                    "SELECT text FROM fault WHERE sweep = ?1 AND host = ?2 AND probe = ?3 ORDER BY n",
                    [place.sweep, place.host, place.probe],
                    |row| row.get(0),
                )?,
            })
        })
    }

    /// One metric of every host in a sweep: all its labels and spans, by series and then host.
    pub fn metric_at(&self, sweep: &SweepId, metric: &str) -> Result<Vec<HostSample>, StoreError> {
        let mut found = Vec::new();
        self.ask(|conn| {
            let series = find_series(conn, metric)?;
            each_sample(conn, sweep, &series, &mut |sample| found.push(sample))
        })?;
        Ok(found)
    }

    /// Every value of a sweep, series by series; `sample` is called once for each.
    pub fn each_sample(&self, sweep: &SweepId, sample: &mut dyn FnMut(HostSample)) -> Result<(), StoreError> {
        self.ask(|conn| {
            let series = list(conn, &format!("{SERIES} ORDER BY s.id"), [], series_row)?;
            each_sample(conn, sweep, &series, sample)
        })
    }

    /// One metric of one host over all sweeps, by series and then time.
    pub fn history(&self, host: &HostName, metric: &str) -> Result<Vec<HistoryPoint>, StoreError> {
        self.ask(|conn| {
            let mut points = Vec::new();
            for (id, series) in find_series(conn, metric)? {
                points.extend(series_history(conn, host, id, &series)?);
            }
            Ok(points)
        })
    }

    /// What SQLite itself finds wrong with the file; empty when nothing is.
    pub fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let found: Vec<String> =
            self.ask(|conn| list(conn, "PRAGMA quick_check(20)", [], |row| row.get(0)))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// How many of a sweep's blocks do not decode.
    pub fn broken_blocks(&self, sweep: &SweepId) -> Result<u64, StoreError> {
        self.ask(|conn| {
            let sql = "SELECT b.data FROM sweep w JOIN series s JOIN chunk c
                       JOIN block b ON b.series = s.id AND b.chunk = c.id AND b.sweep = w.id WHERE w.name = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([sweep.as_str()])?;
            let mut broken = 0;
            while let Some(row) = rows.next()? {
                broken += u64::from(Block::decode(row.get_ref(0)?.as_blob()?).is_none());
            }
            Ok(broken)
        })
    }
}

/// One reading's place in the tables.
struct Place {
    sweep: i64,
    host: i64,
    probe: i64,
    chunk: i64,
    slot: u32,
}

impl Place {
    fn samples(&self, conn: &Connection) -> SqlResult<Vec<Sample>> {
        let sql = "SELECT data FROM stage WHERE sweep = ?1 AND host = ?2 AND probe = ?3";
        let staged = one(conn, sql, [self.sweep, self.host, self.probe], |row| {
            Ok(numbers::decode(row.get_ref(0)?.as_blob()?).unwrap_or_default())
        })?;
        let staged: Option<HashMap<i64, f64>> = staged.map(|values| values.into_iter().collect());
        let series =
            list(conn, &format!("{SERIES} WHERE s.probe = ?1 ORDER BY s.id"), [self.probe], series_row)?;
        let mut samples = Vec::new();
        for (id, series) in series {
            let value = match &staged {
                Some(staged) => staged.get(&id).copied(),
                None => block(conn, id, self.chunk, self.sweep)?.and_then(|block| block.get(self.slot)),
            };
            samples.extend(value.map(|value| sample_of(&series, value)));
        }
        Ok(samples)
    }

    fn histograms(&self, conn: &Connection) -> SqlResult<Vec<Histogram>> {
        let sql = "SELECT m.name, s.labels, x.count, x.sum, x.max, x.buckets FROM histogram x
                   JOIN series s ON s.id = x.series JOIN metric m ON m.id = s.metric
                   WHERE x.sweep = ?1 AND x.host = ?2 AND s.probe = ?3 ORDER BY x.series";
        list(conn, sql, [self.sweep, self.host, self.probe], |row| {
            Ok(Histogram {
                metric: row.get::<_, String>(0)?.into(),
                labels: labels(row, 1)?.into_iter().map(|(label, value)| (label.into(), value)).collect(),
                count: unsigned(row, 2)?,
                sum: row.get(3)?,
                max: row.get(4)?,
                buckets: histogram::decode(row.get_ref(5)?.as_blob()?).unwrap_or_default(),
            })
        })
    }
}

fn sample_of(series: &Series, value: f64) -> Sample {
    Sample {
        metric: series.metric.clone().into(),
        labels: series.labels.iter().map(|(label, value)| (label.clone().into(), value.clone())).collect(),
        kind: series.kind,
        span: series.span,
        value,
    }
}

fn each_sample(
    conn: &Connection,
    sweep: &SweepId,
    series: &[(i64, Arc<Series>)],
    take: &mut dyn FnMut(HostSample),
) -> SqlResult<()> {
    let Some(sweep) =
        one(conn, "SELECT id FROM sweep WHERE name = ?1", [sweep.as_str()], |row| row.get::<_, i64>(0))?
    else {
        return Ok(());
    };
    let hosts: BTreeMap<i64, HostName> =
        list(conn, "SELECT id, name FROM host", [], |row| Ok((row.get(0)?, name(row, 1)?)))?
            .into_iter()
            .collect();
    let chunks: Vec<i64> = list(conn, "SELECT id FROM chunk ORDER BY id", [], |row| row.get(0))?;
    let staged = staged(conn, sweep, series)?;
    for (id, series) in series {
        let mut give = |host: i64, value: f64| {
            if let Some(host) = hosts.get(&host) {
                take(HostSample { host: host.clone(), series: Arc::clone(series), value });
            }
        };
        for chunk in &chunks {
            let cells = block(conn, *id, *chunk, sweep)?;
            for (slot, value) in cells.iter().flat_map(Block::cells) {
                give(chunk * i64::from(CHUNK) + i64::from(slot), value);
            }
        }
        staged.get(id).into_iter().flatten().for_each(|(host, value)| give(*host, *value));
    }
    Ok(())
}

/// What of these series is not in blocks yet: series → (host, value).
fn staged(
    conn: &Connection,
    sweep: i64,
    series: &[(i64, Arc<Series>)],
) -> SqlResult<HashMap<i64, Vec<(i64, f64)>>> {
    let mut wanted: HashMap<i64, Vec<(i64, f64)>> = series.iter().map(|(id, _)| (*id, Vec::new())).collect();
    let mut statement = conn.prepare_cached("SELECT host, data FROM stage WHERE sweep = ?1 ORDER BY host")?;
    let mut rows = statement.query([sweep])?;
    while let Some(row) = rows.next()? {
        let host: i64 = row.get(0)?;
        for (id, value) in numbers::decode(row.get_ref(1)?.as_blob()?).unwrap_or_default() {
            if let Some(values) = wanted.get_mut(&id) {
                values.push((host, value));
            }
        }
    }
    Ok(wanted)
}

fn series_history(
    conn: &Connection,
    host: &HostName,
    id: i64,
    series: &Arc<Series>,
) -> SqlResult<Vec<HistoryPoint>> {
    let sql = "SELECT w.name, w.started_ns, b.data, h.slot FROM host h
               JOIN block b ON b.series = ?2 AND b.chunk = h.chunk JOIN sweep w ON w.id = b.sweep
               WHERE h.name = ?1 ORDER BY b.sweep";
    let point = |row: &Row<'_>, value: Option<f64>| -> SqlResult<Option<HistoryPoint>> {
        let Some(value) = value else { return Ok(None) };
        let started = CollectorTime::from_unix_ns(row.get(1)?);
        Ok(Some(HistoryPoint { sweep: sweep_id(row, 0)?, started, series: Arc::clone(series), value }))
    };
    let mut points = list(conn, sql, params![host.as_str(), id], |row| {
        let slot: u32 = row.get(3)?;
        let value = Block::decode(row.get_ref(2)?.as_blob()?).and_then(|block| block.get(slot));
        point(row, value)
    })?;
    let sql = "SELECT w.name, w.started_ns, g.data FROM stage g JOIN sweep w ON w.id = g.sweep
               WHERE g.host = (SELECT id FROM host WHERE name = ?1)
               AND g.probe = (SELECT id FROM probe WHERE name = ?2) ORDER BY g.sweep";
    points.extend(list(conn, sql, params![host.as_str(), series.probe.as_str()], |row| {
        let values = numbers::decode(row.get_ref(2)?.as_blob()?).unwrap_or_default();
        point(row, values.binary_search_by_key(&id, |(series, _)| *series).ok().map(|at| values[at].1))
    })?);
    Ok(points.into_iter().flatten().collect())
}

pub(super) fn block(conn: &Connection, series: i64, chunk: i64, sweep: i64) -> SqlResult<Option<Block>> {
    let sql = "SELECT data FROM block WHERE series = ?1 AND chunk = ?2 AND sweep = ?3";
    Ok(one(conn, sql, [series, chunk, sweep], |row| Ok(Block::decode(row.get_ref(0)?.as_blob()?)))?.flatten())
}

const SERIES: &str = "SELECT s.id, m.name, s.labels, m.kind, s.span, p.name FROM series s
    JOIN metric m ON m.id = s.metric JOIN probe p ON p.id = s.probe";

pub(super) fn find_series(conn: &Connection, metric: &str) -> SqlResult<Vec<(i64, Arc<Series>)>> {
    list(conn, &format!("{SERIES} WHERE m.name = ?1 ORDER BY s.id"), [metric], series_row)
}

fn series_row(row: &Row<'_>) -> SqlResult<(i64, Arc<Series>)> {
    let series = Series {
        metric: row.get(1)?,
        labels: labels(row, 2)?,
        kind: kind(row, 3)?,
        span: word(row, 4, |word| {
            [Span::Instant, Span::Window, Span::Between].into_iter().find(|span| span.as_str() == word)
        })?,
        probe: name(row, 5)?,
    };
    Ok((row.get(0)?, Arc::new(series)))
}

fn metric_row(row: &Row<'_>) -> SqlResult<MetricRow> {
    Ok(MetricRow {
        name: row.get("name")?,
        unit: row.get("unit")?,
        kind: kind(row, row.as_ref().column_index("kind")?)?,
        help: row.get("help")?,
        worse: match row.get::<_, String>("worse")?.as_str() {
            "higher" => Worse::Higher,
            "lower" => Worse::Lower,
            _ => Worse::Either,
        },
        warn: row.get("warn")?,
    })
}

fn sweep_row(row: &Row<'_>) -> SqlResult<SweepRow> {
    let column = |name: &str| row.as_ref().column_index(name);
    Ok(SweepRow {
        sweep: sweep_id(row, column("name")?)?,
        trigger: word(row, column("trigger")?, |word| {
            use Trigger::{Adhoc, Backfill, Escalated, Scheduled};
            [Scheduled, Adhoc, Escalated, Backfill].into_iter().find(|trigger| trigger.as_str() == word)
        })?,
        schedule: row.get("schedule")?,
        started: CollectorTime::from_unix_ns(row.get("started_ns")?),
        ended: row.get::<_, Option<i64>>("ended_ns")?.map(CollectorTime::from_unix_ns),
        elapsed: row.get::<_, Option<i64>>("elapsed_ns")?.map(nanos),
        interrupted: row.get::<_, Option<bool>>("interrupted")?.unwrap_or(false),
        planned: unsigned(row, column("planned")?)?,
        readings: unsigned(row, column("readings")?)?,
        ok: unsigned(row, column("ok")?)?,
    })
}

const READING: &str = "SELECT w.name, h.name, p.name, r.outcome, r.detail, r.exit, r.started_ns, r.elapsed_ns,
        r.bytes_wire, r.bytes_raw, r.cpu_ns, r.samples, r.faults, r.truncated, r.offset
    FROM reading r JOIN sweep w ON w.id = r.sweep JOIN host h ON h.id = r.host JOIN probe p ON p.id = r.probe";

fn reading_row(row: &Row<'_>) -> SqlResult<ReadingRow> {
    Ok(ReadingRow {
        sweep: sweep_id(row, 0)?,
        host: name(row, 1)?,
        probe: name(row, 2)?,
        outcome: word(row, 3, Outcome::from_word)?,
        detail: row.get(4)?,
        exit: row.get(5)?,
        started: CollectorTime::from_unix_ns(row.get(6)?),
        elapsed: nanos(row.get(7)?),
        bytes_wire: unsigned(row, 8)?,
        bytes_raw: unsigned(row, 9)?,
        cpu: row.get::<_, Option<i64>>(10)?.map(nanos),
        samples: unsigned(row, 11)?,
        faults: unsigned(row, 12)?,
        truncated: row.get(13)?,
        offset: unsigned(row, 14)?,
    })
}

pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnOnce(&Row<'_>) -> SqlResult<T>,
) -> SqlResult<Option<T>> {
    conn.prepare_cached(sql)?.query_row(params, row).optional()
}

pub(super) fn list<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnMut(&Row<'_>) -> SqlResult<T>,
) -> SqlResult<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, row)?.collect()
}

fn nanos(value: i64) -> Duration {
    Duration::from_nanos(u64::try_from(value).unwrap_or(0))
}

pub(super) fn unsigned(row: &Row<'_>, at: usize) -> SqlResult<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

/// A column that holds one of a closed set of words; anything else is a broken index.
pub(super) fn word<T>(row: &Row<'_>, at: usize, read: impl FnOnce(&str) -> Option<T>) -> SqlResult<T> {
    let text = row.get_ref(at)?.as_str()?;
    read(text).ok_or_else(|| {
        let unknown = format!("{text:?} is no word of this column");
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, unknown.into())
    })
}

pub(super) fn name<T: TryFrom<String>>(row: &Row<'_>, at: usize) -> SqlResult<T> {
    word(row, at, |text| T::try_from(text.to_owned()).ok())
}

fn sweep_id(row: &Row<'_>, at: usize) -> SqlResult<SweepId> {
    name(row, at)
}

fn kind(row: &Row<'_>, at: usize) -> SqlResult<Kind> {
    word(row, at, |word| {
        [Kind::Counter, Kind::Gauge, Kind::Histogram].into_iter().find(|kind| kind.as_str() == word)
    })
}

fn labels(row: &Row<'_>, at: usize) -> SqlResult<Labels> {
    word(row, at, |text| serde_json::from_str(text).ok())
}
