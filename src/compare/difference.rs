//! Whether two samples differ, and by how much, from their ranks alone: nothing is assumed about how
//! the numbers are distributed. It does not decide: it says p and an interval, with few numbers a wide one.

use super::{Interval, Sorted};

/// With both sides at least this large, ranks are close enough to normal.
const FEW: usize = 8;

/// Above this the exact distribution costs more than it says.
const MANY: usize = 500;

/// Mann and Whitney's test of `b` against `a`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankSum {
    /// Pairs in which `b`'s number is larger; equal ones count half.
    pub u: f64,
    /// Two-sided.
    pub p: f64,
    /// Cliff's delta: the share of pairs in which `b`'s is larger, less the share in which `a`'s is.
    pub delta: f64,
    /// Counted out, not approximated.
    pub exact: bool,
}

/// Hodges and Lehmann's shift from `a` to `b`: the median of all differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    pub estimate: f64,
    /// Holds the true shift with at least the confidence asked for; `None` with too few numbers for it.
    pub interval: Option<Interval>,
}

/// `None` when a side is empty.
pub fn rank_sum(a: &Sorted, b: &Sorted) -> Option<RankSum> {
    let pairs = Pairs::count(a, b)?;
    let (m, n) = (a.len() as f64, b.len() as f64);
    let exact = pairs.ties == 0.0 && a.len().min(b.len()) <= FEW && a.len().max(b.len()) <= MANY;
    let tail = pairs.u.min(m * n - pairs.u);
    let p = if exact {
        2.0 * lower_tails(a.len(), b.len())[tail as usize]
    } else {
        let (size, middle) = (m + n, m * n / 2.0);
        let deviation = (m * n / 12.0 * ((size + 1.0) - pairs.ties / (size * (size - 1.0)))).sqrt();
        // All are equal: no rank says anything.
        if deviation > 0.0 { 2.0 * upper_normal((middle - tail - 0.5) / deviation) } else { 1.0 }
    };
    Some(RankSum { u: pairs.u, p: p.min(1.0), delta: 2.0 * pairs.u / (m * n) - 1.0, exact })
}

/// `None` when a side is empty or holds an infinity.
pub fn shift(a: &Sorted, b: &Sorted, confidence: f64) -> Option<Shift> {
    let finite = |side: &Sorted| side.iter().all(f64::is_finite) && !side.is_empty();
    if !finite(a) || !finite(b) {
        return None;
    }
    let count = a.len() as u64 * b.len() as u64;
    let at = |rank: u64| nth_difference(a, b, rank);
    let estimate = at(count.div_ceil(2)) / 2.0 + at(count / 2 + 1) / 2.0;
    let cut = pairs_outside(a.len(), b.len(), (1.0 - confidence) / 2.0);
    let interval = (cut > 0).then(|| Interval { lo: at(cut), hi: at(count + 1 - cut) });
    Some(Shift { estimate, interval })
}

struct Pairs {
    u: f64,
    /// The sum of t³ - t over the runs of t equal numbers.
    ties: f64,
}

impl Pairs {
    fn count(a: &Sorted, b: &Sorted) -> Option<Self> {
        if a.is_empty() || b.is_empty() {
            return None;
        }
        let (a, b): (Vec<f64>, Vec<f64>) = (a.iter().collect(), b.iter().collect());
        let (mut i, mut j) = (0, 0);
        let mut pairs = Self { u: 0.0, ties: 0.0 };
        while let Some(value) = least(a.get(i), b.get(j)) {
            let run = |side: &[f64]| side.iter().take_while(|other| **other == value).count();
            let (in_a, in_b) = (run(&a[i..]), run(&b[j..]));
            pairs.u += in_b as f64 * (i as f64 + in_a as f64 / 2.0);
            let tied = (in_a + in_b) as f64;
            pairs.ties += tied.powi(3) - tied;
            (i, j) = (i + in_a, j + in_b);
        }
        Some(pairs)
    }
}

fn least(a: Option<&f64>, b: Option<&f64>) -> Option<f64> {
    a.into_iter().chain(b).copied().reduce(f64::min)
}

pub(super) fn upper_normal(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The chance of at most u pairs, for each u up to half of all, when both sides are alike. How many orders of
/// the numbers have u pairs is the Gaussian binomial coefficient of q^u, which is made of one factor after
/// the other: so a comparison of hundreds of metrics need not keep what it counted. Whole numbers, as each
/// division is exact; with [`FEW`] and [`MANY`] they stay below 10^18.
fn lower_tails(m: usize, n: usize) -> Vec<f64> {
    let (few, many) = (m.min(n), m.max(n));
    let half = m * n / 2;
    let mut orders = vec![0_i64; half + 1];
    orders[0] = 1;
    for i in 1..=few {
        // Times 1 - q^(many + i), over 1 - q^i.
        for u in (many + i..=half).rev() {
            orders[u] -= orders[u - many - i];
        }
        for u in i..=half {
            orders[u] += orders[u - i];
        }
    }
    let all = (1..=few).fold(1.0, |all, i| all * (many + i) as f64 / i as f64);
    let sum = |sum: &mut i64, orders: i64| {
        *sum += orders;
        Some(*sum as f64 / all)
    };
    orders.into_iter().scan(0, sum).collect()
}

/// How many of all differences may be left out at each end.
fn pairs_outside(m: usize, n: usize, tail: f64) -> u64 {
    if m.min(n) <= FEW && m.max(n) <= MANY {
        return lower_tails(m, n).partition_point(|chance| *chance <= tail) as u64;
    }
    let (m, n) = (m as f64, n as f64);
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    let chance = |u: u64| upper_normal((m * n / 2.0 - u as f64 - 0.5) / deviation);
    let (mut few, mut many) = (0, (m * n / 2.0) as u64);
    while few < many {
        let middle = few.midpoint(many);
        if chance(middle) <= tail { few = middle + 1 } else { many = middle }
    }
    few
}

/// The `rank`th smallest of all differences `b - a`, counted from 1. There may be a billion of them, so they
/// are not written down: the search halves the numbers that a float can be, and counts on each step.
fn nth_difference(a: &Sorted, b: &Sorted, rank: u64) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.iter().collect(), b.iter().collect());
    let up_to = |limit: f64| -> u64 {
        let mut first = 0;
        let within = |high: &f64| {
            while first < a.len() && high - a[first] > limit {
                first += 1;
            }
            (a.len() - first) as u64
        };
        b.iter().map(within).sum()
    };
    let (mut lo, mut hi) = (ordered(-f64::MAX), ordered(f64::INFINITY));
    while lo < hi {
        let middle = lo.midpoint(hi);
        if up_to(unordered(middle)) >= rank { hi = middle } else { lo = middle + 1 }
    }
    unordered(lo)
}

/// Bits whose order as whole numbers is the order of the floats.
pub(super) fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

pub(super) fn unordered(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(values: &[f64]) -> Sorted {
        values.iter().copied().collect()
    }

    #[test]
    fn few_numbers_prove_little() {
        let found = rank_sum(&sorted(&[1.0, 2.0, 3.0]), &sorted(&[4.0, 5.0, 6.0])).unwrap();
        assert_eq!((found.u, found.delta, found.exact), (9.0, 1.0, true));
        assert!((found.p - 0.1).abs() < 1e-12);
        assert_eq!(rank_sum(&sorted(&[]), &sorted(&[1.0])), None);
        let same = rank_sum(&sorted(&[1.0; 5]), &sorted(&[1.0; 9])).unwrap();
        assert_eq!((same.p, same.delta), (1.0, 0.0));
    }

    /// Against every order there is.
    #[test]
    fn orders_are_counted_out() {
        for (m, n) in [(1, 1), (1, 9), (2, 3), (4, 4), (5, 7), (8, 8)] {
            let mut counts = vec![0_u32; m * n + 1];
            for places in (0_u32..1 << (m + n)).filter(|places| places.count_ones() as usize == m) {
                let above = |at: usize| (at + 1..m + n).filter(|other| places >> other & 1 == 0).count();
                let u: usize = (0..m + n).filter(|at| places >> at & 1 == 1).map(above).sum();
                counts[u] += 1;
            }
            let all: u32 = counts.iter().sum();
            let mut below = 0;
            for (u, chance) in lower_tails(m, n).into_iter().enumerate() {
                below += counts[u];
                assert!((chance - f64::from(below) / f64::from(all)).abs() < 1e-12, "{m} {n} {u}");
            }
        }
        let most = lower_tails(FEW, MANY);
        assert!(
            most.is_sorted()
                && most.len() == FEW * MANY / 2 + 1
                && (0.5..0.51).contains(&most[FEW * MANY / 2])
        );
    }

    #[test]
    fn a_shift_is_the_median_difference() {
        let found = shift(&sorted(&[1.0, 2.0, 3.0, 4.0]), &sorted(&[11.0, 12.0, 13.0, 14.0]), 0.95).unwrap();
        assert_eq!(found, Shift { estimate: 10.0, interval: Some(Interval { lo: 7.0, hi: 13.0 }) });
        let few = shift(&sorted(&[1.0]), &sorted(&[3.0, 4.0]), 0.95).unwrap();
        assert_eq!(few, Shift { estimate: 2.5, interval: None });
        assert_eq!(shift(&sorted(&[f64::INFINITY]), &sorted(&[1.0]), 0.95), None);
    }

    #[test]
    fn a_difference_beyond_the_largest_number_is_infinite() {
        let found = shift(&sorted(&[-f64::MAX]), &sorted(&[f64::MAX]), 0.95).unwrap();
        assert_eq!(found.estimate, f64::INFINITY);
    }
}
