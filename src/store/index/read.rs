//! The questions that verbs ask. A reader has its own read-only connection; a sweep that is being
//! recorded is seen as far as it has been indexed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::block::Block;
use super::columns::{
    READING, SERIES, SqlResult, find_series, list, metric_row, name, one, reading_row, series_row, sweep_row,
};
use super::query::{self, QueryLimits, Table, Value};
use super::rows::{HistoryPoint, HostSample, MetricRow, ReadingNumbers, ReadingRow, SweepRow};
use super::values::{Place, each_sample, series_history};
use super::{distributions, open};
use crate::model::{CollectorTime, HostName, Labels, Outcome, ProbeName, SweepId};
use crate::store::{StateDir, StoreError};

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
                latest = latest.max(staged).max(block).max(distributions::latest(conn, id)?);
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
