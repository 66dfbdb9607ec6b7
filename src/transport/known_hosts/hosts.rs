//! The index over all known_hosts files of a host, and the verdict on a key that it offers.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::entry::{Entry, HostId, Marker, Names, parse};
use super::key::{KeyTypes, fingerprint};

/// Far above any real file (400,000 hashed lines); a device or a runaway file must not fill memory.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A file and a line in it, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What known_hosts says about a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Known(Place),
    /// No line has a key for this host. A certificate authority may still cover it.
    Unknown {
        authority: Option<Place>,
    },
    /// The host has keys, and this is none of them.
    Changed {
        at: Place,
        /// Of the key that is known.
        fingerprint: String,
        /// The types that are known for this host.
        types: KeyTypes,
    },
    Revoked(Place),
}

/// A line or a file that could not be used; the rest still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub file: PathBuf,
    pub line: Option<u32>,
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line} is ignored: {}", self.file.display(), self.reason),
            None => write!(f, "{} is ignored: {}", self.file.display(), self.reason),
        }
    }
}

#[derive(Debug)]
struct Line {
    file: usize,
    number: u32,
    entry: Entry,
}

impl Line {
    fn key_type(&self) -> KeyTypes {
        KeyTypes::of(&self.entry.key)
    }
}

/// Several known_hosts files, read once. Immutable, so that any number of connections share it.
#[derive(Debug, Default)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    warnings: Vec<Warning>,
    lines: Vec<Line>,
    /// Name → lines that have exactly it.
    plain: HashMap<Box<str>, Vec<usize>>,
    patterned: Vec<usize>,
    hashed: Vec<usize>,
    hashed_types: KeyTypes,
    /// Hash of a key's blob → hashed lines that have it: one HMAC decides, not one per line.
    hashed_by_key: HashMap<u64, Vec<usize>>,
    revoked: Vec<usize>,
    authorities: Vec<usize>,
    hasher: RandomState,
}

impl KnownHosts {
    /// Reads `files` in order. A missing file is an empty one.
    pub fn load(files: &[PathBuf]) -> Self {
        let mut hosts = Self { files: files.to_vec(), ..Self::default() };
        for (index, file) in files.iter().enumerate() {
            match read(file) {
                Ok(bytes) => hosts.add(index, &bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    hosts.warnings.push(Warning {
                        file: file.clone(),
                        line: None,
                        reason: error.to_string(),
                    });
                }
            }
        }
        hosts
    }

    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Known or revoked, where that can be said without looking at every hashed line.
    pub fn recognise(&self, host: &HostId, key: &[u8]) -> Option<Verdict> {
        if let Some(line) = self.revoking(host, key) {
            return Some(Verdict::Revoked(self.place(line)));
        }
        self.holding(host.as_str(), key).map(|line| Verdict::Known(self.place(line)))
    }

    /// The whole answer. Where the key is not recognised, it costs one HMAC per hashed line
    /// (about 1 ms per thousand lines): from a few thousand on, not on a thread that others wait for.
    pub fn verdict(&self, host: &HostId, key: &[u8]) -> Verdict {
        if let Some(verdict) = self.recognise(host, key) {
            return verdict;
        }
        let (offered, mut types) = (KeyTypes::of(key), KeyTypes::NONE);
        let (mut known, mut authority): (Option<&Line>, _) = (None, None);
        for line in self.all_naming(host.as_str()) {
            match line.entry.marker {
                Marker::Key => {
                    types = types.union(line.key_type());
                    // The line to mend is the first one with a key of the same type.
                    if known.is_none_or(|at| at.key_type() != offered && line.key_type() == offered) {
                        known = Some(line);
                    }
                }
                Marker::Authority => authority = authority.or(Some(line)),
                Marker::Revoked => {}
            }
        }
        if let Some(at) = known {
            return Verdict::Changed { at: self.place(at), fingerprint: fingerprint(&at.entry.key), types };
        }
        if let Some(line) = host.bare().and_then(|bare| self.holding(bare, key)) {
            return Verdict::Known(self.place(line));
        }
        Verdict::Unknown { authority: authority.map(|line| self.place(line)) }
    }

    /// The line that takes `key` for an authority over `host`.
    pub fn authority(&self, host: &HostId, key: &[u8]) -> Option<Place> {
        self.authorities(host).find(|line| *line.entry.key == *key).map(|line| self.place(line))
    }

    /// Whether there is any authority over `host`, so that its certificate is worth asking for.
    pub fn has_authority(&self, host: &HostId) -> bool {
        self.authorities(host).next().is_some()
    }

    /// The line that forbids `key` for `host`, be it the host's own or its authority's.
    pub fn revoked(&self, host: &HostId, key: &[u8]) -> Option<Place> {
        self.revoking(host, key).map(|line| self.place(line))
    }

    /// The key types to ask the host for first, so that a host which has several does not show one
    /// that is not known. Hashed lines count only where they are all of one type: finding this host
    /// among them would cost an HMAC each, and [`Verdict::Changed`] tells the rest.
    pub fn key_types(&self, host: &HostId) -> KeyTypes {
        let keys = self.naming(host.as_str()).filter(|line| line.entry.marker == Marker::Key);
        let named = keys.fold(KeyTypes::NONE, |types, line| types.union(line.key_type()));
        match (named.is_empty(), self.hashed_types.len()) {
            (false, _) => named,
            (true, 1) => self.hashed_types,
            (true, _) => KeyTypes::NONE,
        }
    }

    /// How many hashed lines a full [`verdict`](Self::verdict) may have to look at.
    pub fn hashed_lines(&self) -> usize {
        self.hashed.len()
    }

    fn add(&mut self, file: usize, bytes: &[u8]) {
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            match parse(line) {
                Ok(Some(entry)) => self.index(Line { file, number, entry }),
                Ok(None) => {}
                Err(reason) => self.warnings.push(Warning {
                    file: self.files[file].clone(),
                    line: Some(number),
                    reason: reason.to_owned(),
                }),
            }
        }
    }

    fn index(&mut self, line: Line) {
        let at = self.lines.len();
        match &line.entry.names {
            Names::Plain(names) => {
                for name in names.split(',').filter(|name| !name.is_empty()) {
                    self.plain.entry(name.into()).or_default().push(at);
                }
            }
            Names::Patterns(_) => self.patterned.push(at),
            Names::Hashed { .. } => {
                self.hashed.push(at);
                if line.entry.marker == Marker::Key {
                    self.hashed_types = self.hashed_types.union(line.key_type());
                }
                self.hashed_by_key.entry(self.hasher.hash_one(&*line.entry.key)).or_default().push(at);
            }
        }
        if line.entry.marker == Marker::Revoked {
            self.revoked.push(at);
        }
        if line.entry.marker == Marker::Authority {
            self.authorities.push(at);
        }
        self.lines.push(line);
    }

    /// By the name without the port, too, as OpenSSH does where nothing is known about the pair.
    fn authorities<'a>(&'a self, host: &'a HostId) -> impl Iterator<Item = &'a Line> {
        let lines = self.authorities.iter().map(|index| &self.lines[*index]);
        lines.filter(move |line| {
            let names = &line.entry.names;
            names.matches(host.as_str()) || host.bare().is_some_and(|bare| names.matches(bare))
        })
    }

    fn revoking(&self, host: &HostId, key: &[u8]) -> Option<&Line> {
        let mut lines = self.revoked.iter().map(|index| &self.lines[*index]);
        lines.find(|line| {
            let names = &line.entry.names;
            *line.entry.key == *key
                && (names.matches(host.as_str()) || host.bare().is_some_and(|bare| names.matches(bare)))
        })
    }

    /// A line that says `key` is `name`'s.
    fn holding<'a>(&'a self, name: &'a str, key: &[u8]) -> Option<&'a Line> {
        let holds = |line: &&Line| line.entry.marker == Marker::Key && *line.entry.key == *key;
        self.naming(name).find(holds).or_else(|| {
            let same_key = self.hashed_by_key.get(&self.hasher.hash_one(key))?;
            let mut lines = same_key.iter().map(|index| &self.lines[*index]);
            lines.find(|line| holds(line) && line.entry.names.matches(name))
        })
    }

    /// The lines for `name` that are not hashed.
    fn naming<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        let plain = self.plain.get(name).into_iter().flatten().map(|index| &self.lines[*index]);
        let patterned = self.patterned.iter().map(|index| &self.lines[*index]);
        plain.chain(patterned.filter(move |line| line.entry.names.matches(name)))
    }

    fn all_naming<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        let hashed = self.hashed.iter().map(|index| &self.lines[*index]);
        self.naming(name).chain(hashed.filter(move |line| line.entry.names.matches(name)))
    }

    fn place(&self, line: &Line) -> Place {
        Place { file: self.files[line.file].clone(), line: line.number }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Without O_NONBLOCK a FIFO in its place would hold us until somebody writes to it.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut limited =
        File::options().read(true).custom_flags(nonblocking).open(file)?.take(MAX_FILE_BYTES + 1);
    limited.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(bytes)
}
