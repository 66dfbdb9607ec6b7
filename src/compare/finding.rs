//! What the lenses find in one metric of one group of peers. They name hosts that differ from the rest of
//! their group; that a whole group changed is no host's difference, and not found here.

use super::changed::Judge;
use super::grid::{FEWEST_PEERS, Grid, columns};
use super::odd;
use super::shape::Measure;

/// Sweeps that make a history.
pub const LEAST_SWEEPS: usize = 24;

/// Peers that say what is usual among hosts: what the lens `odd` needs.
pub const LEAST_PEERS: usize = 5;

/// What tells a host from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lens {
    /// It differs from its own past, in how it stands to its peers.
    Changed,
    /// It differs from its peers, as long as there are readings.
    Odd,
}

/// A host that differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// Its place in the grid.
    pub host: usize,
    pub lens: Lens,
    /// Too few sweeps to tell a change from a habit.
    pub provisional: bool,
    /// Its last value, and the median of the others at that sweep.
    pub value: f64,
    pub peers: f64,
    /// What it would have now if it stood to its peers as ever: for [`Lens::Odd`] the peers' median.
    pub expected: f64,
    /// The first sweep of the present run; `None` when it is older than the grid.
    pub since: Option<usize>,
    /// How many of its usual scales it is off, and how many would have been enough.
    pub z: f64,
    pub limit: f64,
    /// Sweeps of history, or peers, that the judgement rests on.
    pub n: usize,
    /// Effect times confidence: the larger, the sooner somebody should look.
    pub score: f64,
}

/// Why a lens did not judge a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Nobody is judged.
    Peers { have: usize, need: usize },
    /// Enough to cancel out what all share, and too few to say what is usual: only changes are found.
    OddPeers { have: usize, need: usize },
    /// Nobody is judged by the past.
    Sweeps { have: usize, need: usize },
}

/// What was found, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The most important first.
    pub findings: Vec<Finding>,
    /// What the group as a whole lacks.
    pub lacking: Vec<Lacking>,
}

/// Judges the hosts `group` of the grid at its last sweep. They are each other's peers.
pub fn find(grid: Grid<'_>, group: &[usize], measure: Measure) -> Found {
    let mut found = Found::default();
    let columns = columns(grid, group, measure);
    let judge = Judge::new(grid, group, &columns, measure);
    let judged = judge.changed();
    found.findings.extend(judged.findings);
    found.findings.extend(odd::odd(grid, group, &columns, measure, &found.findings));
    match group.len().saturating_sub(1) {
        have if have < FEWEST_PEERS => found.lacking.push(Lacking::Peers { have, need: FEWEST_PEERS }),
        have if have < LEAST_PEERS => found.lacking.push(Lacking::OddPeers { have, need: LEAST_PEERS }),
        _ => {}
    }
    if judged.longest < LEAST_SWEEPS {
        found.lacking.push(Lacking::Sweeps { have: judged.longest, need: LEAST_SWEEPS });
    }
    found.findings.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.host.cmp(&b.host)));
    found
}

/// Effect times confidence. Neither is worth ever more: a hundredfold is not twice a tenfold.
pub(super) fn score(strengths: f64, z: f64, limit: f64) -> f64 {
    let effect = strengths.ln().abs();
    let confidence = (z / limit).abs();
    effect * confidence / (1.0 + confidence)
}

#[cfg(test)]
#[path = "finding_tests.rs"]
mod tests;
