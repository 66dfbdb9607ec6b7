//! Why the store could not do something, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{HostName, ProbeName, SweepId};

/// A failure of the store. Cheap to clone, because one failed fdatasync is the answer to every
/// reading of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    #[error(
        "write {}: the disk is full; free at least {needed} bytes there: what was acknowledged is kept, \
         and the next sweep goes on by itself",
        path.display()
    )]
    Full { path: PathBuf, needed: u64 },
    #[error("{}: {source}; `dropsonde reindex` rebuilds it from the archive", path.display())]
    Index { path: PathBuf, source: Arc<rusqlite::Error> },
    #[error(
        "{} was written by a newer dropsonde (index version {found}, this one knows {known}): use that one, or \
         move the file away and run `dropsonde reindex`",
        path.display()
    )]
    NewerIndex { path: PathBuf, found: i64, known: i64 },
    #[error("{} has no index yet: nothing was recorded there, or `dropsonde reindex` is needed", path.display())]
    NoIndex { path: PathBuf },
    #[error("{}, byte {offset}: {what}; `dropsonde check` says what else is affected", path.display())]
    Damaged { path: PathBuf, offset: u64, what: String },
    #[error("another daemon (process {pid}) runs the schedules of {}: stop it first, or use another --state", path.display())]
    DaemonRuns { path: PathBuf, pid: u32 },
    #[error("sweep {sweep} is in the archive already")]
    SweepExists { sweep: SweepId },
    #[error("no sweep {sweep} in the archive; `dropsonde sweeps` lists them")]
    NoSweep { sweep: SweepId },
    #[error(
        "sweep {sweep} has no reading of {probe} on {host}; `dropsonde sweeps {sweep}` lists its readings"
    )]
    NoReading { sweep: SweepId, host: HostName, probe: ProbeName },
    #[error(
        "the bytes of {probe} on {host} in sweep {sweep} were pruned (`retention.raw`); its numbers are kept"
    )]
    Pruned { sweep: SweepId, host: HostName, probe: ProbeName },
    #[error("{probe} on {host} was recorded in this sweep before")]
    Twice { host: HostName, probe: ProbeName },
    #[error("{probe} on {host} is not in this sweep's plan")]
    NotPlanned { host: HostName, probe: ProbeName },
    #[error("the plan names the probe {probe}, whose definition was not given")]
    NoProbe { probe: ProbeName },
    #[error("the sweep was closed after an earlier failure: {0}")]
    Poisoned(Arc<StoreError>),
    #[error("the recorder has stopped")]
    Stopped,
    #[error("the index refused this SQL: {0}")]
    Query(String),
    #[error("stopped after {0}; narrow the question or raise the limit")]
    QueryTimeout(String),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn index(path: &Path, source: rusqlite::Error) -> Self {
        if lacks_room(&source) {
            return Self::Full { path: path.to_owned(), needed: 1 << 20 };
        }
        Self::Index { path: path.to_owned(), source: Arc::new(source) }
    }

    /// Whether there was no room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Poisoned(cause) => cause.is_full(),
            _ => false,
        }
    }

    /// Whether the index file itself is broken, so that only a rebuild helps.
    pub(crate) fn is_corrupt_index(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Index { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            _ => false,
        }
    }
}

/// Of its log's shared memory SQLite says no more than that it could not be made longer: on a full disk.
fn lacks_room(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}
