//! Whether the same hosts have other numbers at another time: each is compared with itself, so what sets them
//! apart for good is no matter. It does not decide, and it cannot know whether the two times are alike: a
//! tide that lifts every host is a difference to it.

use super::difference::{ordered, unordered, upper_normal};
use super::{Interval, Shift, Sorted};

/// Up to so many pairs the chance is counted out.
const FEW: usize = 30;

/// Wilcoxon's test of the differences of pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// The sum of the ranks of the positive differences. Those that are zero have no rank.
    pub w: f64,
    /// Two-sided.
    pub p: f64,
    /// The share of pairs that rose, less the share that fell.
    pub delta: f64,
    /// Counted out, not approximated.
    pub exact: bool,
}

/// `None` when there is no pair.
pub fn signed_rank(differences: &Sorted) -> Option<SignedRank> {
    if differences.is_empty() {
        return None;
    }
    let ranks = Ranks::of(differences);
    let all: u64 = ranks.doubled.iter().map(|(rank, _)| rank).sum();
    let above = |(rank, rose): &(u64, bool)| if *rose { *rank } else { 0 };
    let doubled: u64 = ranks.doubled.iter().map(above).sum();
    let tail = doubled.min(all - doubled);
    let n = ranks.doubled.len();
    let exact = n <= FEW;
    let p = if exact {
        let weights: Vec<u64> = ranks.doubled.iter().map(|(rank, _)| *rank).collect();
        2.0 * lower_tails(&weights)[tail as usize]
    } else {
        let n = n as f64;
        let middle = n * (n + 1.0) / 4.0;
        let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - ranks.ties / 2.0) / 24.0).sqrt();
        2.0 * upper_normal((middle - tail as f64 / 2.0 - 0.5) / deviation)
    };
    let rose = ranks.doubled.iter().filter(|(_, rose)| *rose).count();
    let delta = (2.0 * rose as f64 - n as f64) / differences.len() as f64;
    Some(SignedRank { w: doubled as f64 / 2.0, p: p.min(1.0), delta, exact })
}

/// Hodges and Lehmann's shift of the pairs: the median of the means of all two differences, each with itself,
/// too. `None` when there is no pair, or an infinite difference.
pub fn paired_shift(differences: &Sorted, confidence: f64) -> Option<Shift> {
    if differences.is_empty() || !differences.iter().all(f64::is_finite) {
        return None;
    }
    let n = differences.len() as u64;
    let count = n * (n + 1) / 2;
    let at = |rank: u64| nth_mean(differences, rank);
    let estimate = at(count.div_ceil(2)) / 2.0 + at(count / 2 + 1) / 2.0;
    let cut = means_outside(differences.len(), (1.0 - confidence) / 2.0);
    let interval = (cut > 0).then(|| Interval { lo: at(cut), hi: at(count + 1 - cut) });
    Some(Shift { estimate, interval })
}

/// Differences by their size, zero left out.
struct Ranks {
    /// Twice the rank, as those that are the same size share the middle of theirs, and whether it is positive.
    doubled: Vec<(u64, bool)>,
    /// The sum of t³ - t over the runs of t differences of one size.
    ties: f64,
}

impl Ranks {
    fn of(differences: &Sorted) -> Self {
        let mut sizes: Vec<(f64, bool)> =
            differences.iter().filter(|it| *it != 0.0).map(|it| (it.abs(), it > 0.0)).collect();
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks = Self { doubled: Vec::with_capacity(sizes.len()), ties: 0.0 };
        for run in sizes.chunk_by(|a, b| a.0 == b.0) {
            let first = ranks.doubled.len() + 1;
            let twice = (2 * first + run.len() - 1) as u64;
            ranks.doubled.extend(run.iter().map(|(_, rose)| (twice, *rose)));
            ranks.ties += (run.len() as f64).powi(3) - run.len() as f64;
        }
        ranks
    }
}

/// The chance that ranks whose signs are tossed sum up to at most w, for each w up to half of all.
fn lower_tails(ranks: &[u64]) -> Vec<f64> {
    let half = (ranks.iter().sum::<u64>() / 2) as usize;
    let mut chances = vec![0.0_f64; half + 1];
    chances[0] = 0.5_f64.powi(ranks.len() as i32);
    for rank in ranks {
        for sum in (*rank as usize..=half).rev() {
            chances[sum] += chances[sum - *rank as usize];
        }
    }
    let mut sum = 0.0;
    for chance in &mut chances {
        sum += *chance;
        *chance = sum;
    }
    chances
}

/// How many of all means may be left out at each end.
fn means_outside(n: usize, tail: f64) -> u64 {
    if n <= FEW {
        let ranks: Vec<u64> = (1..=n as u64).collect();
        return lower_tails(&ranks).partition_point(|chance| *chance <= tail) as u64;
    }
    let n = n as f64;
    let middle = n * (n + 1.0) / 4.0;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    let chance = |w: u64| upper_normal((middle - w as f64 - 0.5) / deviation);
    let (mut few, mut many) = (0, middle as u64);
    while few < many {
        let half = few.midpoint(many);
        if chance(half) <= tail { few = half + 1 } else { many = half }
    }
    few
}

/// The `rank`th smallest mean of two differences, counted from 1. They are not written down, as of ten thousand
/// hosts there are fifty million: the search halves the numbers that a float can be, and counts on each step.
fn nth_mean(differences: &Sorted, rank: u64) -> f64 {
    // Halves, as the sum of two large numbers may be none.
    let halves: Vec<f64> = differences.iter().map(|it| it / 2.0).collect();
    let up_to = |limit: f64| -> u64 {
        let mut end = halves.len();
        let mut count = 0;
        for (at, half) in halves.iter().enumerate() {
            while end > 0 && half + halves[end - 1] > limit {
                end -= 1;
            }
            // Each two once, in either order, and each with itself.
            count += end as u64 + u64::from(at < end);
        }
        count / 2
    };
    let (mut lo, mut hi) = (ordered(-f64::MAX), ordered(f64::INFINITY));
    while lo < hi {
        let middle = lo.midpoint(hi);
        if up_to(unordered(middle)) >= rank { hi = middle } else { lo = middle + 1 }
    }
    unordered(lo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(values: &[f64]) -> Sorted {
        values.iter().copied().collect()
    }

    #[test]
    fn six_pairs_are_the_fewest_that_prove_anything() {
        let five = signed_rank(&sorted(&[1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
        assert_eq!((five.w, five.p, five.delta, five.exact), (15.0, 0.0625, 1.0, true));
        let six = signed_rank(&sorted(&[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0])).unwrap();
        assert_eq!((six.w, six.p, six.delta), (0.0, 0.03125, -1.0));
        assert_eq!(signed_rank(&sorted(&[])), None);
        let none = signed_rank(&sorted(&[0.0; 7])).unwrap();
        assert_eq!((none.p, none.delta), (1.0, 0.0));
    }

    #[test]
    fn differences_of_one_size_share_a_rank() {
        // All of one size: a sign test.
        let found = signed_rank(&sorted(&[2.0, 2.0, 2.0, 2.0, 2.0, -2.0])).unwrap();
        assert_eq!((found.w, found.p), (17.5, 2.0 * 7.0 / 64.0));
    }

    #[test]
    fn a_shift_is_the_median_of_means() {
        let found = paired_shift(&sorted(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 0.95).unwrap();
        assert_eq!(found, Shift { estimate: 3.5, interval: Some(Interval { lo: 1.0, hi: 6.0 }) });
        assert_eq!(paired_shift(&sorted(&[1.0, 3.0]), 0.95), Some(Shift { estimate: 2.0, interval: None }));
        assert_eq!(paired_shift(&sorted(&[f64::INFINITY]), 0.95), None);
    }
}
