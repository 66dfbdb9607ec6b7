//! A snapshot in plain rows, for programs that bring no functions of ours: the views as tables of the
//! same names.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::open::file_uri;
use super::{Reader, functions};
use crate::model::CollectorTime;
use crate::store::StoreError;
use crate::store::dir::{self, Mode};

/// Tables of the snapshot, and the column each is mostly asked by.
const VIEWS: [(&str, &str); 7] = [
    ("v_sweep", "sweep"),
    ("v_reading", "sweep, host, probe"),
    ("v_metric", "metric"),
    ("v_host_label", "host, label"),
    ("v_histogram", "metric, sweep"),
    ("v_fault", "sweep, host"),
    ("v_sample", "metric, sweep, host"),
];

impl Reader {
    /// Writes a copy of the index as it is at this moment to `target`, which must not exist yet.
    pub fn vacuum_into(&self, target: &Path) -> Result<(), StoreError> {
        // Made by us first, so that it is private from the beginning; SQLite takes an empty one.
        dir::open(target, Mode::NewOutside).map_err(|error| StoreError::io("make", target, error))?;
        let copy = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
            let conn = Connection::open_with_flags(self.path(), flags)?;
            conn.busy_timeout(std::time::Duration::from_secs(10))?;
            let path = target.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(target.to_owned()))?;
            conn.execute("VACUUM INTO ?1", [path])
        };
        copy().map(drop).map_err(|error| StoreError::index(target, error))
    }

    /// Writes the snapshot to `target`, which must not exist yet. It is one moment of the index, whatever
    /// is recorded meanwhile. With `since`, only of the sweeps that started at that moment or later.
    pub fn export_plain(&self, target: &Path, since: Option<CollectorTime>) -> Result<(), StoreError> {
        dir::open(target, Mode::NewOutside).map_err(|error| StoreError::io("make", target, error))?;
        let written = self.copy_views(target, since);
        if written.is_err() {
            // Half a snapshot would pass for a whole one.
            let _ = std::fs::remove_file(target);
        }
        written.map_err(|error| StoreError::index(target, error))
    }

    fn copy_views(&self, target: &Path, since: Option<CollectorTime>) -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
        let mut conn = Connection::open_with_flags(target, flags)?;
        functions::register(&conn)?;
        conn.pragma_update(None, "synchronous", "OFF")?;
        conn.execute("ATTACH ?1 AS live", [format!("{}?mode=ro", file_uri(self.path()))])?;
        let tx = conn.transaction()?;
        for (view, key) in VIEWS {
            let of_sweeps = key.contains("sweep");
            let wanted = match since {
                Some(since) if of_sweeps => {
                    let since = since.unix_s();
                    format!("WHERE sweep IN (SELECT sweep FROM live.v_sweep WHERE started >= {since})")
                }
                _ => String::new(),
            };
            tx.execute_batch(&format!(
                "CREATE TABLE main.{view} AS SELECT * FROM live.{view} {wanted};
                 CREATE INDEX main.{view}_by_key ON {view} ({key});"
            ))?;
        }
        tx.commit()?;
        conn.execute_batch("DETACH live; PRAGMA synchronous = FULL; PRAGMA optimize;")
    }
}
