//! Two sides of one metric.

use super::Sorted;
use super::ranking::ratio;
use crate::model::{Kind, Span};

/// How two sides of a series differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrast {
    /// The sides' medians.
    pub a: Option<f64>,
    pub b: Option<f64>,
    /// `b` over `a`.
    pub ratio: Option<f64>,
    /// Values on each side.
    pub n: [u64; 2],
    /// How far apart, as the logarithm of a ratio; 0 when the difference is below the scale's floor.
    /// Only for putting the most different first.
    pub distance: f64,
}

/// A difference below this share of the median of all values is none.
const LEAST_SHARE: f64 = 0.05;

/// Compares `b` with `a`. Nothing below `resolution`, or below a share of what both sides usually have, counts
/// as a difference: three times nothing is nothing.
pub fn contrast(a: &[f64], b: &[f64], resolution: f64) -> Contrast {
    let side = |values: &[f64]| values.iter().copied().collect::<Sorted>();
    let (side_a, side_b) = (side(a), side(b));
    let pooled: Sorted = a.iter().chain(b).copied().collect();
    let (mid_a, mid_b) = (side_a.median(), side_b.median());
    let both = mid_a.zip(mid_b);
    let floor = resolution.max(LEAST_SHARE * pooled.median().unwrap_or(0.0).abs());
    Contrast {
        a: mid_a,
        b: mid_b,
        ratio: both.and_then(|(a, b)| ratio(a, b)),
        n: [side_a.len() as u64, side_b.len() as u64],
        distance: both.map_or(0.0, |(a, b)| distance(a, b, floor)),
    }
}

fn distance(a: f64, b: f64, floor: f64) -> f64 {
    // `<=` is false for what is no number, and for two infinities that are the same.
    if a == b || (a - b).abs() <= floor {
        return 0.0;
    }
    let far = |value: f64| (value.abs() + floor).ln();
    let apart = if a * b < 0.0 { far(a) + far(b) - 2.0 * floor.ln() } else { far(b) - far(a) };
    apart.abs()
}

/// The least difference of a metric that is worth a line: about what its source can tell apart.
pub fn resolution(unit: &str, kind: Kind, span: Span) -> f64 {
    match (kind, unit) {
        // A share of the time. The kernel counts CPU time in ticks of 10 ms, and a single one in a window
        // of two seconds is 0.5 %.
        (Kind::Counter, "seconds") if span == Span::Between => 1e-3,
        (Kind::Counter, "seconds") => 5e-3,
        (Kind::Counter, "bytes") => 1024.0,
        // One event in a probe's window of about a second is chance; over the time between two sweeps a
        // hundred times fewer are already a habit.
        (Kind::Counter, _) if span == Span::Between => 1e-2,
        (Kind::Counter, _) => 1.0,
        (_, "seconds") => 1e-5,
        (_, "bytes") => 65_536.0,
        (_, "ratio" | "fraction") => 1e-3,
        (_, "percent") => 0.1,
        (_, "hertz") => 1e6,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ratio_and_counts() {
        let found = contrast(&[1.0, 2.0, 3.0], &[8.0], 0.1);
        assert_eq!((found.a, found.b, found.ratio, found.n), (Some(2.0), Some(8.0), Some(4.0), [3, 1]));
        assert!((found.distance - 4.0_f64.ln()).abs() < 0.2, "{found:?}");
        let one = contrast(&[], &[8.0], 0.1);
        assert_eq!((one.a, one.b, one.ratio, one.n, one.distance), (None, Some(8.0), None, [0, 1], 0.0));
    }

    #[test]
    fn three_times_nothing_is_nothing() {
        let floor = resolution("seconds", Kind::Counter, Span::Window);
        let nothing = contrast(&[0.0001; 5], &[0.0003; 5], floor);
        assert_eq!((nothing.ratio.map(f64::round), nothing.distance), (Some(3.0), 0.0));
        let something = contrast(&[0.1; 5], &[0.3; 5], floor);
        assert!(something.distance > 1.0, "{something:?}");
        // From nothing to much leads; from nothing to a little does not.
        let much = contrast(&[0.0], &[0.5], floor).distance;
        let little = contrast(&[0.0], &[0.006], floor).distance;
        assert!(much > something.distance && something.distance > little, "{much} {little}");
    }

    #[test]
    fn a_sign_that_changed_is_a_difference() {
        assert!(contrast(&[-20.0], &[40.0], 1.0).distance > contrast(&[20.0], &[40.0], 1.0).distance);
        assert_eq!(contrast(&[f64::INFINITY], &[f64::INFINITY], 1.0).distance, 0.0);
    }
}
