//! A closed sweep's tar written again without its readings' bytes. The new one stands beside the old one
//! until somebody gives it that one's name: nothing here takes anything away.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::digest::{Digest, Digester};
use super::member::encode_plain;
use super::{Entry, Member, Tape, TarFile};
use crate::model::{CollectorTime, SweepId};
use crate::store::dir::{self, Mode};
use crate::store::{StateDir, StoreError, crash};

/// A tar that is being written again.
#[derive(Debug)]
pub struct Rewrite {
    path: PathBuf,
    file: BufWriter<File>,
    len: u64,
    digester: Digester,
    merged: bool,
    parts: u32,
    /// Of the next part: that of its first reading.
    seq: Option<u64>,
    plan_seq: u64,
    at: CollectorTime,
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester")
    }
}

impl Rewrite {
    /// Begins with what stands before the readings, byte for byte: `plan` is the first member, and the
    /// readings begin at `readings`.
    pub fn begin(
        state: &StateDir,
        sweep: &SweepId,
        (tar, plan, readings): (&Arc<TarFile>, &Member, u64),
        merged: bool,
    ) -> Result<Self, StoreError> {
        let path = beside(state, sweep);
        dir::remove_if_there(&path)?;
        let file = dir::open(&path, Mode::New).map_err(|error| full_or_io("make", &path, error))?;
        let at = CollectorTime::from_unix_s(0);
        let mut rewrite = Self {
            path,
            file: BufWriter::new(file),
            len: 0,
            digester: Digester::new(),
            merged,
            parts: 0,
            seq: None,
            plan_seq: plan.facts.seq,
            at,
        };
        rewrite.write(&tar.stretch(0, readings)?)?;
        // An empty part says that the bytes are gone, whatever becomes of the parts behind it.
        rewrite.part()?;
        Ok(rewrite)
    }

    /// Adds a reading; they come in the order in which they were recorded.
    pub fn push(&mut self, digest: &Digest) -> Result<(), StoreError> {
        self.seq.get_or_insert(digest.facts.seq);
        if self.digester.push(digest) { self.part() } else { Ok(()) }
    }

    fn part(&mut self) -> Result<(), StoreError> {
        let entry = if self.merged { Entry::Merged(self.parts) } else { Entry::Digest(self.parts) };
        self.parts += 1;
        let mut member = Vec::new();
        let seq = self.seq.take().unwrap_or(self.plan_seq);
        encode_plain(&mut member, &entry, seq, &self.digester.take(), self.at);
        self.write(&member)
    }

    /// Ends it as the old one ended, and syncs it. Returns where its end member ends.
    pub fn finish(mut self, tar: &Arc<TarFile>, end: &Member) -> Result<u64, StoreError> {
        if self.seq.is_some() {
            self.part()?;
        }
        self.write(&tar.stretch(end.offset, end.end)?)?;
        let archived = self.len;
        self.write(&Tape::close_blocks())?;
        let path = self.path;
        let file = self.file.into_inner().map_err(|error| full_or_io("write", &path, error.into_error()))?;
        file.sync_all().map_err(|error| full_or_io("sync", &path, error))?;
        Ok(archived)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.len += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| full_or_io("write", &self.path, error))
    }
}

fn full_or_io(action: &'static str, path: &Path, error: std::io::Error) -> StoreError {
    super::tape::write_error(action, path, 0, error)
}

fn beside(state: &StateDir, sweep: &SweepId) -> PathBuf {
    state.tar(sweep).with_extension("tar.new")
}

/// Gives a sweep's new tar the old one's name, if there is a new one.
pub fn rewritten(state: &StateDir, sweep: &SweepId) -> Result<(), StoreError> {
    let (new, path) = (beside(state, sweep), state.tar(sweep));
    match fs::rename(&new, &path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("rename", &new, error)),
        Ok(()) => crash::point("prune.one_renamed"),
    }
    dir::sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Removes a new tar that nobody decided for.
pub fn leftovers(state: &StateDir, sweep: &SweepId) -> Result<(), StoreError> {
    dir::remove_if_there(&beside(state, sweep))
}
