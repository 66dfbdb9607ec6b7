//! The state directory: where things lie and how they are opened. It follows no symbolic link and
//! makes nothing that others can read. What root makes in it belongs to whoever the directory belongs to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::lock::Locked;
use super::owner::{self, Whose};
use super::{StoreError, crash};
use crate::model::SweepId;

/// One state directory: `archive/`, `index.sqlite`, `baseline.sqlite`, `seq`, `ticks.jsonl`, `run/` and locks.
/// Several processes may
/// share it.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Names the directory without touching it: enough to read.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the directory and `archive/` in it where they are missing.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        let state = Self::at(root);
        owner::make_folders(root, Whose::Ours)?;
        make_folders(&state.archive())?;
        Ok(state)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn archive(&self) -> PathBuf {
        self.root.join("archive")
    }

    pub fn index(&self) -> PathBuf {
        self.root.join("index.sqlite")
    }

    /// What dropped sweeps said about later ones: where a rebuilt index begins.
    pub fn baseline(&self) -> PathBuf {
        self.root.join("baseline.sqlite")
    }

    /// What a prune has decided and not yet done.
    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("prune.json")
    }

    pub(super) fn sequence(&self) -> PathBuf {
        self.root.join("seq")
    }

    pub(super) fn index_lock(&self) -> PathBuf {
        self.root.join("index.lock")
    }

    /// A file of a state directory to read from.
    pub fn open_file(path: &Path) -> Result<File, StoreError> {
        open(path, Mode::Read).map_err(|error| StoreError::io("open", path, error))
    }

    /// A new file as a state directory has them: private to us.
    pub fn make_file(path: &Path) -> Result<File, StoreError> {
        open(path, Mode::New).map_err(|error| StoreError::io("make", path, error))
    }

    /// Makes a folder of this name beside the others, where it is missing.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(name);
        make_folders(&path)?;
        Ok(path)
    }

    /// Makes the folder of a sweep's archive.
    pub fn make_day(&self, sweep: &SweepId) -> Result<(), StoreError> {
        make_folders(self.tar(sweep).parent().unwrap_or(Path::new(".")))
    }

    /// Locks that end with the processes that hold them.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Waits for a lock of this directory.
    pub fn lock(&self, name: &str) -> Result<Locked, StoreError> {
        Locked::wait(&self.root.join(name))
    }

    /// The same without waiting: `None` when somebody else has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Locked>, StoreError> {
        Locked::attempt(&self.root.join(name))
    }

    /// The archive of one sweep.
    pub fn tar(&self, sweep: &SweepId) -> PathBuf {
        self.archive().join(sweep.day_folder()).join(format!("{sweep}.tar"))
    }

    /// How long a sweep's archive is, without opening it: asked of every sweep at each start.
    pub fn tar_len(&self, sweep: &SweepId) -> Result<u64, StoreError> {
        let path = self.tar(sweep);
        let metadata = path.symlink_metadata();
        metadata.map(|metadata| metadata.len()).map_err(|error| StoreError::io("look at", &path, error))
    }

    /// Removes a sweep's archive, and the folders that it leaves empty. It may be gone already.
    pub fn remove_tar(&self, sweep: &SweepId) -> Result<(), StoreError> {
        let path = self.tar(sweep);
        remove_if_there(&path)?;
        crash::point("prune.one_removed");
        let mut folder = path.parent();
        for _ in 0..3 {
            let Some(empty) = folder.filter(|folder| fs::remove_dir(folder).is_ok()) else { break };
            folder = empty.parent();
        }
        folder.filter(|folder| folder.is_dir()).map_or(Ok(()), sync_folder)
    }

    /// Every sweep that has an archive, oldest first. What is not named like one is left alone.
    pub fn sweeps(&self) -> Result<Vec<SweepId>, StoreError> {
        let mut found = Vec::new();
        collect_sweeps(&self.archive(), 0, &mut found)?;
        // One that lies in another day's folder is not where it would be looked for.
        found.retain(|(sweep, path)| *path == self.tar(sweep));
        let mut found: Vec<SweepId> = found.into_iter().map(|(sweep, _)| sweep).collect();
        found.sort();
        Ok(found)
    }
}

/// Years, months, days, tars: three folders deep and no deeper.
fn collect_sweeps(
    folder: &Path,
    depth: usize,
    found: &mut Vec<(SweepId, PathBuf)>,
) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("list", folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io("list", folder, error))?;
        let kind = entry.file_type().map_err(|error| StoreError::io("look at", &entry.path(), error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if kind.is_dir() && depth < 3 {
            collect_sweeps(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() && depth == 3 {
            let sweep = name.strip_suffix(".tar").and_then(|stem| SweepId::new(stem).ok());
            found.extend(sweep.map(|sweep| (sweep, entry.path())));
        }
    }
    Ok(())
}

/// Makes a folder of a state directory, and its parents.
pub(super) fn make_folders(folder: &Path) -> Result<(), StoreError> {
    owner::make_folders(folder, Whose::TheFolders)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StoreError::io("sync the folder", folder, error))
}

/// How a file of ours is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    ReadWrite,
    /// Made when it is missing.
    Ensure,
    /// Must not exist yet.
    New,
    /// The same for a file that somebody wants elsewhere: ours, whoever's folder it is made in.
    NewOutside,
}

pub(super) fn open(path: &Path, mode: Mode) -> io::Result<File> {
    match mode {
        Mode::Read | Mode::ReadWrite => open_there(path, mode != Mode::Read),
        Mode::New => owner::make_file(path, Whose::TheFolders),
        Mode::NewOutside => owner::make_file(path, Whose::Ours),
        Mode::Ensure => loop {
            match open_there(path, true) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            // Another one may make it between our two steps, and it is opened; or take it away again.
            match owner::make_file(path, Whose::TheFolders) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        },
    }
}

fn open_there(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

/// Whether the name still leads to the file that was opened.
pub(super) fn is_still(path: &Path, file: &File) -> bool {
    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (named, opened) = (path.symlink_metadata().map(number), file.metadata().map(number));
    matches!((named, opened), (Ok(named), Ok(opened)) if named == opened)
}

/// Writes a small file: afterwards it is the old one or the new one, whatever happens in between.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<(), StoreError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    remove_if_there(&new)?;
    open(&new, Mode::New)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .map_err(|error| StoreError::io("write", &new, error))?;
    crash::point("file.replaced");
    fs::rename(&new, path).map_err(|error| StoreError::io("rename", &new, error))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// That it is not there is what was wanted.
pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Moves a file aside as `<name>.<mark>`, with a number behind it when that is taken, and returns the
/// new name.
pub(super) fn set_aside(path: &Path, mark: &str) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let taken = |target: &PathBuf| target.symlink_metadata().is_ok();
    let first = path.with_file_name(format!("{name}.{mark}"));
    let target = if taken(&first) {
        (1_u32..)
            .map(|number| path.with_file_name(format!("{name}.{mark}-{number}")))
            .find(|target| !taken(target))
            .unwrap_or(first)
    } else {
        first
    };
    fs::rename(path, &target).map_err(|error| StoreError::io("move aside", path, error))?;
    Ok(target)
}
