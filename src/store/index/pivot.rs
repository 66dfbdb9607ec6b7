//! From readings to blocks: when a sweep has ended, its samples are turned from "all series of a host"
//! to "all hosts of a series". One chunk of hosts at a time, each in its own transaction, so that a
//! sample is always in exactly one place; and never more in memory than [`MAX_PASS_BYTES`].

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};

use super::block::{self, CHUNK};
use super::numbers;
use crate::model::SweepId;

/// Staged bytes that one pass over a chunk may turn into cells (about twice as much memory).
const MAX_PASS_BYTES: i64 = 32 << 20;

pub(super) fn pivot(conn: &mut Connection, sweep: &SweepId) -> Result<()> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached("SELECT id, state FROM sweep WHERE name = ?1")?
        .query_row([sweep.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // 1: ended, and not pivoted yet.
    let Some((sweep, 1)) = found else { return Ok(()) };
    loop {
        // Looked for within the transaction: another collector may be at the same sweep.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let first = first_chunk(&tx, sweep)?;
        match first {
            Some(first) => pivot_chunk(&tx, sweep, first)?,
            None => {
                tx.prepare_cached("UPDATE sweep SET state = 2 WHERE id = ?1 AND state = 1")?
                    .execute([sweep])?;
            }
        }
        tx.commit()?;
        if first.is_none() {
            return Ok(());
        }
    }
}

fn first_chunk(conn: &Connection, sweep: i64) -> Result<Option<i64>> {
    let host: Option<i64> = conn
        .prepare_cached("SELECT min(host) FROM stage WHERE sweep = ?1")?
        .query_row([sweep], |row| row.get(0))?;
    Ok(host.map(|host| host / i64::from(CHUNK)))
}

fn pivot_chunk(conn: &Connection, sweep: i64, chunk: i64) -> Result<()> {
    let first = chunk * i64::from(CHUNK);
    let hosts = [sweep, first, first + i64::from(CHUNK) - 1];
    let staged: Option<i64> = conn
        .prepare_cached("SELECT sum(length(data)) FROM stage WHERE sweep = ?1 AND host BETWEEN ?2 AND ?3")?
        .query_row(hosts, |row| row.get(0))?;
    let passes = staged.unwrap_or(0) / MAX_PASS_BYTES + 1;
    for pass in 0..passes {
        let columns = columns(conn, hosts, |series| series % passes == pass)?;
        let mut insert =
            conn.prepare_cached("INSERT INTO block (series, chunk, sweep, data) VALUES (?1, ?2, ?3, ?4)")?;
        for (series, cells) in columns {
            insert.execute(params![series, chunk, sweep, block::encode(&cells)])?;
        }
    }
    conn.prepare_cached("DELETE FROM stage WHERE sweep = ?1 AND host BETWEEN ?2 AND ?3")?.execute(hosts)?;
    Ok(())
}

/// (slot, value), sorted by slot.
type Cells = Vec<(u32, f64)>;

/// Each wanted series with its cells, in the order of the block table's key.
fn columns(conn: &Connection, hosts: [i64; 3], wanted: impl Fn(i64) -> bool) -> Result<Vec<(i64, Cells)>> {
    let mut statement = conn.prepare_cached(
        "SELECT host, data FROM stage WHERE sweep = ?1 AND host BETWEEN ?2 AND ?3 ORDER BY host, probe",
    )?;
    let mut rows = statement.query(hosts)?;
    let mut place: HashMap<i64, usize> = HashMap::new();
    let mut columns: Vec<(i64, Cells)> = Vec::new();
    while let Some(row) = rows.next()? {
        let slot = u32::try_from(row.get::<_, i64>(0)? - hosts[1]).unwrap_or(0);
        let values = numbers::decode(row.get_ref(1)?.as_blob()?).unwrap_or_default();
        for (series, value) in values.into_iter().filter(|(series, _)| wanted(*series)) {
            let at = *place.entry(series).or_insert_with(|| {
                columns.push((series, Vec::new()));
                columns.len() - 1
            });
            columns[at].1.push((slot, value));
        }
    }
    columns.sort_unstable_by_key(|(series, _)| *series);
    Ok(columns)
}
