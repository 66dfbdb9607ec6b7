//! A host's files on a disk. A reader sees an old file or a new one, never half of one: each is written
//! beside its place and renamed into it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use crate::model::CollectorTime;

use super::{HostModel, TreeFile};

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {path} of the synthetic host: {source}")]
pub struct TreeError {
    pub path: String,
    #[source]
    pub source: io::Error,
}

/// The folder a synthetic host's `proc` and `sys` stand in.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Writes everything `host` shows at `time` below the new folder `root`.
    pub fn create(root: PathBuf, host: &HostModel, time: CollectorTime) -> Result<Self, TreeError> {
        let tree = Self { root };
        make_folder(&tree.root).map_err(|source| tree.error(&tree.root, source))?;
        for file in host.fixed_files().iter().chain(&host.moving_files(time)) {
            tree.create_file(file)?;
        }
        for (path, target) in host.links() {
            let path = tree.root.join(path);
            let make = || make_parent(&path).and_then(|()| symlink(&target, &path));
            make().map_err(|source| tree.error(&path, source))?;
        }
        Ok(tree)
    }

    /// Brings what moves up to `time`.
    pub fn refresh(&self, host: &HostModel, time: CollectorTime) -> Result<(), TreeError> {
        for file in host.moving_files(time) {
            self.replace(&file)?;
        }
        Ok(())
    }

    /// What a probe finds in `$PROC`.
    pub fn proc(&self) -> PathBuf {
        self.root.join("proc")
    }

    /// What a probe finds in `$SYS`.
    pub fn sys(&self) -> PathBuf {
        self.root.join("sys")
    }

    fn create_file(&self, file: &TreeFile) -> Result<(), TreeError> {
        let path = self.root.join(&file.path);
        make_parent(&path).map_err(|source| self.error(&path, source))?;
        self.replace(file)
    }

    fn replace(&self, file: &TreeFile) -> Result<(), TreeError> {
        let path = self.root.join(&file.path);
        // One name for all: the files of a tree are written one after the other. It stands outside of
        // proc and sys, where a probe could list it.
        let beside = self.root.join("next");
        let write = || fs::write(&beside, &file.text).and_then(|()| fs::rename(&beside, &path));
        write().map_err(|source| self.error(&path, source))
    }

    fn error(&self, path: &Path, source: io::Error) -> TreeError {
        let path = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        TreeError { path, source }
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_folder)
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
