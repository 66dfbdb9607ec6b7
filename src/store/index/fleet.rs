//! Questions about many hosts at once: who was ever recorded, with which labels, and how a series went
//! over the last sweeps.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::block::{Block, CHUNK};
use super::columns::{SqlResult, find_series, list, name, one, sweep_row, trigger, unsigned, word};
use super::values::block;
use super::{Reader, Series, SweepRow, numbers};
use crate::model::{CollectorTime, HostName, Labels, Outcome, ProbeName, SweepId, Trigger};
use crate::store::StoreError;

impl Reader {
    /// Every host of which anything was recorded, in the order in which that first happened.
    pub fn hosts(&self) -> Result<Vec<HostName>, StoreError> {
        self.ask(|conn| list(conn, "SELECT name FROM host ORDER BY id", [], |row| name(row, 0)))
    }

    /// Every host's labels as they were at a moment: its own facts, and over them the inventory's.
    pub fn labels(&self, at: CollectorTime) -> Result<BTreeMap<HostName, Labels>, StoreError> {
        let sql = "SELECT h.name, l.label, l.value FROM (
                       SELECT host, source, label, value, max(since_ns) FROM host_label
                       WHERE since_ns <= ?1 GROUP BY host, source, label) l
                   JOIN host h ON h.id = l.host
                   WHERE l.value IS NOT NULL ORDER BY l.source = 'inventory'";
        let mut labels: BTreeMap<HostName, Labels> = BTreeMap::new();
        let rows = self.ask(|conn| {
            list(conn, sql, [at.unix_ns()], |row| Ok((name(row, 0)?, row.get(1)?, row.get(2)?)))
        })?;
        for (host, label, value) in rows {
            labels.entry(host).or_default().insert(label, value);
        }
        Ok(labels)
    }

    /// Of each schedule the newest sweep that has ended, the newest first.
    pub fn latest_of_schedules(&self) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT * FROM sweep WHERE id IN (
                       SELECT max(id) FROM sweep WHERE schedule IS NOT NULL AND ended_ns IS NOT NULL
                       GROUP BY schedule) ORDER BY id DESC";
        self.ask(|conn| list(conn, sql, [], sweep_row))
    }

    /// How many sweeps there are, by what made them run.
    pub fn sweeps_by_trigger(&self) -> Result<Vec<(Trigger, u64)>, StoreError> {
        let sql = "SELECT trigger, count(*) FROM sweep GROUP BY trigger ORDER BY trigger";
        self.ask(|conn| list(conn, sql, [], |row| Ok((trigger(row, 0)?, unsigned(row, 1)?))))
    }

    /// Every probe that was ever planned.
    pub fn probes(&self) -> Result<Vec<ProbeName>, StoreError> {
        self.ask(|conn| list(conn, "SELECT name FROM probe ORDER BY name", [], |row| name(row, 0)))
    }

    /// How many of a sweep's readings ended how.
    pub fn outcome_counts(&self, sweep: &SweepId) -> Result<BTreeMap<Outcome, u64>, StoreError> {
        let sql = "SELECT outcome, count(*) FROM reading
                   WHERE sweep = (SELECT id FROM sweep WHERE name = ?1) GROUP BY outcome";
        let rows = self.ask(|conn| {
            let row = |row: &rusqlite::Row<'_>| Ok((word(row, 0, Outcome::from_word)?, unsigned(row, 1)?));
            list(conn, sql, [sweep.as_str()], row)
        })?;
        Ok(rows.into_iter().collect())
    }

    /// The sweep ids that begin with `prefix`, the newest first; at most `limit`.
    pub fn sweeps_like(&self, prefix: &str, limit: usize) -> Result<Vec<SweepId>, StoreError> {
        let sql = "SELECT name FROM sweep WHERE substr(name, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ask(|conn| list(conn, sql, params![prefix, limit], |row| name(row, 0)))
    }

    /// At most `limit` sweeps up to `last` in the order of recording, the oldest first.
    pub fn sweeps_until(&self, last: &SweepId, limit: usize) -> Result<Vec<SweepId>, StoreError> {
        let sql = "SELECT name FROM (
                       SELECT id, name FROM sweep WHERE id <= (SELECT id FROM sweep WHERE name = ?1)
                       ORDER BY id DESC LIMIT ?2)
                   ORDER BY id";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ask(|conn| list(conn, sql, params![last.as_str(), limit], |row| name(row, 0)))
    }

    /// One series of some hosts, sweep by sweep.
    pub fn series_at(
        &self,
        series: &Series,
        sweeps: &[SweepId],
        hosts: &BTreeSet<HostName>,
    ) -> Result<Vec<BTreeMap<HostName, f64>>, StoreError> {
        self.ask(|conn| {
            let found = find_series(conn, &series.metric)?;
            let ids: Vec<i64> =
                found.iter().filter(|(_, known)| **known == *series).map(|(id, _)| *id).collect();
            let places = places(conn, hosts)?;
            let mut answer = Vec::with_capacity(sweeps.len());
            for sweep in sweeps {
                let mut values = BTreeMap::new();
                // A unit that changed gave the series a second number.
                for id in &ids {
                    values.extend(values_of(conn, *id, sweep, &places)?);
                }
                answer.push(values);
            }
            Ok(answer)
        })
    }
}

/// Chunk → the wanted slots in it.
type Places<'a> = BTreeMap<i64, Vec<(u32, &'a HostName)>>;

fn places<'a>(conn: &Connection, hosts: &'a BTreeSet<HostName>) -> SqlResult<Places<'a>> {
    let mut places = Places::new();
    for host in hosts {
        let sql = "SELECT chunk, slot FROM host WHERE name = ?1";
        let place = one(conn, sql, [host.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some((chunk, slot)) = place {
            places.entry(chunk).or_default().push((slot, host));
        }
    }
    Ok(places)
}

fn values_of(
    conn: &Connection,
    series: i64,
    sweep: &SweepId,
    places: &Places<'_>,
) -> SqlResult<Vec<(HostName, f64)>> {
    let sql = "SELECT id, state FROM sweep WHERE name = ?1";
    let row = one(conn, sql, [sweep.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let Some((id, state)) = row else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for (chunk, wanted) in places {
        let found: Option<Block> = block(conn, series, *chunk, id)?;
        for (slot, host) in wanted {
            let value = match &found {
                Some(block) => block.get(*slot),
                // Only a sweep whose samples stand in blocks has none elsewhere.
                None if state == PIVOTED => None,
                None => staged_value(conn, series, id, chunk * i64::from(CHUNK) + i64::from(*slot))?,
            };
            values.extend(value.map(|value| ((*host).clone(), value)));
        }
    }
    Ok(values)
}

/// A sweep's `state` once its samples stand in blocks.
const PIVOTED: i64 = 2;

fn staged_value(conn: &Connection, series: i64, sweep: i64, host: i64) -> SqlResult<Option<f64>> {
    let sql = "SELECT data FROM stage WHERE sweep = ?1 AND host = ?2
               AND probe = (SELECT probe FROM series WHERE id = ?3)";
    one(conn, sql, [sweep, host, series], |row| {
        let values = numbers::decode(row.get_ref(0)?.as_blob()?).unwrap_or_default();
        Ok(values.binary_search_by_key(&series, |(id, _)| *id).ok().map(|at| values[at].1))
    })
    .map(Option::flatten)
}
