//! Room on the disk: how much there is, and a file that keeps some of it for the moment when there is none.
//! It removes nothing that was recorded.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::dir::{self, Mode};
use super::{StateDir, StoreError};
use crate::model::ByteSize;

/// The file system that a state directory lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// For whoever is not root.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    pub fn of(root: &Path) -> Result<Self, StoreError> {
        let found =
            statvfs(root).map_err(|error| StoreError::io("look at the disk of", root, error.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
    }
}

/// What a reserve may take of a file system: on a small one it would else be all there is.
const MOST: u64 = 8;

/// The file `reserve`. Collectors that share a directory share it.
#[derive(Debug, Clone)]
pub struct Reserve {
    root: PathBuf,
    path: PathBuf,
    size: ByteSize,
}

impl Reserve {
    /// `size` 0 is none.
    pub fn new(state: &StateDir, size: ByteSize) -> Self {
        Self { root: state.root().to_owned(), path: state.root().join("reserve"), size }
    }

    /// Whether one is there, of whatever size.
    pub fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|metadata| metadata.len() > 0)
    }

    fn wanted_bytes(&self, space: Space) -> u64 {
        self.size.0.min(space.total_bytes / MOST)
    }

    /// How much of the room that is free the next sweep takes for it before it begins.
    pub fn missing_bytes(&self, space: Space) -> u64 {
        let there = self.path.symlink_metadata().map_or(0, |metadata| metadata.len());
        self.wanted_bytes(space).saturating_sub(there)
    }

    /// Makes it where it is missing. Without room for it nothing new should begin: then this is the error.
    pub fn ensure(&self) -> Result<(), StoreError> {
        let size = self.wanted_bytes(Space::of(&self.root)?);
        let metadata = self.path.symlink_metadata();
        if self.size.0 == 0 || metadata.is_ok_and(|metadata| metadata.len() == size) {
            return Ok(());
        }
        let made = dir::open(&self.path, Mode::Ensure).and_then(|file| allocate(&file, size));
        made.map_err(|error| {
            self.release();
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StoreError::Full { path: self.path.clone(), needed: size }
                }
                _ => StoreError::io("make", &self.path, error),
            }
        })
    }

    /// Gives it up, for what is under way to end well. Says whether there was one.
    pub fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

/// Really takes the blocks: a file of that length alone would hold nothing.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    file.set_len(0)?;
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let block = [0xa5_u8; 1 << 16];
            let mut file = file;
            let mut left = size;
            while left > 0 {
                let some = left.min(block.len() as u64);
                file.write_all(&block[..usize::try_from(some).unwrap_or(block.len())])?;
                left -= some;
            }
            file.sync_all()
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_reserve_takes_its_blocks_and_gives_them_back() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let reserve = Reserve::new(&state, ByteSize(1 << 20));
        assert!(!reserve.is_there() && !reserve.release());
        reserve.ensure().unwrap();
        reserve.ensure().unwrap();
        let metadata = folder.path().join("reserve").metadata().unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (1 << 20, 0o600));
        assert!(metadata.blocks() * 512 >= 1 << 20, "{}", metadata.blocks());
        assert!(reserve.is_there() && reserve.release() && !reserve.is_there());
        let none = Reserve::new(&state, ByteSize(0));
        none.ensure().unwrap();
        assert!(!none.is_there());
        let space = Space::of(folder.path()).unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert!(Space::of(&folder.path().join("none")).is_err());
    }
}
