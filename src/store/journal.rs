//! What a prune has decided and not yet done everywhere. It is written before the first file changes its
//! name and removed after the last; whoever finds it there does the rest, from the beginning, and that
//! changes nothing where it was done already.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::{StateDir, StoreError, dir};
use crate::model::SweepId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Their new tars have no bytes of readings.
    Thin,
    /// Their new tars share the numbers of all of them.
    Merge,
    /// They are no more.
    Drop,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    schema: u8,
    pub act: Act,
    pub sweeps: Vec<SweepId>,
}

impl Journal {
    pub fn new(act: Act, sweeps: Vec<SweepId>) -> Self {
        Self { schema: 1, act, sweeps }
    }

    pub fn read(state: &StateDir) -> Result<Option<Self>, StoreError> {
        let path = state.journal();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let journal: Self = serde_json::from_slice(&text)
            .map_err(|error| StoreError::io("read what a prune decided in", &path, error.into()))?;
        Ok(Some(journal))
    }

    /// Returns when it is on the disk: from here on it will be done.
    pub fn write(&self, state: &StateDir) -> Result<(), StoreError> {
        dir::replace(&state.journal(), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Says that all is done.
    pub fn remove(state: &StateDir) -> Result<(), StoreError> {
        dir::remove_if_there(&state.journal())?;
        dir::sync_folder(state.root())
    }
}
