//! Reading a sweep's tar: member by member, every length checked against the file before it is
//! believed. It never reads a broken member as a whole one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tar::{EntryType, Header};

use super::member::{BLOCK, pax_value};
use super::{Digest, Entry, Facts, digest};
use crate::model::{HostName, ProbeName, Reading, SweepId};
use crate::store::dir::{self, Mode};
use crate::store::{StateDir, StoreError};

/// A pax header of ours holds facts, a detail and a limited stderr; a longer one is damage.
const MAX_PAX: u64 = 4 << 20;

/// One whole member; its data has not been read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where its pax header begins.
    pub offset: u64,
    /// Where the next member begins.
    pub end: u64,
    pub entry: Entry,
    pub facts: Facts,
    pub size: u64,
    data: u64,
}

/// A stretch of a tar that is no member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub offset: u64,
    pub end: u64,
    pub what: String,
}

/// An open sweep's or a closed sweep's tar, for reading.
#[derive(Debug)]
pub struct TarFile {
    path: PathBuf,
    file: File,
}

impl TarFile {
    pub fn open(state: &StateDir, sweep: &SweepId) -> Result<Arc<Self>, StoreError> {
        let path = state.tar(sweep);
        match dir::open(&path, Mode::Read) {
            Ok(file) => Ok(Arc::new(Self { path, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NoSweep { sweep: sweep.clone() })
            }
            Err(error) => Err(StoreError::io("open", &path, error)),
        }
    }

    pub(super) fn over(path: &Path, file: File) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file now.
    pub fn size(&self) -> Result<u64, StoreError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(|error| StoreError::io("look at", &self.path, error))
    }

    /// Whether no live collector holds the tar.
    pub fn is_idle(&self) -> bool {
        let idle = self.file.try_lock_shared().is_ok();
        if idle {
            let _ = self.file.unlock();
        }
        idle
    }

    /// The members from byte `from` (a member's start) up to `limit`.
    pub fn walk(self: &Arc<Self>, from: u64, limit: u64) -> Walk {
        Walk { tar: Arc::clone(self), at: from, limit, ended: false, closed: false }
    }

    /// The member at `offset`, which must be that of (host, probe).
    pub fn reading_at(&self, offset: u64, host: &HostName, probe: &ProbeName) -> Result<Reading, StoreError> {
        let damaged = |what: String| StoreError::Damaged { path: self.path.clone(), offset, what };
        let member = self.member_at(offset, self.size()?)?.map_err(|damage| damaged(damage.what))?;
        if member.entry != Entry::Reading(host.clone(), probe.clone()) {
            return Err(damaged(format!("expected {host}/{probe}.gz, found {}", member.entry.path())));
        }
        self.reading(&member)
    }

    /// The member as the reading that was recorded, its bytes checked against their hash.
    pub fn reading(&self, member: &Member) -> Result<Reading, StoreError> {
        let Entry::Reading(host, probe) = &member.entry else {
            return Err(self.damaged(member, "not a reading"));
        };
        let data = self.data(member)?;
        member
            .facts
            .reading(host, probe, Bytes::from(data))
            .ok_or_else(|| self.damaged(member, "its pax record lacks facts of a reading"))
    }

    /// The readings of a digest, in the order in which they were recorded.
    pub fn digests(&self, member: &Member) -> Result<Vec<Digest>, StoreError> {
        digest::decode(&self.data(member)?).map_err(|what| self.damaged(member, &what))
    }

    /// Members as they stand there, from one's beginning to another's end.
    pub(super) fn stretch(&self, from: u64, until: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; usize::try_from(until.saturating_sub(from)).unwrap_or(0)];
        let read = self.file.read_exact_at(&mut bytes, from);
        read.map_err(|error| StoreError::io("read", &self.path, error))?;
        Ok(bytes)
    }

    /// A JSON member (`_plan.json`, `_end.json`).
    pub fn json<T: DeserializeOwned>(&self, member: &Member) -> Result<T, StoreError> {
        serde_json::from_slice(&self.data(member)?)
            .map_err(|error| self.damaged(member, &format!("{}: {error}", member.entry.path())))
    }

    /// The member's bytes, checked against their hash.
    pub fn data(&self, member: &Member) -> Result<Vec<u8>, StoreError> {
        // The walk has checked that the file is at least this long.
        let mut data = vec![0; usize::try_from(member.size).unwrap_or(0)];
        self.file
            .read_exact_at(&mut data, member.data)
            .map_err(|error| StoreError::io("read", &self.path, error))?;
        if member.facts.matches(&data) {
            Ok(data)
        } else {
            Err(self.damaged(member, "its bytes do not match their BLAKE3"))
        }
    }

    fn damaged(&self, member: &Member, what: &str) -> StoreError {
        let what = format!("{}: {what}", member.entry.path());
        StoreError::Damaged { path: self.path.clone(), offset: member.offset, what }
    }

    fn member_at(&self, offset: u64, limit: u64) -> Result<Result<Member, Damage>, StoreError> {
        match self.read_member_at(offset, limit) {
            Ok(member) => Ok(Ok(member)),
            Err(Unreadable::Io(error)) => Err(StoreError::io("read", &self.path, error)),
            Err(Unreadable::Header(what)) => Ok(Err(Damage { offset, end: offset, what })),
            Err(Unreadable::Cut(what)) => Ok(Err(Damage { offset, end: limit, what })),
        }
    }

    fn read_member_at(&self, offset: u64, limit: u64) -> Result<Member, Unreadable> {
        let pax_size = self.header(offset, limit, EntryType::XHeader)?.1;
        let pax_data = offset + BLOCK as u64;
        let header_at = past(pax_data, pax_size, limit)?;
        if pax_size > MAX_PAX {
            return Err(Unreadable::Header(format!("a pax header of {pax_size} bytes")));
        }
        let mut pax = vec![0; usize::try_from(pax_size).unwrap_or(0)];
        self.file.read_exact_at(&mut pax, pax_data).map_err(Unreadable::Io)?;
        let (header, size) = self.header(header_at, limit, EntryType::Regular)?;
        let data = header_at + BLOCK as u64;
        let end = past(data, size, limit)?;
        let path = match pax_value(&pax, "path") {
            Some(path) => path.to_owned(),
            None => header.path_bytes().into_owned(),
        };
        let path = String::from_utf8_lossy(&path);
        let entry = Entry::from_path(&path)
            .ok_or_else(|| Unreadable::Header(format!("{path:?} is no member of a sweep's archive")))?;
        let facts = pax_value(&pax, "comment").and_then(|json| serde_json::from_slice(json).ok());
        let facts = facts.ok_or_else(|| Unreadable::Header(format!("{path}: no facts in its pax header")))?;
        Ok(Member { offset, end, entry, facts, size, data })
    }

    fn header(&self, offset: u64, limit: u64, kind: EntryType) -> Result<(Header, u64), Unreadable> {
        if offset + BLOCK as u64 > limit {
            return Err(Unreadable::Cut("the file ends within a header".to_owned()));
        }
        let mut header = Header::new_ustar();
        self.file.read_exact_at(header.as_mut_bytes(), offset).map_err(Unreadable::Io)?;
        if !checksum_holds(&header) {
            return Err(Unreadable::Header("a header's checksum is wrong".to_owned()));
        }
        let size = header.entry_size().map_err(|error| Unreadable::Header(error.to_string()))?;
        if header.entry_type() != kind {
            return Err(Unreadable::Header("a header of another type than this archive writes".to_owned()));
        }
        Ok((header, size))
    }

    /// The next place from `from` on where a whole member stands.
    fn resync(&self, from: u64, limit: u64) -> Result<Option<u64>, StoreError> {
        let mut block = [0_u8; BLOCK];
        let mut at = from.next_multiple_of(BLOCK as u64);
        while at + BLOCK as u64 <= limit {
            self.file
                .read_exact_at(&mut block, at)
                .map_err(|error| StoreError::io("read", &self.path, error))?;
            let looks_right = block[156] == b'x' && &block[257..262] == b"ustar";
            if looks_right && self.member_at(at, limit)?.is_ok() {
                return Ok(Some(at));
            }
            at += BLOCK as u64;
        }
        Ok(None)
    }

    /// Whether an end member stops exactly at `end` and only zeros follow. Its JSON is short, so its
    /// pax header is looked for in the last blocks before `end`.
    pub(super) fn ends_with_end(&self, end: u64) -> Result<bool, StoreError> {
        const REACH: u64 = 8;
        if !self.is_zero(end, self.size()?)? {
            return Ok(false);
        }
        let first = end.saturating_sub(REACH * BLOCK as u64);
        let mut at = first;
        while let Some(start) = self.resync(at, end)? {
            match self.member_at(start, end)? {
                Ok(member) if member.entry == Entry::End && member.end == end => return Ok(true),
                Ok(member) => at = member.end,
                Err(_) => at = start + BLOCK as u64,
            }
        }
        Ok(false)
    }

    fn is_zero(&self, from: u64, limit: u64) -> Result<bool, StoreError> {
        let mut rest = vec![0; usize::try_from(limit.saturating_sub(from)).unwrap_or(0)];
        self.file
            .read_exact_at(&mut rest, from)
            .map_err(|error| StoreError::io("read", &self.path, error))?;
        Ok(rest.iter().all(|byte| *byte == 0))
    }
}

enum Unreadable {
    Io(io::Error),
    /// The bytes are there and are no header of ours: a later member may be whole.
    Header(String),
    /// A good header claims more than the file has. What follows it is its data, so nothing in there
    /// is looked at: a host's bytes could look like a member.
    Cut(String),
}

/// Where the padded data ends, if the file has that much.
fn past(start: u64, size: u64, limit: u64) -> Result<u64, Unreadable> {
    let end = size
        .checked_next_multiple_of(BLOCK as u64)
        .and_then(|padded| start.checked_add(padded))
        .filter(|end| *end <= limit);
    end.ok_or_else(|| Unreadable::Cut("the file ends within a member".to_owned()))
}

fn checksum_holds(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let blanks = 8 * u32::from(b' ');
    let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    header.cksum().is_ok_and(|cksum| cksum == sum(&bytes[..148]) + blanks + sum(&bytes[156..]))
}

/// The members of a tar in order, and what lies between them.
#[derive(Debug)]
pub struct Walk {
    tar: Arc<TarFile>,
    at: u64,
    limit: u64,
    ended: bool,
    closed: bool,
}

impl Walk {
    /// Whether the end member and the two zero blocks behind it were passed.
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn step(&mut self) -> Result<Option<Result<Member, Damage>>, StoreError> {
        if self.at >= self.limit {
            return Ok(None);
        }
        if self.ended && self.limit - self.at == 2 * BLOCK as u64 && self.tar.is_zero(self.at, self.limit)? {
            self.closed = true;
            self.at = self.limit;
            return Ok(None);
        }
        match self.tar.member_at(self.at, self.limit)? {
            Ok(member) => {
                self.at = member.end;
                self.ended = member.entry == Entry::End;
                Ok(Some(Ok(member)))
            }
            Err(damage) if damage.end == self.limit => {
                self.at = self.limit;
                Ok(Some(Err(damage)))
            }
            Err(damage) => {
                let next = self.tar.resync(self.at + BLOCK as u64, self.limit)?;
                self.at = next.unwrap_or(self.limit);
                Ok(Some(Err(Damage { end: self.at, ..damage })))
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Result<Member, Damage>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.at = self.limit;
        }
        step.transpose()
    }
}

/// One reading out of the archive, without the index: the tar is walked until it is found.
pub fn read_member(
    state: &StateDir,
    sweep: &SweepId,
    host: &HostName,
    probe: &ProbeName,
) -> Result<Reading, StoreError> {
    let tar = TarFile::open(state, sweep)?;
    let wanted = Entry::Reading(host.clone(), probe.clone());
    for step in tar.walk(0, tar.size()?) {
        match step? {
            Ok(member) if member.entry == wanted => return tar.reading(&member),
            _ => {}
        }
    }
    Err(StoreError::NoReading { sweep: sweep.clone(), host: host.clone(), probe: probe.clone() })
}
