//! The index's versions. A released one is never edited.

use std::path::Path;

use rusqlite::Connection;

use crate::store::{StoreError, crash};

/// Version n is what the first n entries make of an empty file.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];

/// Marks the file as ours, for `file` and for whoever opens the wrong one ("Drop").
const APPLICATION_ID: i64 = 0x4472_6f70;

/// Brings the index to the newest of `migrations`, each step whole or not at all.
pub(super) fn migrate(conn: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let failed = |error| StoreError::index(path, error);
    while version(conn, path, migrations)? < migrations.len() {
        // Another process may be at the same work: what is left is looked up inside the transaction.
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        let done = version(&tx, path, migrations)?;
        if let Some(step) = migrations.get(done) {
            tx.execute_batch(step).map_err(failed)?;
            tx.pragma_update(None, "user_version", (done + 1) as i64).map_err(failed)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        crash::point("index.migrated");
    }
    Ok(())
}

/// How many migrations the file has; one that we do not know is refused.
pub(super) fn version(conn: &Connection, path: &Path, migrations: &[&str]) -> Result<usize, StoreError> {
    let found: i64 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| StoreError::index(path, error))?;
    match usize::try_from(found) {
        Ok(version) if version <= migrations.len() => Ok(version),
        _ => Err(StoreError::NewerIndex { path: path.to_owned(), found, known: migrations.len() as i64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Judging;

    const STEPS: &[&str] =
        &["CREATE TABLE a (x); INSERT INTO a VALUES (1);", "ALTER TABLE a ADD COLUMN y DEFAULT 2;"];

    #[test]
    fn an_old_index_is_brought_up_and_keeps_its_rows() {
        let mut conn = Connection::open_in_memory().unwrap();
        let path = Path::new("index.sqlite");
        migrate(&mut conn, path, &STEPS[..1]).unwrap();
        migrate(&mut conn, path, STEPS).unwrap();
        migrate(&mut conn, path, STEPS).unwrap();
        let row: (i64, i64) =
            conn.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (1, 2));
    }

    #[test]
    fn a_metric_of_before_says_nothing_of_what_came_later() {
        let mut conn = Connection::open_in_memory().unwrap();
        let path = Path::new("index.sqlite");
        migrate(&mut conn, path, &MIGRATIONS[..2]).unwrap();
        let old = "INSERT INTO metric (name, unit, kind, help, worse, warn, definition)
                   VALUES ('load', '', 'gauge', 'how much', 'higher', 2.0, 1)";
        conn.execute_batch(old).unwrap();
        migrate(&mut conn, path, MIGRATIONS).unwrap();
        let read = |row: &rusqlite::Row<'_>| crate::store::index::columns::metric_row(row);
        let metric = conn.query_row("SELECT * FROM metric", [], read).unwrap();
        assert_eq!((metric.warn, metric.resolution, metric.judged), (Some(2.0), None, Judging::Always));
    }

    #[test]
    fn a_failed_step_changes_nothing_and_a_newer_index_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        let path = Path::new("index.sqlite");
        assert!(migrate(&mut conn, path, &[STEPS[0], "CREATE TABLE b (x); nonsense"]).is_err());
        assert_eq!(version(&conn, path, STEPS).unwrap(), 1);
        assert!(conn.prepare("SELECT * FROM b").is_err());
        migrate(&mut conn, path, STEPS).unwrap();
        assert!(matches!(
            migrate(&mut conn, path, &STEPS[..1]),
            Err(StoreError::NewerIndex { found: 2, known: 1, .. })
        ));
    }
}
