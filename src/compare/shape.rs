//! How a metric's numbers are compared. Amounts differ by ratios, shares by odds, events by more than
//! chance makes; near zero all of them by amounts, because three times nothing is nothing.

use crate::model::Worse;

/// What a metric's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Seconds, bytes: any amount.
    Amount,
    /// Of 1: what lies near either end is told apart.
    Share,
    /// Events in a second, of which even a steady source has now more and now fewer.
    Events,
}

/// What a rule must know of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    pub shape: Shape,
    pub worse: Worse,
    /// What its source can tell apart, above 0; of [`Shape::Events`] one event in the probe's window.
    pub resolution: f64,
}

impl Measure {
    /// A positive number that rises with `value`, whose ratios are what is compared: for amounts far above
    /// the resolution their own ratio, for shares that of their odds.
    pub fn strength(&self, value: f64) -> f64 {
        let floor = self.resolution;
        match self.shape {
            Shape::Share => {
                let share = value.clamp(0.0, 1.0);
                (share + floor) / (1.0 - share + floor)
            }
            Shape::Amount | Shape::Events if value < 0.0 => floor / (floor - value),
            Shape::Amount | Shape::Events => (value + floor) / floor,
        }
    }

    /// The value of a strength.
    pub fn value(&self, strength: f64) -> f64 {
        let floor = self.resolution;
        match self.shape {
            Shape::Share => ((strength * (1.0 + floor) - floor) / (1.0 + strength)).clamp(0.0, 1.0),
            Shape::Amount | Shape::Events if strength < 1.0 => floor - floor / strength,
            Shape::Amount | Shape::Events => floor * (strength - 1.0),
        }
    }

    /// How far strengths near that of `value` are off because their values are rounded: the deviation of what
    /// lies anywhere within one step, of their logarithms.
    pub fn rounding(&self, value: f64) -> f64 {
        let step = self.resolution / 12.0_f64.sqrt();
        (self.strength(value + step) / self.strength(value)).ln()
    }

    /// A smaller difference from `expected` says nothing: its source alone makes it.
    pub fn least(&self, expected: f64) -> f64 {
        match self.shape {
            Shape::Amount | Shape::Share => 3.0 * self.resolution,
            // Of events that come by chance, whose usual number may be none.
            Shape::Events => (4.0 * (self.resolution * expected.abs()).sqrt()).max(4.5 * self.resolution),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(shape: Shape, resolution: f64) -> Measure {
        Measure { shape, worse: Worse::Higher, resolution }
    }

    #[test]
    fn far_from_zero_ratios_count_and_near_it_amounts() {
        let ratio = |it: Measure, a: f64, b: f64| it.strength(b) / it.strength(a);
        let amount = measure(Shape::Amount, 1e-5);
        assert!((ratio(amount, 0.1, 0.2) - 2.0).abs() < 1e-3);
        assert!((ratio(amount, 1e-8, 3e-8) - 1.0).abs() < 0.01);
        assert!(ratio(amount, -1.0, 1.0) > 1e9 && ratio(amount, -1.0, -2.0) < 0.6);
        let share = measure(Shape::Share, 1e-3);
        assert!((ratio(share, 0.01, 0.02) - 2.0).abs() < 0.1);
        assert!(ratio(share, 0.98, 0.99) > 1.8);
    }

    #[test]
    fn a_strength_is_of_one_value() {
        for shape in [Shape::Amount, Shape::Share, Shape::Events] {
            let it = measure(shape, 0.01);
            for value in [-3.0, 0.0, 0.001, 0.3, 1.0, 500.0] {
                let kept = if shape == Shape::Share { f64::clamp(value, 0.0, 1.0) } else { value };
                let back = it.value(it.strength(value));
                assert!((back - kept).abs() < 1e-9 * kept.abs().max(1.0), "{shape:?} {value}: {back}");
            }
        }
    }

    #[test]
    fn events_vary_by_chance() {
        let it = measure(Shape::Events, 0.5);
        assert_eq!((it.least(0.0), it.least(200.0)), (2.25, 40.0));
    }
}
