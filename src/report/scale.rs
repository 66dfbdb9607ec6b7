//! Where a number stands on an axis, and which numbers an axis names. Every share lies within 0 and 1,
//! whatever a host measured.

use crate::model::Kind;
use crate::render::units::{self, Per};

/// An axis is logarithmic where its numbers differ more than this: on a linear one all but the largest
/// would lie on one spot.
const WIDE: f64 = 50.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// An axis that holds these; `None` where there is no finite number.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return None;
        }
        if low > 0.0 && high / low > WIDE {
            return Some(Self { low, high, log: true });
        }
        // Zero belongs to it unless that squeezes the numbers together.
        if low > 0.0 && low < high / 2.0 {
            low = 0.0;
        } else if high < 0.0 && high > low / 2.0 {
            high = 0.0;
        }
        if low == high {
            let room = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (if low == 0.0 { 0.0 } else { low - room }, (high + room).min(f64::MAX));
        }
        Some(Self { low, high, log: false })
    }

    pub fn is_log(&self) -> bool {
        self.log
    }

    /// How far along the axis, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            // Made small first: the distance between two finite numbers may be infinite.
            let unit = self.low.abs().max(self.high.abs());
            (value / unit - self.low / unit) / (self.high / unit - self.low / unit)
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// At most `most` numbers on it that are round as they are told, with how they are. Bytes are round in
    /// powers of two.
    pub fn ticks(&self, unit: &str, kind: Kind, most: usize) -> Vec<(f64, String)> {
        let per = Per::of_sample(self.low.abs().max(self.high.abs()), unit, kind);
        let told = Self { low: self.low * per.seconds(), high: self.high * per.seconds(), log: self.log };
        let text = |tick: f64| (tick, units::sample_per(tick, unit, kind, per));
        told.round(unit, most.max(2)).into_iter().map(|tick| text(tick / per.seconds())).collect()
    }

    fn round(&self, unit: &str, most: usize) -> Vec<f64> {
        let all = if self.log { self.log_ticks() } else { self.linear_ticks(unit, most) };
        let every = all.len().div_ceil(most).max(1);
        all.into_iter().step_by(every).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let wide = self.high.log10() - self.low.log10() > 3.0;
        let parts: &[f64] = if wide { &[1.0] } else { &[1.0, 3.0] };
        let of = |decade: i32| parts.iter().map(move |part| part * 10f64.powi(decade));
        decades.flat_map(of).filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }

    fn linear_ticks(&self, unit: &str, most: usize) -> Vec<f64> {
        let rough = self.high / most as f64 - self.low / most as f64;
        let step = if unit == "bytes" { 2f64.powf(rough.log2().ceil()) } else { round_up(rough) };
        if !step.is_normal() {
            return Vec::new();
        }
        let first = (self.low / step).ceil();
        let tick = |n: usize| (first + n as f64) * step;
        (0..=most).map(tick).take_while(|tick| *tick <= self.high).collect()
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0];
    parts.into_iter().map(|part| part * power).find(|step| *step >= rough * 0.999_999).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(values: &[f64]) -> Scale {
        Scale::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn zero_belongs_to_amounts_and_wide_ones_are_logarithmic() {
        assert_eq!(scale(&[1.0, 5.0]), Scale { low: 0.0, high: 5.0, log: false });
        assert_eq!(scale(&[40.0, 50.0]), Scale { low: 40.0, high: 50.0, log: false });
        assert_eq!(scale(&[-5.0, -1.0]), Scale { low: -5.0, high: 0.0, log: false });
        assert_eq!(scale(&[0.001, 5.0]), Scale { low: 0.001, high: 5.0, log: true });
        assert_eq!(scale(&[0.0, 5e9]), Scale { low: 0.0, high: 5e9, log: false });
        assert_eq!(scale(&[0.0]), Scale { low: 0.0, high: 1.0, log: false });
        assert_eq!(scale(&[4.0, f64::NAN, f64::INFINITY]), Scale { low: 2.0, high: 6.0, log: false });
        assert_eq!(Scale::of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn ticks_are_round() {
        let check = |values: &[f64], unit: &str, expected: &[f64]| {
            let found = scale(values).round(unit, 4);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
            assert!(
                found.len() == expected.len() && found.iter().zip(expected).all(near),
                "{values:?}: {found:?}"
            );
        };
        check(&[0.0, 10.0], "seconds", &[0.0, 5.0, 10.0]);
        check(&[0.0007, 0.0072], "seconds", &[0.0, 0.002, 0.004, 0.006]);
        check(&[0.0, 1_000_000.0], "bytes", &[0.0, 262_144.0, 524_288.0, 786_432.0]);
        check(&[0.001, 0.9], "ratio", &[0.001, 0.01, 0.1]);
        check(&[-4.0, 4.0], "", &[-4.0, 0.0, 4.0]);
    }

    #[test]
    fn rates_are_round_as_they_are_told() {
        let told = |values: &[f64], unit: &str, kind| {
            let ticks = scale(values).ticks(unit, kind, 4);
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[0.0, 0.0021], "messages", Kind::Counter), "0/h 2/h 4/h 6/h");
        assert_eq!(told(&[0.0, 0.31], "messages", Kind::Counter), "0/s 0.1/s 0.2/s 0.3/s");
        assert_eq!(told(&[0.0, 0.0021], "seconds", Kind::Gauge), "0s 1ms 2ms");
    }

    proptest::proptest! {
        #[test]
        fn nothing_leaves_the_axis(a in proptest::num::f64::ANY, b in proptest::num::f64::ANY, c in proptest::num::f64::ANY) {
            let Some(scale) = Scale::of([a, b].into_iter()) else { return Ok(()) };
            for value in [a, b, c] {
                proptest::prop_assert!((0.0..=1.0).contains(&scale.share(value)), "{scale:?} {value}");
            }
            for unit in ["bytes", "seconds"] {
                let ticks = scale.ticks(unit, Kind::Counter, 4);
                proptest::prop_assert!(ticks.len() <= 5, "{scale:?}: {ticks:?}");
                proptest::prop_assert!(ticks.iter().all(|tick| tick.0.is_finite()), "{scale:?}: {ticks:?}");
            }
        }
    }
}
