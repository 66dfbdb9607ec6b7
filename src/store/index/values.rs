//! Values out of blocks, and out of the stage for what is not in blocks yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::block::{Block, CHUNK};
use super::columns::{SERIES, SqlResult, list, name, one, series_row, sweep_id};
use super::rows::{HistoryPoint, HostSample, Series};
use super::{distributions, numbers};
use crate::model::{CollectorTime, Histogram, HostName, Sample, SweepId};

/// One reading's place in the tables.
pub(super) struct Place {
    pub sweep: i64,
    pub host: i64,
    pub probe: i64,
    pub chunk: i64,
    pub slot: u32,
}

impl Place {
    pub(super) fn samples(&self, conn: &Connection) -> SqlResult<Vec<Sample>> {
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

    pub(super) fn histograms(&self, conn: &Connection) -> SqlResult<Vec<Histogram>> {
        distributions::of_reading(conn, [self.sweep, self.host, self.probe])
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

pub(super) fn each_sample(
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

pub(super) fn series_history(
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
