//! Writing a sweep's tar. A tape only grows by whole members; after a failed write or sync it takes
//! nothing more, because what the disk holds is then unknown.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TarFile;
use super::member::BLOCK;
use super::read::Damage;
use crate::model::SweepId;
use crate::store::dir::{self, Mode};
use crate::store::{StateDir, StoreError, crash};

/// A sweep's tar that is being appended to. Its lock is held by the open file, so the kernel frees it
/// when the process dies, however it dies.
#[derive(Debug)]
pub struct Tape {
    path: PathBuf,
    file: File,
    len: u64,
}

/// An unclosed tar that no live collector holds.
#[derive(Debug)]
pub struct Unclosed {
    pub sweep: SweepId,
    path: PathBuf,
    file: File,
}

impl Tape {
    /// Starts a sweep's tar. The caller has the turn: between making the file and locking it, a
    /// recovery elsewhere would take it for abandoned.
    pub fn create(state: &StateDir, sweep: &SweepId) -> Result<Self, StoreError> {
        let path = state.tar(sweep);
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        dir::make_folders(&folder)?;
        let file = match dir::open(&path, Mode::New) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::SweepExists { sweep: sweep.clone() });
            }
            Err(error) => return Err(write_error("make", &path, 0, error)),
        };
        let tape = Self { path, file, len: 0 };
        let ready = tape.file.lock().map_err(|error| StoreError::io("lock", &tape.path, error));
        if let Err(error) = ready.and_then(|()| dir::sync_folder(&folder)) {
            tape.discard();
            return Err(error);
        }
        crash::point("tar.made");
        Ok(tape)
    }

    /// Lets go of the tar at once, as [`Unclosed::release`] does.
    pub fn release(self) {
        let _ = self.file.unlock();
    }

    /// Takes away the tar of a sweep that could not begin, which would else stand there empty until the next
    /// start. The caller has the turn.
    pub fn discard(self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // One that cannot be removed now is removed by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Where the next member will begin.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// Appends whole members. On failure the file is cut back to the last whole one.
    pub fn append(&mut self, members: &[u8]) -> Result<(), StoreError> {
        if let Err(error) = self.file.write_all_at(members, self.len) {
            // If even this fails, the next start cuts the tail.
            let _ = self.file.set_len(self.len);
            return Err(write_error("write", &self.path, members.len() as u64, error));
        }
        self.len += members.len() as u64;
        crash::point("tar.appended");
        Ok(())
    }

    /// Returns when all that was appended is on the disk. After a failure what was appended since byte
    /// `from` is taken away again: it will not be acknowledged, and a second fdatasync would succeed
    /// without having written it.
    pub fn sync(&mut self, from: u64) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| {
            let _ = self.file.set_len(from);
            self.len = from;
            write_error("sync", &self.path, 0, error)
        })?;
        crash::point("tar.synced");
        Ok(())
    }

    /// The two blocks of zeros that end a tar.
    pub fn close_blocks() -> [u8; 2 * BLOCK] {
        [0; 2 * BLOCK]
    }
}

pub(super) fn write_error(action: &'static str, path: &Path, needed: u64, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { path: path.to_owned(), needed: needed.max(1 << 20) }
        }
        _ => StoreError::io(action, path, error),
    }
}

impl Unclosed {
    /// Takes a sweep's tar if it has no end and nobody holds it. The caller has the turn.
    pub fn take(state: &StateDir, sweep: &SweepId) -> Result<Option<Self>, StoreError> {
        let path = state.tar(sweep);
        let file = dir::open(&path, Mode::ReadWrite).map_err(|error| StoreError::io("open", &path, error))?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let unclosed = Self { sweep: sweep.clone(), path, file };
        if ends_whole(&*unclosed.tar()?)? {
            unclosed.release();
            return Ok(None);
        }
        Ok(Some(unclosed))
    }

    /// Lets go of it at once. To close the file is not enough: a process that another thread is just starting
    /// has a copy of it, and with that the lock, until it runs its own program.
    pub fn release(self) {
        let _ = self.file.unlock();
    }

    pub fn tar(&self) -> Result<Arc<TarFile>, StoreError> {
        let file = self.file.try_clone().map_err(|error| StoreError::io("open", &self.path, error))?;
        Ok(TarFile::over(&self.path, file))
    }

    /// Goes on behind these pieces of it, which begin with its first byte; nothing else stays.
    pub fn keep(self, pieces: &[Range<u64>]) -> Result<Tape, StoreError> {
        match pieces {
            [] => self.resume(0),
            [all] => self.resume(all.end),
            pieces => self.join(pieces),
        }
    }

    /// Puts a tar of these pieces in the place of this one. Whatever happens meanwhile, either of the two has
    /// the name, and every member that is whole.
    fn join(self, pieces: &[Range<u64>]) -> Result<Tape, StoreError> {
        let new = self.path.with_extension("tar.joined");
        dir::remove_if_there(&new)?;
        let path = self.path.as_path();
        let failed = |action| move |error| write_error(action, path, 0, error);
        let mut file = dir::open(&new, Mode::New).map_err(failed("make another for"))?;
        // Before it has the name: afterwards somebody else could take it for abandoned.
        file.lock().map_err(failed("lock another for"))?;
        let mut len = 0;
        for piece in pieces {
            let mut from = self.file.try_clone().map_err(failed("open"))?;
            from.seek(SeekFrom::Start(piece.start)).map_err(failed("read"))?;
            len += io::copy(&mut from.take(piece.end - piece.start), &mut file).map_err(failed("copy"))?;
        }
        file.sync_all().map_err(failed("sync another for"))?;
        fs::rename(&new, path).map_err(failed("give its name to another of"))?;
        dir::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Tape { path: self.path, file, len })
    }

    /// Cuts the file to `len` and goes on from there.
    fn resume(self, len: u64) -> Result<Tape, StoreError> {
        self.file
            .set_len(len)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| write_error("cut the torn tail of", &self.path, 0, error))?;
        Ok(Tape { path: self.path, file: self.file, len })
    }

    /// Gives up a tar that has not even a whole plan: nothing in it was ever acknowledged. An empty one
    /// is removed, any other kept aside for a person to look at.
    pub fn discard(self, damage: Option<&Damage>) -> Result<Option<PathBuf>, StoreError> {
        if damage.is_none() {
            fs::remove_file(&self.path).map_err(|error| StoreError::io("remove", &self.path, error))?;
            return Ok(None);
        }
        let target = dir::set_aside(&self.path, "torn")?;
        Ok(Some(target))
    }
}

/// Whether the tar ends as only a closed one does: cheap enough to ask of every sweep at each start.
fn ends_whole(tar: &TarFile) -> Result<bool, StoreError> {
    let len = tar.size()?;
    let blocks = 2 * BLOCK as u64;
    if len <= blocks || !len.is_multiple_of(BLOCK as u64) {
        return Ok(false);
    }
    tar.ends_with_end(len - blocks)
}
