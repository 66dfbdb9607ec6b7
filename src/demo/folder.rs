//! The demo's own folders: for one owner, gone with the demo, and if the demo was killed, gone with the
//! next one.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::fleet::DemoError;

const PREFIX: &str = "dropsonde-demo-";
/// Held for as long as the folder is in use: the kernel lets go of it whatever ends the process.
const LOCK: &str = "lock";
/// Where Linux keeps files in memory for everybody. Synthetic files live a tenth of a second, and on a
/// disk it would be the disk that is measured.
const MEMORY: &str = "/dev/shm";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new folder below `dir`, under a name that no other demo has. What killed demos left there goes.
    pub(super) fn create(dir: &Path) -> Result<Self, DemoError> {
        let error = |source| DemoError::Folder { path: dir.display().to_string(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(error)?;
        remove_left_behind(dir);
        Self::make(dir).map_err(error)
    }

    /// A new folder in memory, or below `dir` on a machine that has no such place.
    pub(super) fn in_memory_or(dir: &Path) -> Result<Self, DemoError> {
        const TMPFS: rustix::fs::FsWord = 0x0102_1994;
        let memory = Path::new(MEMORY);
        if rustix::fs::statfs(memory).is_ok_and(|fs| fs.f_type == TMPFS) {
            remove_left_behind(memory);
            if let Ok(folder) = Self::make(memory) {
                return Ok(folder);
            }
        }
        Self::create(dir)
    }

    fn make(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("{PREFIX}{:08x}", RandomState::new().build_hasher().finish() >> 32));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        // Locked before it has its name, so that nobody takes a folder that begins for one left behind.
        let early = path.join("unlocked");
        let lock = File::create(&early)?;
        lock.lock()?;
        fs::rename(&early, path.join(LOCK))?;
        // Probes start in another folder: what they are told must not depend on ours.
        Ok(Self { path: path.canonicalize()?, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn error(&self, source: io::Error) -> DemoError {
        DemoError::Folder { path: self.path.display().to_string(), source }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A tree that is written in this moment can put a file into a folder that was just emptied.
        let removed = (0..3).find_map(|_| fs::remove_dir_all(&self.path).ok());
        if removed.is_none() {
            tracing::warn!(folder = %self.path.display(), "the demo's folder could not be removed");
        }
    }
}

/// Removes the folders whose lock nobody holds. One that cannot be removed is in nobody's way.
fn remove_left_behind(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in
        entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
    {
        let lock = File::open(path.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(path.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_one_left_behind_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let left_behind = dir.path().join("dropsonde-demo-0badcafe");
        fs::create_dir(&left_behind).unwrap();
        fs::write(left_behind.join(LOCK), "").unwrap();
        let unrelated = dir.path().join("state");
        fs::create_dir(&unrelated).unwrap();

        let first = Folder::create(dir.path()).unwrap();
        let second = Folder::create(dir.path()).unwrap();
        assert!(!left_behind.exists());
        assert!(first.path().exists() && second.path().exists() && unrelated.exists());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
