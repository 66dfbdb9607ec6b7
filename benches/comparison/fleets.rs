//! Synthetic fleets for judging the rules of `compare`: one metric, a week of hourly sweeps, perhaps one
//! host that became slow. The same seed makes the same fleet on every machine.

use dropsonde::compare::{Grid, Measure, Shape, step};
use dropsonde::model::Worse;

/// A week of hourly sweeps.
pub const SWEEPS: usize = 168;

/// How a metric behaves on a healthy host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// Varies by a share of itself.
    LogNormal { noise: f64 },
    /// Also follows the day, by a factor of e either way, on no two hosts quite alike.
    Diurnal { noise: f64 },
    /// As the first, with Student's t of three degrees of freedom in place of normal noise.
    HeavyTailed { noise: f64 },
    /// As the first, with an hour that leans on the one before.
    Sluggish { noise: f64 },
    /// Nothing in seven of ten hours.
    ZeroInflated { noise: f64 },
    /// Ten times as much in one of twenty hours.
    Bursts { noise: f64 },
    /// Events that come by chance, so many in a window of a second.
    Events { mean: f64 },
    /// A share of a window of some two hundred ticks, of which so many are counted by chance.
    Ticks { mean: f64 },
}

/// One simulated metric of one fleet.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    pub metric: Metric,
    pub hosts: usize,
    /// What the first host's values are multiplied with, in the last sweeps.
    pub shift: f64,
    pub shifted_sweeps: usize,
    /// The share of values that is missing.
    pub missing: f64,
}

impl Fleet {
    /// As `outliers` finds it out for `values`.
    pub fn measure(&self, values: &[f64]) -> Measure {
        let (shape, resolution) = match self.metric {
            Metric::Events { .. } => (Shape::Events, 1.0),
            Metric::Ticks { .. } => {
                (Shape::Share, step(Grid::new(values, SWEEPS)).map_or(1e-3, |step| step.max(1e-3)))
            }
            _ => (Shape::Amount, 1e-5),
        };
        Measure { shape, worse: Worse::Higher, resolution }
    }

    /// Values of the first host, of the next, and so on; not a number where one is missing.
    pub fn values(&self, random: &mut Random) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.hosts * SWEEPS);
        for host in 0..self.hosts {
            let (level, swing, phase) =
                ((0.2 * random.normal()).exp(), 1.0 + 0.1 * random.normal(), 0.3 * random.normal());
            let mut before = 0.0;
            for sweep in 0..SWEEPS {
                let day = (sweep as f64 + phase) / 24.0 * std::f64::consts::TAU;
                let shifted = host == 0 && sweep + self.shifted_sweeps >= SWEEPS;
                let factor = if shifted { self.shift } else { 1.0 };
                let value = self.metric.value(random, level * factor, (swing * day.sin(), &mut before));
                values.push(if random.unit() < self.missing { f64::NAN } else { value });
            }
        }
        values
    }
}

impl Metric {
    fn value(self, random: &mut Random, level: f64, (day, before): (f64, &mut f64)) -> f64 {
        let usual = 1e-3 * level;
        match self {
            Self::LogNormal { noise } => usual * (noise * random.normal()).exp(),
            Self::Diurnal { noise } => usual * (day + noise * random.normal()).exp(),
            Self::HeavyTailed { noise } => usual * (noise * random.student()).exp(),
            Self::Sluggish { noise } => {
                *before = 0.8 * *before + 0.6 * random.normal();
                usual * (noise * *before).exp()
            }
            Self::ZeroInflated { noise } => {
                let value = usual * (noise * random.normal()).exp();
                if random.unit() < 0.7 { 0.0 } else { value }
            }
            Self::Bursts { noise } => {
                let value = usual * (noise * random.normal()).exp();
                if random.unit() < 0.05 { 10.0 * value } else { value }
            }
            Self::Events { mean } => random.events(mean * level),
            Self::Ticks { mean } => {
                let window = 199.0 + (3.0 * random.unit()).floor();
                random.events(mean * level).min(window) / window
            }
        }
    }
}

/// A generator that gives the same numbers on every machine (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, neither included.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (self.unit() * std::f64::consts::TAU).cos()
    }

    /// Student's t with three degrees of freedom.
    fn student(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / (squares / 3.0).sqrt()
    }

    /// Poisson's; by the time between events, in steps that do not underflow.
    fn events(&mut self, mean: f64) -> f64 {
        let (mut events, mut time) = (0.0, -self.unit().ln());
        while time < mean {
            events += 1.0;
            time -= self.unit().ln();
        }
        events
    }
}
