//! What was amiss with readings: faults of a sweep, and offences of probes on hosts, counted as readings are
//! indexed, so that a rebuilt index counts the same.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use super::Reader;
use super::columns::{list, name, unsigned};
use crate::model::{CollectorTime, HostName, Probe, ProbeName, Reading, SweepId};
use crate::store::StoreError;
use crate::wire::{Conduct, conduct};

/// Offences in a row of one definition of a probe on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrikeRow {
    pub host: HostName,
    pub probe: ProbeName,
    /// Of the definition, as hexadecimal digits.
    pub hash: String,
    pub count: u64,
    /// When the last reading but one of them was asked for.
    pub before: Option<CollectorTime>,
    pub last: CollectorTime,
    /// What the last one did.
    pub what: String,
}

/// Notes what a reading says about its probe.
pub(super) fn note(
    conn: &Connection,
    [host, probe]: [i64; 2],
    (definition, reading): (Option<&Probe>, &Reading),
) -> Result<()> {
    match conduct(definition, reading) {
        Conduct::Unseen => {}
        Conduct::Good => {
            conn.prepare_cached("DELETE FROM strike WHERE host = ?1 AND probe = ?2")?
                .execute([host, probe])?;
        }
        Conduct::Offence(what) => {
            conn.prepare_cached(
                "INSERT INTO strike (host, probe, hash, count, before_ns, last_ns, what)
                 VALUES (?1, ?2, ?3, 1, NULL, ?4, ?5)
                 ON CONFLICT (host, probe) DO UPDATE SET
                     count = CASE WHEN hash = excluded.hash THEN count + 1 ELSE 1 END,
                     before_ns = CASE WHEN hash = excluded.hash THEN last_ns END,
                     hash = excluded.hash, last_ns = excluded.last_ns, what = excluded.what",
            )?
            .execute(params![
                host,
                probe,
                reading.probe_hash.to_string(),
                reading.started.unix_ns(),
                what
            ])?;
        }
    }
    Ok(())
}

impl Reader {
    /// Every fault of a sweep's readings, and whose: the same words of one probe are one entry.
    pub fn faults(
        &self,
        sweep: &SweepId,
    ) -> std::result::Result<BTreeMap<(ProbeName, String), Vec<HostName>>, StoreError> {
        let sql = "SELECT p.name, f.text, h.name FROM fault f
                   JOIN host h ON h.id = f.host JOIN probe p ON p.id = f.probe
                   WHERE f.sweep = (SELECT id FROM sweep WHERE name = ?1) ORDER BY f.host, f.n";
        let rows = self.ask(|conn| {
            list(conn, sql, [sweep.as_str()], |row| Ok(((name(row, 0)?, row.get(1)?), name(row, 2)?)))
        })?;
        let mut faults: BTreeMap<(ProbeName, String), Vec<HostName>> = BTreeMap::new();
        for (fault, host) in rows {
            faults.entry(fault).or_default().push(host);
        }
        Ok(faults)
    }

    /// Every probe that offended in its last readings on a host.
    pub fn strikes(&self) -> std::result::Result<Vec<StrikeRow>, StoreError> {
        let sql = "SELECT h.name, p.name, s.hash, s.count, s.before_ns, s.last_ns, s.what FROM strike s
                   JOIN host h ON h.id = s.host JOIN probe p ON p.id = s.probe ORDER BY s.host, p.name";
        self.ask(|conn| {
            list(conn, sql, [], |row| {
                Ok(StrikeRow {
                    host: name(row, 0)?,
                    probe: name(row, 1)?,
                    hash: row.get(2)?,
                    count: unsigned(row, 3)?,
                    before: row.get::<_, Option<i64>>(4)?.map(CollectorTime::from_unix_ns),
                    last: CollectorTime::from_unix_ns(row.get(5)?),
                    what: row.get(6)?,
                })
            })
        })
    }
}
