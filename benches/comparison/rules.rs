//! The rules that are judged: the two of the textbook, and ours.

use std::ops::Range;

use dropsonde::compare::{Grid, Lens, Measure, Sorted, Spread, find};

use super::fleets::{Fleet, Random, SWEEPS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The last value is 3.5 robust scales above the fleet.
    RawZ,
    /// The same of logarithms.
    LogZ,
    /// The distance from the fleet against the own past: 3 scales in 2 of the last 3, and 1.3 times as much.
    OwnPast,
    /// What `find` says by its lens `changed`, and by any lens.
    Changed,
    Either,
    /// What `find` says with no more than the last sweeps.
    Odd {
        sweeps: usize,
    },
}

/// How often a rule was wrong and right, of so many fleets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    pub fleets: usize,
    /// Fleets in which it named a host that was as ever.
    pub falsely: usize,
    /// Fleets in which it named the host that was not.
    pub found: usize,
}

impl Score {
    pub fn false_share(&self) -> f64 {
        self.falsely as f64 / self.fleets as f64
    }

    pub fn found_share(&self) -> f64 {
        self.found as f64 / self.fleets as f64
    }
}

/// The scores of the rules over fleets of these seeds.
pub fn judge(fleet: &Fleet, rules: &[Rule], seeds: Range<u64>) -> Vec<Score> {
    let mut scores = vec![Score::default(); rules.len()];
    for seed in seeds {
        let values = fleet.values(&mut Random(seed.wrapping_mul(0xd134_2543_de82_ef95)));
        for (score, rule) in scores.iter_mut().zip(rules) {
            let named = rule.named(&values, fleet.measure(&values));
            score.fleets += 1;
            score.falsely += usize::from(named.iter().any(|host| *host != 0));
            score.found += usize::from(named.contains(&0));
        }
    }
    scores
}

impl Rule {
    fn named(self, values: &[f64], measure: Measure) -> Vec<usize> {
        let grid = Grid::new(values, SWEEPS);
        match self {
            Self::RawZ => textbook(grid, |value| value),
            Self::LogZ => textbook(grid, |value| (value + measure.resolution).ln()),
            Self::OwnPast => own_past(grid, measure),
            Self::Changed => lens(grid, measure, Some(Lens::Changed)),
            Self::Either => lens(grid, measure, None),
            Self::Odd { sweeps } => {
                let rows = values.chunks(SWEEPS);
                let last: Vec<f64> = rows.flat_map(|row| &row[SWEEPS - sweeps..]).copied().collect();
                lens(Grid::new(&last, sweeps), measure, Some(Lens::Odd))
            }
        }
    }
}

fn lens(grid: Grid<'_>, measure: Measure, lens: Option<Lens>) -> Vec<usize> {
    let group: Vec<usize> = (0..grid.hosts()).collect();
    let found = find(grid, &group, measure);
    found.findings.iter().filter(|it| lens.is_none_or(|lens| it.lens == lens)).map(|it| it.host).collect()
}

fn textbook(grid: Grid<'_>, shape: impl Fn(f64) -> f64) -> Vec<usize> {
    let last: Vec<f64> = (0..grid.hosts()).map(|host| shape(grid.host(host)[SWEEPS - 1])).collect();
    let Some(spread) = Spread::of(&last.iter().copied().collect::<Sorted>()) else { return Vec::new() };
    let far = |it: &(usize, &f64)| spread.robust_z(*it.1, 1e-9) >= 3.5;
    last.iter().enumerate().filter(far).map(|(host, _)| host).collect()
}

fn own_past(grid: Grid<'_>, measure: Measure) -> Vec<usize> {
    let log = |value: f64| (value + measure.resolution).ln();
    let all = |sweep: usize| (0..grid.hosts()).map(move |host| grid.host(host)[sweep]);
    let peers: Vec<f64> =
        (0..SWEEPS).map(|at| all(at).collect::<Sorted>().median().map_or(f64::NAN, log)).collect();
    let changed = |host: &usize| {
        let off: Vec<f64> =
            grid.host(*host).iter().zip(&peers).map(|(value, peers)| log(*value) - peers).collect();
        let Some(usual) = Spread::of(&off[..SWEEPS - 3].iter().copied().collect::<Sorted>()) else {
            return false;
        };
        let scale = (1.4826 * usual.mad).max(0.05);
        let far = |it: &&f64| (**it - usual.median) / scale >= 3.0 && **it - usual.median >= 1.3_f64.ln();
        off[SWEEPS - 3..].iter().filter(far).count() >= 2
    };
    (0..grid.hosts()).filter(changed).collect()
}
