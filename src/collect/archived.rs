//! One reading out of the archive, with what is needed to understand it: the bytes as the host wrote
//! them, and the definition that they were taken with.

use std::sync::Arc;

use super::Caps;
use super::replay::Opening;
use crate::model::{Kept, Probe, Reading};
use crate::store::archive::TarFile;
use crate::store::index::ReadingRow;
use crate::store::{StateDir, StoreError};
use crate::wire::{InflateError, inflate_archived};

/// A reading as it was recorded.
#[derive(Debug, Clone)]
pub struct Archived {
    pub reading: Reading,
    /// `None` when this version cannot read the definition.
    pub probe: Option<Arc<Probe>>,
}

impl Archived {
    /// Finds the reading that a row of the index speaks of.
    pub fn open(state: &StateDir, row: &ReadingRow) -> Result<Self, StoreError> {
        let tar = TarFile::open(state, &row.sweep)?;
        let opening = Opening::read(&tar, tar.size()?)?;
        if opening.as_ref().is_some_and(|opening| opening.kept != Kept::Raw) {
            let (sweep, host, probe) = (row.sweep.clone(), row.host.clone(), row.probe.clone());
            return Err(StoreError::Pruned { sweep, host, probe });
        }
        let reading = tar.reading_at(row.offset, &row.host, &row.probe)?;
        let probe = opening
            .and_then(|opening| opening.probes.iter().find(|probe| probe.name == row.probe).map(Arc::clone));
        Ok(Self { reading, probe })
    }

    /// The output as the host wrote it, without the trailer.
    pub fn output(&self, caps: Caps) -> Result<Vec<u8>, InflateError> {
        inflate_archived(&self.reading.wire, self.reading.bytes_raw, caps.output.0)
    }
}
