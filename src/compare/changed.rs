//! The lens `changed`: how a host stands to its peers, against how it stood to them in its own past. Load
//! that all share cancels out, and a host that was always odd is not found.

use super::finding::{Finding, LEAST_SWEEPS, Lens, score};
use super::grid::{Column, Grid, Seen, against_peers};
use super::onset::onset;
use super::rarity::with_estimated_scale;
use super::shape::Measure;
use super::wildness::Wildness;
use crate::model::Worse;

/// The last readings of a host, of which two in a row must agree: one alone is an accident.
pub(super) const RECENT: usize = 3;

/// A smaller difference is nobody's trouble.
pub(super) const LEAST_RATIO: f64 = 1.3;

/// A host that agrees with its peers to less than this share still varies.
const LEAST_SCALE: f64 = 0.05;

/// How many scales are far off for normal numbers.
const FAR: f64 = 3.0;

/// The share of the resolution below which an expected value is none.
const NOTHING: f64 = 0.01;

/// So many hosts say how wild a metric is.
const SAMPLED_HOSTS: usize = 64;

/// A tenth of normal numbers lies 1.28 deviations or more above their median. A little more than that is no
/// reason to lose sight of what is normal.
const TAIL: f64 = 1.6;

/// Fewer sweeps than this before the run are no history.
const LEAST_BEFORE: usize = LEAST_SWEEPS - RECENT;

/// The last value may be this many sweeps old.
const STALE: usize = RECENT;

pub(super) struct Judge<'a> {
    grid: Grid<'a>,
    group: &'a [usize],
    columns: &'a [Column],
    measure: Measure,
}

pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    /// The most sweeps that a host has values of.
    pub(super) longest: usize,
}

/// A host that may have changed.
struct Candidate {
    host: usize,
    seen: Vec<Seen>,
    higher: bool,
}

/// How a host usually stands to its peers.
struct Usual {
    /// Of strengths; the median.
    ratio: f64,
    /// Of their logarithms.
    scale: f64,
    n: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(grid: Grid<'a>, group: &'a [usize], columns: &'a [Column], measure: Measure) -> Self {
        Self { grid, group, columns, measure }
    }

    pub(super) fn changed(&self) -> Judged {
        let mut seen = Vec::new();
        let mut longest = 0;
        let mut candidates = Vec::new();
        for host in self.group {
            seen.clear();
            seen.extend(against_peers((self.grid, *host), self.columns, self.measure, 0));
            longest = longest.max(seen.len());
            if let Some(higher) = self.is_off(&seen) {
                candidates.push(Candidate { host: *host, seen: seen.clone(), higher });
            }
        }
        let findings = if candidates.is_empty() { Vec::new() } else { self.judge(&candidates) };
        Judged { findings, longest }
    }

    /// Whether most of the last values are off by a ratio that matters, and to which side. Cheap: nearly
    /// every host ends here.
    fn is_off(&self, seen: &[Seen]) -> Option<bool> {
        let before = seen.len().checked_sub(RECENT).filter(|before| *before >= LEAST_BEFORE)?;
        if seen.last()?.sweep + STALE < self.grid.sweeps() {
            return None;
        }
        // Half of the history is so far from what most of the last values reach: so is its median, which
        // need not be known for that.
        let second = second([0, 1, 2].map(|at| seen[before + at].ratio));
        let off = |higher: bool| {
            let far = |it: &&Seen| is_far(second / it.ratio, higher);
            seen[..before].iter().filter(far).count() * 2 >= before
        };
        sides(self.measure.worse).iter().copied().find(|higher| off(*higher))
    }

    fn judge(&self, candidates: &[Candidate]) -> Vec<Finding> {
        let wild = [false, true].map(|higher| {
            let asked = candidates.iter().any(|it| it.higher == higher);
            if asked { self.wildness(candidates, higher) } else { 0.0 }
        });
        let one = |it: &Candidate| self.finding(it, wild[usize::from(it.higher)]);
        candidates.iter().filter_map(one).collect()
    }

    fn finding(&self, candidate: &Candidate, wild: f64) -> Option<Finding> {
        let Candidate { host, seen, higher } = candidate;
        let start = run(seen, *higher);
        let usual = Usual::of(&seen[..start], *higher);
        let limit = with_estimated_scale(FAR, usual.n).max(wild);
        let recent = &seen[seen.len() - RECENT..];
        let z = in_a_row([0, 1, 2].map(|at| usual.z(&recent[at], *higher)));
        let large = |it: &Seen| {
            let expected = self.measure.value(usual.ratio * self.measure.strength(it.peers));
            is_far(it.ratio / usual.ratio, *higher)
                && (it.value - expected).abs() >= self.measure.least(expected)
        };
        let last = recent.last()?;
        // The newest, too: what is over is no finding. Not a number where values are too large for their ratios.
        if z.is_nan()
            || z < limit
            || !large(last)
            || recent.iter().filter(|it| large(it)).count() + 1 < RECENT
        {
            return None;
        }
        let expected = self.measure.value(usual.ratio * self.measure.strength(last.peers));
        // So little is what logarithms are rounded by: as much as none, and nothing to take a multiple of.
        let expected = if expected.abs() < NOTHING * self.measure.resolution { 0.0 } else { expected };
        Some(Finding {
            host: *host,
            lens: Lens::Changed,
            provisional: false,
            value: last.value,
            peers: last.peers,
            expected,
            since: Some(seen[start].sweep),
            z,
            limit,
            n: usual.n,
            score: score(last.ratio / usual.ratio, z, limit),
        })
    }

    /// How far off most of three values are that seldom that it is no chance, by what the hosts did that
    /// nobody suspects.
    fn wildness(&self, candidates: &[Candidate], higher: bool) -> f64 {
        // Both are in the order of the group: a group of thousands may have thousands of candidates.
        let mut suspects = candidates.iter().map(|it| it.host).peekable();
        let calm = self.group.iter().copied().filter(|host| suspects.next_if_eq(host).is_none());
        let calm: Vec<usize> = calm.collect();
        let mut wildness = Wildness::default();
        for host in calm.iter().step_by(calm.len().div_ceil(SAMPLED_HOSTS).max(1)) {
            let seen: Vec<Seen> = against_peers((self.grid, *host), self.columns, self.measure, 0).collect();
            if seen.len() >= LEAST_SWEEPS {
                let usual = Usual::of(&seen, higher);
                let most = |three: &[Seen]| second([0, 1, 2].map(|at| usual.z(&three[at], higher)));
                wildness.add(&seen.windows(RECENT).map(most).collect::<Vec<f64>>());
            }
        }
        wildness.limit(self.group.len())
    }
}

/// What two that follow each other both reach. Of a metric that jumps now and then two of three do sooner:
/// a trouble stays.
fn in_a_row(three: [f64; RECENT]) -> f64 {
    three[0].min(three[1]).max(three[1].min(three[2]))
}

fn second(mut three: [f64; RECENT]) -> f64 {
    three.sort_unstable_by(f64::total_cmp);
    three[RECENT / 2]
}

impl Usual {
    fn of(seen: &[Seen], higher: bool) -> Self {
        let mut logs: Vec<f64> = seen.iter().map(|it| it.ratio.ln()).collect();
        logs.sort_unstable_by(f64::total_cmp);
        let n = logs.len();
        let middle = logs[(n - 1) / 2].midpoint(logs[n / 2]);
        // Where a tenth is much farther off than the middle half promises: a metric that is mostly nothing
        // has no deviation at all, and jumps every few hours.
        let tail = if higher { logs[n - 1 - n / 10] - middle } else { middle - logs[n / 10] };
        logs.iter_mut().for_each(|it| *it = (*it - middle).abs());
        let (_, mad, _) = logs.select_nth_unstable_by(n / 2, f64::total_cmp);
        let scale = (1.4826 * *mad).max(tail / TAIL).max(LEAST_SCALE);
        Self { ratio: middle.exp(), scale, n }
    }

    fn z(&self, seen: &Seen, higher: bool) -> f64 {
        let off = (seen.ratio / self.ratio).ln() / self.scale;
        if higher { off } else { -off }
    }
}

/// Where the present run begins, by what was usual before the last values.
fn run(seen: &[Seen], higher: bool) -> usize {
    let before = seen.len() - RECENT;
    let usual = median(seen[..before].iter().map(|it| it.ratio), &mut Vec::new());
    let sign = if higher { 1.0 } else { -1.0 };
    let off: Vec<f64> = seen[LEAST_BEFORE..].iter().map(|it| sign * (it.ratio / usual).ln()).collect();
    let last = off.len() - RECENT;
    LEAST_BEFORE + onset(&off, second([0, 1, 2].map(|at| off[last + at])))
}

pub(super) fn is_far(ratio: f64, higher: bool) -> bool {
    if higher { ratio >= LEAST_RATIO } else { ratio <= 1.0 / LEAST_RATIO }
}

/// The sides on which a value may be bad.
pub(super) fn sides(worse: Worse) -> &'static [bool] {
    match worse {
        Worse::Higher => &[true],
        Worse::Lower => &[false],
        Worse::Either => &[true, false],
    }
}

pub(super) fn median(values: impl Iterator<Item = f64>, scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend(values);
    let middle = scratch.len() / 2;
    *scratch.select_nth_unstable_by(middle, f64::total_cmp).1
}
