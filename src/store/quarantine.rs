//! Probes that a host is spared: those that took more than they may, or had to be killed, twice in a row
//! there. Who is in quarantine follows from the archive; only a person's release is kept apart, in a file
//! of its own, because no rebuild of the index may take it back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dir;
use super::index::{Reader, StrikeRow};
use super::{StateDir, StoreError};
use crate::model::{CollectorTime, HostName, ProbeName};

/// Offences in a row that are one too many.
pub const OFFENCES: u64 = 2;

/// A probe that is not run on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub host: HostName,
    pub probe: ProbeName,
    /// Only this definition is held: another one is another probe.
    pub hash: String,
    pub since: CollectorTime,
    /// Offences in a row.
    pub count: u64,
    /// What the last one did.
    pub what: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u8,
    released: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: HostName,
    probe: ProbeName,
    at_ns: i64,
}

/// When a person released which probe on which host: what was before counts no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases(BTreeMap<(HostName, ProbeName), CollectorTime>);

impl Releases {
    pub fn read(root: &Path) -> Result<Self, StoreError> {
        let path = file(root);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let read: File = serde_json::from_slice(&text)
            .map_err(|error| StoreError::io("read the releases in", &path, error.into()))?;
        let entry = |entry: Entry| ((entry.host, entry.probe), CollectorTime::from_unix_ns(entry.at_ns));
        Ok(Self(read.released.into_iter().map(entry).collect()))
    }

    /// Whether an offence of that moment still counts.
    fn counts(&self, strike: &StrikeRow, at: CollectorTime) -> bool {
        let key = (strike.host.clone(), strike.probe.clone());
        self.0.get(&key).is_none_or(|released| at > *released)
    }

    /// Which of `strikes` are one too many.
    pub fn held(&self, strikes: Vec<StrikeRow>) -> Vec<Held> {
        let is_held = |strike: &StrikeRow| {
            // Two since the release, not one on top of an old one.
            strike.count >= OFFENCES && strike.before.is_some_and(|before| self.counts(strike, before))
        };
        let held = |strike: StrikeRow| Held {
            host: strike.host,
            probe: strike.probe,
            hash: strike.hash,
            since: strike.last,
            count: strike.count,
            what: strike.what,
        };
        strikes.into_iter().filter(is_held).map(held).collect()
    }
}

/// Everything that is in quarantine, whatever its definition is by now.
pub fn held(root: &Path) -> Result<Vec<Held>, StoreError> {
    Ok(Releases::read(root)?.held(Reader::open(root)?.strikes()?))
}

/// Lets probes run again. Returns when that is on the disk.
pub fn release(root: &Path, released: &[Held], now: CollectorTime) -> Result<(), StoreError> {
    let state = StateDir::create(root)?;
    // Two people at once must not lose each other's release.
    let _lock = state.lock("quarantine.lock")?;
    let mut all = Releases::read(root)?;
    for held in released {
        // A clock that was set back must not make a release older than what it forgives.
        all.0.insert((held.host.clone(), held.probe.clone()), now.max(held.since));
    }
    let entry = |((host, probe), at): ((HostName, ProbeName), CollectorTime)| Entry {
        host,
        probe,
        at_ns: at.unix_ns(),
    };
    let file = File { schema: 1, released: all.0.into_iter().map(entry).collect() };
    dir::replace(&self::file(state.root()), &serde_json::to_vec_pretty(&file).unwrap_or_default())
}

fn file(root: &Path) -> PathBuf {
    root.join("quarantine.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strike(count: u64, before_s: Option<i64>, last_s: i64) -> StrikeRow {
        StrikeRow {
            host: HostName::new("web01").unwrap(),
            probe: ProbeName::new("greedy").unwrap(),
            hash: "c0ffee".to_owned(),
            count,
            before: before_s.map(CollectorTime::from_unix_s),
            last: CollectorTime::from_unix_s(last_s),
            what: "ate all".to_owned(),
        }
    }

    #[test]
    fn two_in_a_row_are_held_and_after_a_release_two_more() {
        let folder = tempfile::tempdir().unwrap();
        let held = |count, before_s, last_s| {
            Releases::read(folder.path()).unwrap().held(vec![strike(count, before_s, last_s)])
        };
        assert_eq!(held(1, None, 10), []);
        let found = held(2, Some(10), 20);
        assert_eq!((found.len(), found[0].since), (1, CollectorTime::from_unix_s(20)));
        // At a moment that the collector's clock says was before the offence.
        release(folder.path(), &found, CollectorTime::from_unix_s(5)).unwrap();
        assert_eq!(held(2, Some(10), 20), []);
        assert_eq!(held(3, Some(20), 30), []);
        assert_eq!(held(4, Some(30), 40).len(), 1);
        release(folder.path(), &held(4, Some(30), 40), CollectorTime::from_unix_s(50)).unwrap();
        assert_eq!(held(5, Some(40), 60), []);
        assert_eq!(Releases::read(folder.path()).unwrap().0.len(), 1);
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("quarantine.json"), "{").unwrap();
        let error = Releases::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("quarantine.json") && error.starts_with("read the releases in"), "{error}");
        // What a kill in the middle of a release has left is in nobody's way.
        fs::write(folder.path().join("quarantine.json"), "{\"schema\":1,\"released\":[]}").unwrap();
        fs::write(folder.path().join("quarantine.json.new"), "half").unwrap();
        let found = Releases::default().held(vec![strike(2, Some(1), 2)]);
        release(folder.path(), &found, CollectorTime::from_unix_s(3)).unwrap();
        assert!(!folder.path().join("quarantine.json.new").exists());
    }
}
