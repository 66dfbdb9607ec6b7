//! One series of many hosts over many sweeps, read in the order in which its blocks stand. It holds one
//! panel at a time: all metrics of a large fleet's week are more than memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::block::{Block, CHUNK};
use super::columns::{SqlResult, list, metric_row, name, one, series_row, sweep_row, unsigned};
use super::rows::{MetricRow, Series, SweepRow};
use super::{Reader, histogram, numbers};
use crate::model::{CollectorTime, Histogram, HostName, Kind, SweepId};
use crate::store::StoreError;

/// A series and what is known about its metric. A unit that changed gave the metric another row.
#[derive(Debug, Clone)]
pub struct Described {
    id: i64,
    pub series: Arc<Series>,
    pub metric: Arc<MetricRow>,
}

/// The hosts and sweeps that values are wanted of.
#[derive(Debug)]
pub struct Frame {
    hosts: Vec<HostName>,
    sweeps: Vec<SweepRow>,
    /// Column by the sweep's number.
    columns: HashMap<i64, usize>,
    /// The lowest and the highest of those numbers.
    span: (i64, i64),
    /// Row by the host's number.
    rows: Vec<Option<u32>>,
    chunks: BTreeSet<i64>,
    /// What is in no block yet, by series.
    staged: HashMap<i64, Vec<Staged>>,
}

#[derive(Debug, Clone, Copy)]
struct Staged {
    column: usize,
    row: usize,
    value: f64,
}

impl Frame {
    /// Its rows.
    pub fn hosts(&self) -> &[HostName] {
        &self.hosts
    }

    /// Its columns.
    pub fn sweeps(&self) -> &[SweepRow] {
        &self.sweeps
    }

    fn row(&self, host: i64) -> Option<usize> {
        let row = self.rows.get(usize::try_from(host).ok()?)?;
        row.map(|row| row as usize)
    }
}

impl Reader {
    /// Every series that was ever recorded, those of one metric side by side.
    pub fn described(&self) -> Result<Vec<Described>, StoreError> {
        let sql = "SELECT s.id, m.name, s.labels, m.kind, s.span, p.name, m.id FROM series s
                   JOIN metric m ON m.id = s.metric JOIN probe p ON p.id = s.probe
                   ORDER BY m.name, m.id, s.id";
        self.ask(|conn| {
            let metrics: HashMap<i64, Arc<MetricRow>> = list(conn, "SELECT * FROM metric", [], |row| {
                Ok((row.get("id")?, Arc::new(metric_row(row)?)))
            })?
            .into_iter()
            .collect();
            let found = list(conn, sql, [], |row| Ok((series_row(row)?, row.get::<_, i64>(6)?)))?;
            let described = |((id, series), metric): ((i64, Arc<Series>), i64)| {
                Some(Described { id, series, metric: Arc::clone(metrics.get(&metric)?) })
            };
            Ok(found.into_iter().filter_map(described).collect())
        })
    }

    /// The sweeps that started in this time, the oldest first.
    pub fn sweeps_between(
        &self,
        from: CollectorTime,
        until: CollectorTime,
    ) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT * FROM sweep WHERE started_ns BETWEEN ?1 AND ?2 ORDER BY started_ns, id";
        self.ask(|conn| list(conn, sql, [from.unix_ns(), until.unix_ns()], sweep_row))
    }

    /// The hosts of a sweep's plan, and whether any of their readings said something.
    pub fn answered(&self, sweep: &SweepId) -> Result<Vec<(HostName, bool)>, StoreError> {
        let sql = "SELECT h.name, max(r.samples > 0 OR r.outcome = 'ok') FROM reading r
                   JOIN host h ON h.id = r.host WHERE r.sweep = (SELECT id FROM sweep WHERE name = ?1)
                   GROUP BY r.host ORDER BY r.host";
        self.ask(|conn| list(conn, sql, [sweep.as_str()], |row| Ok((name(row, 0)?, row.get(1)?))))
    }

    /// Rows and columns for [`Self::panel`]. Hosts and sweeps that were never recorded are left out.
    pub fn frame(&self, hosts: &[HostName], sweeps: &[SweepId]) -> Result<Frame, StoreError> {
        self.ask(|conn| {
            let ids: HashMap<HostName, i64> =
                list(conn, "SELECT name, id FROM host", [], |row| Ok((name(row, 0)?, row.get(1)?)))?
                    .into_iter()
                    .collect();
            let mut frame = Frame {
                hosts: Vec::new(),
                sweeps: Vec::new(),
                columns: HashMap::new(),
                span: (i64::MAX, i64::MIN),
                rows: vec![None; ids.len()],
                chunks: BTreeSet::new(),
                staged: HashMap::new(),
            };
            for host in hosts {
                let Some(id) = ids.get(host) else { continue };
                let place = usize::try_from(*id).ok().and_then(|id| frame.rows.get_mut(id));
                if let Some(place @ None) = place {
                    *place = Some(frame.hosts.len() as u32);
                    frame.hosts.push(host.clone());
                    frame.chunks.insert(id / i64::from(CHUNK));
                }
            }
            let mut waiting = Vec::new();
            for sweep in sweeps {
                let sql = "SELECT * FROM sweep WHERE name = ?1";
                let row = |row: &rusqlite::Row<'_>| {
                    Ok((row.get::<_, i64>("id")?, row.get::<_, i64>("state")?, sweep_row(row)?))
                };
                let Some((id, state, sweep)) = one(conn, sql, [sweep.as_str()], row)? else { continue };
                frame.columns.insert(id, frame.sweeps.len());
                frame.sweeps.push(sweep);
                frame.span = (frame.span.0.min(id), frame.span.1.max(id));
                if state != PIVOTED {
                    waiting.push(id);
                }
            }
            waiting.into_iter().try_for_each(|sweep| stage(conn, sweep, &mut frame))?;
            Ok(frame)
        })
    }

    /// How many hosts of the frame have a value of this in its last sweep.
    pub fn present(&self, frame: &Frame, described: &Described) -> Result<usize, StoreError> {
        let Some(last) = frame.sweeps.len().checked_sub(1) else { return Ok(0) };
        let sweep = frame.columns.iter().find(|(_, column)| **column == last).map(|(id, _)| *id);
        self.ask(|conn| {
            if described.series.kind == Kind::Histogram {
                let sql = "SELECT count(*) FROM histogram WHERE series = ?1 AND sweep = ?2";
                let count = one(conn, sql, params![described.id, sweep], |row| unsigned(row, 0))?;
                return Ok(count.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX)));
            }
            let mut count = 0;
            for chunk in &frame.chunks {
                let sql = "SELECT data FROM block WHERE series = ?1 AND chunk = ?2 AND sweep = ?3";
                let block = one(conn, sql, params![described.id, chunk, sweep], |row| {
                    Ok(Block::decode(row.get_ref(0)?.as_blob()?))
                })?;
                let cells = block.iter().flatten().flat_map(Block::cells);
                count += cells.filter(|(slot, _)| frame.row(host_id(*chunk, *slot)).is_some()).count();
            }
            let staged = frame.staged.get(&described.id).into_iter().flatten();
            Ok(count + staged.filter(|staged| staged.column == last).count())
        })
    }

    /// The values of a series, sweep by sweep and in each host by host, in place of what `values` holds;
    /// what is absent is no number.
    pub fn panel(
        &self,
        frame: &Frame,
        described: &Described,
        values: &mut Vec<f64>,
    ) -> Result<(), StoreError> {
        let hosts = frame.hosts.len();
        values.clear();
        values.resize(hosts * frame.sweeps.len(), f64::NAN);
        self.ask(|conn| {
            let sql =
                "SELECT sweep, data FROM block WHERE series = ?1 AND chunk = ?2 AND sweep BETWEEN ?3 AND ?4";
            let mut statement = conn.prepare_cached(sql)?;
            for chunk in &frame.chunks {
                let mut rows = statement.query(params![described.id, chunk, frame.span.0, frame.span.1])?;
                while let Some(row) = rows.next()? {
                    let Some(column) = frame.columns.get(&row.get(0)?) else { continue };
                    let Some(block) = Block::decode(row.get_ref(1)?.as_blob()?) else { continue };
                    let values = &mut values[column * hosts..(column + 1) * hosts];
                    for (slot, value) in block.cells() {
                        if let Some(row) = frame.row(host_id(*chunk, slot)) {
                            values[row] = value;
                        }
                    }
                }
            }
            Ok(())
        })?;
        for staged in frame.staged.get(&described.id).into_iter().flatten() {
            values[staged.column * hosts + staged.row] = staged.value;
        }
        Ok(())
    }

    /// The distributions of a series: column, row and what stands there.
    pub fn histogram_panel(
        &self,
        frame: &Frame,
        described: &Described,
        take: &mut dyn FnMut(usize, usize, Histogram),
    ) -> Result<(), StoreError> {
        let sql = "SELECT sweep, host, count, sum, max, buckets FROM histogram
                   WHERE series = ?1 AND sweep BETWEEN ?2 AND ?3";
        self.ask(|conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query(params![described.id, frame.span.0, frame.span.1])?;
            while let Some(row) = rows.next()? {
                let (column, host) = (frame.columns.get(&row.get(0)?), frame.row(row.get(1)?));
                let Some((column, host)) = column.zip(host) else { continue };
                let found = Histogram {
                    metric: described.series.metric.clone().into(),
                    labels: Vec::new(),
                    count: unsigned(row, 2)?,
                    sum: row.get(3)?,
                    max: row.get(4)?,
                    buckets: histogram::decode(row.get_ref(5)?.as_blob()?).unwrap_or_default(),
                };
                take(*column, host, found);
            }
            Ok(())
        })
    }
}

/// A sweep's `state` once its samples stand in blocks.
const PIVOTED: i64 = 2;

fn host_id(chunk: i64, slot: u32) -> i64 {
    chunk * i64::from(CHUNK) + i64::from(slot)
}

/// Takes in what of a sweep stands in no block yet.
fn stage(conn: &Connection, sweep: i64, frame: &mut Frame) -> SqlResult<()> {
    let mut statement = conn.prepare_cached("SELECT host, data FROM stage WHERE sweep = ?1")?;
    let mut rows = statement.query([sweep])?;
    let Some(column) = frame.columns.get(&sweep).copied() else { return Ok(()) };
    while let Some(row) = rows.next()? {
        let Some(host) = frame.row(row.get(0)?) else { continue };
        for (series, value) in numbers::decode(row.get_ref(1)?.as_blob()?).unwrap_or_default() {
            frame.staged.entry(series).or_default().push(Staged { column, row: host, value });
        }
    }
    Ok(())
}
