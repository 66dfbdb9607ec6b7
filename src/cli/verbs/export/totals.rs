//! Counters as their hosts gave them. The index has rates only, so the archive is read again.

use std::collections::HashMap;

use anyhow::Result;

use super::Wanted;
use super::openmetrics::{Points, labels_of};
use crate::cli::recorded::Recorded;
use crate::collect::{Caps, each_total};
use crate::store::StateDir;
use crate::store::index::SweepRow;

/// Points by metric.
pub(super) struct Totals(HashMap<String, Points<f64>>);

impl Totals {
    /// Reads every total that is wanted. They stand in memory, about a hundred bytes each: a family's
    /// points must stand together, and the archive has them sweep by sweep.
    pub(super) fn read(recorded: &Recorded<'_>, sweeps: &[SweepRow], wanted: &Wanted<'_>) -> Result<Self> {
        let state = StateDir::at(&recorded.state_dir()?);
        let mut totals: HashMap<String, Points<f64>> = HashMap::new();
        for sweep in sweeps {
            each_total(&state, &sweep.sweep, Caps::default(), &mut |reading, total| {
                // A counter below 0 is none.
                if !wanted.host(&reading.host) || !wanted.metric(&total.metric) || total.value < 0.0 {
                    return;
                }
                let given = total.labels.iter().map(|(label, value)| (&**label, value.as_str()));
                let labels = labels_of((&reading.host, &reading.probe), given, None);
                let ts = Some(reading.started.unix_s());
                totals.entry(total.metric.to_string()).or_default().add(labels, ts, total.value);
            })?;
        }
        Ok(Self(totals))
    }

    pub(super) fn of(&self, metric: &str) -> Option<&Points<f64>> {
        self.0.get(metric)
    }
}
