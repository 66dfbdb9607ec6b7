//! A copy of a state directory that is whole, taken while a collector is at work: everything that was
//! acknowledged before it began is in it. It holds up nobody for more than a moment.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::collect::{Caps, recover};
use crate::model::{CollectorTime, SweepId};
use crate::store::index::Reader;
use crate::store::{StateDir, StoreError, crash};

/// What a backup holds; also written into it as `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    pub schema: u8,
    /// RFC 3339.
    pub taken: String,
    pub version: String,
    pub sweeps: u64,
    /// Of the archive.
    pub bytes: u64,
    /// Whether the index is in it; it is else built again from the archive.
    pub index: bool,
}

/// Copies the state directory to `target`, which must not exist. Blocks; a prune waits for it.
pub fn backup(root: &Path, target: &Path, now: CollectorTime) -> Result<BackedUp, StoreError> {
    let state = StateDir::create(root)?;
    // A prune would take away what has been listed and not yet copied.
    let _alone = state.lock("prune.lock")?;
    let (sequence, index, _) = recover::open_parts(&state, Caps::default())?;
    drop(index);
    let copy = Copy::begin(&state, target)?;
    // The index first: the archive then has all that the index speaks of.
    let indexed = copy.index()?;
    crash::point("backup.index");
    let sweeps = {
        // Nobody is within a member while we have the turn, and what is acknowledged is in the files.
        let _turn = sequence.turn()?;
        let sweeps = state.sweeps()?;
        sweeps
            .into_iter()
            .map(|sweep| Ok((state.tar_len(&sweep)?, sweep)))
            .collect::<Result<Vec<_>, StoreError>>()?
    };
    for (len, sweep) in &sweeps {
        copy.tar(sweep, *len)?;
        crash::point("backup.tar");
    }
    copy.others(root, &copy.folder)?;
    let done = BackedUp {
        schema: 1,
        taken: now.rfc3339(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sweeps: sweeps.len() as u64,
        bytes: sweeps.iter().map(|(len, _)| len).sum(),
        index: indexed,
    };
    copy.finish(target, &done)?;
    Ok(done)
}

/// What is not copied: it is made again, belongs to a process, or is copied in a way of its own.
fn is_left_out(name: &str) -> bool {
    let own = ["archive", "seq", "reserve", "prune.json", "run", "backup.json", "clock.json"];
    own.contains(&name)
        || name.starts_with("index.sqlite")
        || name.ends_with(".lock")
        || name.ends_with(".new")
}

/// A copy that is being made: gone with the value unless it became whole.
struct Copy<'a> {
    from: &'a StateDir,
    folder: PathBuf,
    to: StateDir,
    whole: std::cell::Cell<bool>,
}

impl<'a> Copy<'a> {
    fn begin(from: &'a StateDir, target: &Path) -> Result<Self, StoreError> {
        if target.symlink_metadata().is_ok() {
            let exists = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(StoreError::io("make the backup", target, exists));
        }
        // It would be a part of what it copies.
        let around =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = |path: &Path| path.canonicalize().map_err(|error| StoreError::io("look for", path, error));
        if real(around)?.starts_with(real(from.root())?) {
            let within =
                io::Error::new(io::ErrorKind::InvalidInput, "expected a place outside the state directory");
            return Err(StoreError::io("make the backup", target, within));
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let folder = target.with_file_name(name);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| StoreError::io("make the folder", &folder, error))?;
        let to = StateDir::create(&folder)?;
        Ok(Self { from, folder, to, whole: false.into() })
    }

    /// A snapshot of the index. One that cannot be read is left out: the archive has it all.
    fn index(&self) -> Result<bool, StoreError> {
        let reader = match Reader::open(self.from.root()) {
            Ok(reader) => reader,
            Err(StoreError::NoIndex { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        reader.vacuum_into(&self.to.index())?;
        sync(&self.to.index())?;
        Ok(true)
    }

    fn tar(&self, sweep: &SweepId, len: u64) -> Result<(), StoreError> {
        let (from, to) = (self.from.tar(sweep), self.to.tar(sweep));
        self.to.make_day(sweep)?;
        copy_file(&from, &to, len)?;
        sync(to.parent().unwrap_or(Path::new(".")))
    }

    /// Every other file, ours and what later versions put there.
    fn others(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let entries = fs::read_dir(from).map_err(|error| StoreError::io("list", from, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::io("list", from, error))?;
            let (path, name) = (entry.path(), entry.file_name());
            let top = from == self.from.root();
            if top && name.to_str().is_none_or(is_left_out) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| StoreError::io("look at", &path, error))?;
            let target = to.join(&name);
            if kind.is_dir() {
                let made = DirBuilder::new().mode(0o700).create(&target);
                made.map_err(|error| StoreError::io("make the folder", &target, error))?;
                self.others(&path, &target)?;
                sync(&target)?;
            } else if kind.is_file() {
                match copy_file(&path, &target, u64::MAX) {
                    // A spool's file may have been sent in between.
                    Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                    copied => copied?,
                }
            }
        }
        Ok(())
    }

    fn finish(&self, target: &Path, done: &BackedUp) -> Result<(), StoreError> {
        let manifest = self.folder.join("backup.json");
        let text = serde_json::to_vec_pretty(done).unwrap_or_default();
        fs::write(&manifest, text).map_err(|error| StoreError::io("write", &manifest, error))?;
        sync(&manifest)?;
        sync(&self.folder)?;
        crash::point("backup.whole");
        fs::rename(&self.folder, target).map_err(|error| StoreError::io("rename", &self.folder, error))?;
        self.whole.set(true);
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        if !self.whole.get()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!("remove {}: {error}", self.folder.display());
        }
    }
}

/// The first `len` bytes of a file, synced.
fn copy_file(from: &Path, to: &Path, len: u64) -> Result<(), StoreError> {
    let source = StateDir::open_file(from)?;
    let mut target = StateDir::make_file(to)?;
    let copied = io::copy(&mut source.take(len), &mut target);
    copied.and_then(|_| target.sync_all()).map_err(|error| StoreError::io("copy to", to, error))
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::io("sync", path, error))
}
