//! How a state directory is: what there is of what, how much room, what is due, how the schedules' last
//! sweeps went. It changes nothing and judges no host.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::Steps;
use super::prune::steps;
use super::room::wanted_free;
use crate::config::Retention;
use crate::model::{CollectorTime, Kept};
use crate::store::index::{Reader, SweepRow};
use crate::store::{Reserve, Space, StateDir, StoreError, quarantine};

/// Sweeps of which equally much is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    pub sweeps: u64,
    /// Of their tars.
    pub bytes: u64,
    pub oldest: Option<CollectorTime>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub space: Space,
    pub low: bool,
    /// Whether the reserve is there; `None` where none is wanted.
    pub reserve: Option<bool>,
    pub stocks: BTreeMap<Kept, Stock>,
    pub index_used_bytes: u64,
    pub index_file_bytes: u64,
    /// What a prune would do; `None` where nobody knows what is wanted.
    pub due: Option<Steps>,
    /// The last sweep that each schedule started.
    pub schedules: Vec<SweepRow>,
    /// Probes in quarantine, on any host.
    pub quarantined: u64,
}

/// Looks at a state directory. `retention` is `None` when the configuration cannot be read.
pub fn health(root: &Path, retention: Option<&Retention>, now: CollectorTime) -> Result<Health, StoreError> {
    let state = StateDir::at(root);
    let reader = Reader::open(root)?;
    let space = Space::of(root)?;
    let wanted = retention.cloned().unwrap_or_default();
    let mut stocks: BTreeMap<Kept, Stock> = BTreeMap::new();
    let mut schedules: BTreeMap<String, SweepRow> = BTreeMap::new();
    for row in reader.sweeps(usize::MAX)? {
        let stock = stocks.entry(row.kept).or_default();
        stock.sweeps += 1;
        stock.bytes += state.tar_len(&row.sweep).unwrap_or(0);
        // The newest come first.
        stock.oldest = Some(row.started);
        if let Some(schedule) = &row.schedule {
            schedules.entry(schedule.clone()).or_insert(row);
        }
    }
    let reserve = Reserve::new(&state, wanted.reserve);
    Ok(Health {
        space,
        low: space.free_bytes < wanted_free(&wanted, space),
        reserve: (wanted.reserve.0 > 0).then(|| reserve.is_there()),
        stocks,
        index_used_bytes: reader.used_bytes()?,
        index_file_bytes: state.index().metadata().map_or(0, |metadata| metadata.len()),
        due: retention.map(|retention| steps(root, retention, now)).transpose()?,
        schedules: schedules.into_values().collect(),
        quarantined: quarantine::held(root)?.len() as u64,
    })
}

impl Health {
    /// What a person should do something about, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.low {
            warnings.push("there is little room on the disk (retention.low_space)".to_owned());
        }
        if self.reserve == Some(false) {
            let what = "the reserve for a full disk is not there; the next sweep makes it when there is room";
            warnings.push(what.to_owned());
        }
        if self.quarantined > 0 {
            let count = self.quarantined;
            warnings.push(format!("{count} probes are in quarantine; `dropsonde quarantine` lists them"));
        }
        warnings
    }
}
