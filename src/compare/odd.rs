//! The lens `odd`: how a host stands to its peers, against how they stand to each other. For lasting
//! differences, and for all of them while there is no history.

use super::changed::{LEAST_RATIO, RECENT, is_far, sides};
use super::finding::{Finding, LEAST_PEERS, LEAST_SWEEPS, Lens, score};
use super::grid::{Column, Grid, Seen, against_peers};
use super::onset::onset;
use super::rarity::{normal_limit, with_estimated_scale};
use super::shape::Measure;
use super::{Sorted, Spread};

/// Hosts that agree to less than this share still differ.
const LEAST_SCALE: f64 = 0.05;

/// One of so many hosts may be odd, and two of a few; where the next one is far off as well, far off is
/// usual, whatever the middle half of the hosts does.
const LEFT_OUT: usize = 8;

/// An eighth of normal numbers lies 1.15 deviations or more above their median.
const TAIL: f64 = 1.15;

/// The share of comparisons of a few hosts in which a healthy one may be named, were their levels normal. Less
/// would need more peers than they have.
const FALSE_FINDINGS: f64 = 0.05;

/// So few hosts. More can afford to be surer: the share falls with the root of their number.
const FEW: f64 = 8.0;

/// How a host usually stands to its peers of late.
struct Level {
    host: usize,
    /// Of the logarithms of its ratios: what most of them reach.
    usual: f64,
    last: Seen,
    sweeps: usize,
    is_off: bool,
}

/// The hosts of the group that are odd and not in `found` already.
pub(super) fn odd(
    grid: Grid<'_>,
    group: &[usize],
    columns: &[Column],
    measure: Measure,
    found: &[Finding],
) -> Vec<Finding> {
    let one = |higher: &bool| one_side((grid, group, columns), measure, *higher);
    let mut findings: Vec<Finding> = sides(measure.worse).iter().flat_map(one).collect();
    findings.retain(|it| found.iter().all(|found| found.host != it.host));
    findings
}

fn one_side(
    (grid, group, columns): (Grid<'_>, &[usize], &[Column]),
    measure: Measure,
    higher: bool,
) -> Vec<Finding> {
    let level = |host: &usize| Level::of((grid, *host), columns, measure, higher);
    let levels: Vec<Level> = group.iter().filter_map(level).collect();
    let peers = levels.len().saturating_sub(1);
    if peers < LEAST_PEERS || levels.iter().all(|it| !it.is_off) {
        return Vec::new();
    }
    let sign = if higher { 1.0 } else { -1.0 };
    let sorted: Sorted = levels.iter().map(|it| it.usual * sign).collect();
    let Some(spread) = Spread::of(&sorted) else { return Vec::new() };
    let peers_have = levels.iter().map(|it| it.last.peers).collect::<Sorted>().median().unwrap_or(0.0);
    let tail =
        sorted.iter().nth_back((sorted.len() / LEFT_OUT).max(2)).map_or(0.0, |it| it - spread.median) / TAIL;
    let scale = (1.4826 * spread.mad).max(tail).max(LEAST_SCALE).max(measure.rounding(peers_have));
    let hosts = levels.len() as f64;
    let chance = FALSE_FINDINGS * (FEW / hosts).sqrt().min(1.0);
    let limit = with_estimated_scale(normal_limit(chance / hosts), peers);
    let is_odd = |it: &&Level| {
        let off = it.usual * sign - spread.median;
        it.is_off && off / scale >= limit && off >= LEAST_RATIO.ln()
    };
    let finding = |it: &Level| {
        let z = (it.usual * sign - spread.median) / scale;
        let seen: Vec<Seen> = against_peers((grid, it.host), columns, measure, 0).collect();
        let off: Vec<f64> = seen.iter().map(|it| it.ratio.ln() * sign - spread.median).collect();
        // The last few may be less than what is usual for the host.
        let last: Sorted = off.iter().rev().take(RECENT).copied().collect();
        let level = it.usual * sign - spread.median;
        let present = last.median().map_or(level, |last| last.min(level));
        let start = onset(&off, present);
        // What began with the first values may be older than they are.
        let since = (start >= RECENT).then(|| seen.get(start).map(|it| it.sweep)).flatten();
        Finding {
            host: it.host,
            lens: Lens::Odd,
            provisional: it.sweeps < LEAST_SWEEPS,
            value: it.last.value,
            peers: it.last.peers,
            expected: it.last.peers,
            since,
            z,
            limit,
            n: peers,
            score: score(it.last.ratio, z, limit),
        }
    };
    levels.iter().filter(is_odd).map(finding).collect()
}

fn is_off(seen: &Seen, measure: Measure, higher: bool) -> bool {
    is_far(seen.ratio, higher) && (seen.value - seen.peers).abs() >= measure.least(seen.peers)
}

impl Level {
    fn of(
        (grid, host): (Grid<'_>, usize),
        columns: &[Column],
        measure: Measure,
        higher: bool,
    ) -> Option<Self> {
        let first = grid.sweeps().saturating_sub(LEAST_SWEEPS);
        let mut ratios = [0.0; LEAST_SWEEPS];
        let (mut sweeps, mut off, mut last) = (0, 0, None);
        for seen in against_peers((grid, host), columns, measure, first).rev() {
            ratios[sweeps] = seen.ratio;
            off += usize::from(sweeps < RECENT && is_off(&seen, measure, higher));
            sweeps += 1;
            last = last.or(Some(seen));
        }
        let last = last.filter(|last| last.sweep + RECENT >= grid.sweeps())?;
        // Of a few sweeps nearly all: a metric that jumps now and then jumps in most of six, somewhere.
        let beyond = if sweeps < LEAST_SWEEPS { sweeps / 8 } else { sweeps / 3 };
        let at = if higher { beyond } else { sweeps - 1 - beyond };
        let ratios = &mut ratios[..sweeps];
        ratios.sort_unstable_by(f64::total_cmp);
        // The mean of a few, as one alone of values that are few steps is a step, too, and the hosts' levels
        // would agree more than they do.
        let near = if higher { &ratios[at - beyond / 2..=at] } else { &ratios[at..=at + beyond / 2] };
        let usual = near.iter().map(|ratio| ratio.ln()).sum::<f64>() / near.len() as f64;
        Some(Self { host, usual, last, sweeps, is_off: off * 2 > sweeps.min(RECENT) })
    }
}
