//! What pruning does to the index: rows of old sweeps are replaced, or dropped. What a dropped sweep said
//! about later ones (labels, totals, offences) is kept in the baseline, an index without sweeps from which a
//! rebuild begins; so a rebuilt index has the same rows as one that was there all the time.

use std::fs;
use std::io;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, Result, TransactionBehavior, params};

use super::columns::{list, unsigned};
use super::event::Digested;
use super::open::Built;
use super::write::{Ingest, Stored};
use super::{HostSample, Reader, Series, Writer};
use crate::model::{HostName, Kept, Probe, ProbeName, Reading, Span, SweepId};
use crate::store::archive::Digest;
use crate::store::{StateDir, StoreError, dir};

use std::collections::HashMap;
use std::sync::Arc;

/// (series, rate) by reading.
pub type Between = HashMap<(HostName, ProbeName), Vec<(Arc<Series>, f64)>>;

impl Writer {
    /// A sweep's bytes were pruned: its readings stand in no place of their own any more.
    pub fn thinned(&mut self, sweep: &SweepId, archived: u64) -> std::result::Result<(), StoreError> {
        let thin = |conn: &mut Connection| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute(
                "UPDATE reading SET offset = 0 WHERE sweep = (SELECT id FROM sweep WHERE name = ?1)",
                [sweep.as_str()],
            )?;
            mark(&tx, sweep, Kept::Numbers, archived)?;
            tx.commit()
        };
        let thinned = thin(&mut self.conn);
        self.failed(thinned)
    }

    /// Replaces the rows of a sweep's readings by what `each` gives: it calls its argument for every
    /// reading and its definition. Replaces all or none.
    pub fn merged(
        &mut self,
        sweep: &SweepId,
        archived: u64,
        each: &mut dyn FnMut(&mut Take<'_>) -> std::result::Result<(), StoreError>,
    ) -> std::result::Result<(), StoreError> {
        let replaced = self.replace(sweep, archived, each);
        if replaced.is_err() {
            // Numbers given within the transaction went with it.
            self.catalog.forget();
        }
        replaced?;
        self.pivot(sweep)
    }

    fn replace(
        &mut self,
        sweep: &SweepId,
        archived: u64,
        each: &mut dyn FnMut(&mut Take<'_>) -> std::result::Result<(), StoreError>,
    ) -> std::result::Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |error| StoreError::index(&path, error);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        clear(&tx, sweep)
            .and_then(|()| {
                let sql = "UPDATE sweep SET readings = 0, ok = 0, state = 1 WHERE name = ?1";
                tx.execute(sql, [sweep.as_str()])
            })
            .and_then(|_| mark(&tx, sweep, Kept::Merged, archived))
            .map_err(failed)?;
        let mut ingest = Ingest { conn: &tx, catalog: &mut self.catalog, rewriting: true };
        let mut written = Ok(());
        each(&mut |reading, probe, digest| {
            if written.is_ok() {
                written = take(&mut ingest, sweep, (reading, probe), digest);
            }
        })?;
        written.and_then(|()| tx.commit()).map_err(failed)
    }

    /// Drops all rows of sweeps that are no more.
    pub fn drop_sweeps(&mut self, sweeps: &[SweepId]) -> std::result::Result<(), StoreError> {
        let mut drop = || {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for sweep in sweeps {
                clear(&tx, sweep)?;
                tx.prepare_cached(
                    "UPDATE dropped SET last = max(last, (SELECT id FROM sweep WHERE name = ?1))
                     WHERE EXISTS (SELECT 1 FROM sweep WHERE name = ?1)",
                )?
                .execute([sweep.as_str()])?;
                tx.prepare_cached("DELETE FROM sweep WHERE name = ?1")?.execute([sweep.as_str()])?;
            }
            tx.commit()
        };
        let dropped = drop();
        self.catalog.forget();
        self.failed(dropped)
    }

    /// Gives back what dropped rows held.
    pub fn compact(&self) -> std::result::Result<(), StoreError> {
        self.failed(self.conn.execute_batch("VACUUM"))
    }

    /// Bytes of the file that hold something; the others are used again before it grows.
    pub fn used_bytes(&self) -> std::result::Result<u64, StoreError> {
        self.failed(used_bytes(&self.conn))
    }
}

/// What is called for each reading: the reading without bytes, its definition, and what is kept of it.
pub type Take<'a> = dyn FnMut(&Reading, Option<&Probe>, &Digest) + 'a;

fn take(
    ingest: &mut Ingest<'_>,
    sweep: &SweepId,
    (reading, probe): (&Reading, Option<&Probe>),
    digest: &Digest,
) -> Result<()> {
    let digested = Digested { between: digest.between.clone(), bytes_wire: digest.facts.bytes_wire() };
    let stored = Stored {
        reading,
        probe,
        parsed: &digest.parsed,
        truncated: digest.truncated,
        offset: 0,
        digested: Some(&digested),
    };
    let key = ingest.key(sweep, &stored)?;
    ingest.reading(key, &stored)
}

fn mark(conn: &Connection, sweep: &SweepId, kept: Kept, archived: u64) -> Result<()> {
    conn.prepare_cached("UPDATE sweep SET kept = ?2, archived = ?3 WHERE name = ?1")?.execute(params![
        sweep.as_str(),
        kept.as_str(),
        i64::try_from(archived).unwrap_or(i64::MAX)
    ])?;
    Ok(())
}

/// Removes what a sweep's readings have in all tables.
fn clear(conn: &Connection, sweep: &SweepId) -> Result<()> {
    let ids: Vec<i64> =
        list(conn, "SELECT id FROM sweep WHERE name = ?1", [sweep.as_str()], |row| row.get(0))?;
    for id in ids {
        for table in ["reading", "stage", "histogram", "fault"] {
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE sweep = ?1"))?.execute([id])?;
        }
        // Blocks are found by their key: the table has no other order, and a scan of it takes minutes.
        conn.prepare_cached(
            "DELETE FROM block WHERE (series, chunk, sweep) IN
                 (SELECT s.id, c.id, ?1 FROM series s CROSS JOIN chunk c)",
        )?
        .execute([id])?;
    }
    Ok(())
}

fn used_bytes(conn: &Connection) -> Result<u64> {
    let pragma =
        |name: &str| -> Result<u64> { conn.query_row(&format!("PRAGMA {name}"), [], |row| unsigned(row, 0)) };
    Ok((pragma("page_count")?.saturating_sub(pragma("freelist_count")?)) * pragma("page_size")?)
}

impl Reader {
    /// A sweep's rates since the readings before it.
    pub fn between(&self, sweep: &SweepId) -> std::result::Result<Between, StoreError> {
        let mut found = Between::new();
        self.each_sample(sweep, &mut |HostSample { host, series, value }| {
            if series.span == Span::Between {
                found.entry((host, series.probe.clone())).or_default().push((series, value));
            }
        })?;
        Ok(found)
    }

    /// Bytes of the file that hold something.
    pub fn used_bytes(&self) -> std::result::Result<u64, StoreError> {
        self.ask(used_bytes)
    }
}

/// What SQLite finds wrong with the baseline; `None` when nothing is, or there is none.
pub fn baseline_fault(state: &StateDir) -> Option<String> {
    let path = state.baseline();
    if !path.exists() {
        return None;
    }
    let uri = format!("{}?immutable=1", super::open::file_uri(&path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let found = Connection::open_with_flags(uri, flags)
        .and_then(|conn| conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    let what = match found {
        Ok(answer) if answer == "ok" => return None,
        Ok(answer) => answer,
        Err(error) => error.to_string(),
    };
    Some(format!("{}: {what}; a rebuild will do without it", path.display()))
}

fn prepared(state: &StateDir) -> PathBuf {
    state.root().join("baseline.sqlite.new")
}

/// Puts an index whose sweeps were all dropped beside the baseline. Whoever builds another index waits as
/// long as the answer lives.
pub fn prepare_baseline(state: &StateDir, built: Built) -> std::result::Result<Built, StoreError> {
    let path = prepared(state);
    fs::rename(&built.path, &path).map_err(|error| StoreError::io("rename", &built.path, error))?;
    dir::sync_folder(state.root())?;
    Ok(Built { path, ..built })
}

/// Makes the one that was prepared the baseline, if there is one.
pub fn install_baseline(state: &StateDir) -> std::result::Result<(), StoreError> {
    let path = prepared(state);
    match fs::rename(&path, state.baseline()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("rename", &path, error)),
        Ok(()) => {}
    }
    dir::sync_folder(state.root())
}
