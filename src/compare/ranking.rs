//! Who is worst.

use std::cmp::Ordering;

use super::Sorted;
use crate::model::Worse;

/// One value's place among its peers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its place in what was given.
    pub index: usize,
    pub value: f64,
    /// The median of the others; `None` when there are none.
    pub peers: Option<f64>,
    /// How many times the peers' median it is; `None` where that says nothing: at zero, or across it.
    pub ratio: Option<f64>,
}

/// The values, the worst first. A metric of which both directions may be bad has its largest first, as
/// people expect of a ranking.
pub fn rank(values: &[f64], worse: Worse) -> Vec<Ranked> {
    let sorted: Sorted = values.iter().copied().collect();
    let ranked = |(index, value): (usize, &f64)| {
        let peers = sorted.median_without(*value);
        Ranked { index, value: *value, peers, ratio: peers.and_then(|peers| ratio(peers, *value)) }
    };
    let numbers = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let mut all: Vec<Ranked> = numbers.map(ranked).collect();
    all.sort_by(|a, b| worst_first(a.value, b.value, worse));
    all
}

/// The worst of several values.
pub fn worst(values: impl IntoIterator<Item = f64>, worse: Worse) -> Option<f64> {
    values.into_iter().filter(|value| !value.is_nan()).min_by(|a, b| worst_first(*a, *b, worse))
}

/// The order of a ranking.
pub fn worst_first(a: f64, b: f64, worse: Worse) -> Ordering {
    match worse {
        Worse::Lower => a.total_cmp(&b),
        Worse::Higher | Worse::Either => b.total_cmp(&a),
    }
}

/// `b` over `a`, where both are on one side of zero.
pub fn ratio(a: f64, b: f64) -> Option<f64> {
    let comparable = a != 0.0 && (b == 0.0 || a.is_sign_positive() == b.is_sign_positive());
    comparable.then_some(b / a).filter(|ratio| ratio.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_first_with_its_peers() {
        let ranked = rank(&[1.0, 8.0, f64::NAN, 2.0, 0.0], Worse::Higher);
        let order: Vec<usize> = ranked.iter().map(|it| it.index).collect();
        assert_eq!(order, [1, 3, 0, 4]);
        assert_eq!(ranked[0], Ranked { index: 1, value: 8.0, peers: Some(1.0), ratio: Some(8.0) });
        assert_eq!(rank(&[1.0, 8.0], Worse::Lower)[0].index, 0);
        assert_eq!(rank(&[1.0, 8.0], Worse::Either)[0].index, 1);
        assert_eq!(rank(&[5.0], Worse::Higher)[0].peers, None);
        assert_eq!(worst([1.0, 3.0, f64::NAN], Worse::Higher), Some(3.0));
        assert_eq!(worst([1.0, 3.0], Worse::Lower), Some(1.0));
    }

    #[test]
    fn a_ratio_says_nothing_at_zero_and_across_it() {
        assert_eq!(ratio(0.0, 1.0), None);
        assert_eq!(ratio(-1.0, 1.0), None);
        assert_eq!(ratio(2.0, 0.0), Some(0.0));
        assert_eq!(ratio(-2.0, -6.0), Some(3.0));
        assert_eq!(ratio(f64::MIN_POSITIVE, f64::MAX), None);
    }
}
