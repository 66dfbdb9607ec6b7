//! Chances of whole numbers, counted out: shared labels, and where a quantile lies. Every chance comes
//! from its neighbour's by a ratio, so nothing is approximated and no factorial overflows.

use super::{Interval, Sorted};

/// Two tables whose chances agree to this share are equally likely; rounding alone makes them differ.
const SAME: f64 = 1e-9;

/// Fisher's exact test, two-sided: the chance of a table at least as unlikely as this one among those with
/// the same sums. 1 when a row or a column is empty.
pub fn fisher_exact(table: [[u64; 2]; 2]) -> f64 {
    let [[with, without], [others_with, others_without]] = table;
    let (row, column) = (with + without, with + others_with);
    let other_row = others_with + others_without;
    let (least, most) = (column.saturating_sub(other_row), row.min(column));
    // The ratio of the chances of k + 1 and of k.
    let ratio = |k: u64| {
        let (up, down) = ((row - k) as f64 * (column - k) as f64, (k + 1) as f64);
        up / (down * (other_row + k + 1 - column) as f64)
    };
    let chances = chances(least, most, ratio);
    let limit = chances[(with - least) as usize] * (1.0 + SAME);
    smallest_first(chances.into_iter().filter(|chance| *chance <= limit)).min(1.0)
}

/// The order statistics between which the quantile `q` of what `values` were drawn from lies, with at least
/// this confidence; `None` when there are too few values for it.
pub fn quantile_interval(values: &Sorted, q: f64, confidence: f64) -> Option<Interval> {
    if !(q > 0.0 && q < 1.0) {
        return None;
    }
    let n = values.len() as u64;
    let ratio = |k: u64| (n - k) as f64 / (k + 1) as f64 * (q / (1.0 - q));
    let chances = chances(0, n, ratio);
    let tail = (1.0 - confidence) / 2.0;
    let outside = |chances: &mut dyn Iterator<Item = &f64>| {
        let within = |sum: &mut f64, chance: &f64| {
            *sum += chance;
            (*sum <= tail).then_some(())
        };
        chances.scan(0.0, within).count()
    };
    // Fewer than `low` values below the quantile is unlikely, and so are more than n - `high`.
    let (low, high) = (outside(&mut chances.iter()), outside(&mut chances.iter().rev()));
    let lo = values.iter().nth(low.checked_sub(1)?)?;
    let hi = values.iter().nth_back(high.checked_sub(1)?)?;
    Some(Interval { lo, hi })
}

/// The chances of `least..=most`, from the ratios of neighbours. Starts at the likeliest, so that what
/// underflows is nothing beside it.
fn chances(least: u64, most: u64, ratio: impl Fn(u64) -> f64) -> Vec<f64> {
    let (mut low, mut high) = (least, most);
    while low < high {
        let middle = low.midpoint(high);
        if ratio(middle) >= 1.0 { low = middle + 1 } else { high = middle }
    }
    let mut chances = vec![1.0; (most - least + 1) as usize];
    let mode = (low - least) as usize;
    for at in mode + 1..chances.len() {
        chances[at] = chances[at - 1] * ratio(least + at as u64 - 1);
    }
    for at in (0..mode).rev() {
        chances[at] = chances[at + 1] / ratio(least + at as u64);
    }
    let all = smallest_first(chances.iter().copied());
    chances.iter_mut().for_each(|chance| *chance /= all);
    chances
}

/// A sum that the small ones are not lost in.
fn smallest_first(chances: impl Iterator<Item = f64>) -> f64 {
    chances.collect::<Sorted>().iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tea_tasting() {
        assert!((fisher_exact([[3, 1], [1, 3]]) - 34.0 / 70.0).abs() < 1e-12);
        assert_eq!((fisher_exact([[0, 0], [3, 4]]), fisher_exact([[0, 0], [0, 0]])), (1.0, 1.0));
        assert!(fisher_exact([[40, 0], [0, 9_960]]) < 1e-100);
    }

    #[test]
    fn a_quantile_lies_between_order_statistics() {
        let values: Sorted = (1..=20).map(f64::from).collect();
        let check = |q, expected: Option<(f64, f64)>| {
            let expected = expected.map(|(lo, hi)| Interval { lo, hi });
            assert_eq!(quantile_interval(&values, q, 0.95), expected, "{q}");
        };
        check(0.5, Some((6.0, 15.0)));
        check(0.99, None);
        check(0.0, None);
        check(f64::NAN, None);
        assert_eq!(quantile_interval(&Sorted::default(), 0.5, 0.95), None);
    }
}
