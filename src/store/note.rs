//! What the collector remembers apart from archive and index: small JSON files that no rebuild of the
//! index may take back. A file is the old one or the new one, whatever happens in between, and is changed
//! by one process at a time.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dir;
use super::{Locked, StateDir, StoreError};

/// One such file of a state directory.
#[derive(Debug, Clone)]
pub struct Note {
    state: StateDir,
    name: &'static str,
}

/// The right to change it, until it is dropped.
#[derive(Debug)]
pub struct Pen<'a> {
    note: &'a Note,
    _lock: Locked,
}

impl Note {
    /// `name` without its ending: `quarantine` is `quarantine.json`.
    pub fn new(state: StateDir, name: &'static str) -> Self {
        Self { state, name }
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.state.root().join(format!("{}.{ending}", self.name))
    }

    /// What stands in it; nothing yet is the default.
    pub fn read<T: DeserializeOwned + Default>(&self) -> Result<T, StoreError> {
        let path = self.path("json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        serde_json::from_slice(&text)
            .map_err(|error| StoreError::io("read what is remembered in", &path, error.into()))
    }

    /// Waits until nobody else changes it. Blocks.
    pub fn pen(&self) -> Result<Pen<'_>, StoreError> {
        let lock = self.state.lock(&format!("{}.lock", self.name))?;
        Ok(Pen { note: self, _lock: lock })
    }
}

impl Pen<'_> {
    /// Returns when the new content is on the disk.
    pub fn replace<T: Serialize>(&mut self, content: &T) -> Result<(), StoreError> {
        let path = self.note.path("json");
        let text = serde_json::to_vec_pretty(content)
            .map_err(|error| StoreError::io("write", &path, error.into()))?;
        dir::replace(&path, &text)
    }

    /// Moves a file that cannot be read out of the way, and returns its new name.
    pub fn set_aside(&mut self) -> Result<PathBuf, StoreError> {
        dir::set_aside(&self.note.path("json"), "unreadable")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Content = BTreeMap<String, u32>;

    #[test]
    fn what_is_written_is_read_and_a_torn_file_is_named_and_moved() {
        let folder = tempfile::tempdir().unwrap();
        let note = Note::new(StateDir::create(folder.path()).unwrap(), "a-note");
        assert_eq!(note.read::<Content>().unwrap(), Content::new());
        let content = Content::from([("x".to_owned(), 1)]);
        note.pen().unwrap().replace(&content).unwrap();
        assert_eq!(note.read::<Content>().unwrap(), content);
        // What a kill in the middle of a change has left is in nobody's way.
        fs::write(folder.path().join("a-note.json.new"), "half").unwrap();
        note.pen().unwrap().replace(&content).unwrap();
        assert!(!folder.path().join("a-note.json.new").exists());

        fs::write(folder.path().join("a-note.json"), "{").unwrap();
        let error = note.read::<Content>().unwrap_err().to_string();
        assert!(error.starts_with("read what is remembered in") && error.contains("a-note.json"), "{error}");
        let kept = note.pen().unwrap().set_aside().unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "{");
        assert_eq!(note.read::<Content>().unwrap(), Content::new());
    }
}
