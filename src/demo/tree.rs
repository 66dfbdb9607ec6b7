//! A host's files on a disk. What moves stands in a generation of its own, and every moving path is a
//! link through `now` into the newest one: all files of a host move at once, and a reader sees a whole
//! file, old or new, never half of one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use crate::model::CollectorTime;

use super::{HostModel, TreeFile};

/// Generations that are kept beside the newest: a reader may be between finding a folder and opening the
/// file in it.
const KEPT: u64 = 2;

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {path} of the synthetic host: {source}")]
pub struct TreeError {
    pub path: String,
    #[source]
    pub source: io::Error,
}

/// The folder a synthetic host's `proc` and `sys` stand in.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    generation: u64,
}

impl Tree {
    /// Writes everything `host` shows at `time` below the new folder `root`; on an error it leaves none.
    pub fn create(root: PathBuf, host: &HostModel, time: CollectorTime) -> Result<Self, TreeError> {
        let mut tree = Self { root, generation: 0 };
        match tree.fill(host, time) {
            Ok(()) => Ok(tree),
            Err(error) => {
                // What stays would be in the next tree's way; the error that is told is the first.
                let _ = tree.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, host: &HostModel, time: CollectorTime) -> Result<(), TreeError> {
        for TreeFile { path, text } in host.fixed_files(time) {
            self.place(&path, |path| fs::write(path, text))?;
        }
        for (path, target) in host.links() {
            self.place(&path, |path| symlink(target, path))?;
        }
        let moving = host.moving_files(time);
        for TreeFile { path, .. } in &moving {
            let up = "../".repeat(path.matches('/').count());
            let target = format!("{up}now/{}", flat(path));
            self.place(path, |path| symlink(target, path))?;
        }
        self.advance(&moving)
    }

    /// Brings what moves up to `time`.
    pub fn refresh(&mut self, host: &HostModel, time: CollectorTime) -> Result<(), TreeError> {
        self.advance(&host.moving_files(time))
    }

    pub fn remove(self) -> Result<(), TreeError> {
        fs::remove_dir_all(&self.root).map_err(at("."))
    }

    /// What a probe finds in `$PROC` when the tree stands in `root`.
    pub fn proc(root: &Path) -> PathBuf {
        root.join("proc")
    }

    /// What a probe finds in `$SYS` when the tree stands in `root`.
    pub fn sys(root: &Path) -> PathBuf {
        root.join("sys")
    }

    fn place(&self, path: &str, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), TreeError> {
        let full = self.root.join(path);
        let parent = full.parent().map_or(Ok(()), make_folder);
        parent.and_then(|()| make(&full)).map_err(at(path))
    }

    /// Writes the next generation, turns `now` to it, and drops the one nobody can be reading any more.
    fn advance(&mut self, files: &[TreeFile]) -> Result<(), TreeError> {
        let name = self.generation.to_string();
        let folder = self.root.join(&name);
        make_folder(&folder).map_err(at(&name))?;
        for file in files {
            fs::write(folder.join(flat(&file.path)), &file.text).map_err(at(&file.path))?;
        }
        let (next, now) = (self.root.join("next"), self.root.join("now"));
        symlink(&name, &next).and_then(|()| fs::rename(&next, &now)).map_err(at("now"))?;
        if let Some(old) = self.generation.checked_sub(KEPT + 1) {
            let old = old.to_string();
            fs::remove_dir_all(self.root.join(&old)).map_err(at(&old))?;
        }
        self.generation += 1;
        Ok(())
    }
}

/// A path as one file name, so that a generation is one folder.
fn flat(path: &str) -> String {
    path.replace('/', "%")
}

fn at(path: &str) -> impl FnOnce(io::Error) -> TreeError + use<> {
    let path = path.to_owned();
    move |source| TreeError { path, source }
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{FleetShape, fleet};

    #[test]
    fn a_reader_sees_whole_files_of_the_newest_moment() {
        let dir = tempfile::tempdir().unwrap();
        let second = |s: i64| CollectorTime::from_unix_s(1_795_381_601 + s);
        let shape = FleetShape { hosts: 1, seed: 1, now: second(0) };
        let host = fleet(shape).unwrap().remove(0);
        let mut tree = Tree::create(dir.path().join("host"), &host, second(0)).unwrap();
        let stat = Tree::proc(&dir.path().join("host")).join("stat");
        for moment in 1..8 {
            let mut open = fs::File::open(&stat).unwrap();
            tree.refresh(&host, second(moment)).unwrap();
            let whole = |time| {
                let files = host.moving_files(time);
                files.into_iter().find(|file| file.path == "proc/stat").unwrap().text
            };
            assert_eq!(fs::read_to_string(&stat).unwrap(), whole(second(moment)));
            // A file that was opened before stays what it was.
            assert_eq!(io::read_to_string(&mut open).unwrap(), whole(second(moment - 1)));
        }
        for file in host.moving_files(second(7)).iter().chain(&host.fixed_files(second(0))) {
            assert_eq!(fs::read_to_string(dir.path().join("host").join(&file.path)).unwrap(), file.text);
        }
        let left = fs::read_dir(dir.path().join("host")).unwrap().count();
        assert_eq!(left, ["proc", "sys", "now"].len() + 1 + KEPT as usize);
        tree.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
