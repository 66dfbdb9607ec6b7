//! All probes that can be run, and which file each came from. One name is one file: a definition is
//! never merged from two, so what runs on a host can be read in one place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::built_in::BUILT_IN;
use super::fault::{Fault, Faults, Place, closest};
use super::file::drop_ins;
use super::probe_file::{parse_probe, read_probe};
use crate::model::{Probe, ProbeName};

/// Where a probe's definition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSource {
    File(PathBuf),
    BuiltIn,
}

impl fmt::Display for ProbeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// A probe and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelved {
    pub probe: Arc<Probe>,
    pub source: ProbeSource,
}

/// Every probe by its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    pub probes: BTreeMap<ProbeName, Shelved>,
}

impl Library {
    pub fn get(&self, name: &str) -> Option<&Arc<Probe>> {
        self.probes.get(name).map(|shelved| &shelved.probe)
    }

    /// The probe that `name` was most likely meant to be.
    pub fn closest(&self, name: &str) -> Option<&str> {
        closest(name, self.probes.keys().map(ProbeName::as_str))
    }

    /// Only what the binary carries.
    pub fn built_in() -> Result<Self, Faults> {
        Self::load(&[]).map_err(|(_, faults)| faults)
    }

    /// The folders' probes, the first folder that has a name wins, then the built-in ones. With faults,
    /// also what could be read: so that a schedule naming a broken probe is not a second fault.
    pub(crate) fn load(folders: &[PathBuf]) -> Result<Self, (Self, Faults)> {
        let mut library = Self::default();
        let mut faults = Faults::default();
        let mut seen = std::collections::BTreeSet::new();
        for folder in folders {
            let files = drop_ins(folder).unwrap_or_else(|more| {
                faults.append(more);
                Vec::new()
            });
            for path in files {
                let name =
                    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                // Also when it is broken: falling back to another definition would hide that.
                if seen.insert(name.clone()) {
                    library.add_file(&name, path, &mut faults);
                }
            }
        }
        for (name, text) in BUILT_IN.iter().filter(|(name, _)| !seen.contains(*name)) {
            match parse_probe(name, &format!("built-in probe {name}"), text) {
                Ok(probe) => library.shelve(probe, ProbeSource::BuiltIn),
                Err(more) => faults.append(more),
            }
        }
        if faults.is_empty() { Ok(library) } else { Err((library, faults)) }
    }

    fn add_file(&mut self, stem: &str, path: PathBuf, faults: &mut Faults) {
        if let Err(bad) = ProbeName::new(stem) {
            let place = Place::whole(path.display().to_string());
            let title = format!("a probe's file cannot be called {stem:?}.toml");
            faults.push(Fault::new(place, title).expected(bad.expected));
            return;
        }
        match read_probe(&path) {
            Ok(probe) => self.shelve(probe, ProbeSource::File(path)),
            Err(more) => faults.append(more),
        }
    }

    fn shelve(&mut self, probe: Probe, source: ProbeSource) {
        self.probes.insert(probe.name.clone(), Shelved { probe: Arc::new(probe), source });
    }
}
