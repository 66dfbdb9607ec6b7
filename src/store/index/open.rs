//! Opening and replacing the index's file. A file is only ever replaced whole and under a lock: SQLite's
//! write-ahead log is found by name, so a new file beside an old log would be read as one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};

use super::functions;
use super::schema::{MIGRATIONS, migrate, version};
use crate::store::dir::{self, Mode};
use crate::store::{Locked, StateDir, StoreError, crash};

const BUSY: Duration = Duration::from_secs(10);

/// Which file a connection has open: another one of the same name may have taken its place.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Opens the live index to write, and makes it when it is missing.
pub(super) fn open_live(state: &StateDir) -> Result<Connection, StoreError> {
    // One at a time: SQLite does not wait for others while it makes a file one with a log, it gives up.
    let _lock = lock_alone(state)?;
    let path = state.index();
    let mut conn = open_file(&path)?;
    let failed = |error| StoreError::index(&path, error);
    patiently(|| conn.pragma_update(None, "journal_mode", "WAL")).map_err(failed)?;
    // The archive is the truth: the index may lose its last commits in a power cut, never its sense.
    conn.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    migrate(&mut conn, &path, MIGRATIONS)?;
    Ok(conn)
}

/// A new index that is whole and on the disk, for [`swap`]. Nobody else builds one while it lives.
#[derive(Debug)]
pub struct Built {
    pub(super) path: PathBuf,
    pub(super) _lock: Locked,
}

/// Makes a new index beside the live one: no log, no sync until it is whole. Waits for whoever else is
/// building one; what a killed builder has left is overwritten.
pub(super) fn open_fresh(state: &StateDir) -> Result<(PathBuf, Connection, Locked), StoreError> {
    let lock = state.lock("reindex.lock")?;
    let path = state.root().join("index.sqlite.new");
    remove_index_files(&path)?;
    copy_baseline(state, &path)?;
    let mut conn = open_file(&path)?;
    let failed = |error| StoreError::index(&path, error);
    conn.pragma_update(None, "journal_mode", "OFF").map_err(failed)?;
    conn.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    migrate(&mut conn, &path, MIGRATIONS)?;
    Ok((path, conn, lock))
}

/// Begins with what is known from sweeps that were dropped.
fn copy_baseline(state: &StateDir, path: &Path) -> Result<(), StoreError> {
    let from = state.baseline();
    let mut baseline = match dir::open(&from, Mode::Read) {
        Ok(baseline) => baseline,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("open", &from, error)),
    };
    let copied = dir::open(path, Mode::New).and_then(|mut new| io::copy(&mut baseline, &mut new));
    copied.map_err(|error| StoreError::io("copy", &from, error))?;
    let sound = open_file(path).is_ok_and(|conn| {
        let answer = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        answer.is_ok_and(|answer| answer == "ok")
    });
    if sound {
        return Ok(());
    }
    // Without it only the oldest labels have another beginning; the readings are all there.
    remove_index_files(path)?;
    let kept = dir::set_aside(&from, "corrupt")?;
    tracing::error!("{} is broken: moved to {}", from.display(), kept.display());
    Ok(())
}

fn open_file(path: &Path) -> Result<Connection, StoreError> {
    // Made by us first: SQLite would give it the umask's mode, and follow a link.
    dir::open(path, Mode::Ensure).map_err(|error| StoreError::io("open", path, error))?;
    let failed = |error| StoreError::index(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_timeout(BUSY).map_err(failed)?;
    conn.pragma_update(None, "cache_size", -16_384).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(64);
    functions::register(&conn).map_err(failed)?;
    Ok(conn)
}

/// Opens the index to read. A directory that cannot be written to has no place for SQLite's shared
/// memory file: then the file is read as it stands.
pub(super) fn open_read_only(state: &StateDir) -> Result<Connection, StoreError> {
    let _lock = lock_shared(state)?;
    let path = state.index();
    // A directory that may not be entered is not one without an index.
    if !path.try_exists().map_err(|error| StoreError::io("look for", &path, error))? {
        return Err(StoreError::NoIndex { path: state.root().to_owned() });
    }
    let failed = |error| StoreError::index(&path, error);
    let open = |uri: &str| -> rusqlite::Result<Connection> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(uri, flags)?;
        conn.busy_timeout(BUSY)?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(conn)
    };
    let uri = file_uri(&path);
    let conn = match patiently(|| open(&uri)) {
        // What others write to is never read as if nobody did: what stands in the log would be missing.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Err(error),
        Err(error) if access(state.root(), Access::WRITE_OK).is_ok() => Err(error),
        Err(_) => open(&format!("{uri}?immutable=1")),
        opened => opened,
    };
    let conn = conn.map_err(failed)?;
    let found = version(&conn, &path, MIGRATIONS)?;
    if found < MIGRATIONS.len() {
        // An older index is brought up by whoever may write; a reader cannot know its tables.
        return Err(StoreError::NoIndex { path: state.root().to_owned() });
    }
    conn.pragma_update(None, "query_only", true).map_err(failed)?;
    conn.pragma_update(None, "mmap_size", 256 << 20).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(32);
    functions::register(&conn).map_err(failed)?;
    Ok(conn)
}

pub(super) fn file_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri
}

/// Tries again while SQLite says busy without having waited: another process that closes the file as its
/// last user holds it for a moment.
fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let limit = Instant::now() + BUSY;
    loop {
        match attempt() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < limit =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            answer => return answer,
        }
    }
}

/// Held while the file is made, brought up to date or replaced.
fn lock_alone(state: &StateDir) -> Result<Locked, StoreError> {
    Locked::wait(&state.index_lock())
}

/// Held while a reader opens its connection; whoever makes or replaces the file waits for it.
fn lock_shared(state: &StateDir) -> Result<Option<Locked>, StoreError> {
    let path = state.index_lock();
    let file = match dir::open(&path, Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir::open(&path, Mode::Ensure),
        opened => opened,
    };
    match file {
        Ok(file) => Locked::share(file, &path).map(Some),
        // Where nothing can be written, nothing is swapped.
        Err(_) => Ok(None),
    }
}

/// What becomes of the index that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapOld<'a> {
    Remove,
    /// Kept beside, under a name that ends so.
    KeepAs(&'a str),
}

/// Takes the live index away and, if there is one, puts `new` in its place. The caller has the turn, so
/// nobody writes. Connections that are open keep what they have. Returns where the old one was kept.
pub fn swap(state: &StateDir, new: Option<Built>, old: SwapOld<'_>) -> Result<Option<PathBuf>, StoreError> {
    let _lock = lock_alone(state)?;
    let path = state.index();
    let mut kept = None;
    // First the old file, then its log, then the new file: a kill in between leaves no index at all,
    // which is rebuilt, and never a file with another's log.
    if path.exists() {
        kept = match old {
            SwapOld::Remove => {
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
                None
            }
            SwapOld::KeepAs(mark) => Some(dir::set_aside(&path, mark)?),
        };
    }
    remove_index_files(&path)?;
    crash::point("index.removed");
    if let Some(new) = new {
        fs::rename(&new.path, &path).map_err(|error| StoreError::io("rename", &new.path, error))?;
    }
    crash::point("index.swapped");
    dir::sync_folder(state.root())?;
    Ok(kept)
}

/// Removes an index file and what SQLite keeps beside it.
pub(super) fn remove_index_files(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", Path::new(&name), error));
            }
            _ => {}
        }
    }
    Ok(())
}
