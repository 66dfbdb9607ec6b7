//! Rates that wander, with their exact integrals: a counter made from one never runs backwards, however
//! often and in whatever order it is asked.

use std::f64::consts::TAU;

/// Numbers from a seed; the same ones on every machine and in every version of every crate.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64);

impl Seeded {
    /// `stream` keeps the hosts of one fleet apart.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut seeded = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        seeded.bits();
        seeded
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.bits() % count.max(1) as u64) as usize
    }
}

#[derive(Debug, Clone, Copy)]
struct Wave {
    period_s: f64,
    amplitude: f64,
    phase: f64,
}

/// A rate around 1: `1 + Σ amplitude · cos(2π (t / period + phase))`. The amplitudes' sum stays below 1,
/// so the rate is positive and its integral rises.
#[derive(Debug, Clone)]
pub(super) struct Drive([Wave; 5]);

impl Drive {
    /// A day's rise and fall that the whole fleet shares, and four faster waves of the host's own, which are
    /// noise to whoever looks once an hour: 10 to 30 %.
    pub(super) fn diurnal(seeded: &mut Seeded) -> Self {
        let restless = seeded.between(0.5, 1.0);
        // Busiest about 14:00 UTC.
        let day =
            Wave { period_s: 86_400.0, amplitude: 0.35, phase: -14.0 / 24.0 + seeded.between(-0.02, 0.02) };
        Self([
            day,
            Self::own(seeded, 2_460.0, restless * 0.16),
            Self::own(seeded, 811.0, restless * 0.14),
            Self::own(seeded, 173.0, restless * 0.12),
            Self::own(seeded, 37.0, restless * 0.10),
        ])
    }

    /// Always nearly the same.
    pub(super) fn steady(seeded: &mut Seeded) -> Self {
        Self([5_400.0, 1_733.0, 610.0, 131.0, 37.0].map(|period_s| Self::own(seeded, period_s, 0.03)))
    }

    fn own(seeded: &mut Seeded, period_s: f64, amplitude: f64) -> Wave {
        Wave { period_s: period_s * seeded.between(0.8, 1.25), amplitude, phase: seeded.between(0.0, 1.0) }
    }

    pub(super) fn at(&self, unix_s: f64) -> f64 {
        1.0 + self.0.iter().map(|w| w.amplitude * turn(w, unix_s).cos()).sum::<f64>()
    }

    /// The integral of the rate from `from_s` to `to_s`, 0 where that is no stretch of time.
    pub(super) fn over(&self, from_s: f64, to_s: f64) -> f64 {
        if to_s <= from_s {
            return 0.0;
        }
        let wave = |w: &Wave| w.amplitude * w.period_s / TAU * (turn(w, to_s).sin() - turn(w, from_s).sin());
        to_s - from_s + self.0.iter().map(wave).sum::<f64>()
    }
}

/// Taken modulo one turn first, so that seconds since 1970 keep their precision in `sin`.
fn turn(wave: &Wave, unix_s: f64) -> f64 {
    TAU * (unix_s / wave.period_s + wave.phase).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_is_the_sum_of_the_rate() {
        let drive = Drive::diurnal(&mut Seeded::new(7, 1));
        let (from, step) = (1_800_000_000.0, 0.5);
        let sum: f64 = (0..20_000).map(|i| drive.at(from + (f64::from(i) + 0.5) * step) * step).sum();
        let exact = drive.over(from, from + 10_000.0);
        assert!((sum / exact - 1.0).abs() < 1e-6, "{sum} {exact}");
        assert_eq!(drive.over(from, from - 1.0), 0.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_streams_differ() {
        let draw = |seed, stream| Seeded::new(seed, stream).bits();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
