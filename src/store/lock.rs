//! A lock that ends with its guard, and with the process that has it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::StoreError;
use super::dir::{self, Mode};

/// Ended by name when it is dropped: a process that is just being started has our open files until its
/// exec, and whoever only tries next would find the lock taken by nobody.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Waits for it.
    pub(super) fn wait(path: &Path) -> Result<Self, StoreError> {
        let file = open(path)?;
        file.lock().map_err(|error| StoreError::io("lock", path, error))?;
        Ok(Self(file))
    }

    /// `None` when somebody else has it.
    pub(super) fn attempt(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
        }
    }

    /// Waits until nobody has it alone.
    pub(super) fn share(file: File, path: &Path) -> Result<Self, StoreError> {
        file.lock_shared().map_err(|error| StoreError::io("lock", path, error))?;
        Ok(Self(file))
    }

    /// Its file's time may say when what it guards was last done.
    pub fn note_time(&self, at: SystemTime) -> io::Result<()> {
        self.0.set_modified(at)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the file would end it, too; there is nobody to tell.
        let _ = self.0.unlock();
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    dir::open(path, Mode::Ensure).map_err(|error| StoreError::io("open", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_guard_though_a_child_has_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let ours = Locked::attempt(&path).unwrap().expect("nobody has it");
        // What a process has between its fork and its exec: the same open file, not another one.
        let inherited = ours.0.try_clone().unwrap();
        assert!(Locked::attempt(&path).unwrap().is_none());
        drop(ours);
        assert!(Locked::attempt(&path).unwrap().is_some());
        drop(inherited);
    }
}
