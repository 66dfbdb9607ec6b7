//! Tables of perf summed by a key (a command's name, a system call), and cut to what an index can
//! hold: the worst keys by themselves, the rest as one. It never drops a row without counting it.

/// Stands for all keys that are not among the worst.
pub(super) const OTHERS: &str = "(others)";

/// Of equal rows added up: how often, how long in all, how long at most. Seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tally {
    pub count: u64,
    pub sum_s: f64,
    pub max_s: f64,
}

impl Tally {
    pub(super) fn of(count: u64, avg_s: f64, max_s: f64) -> Self {
        Self { count, sum_s: avg_s * count as f64, max_s }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum_s += other.sum_s;
        self.max_s = self.max_s.max(other.max_s);
    }

    /// The mean; never above the maximum, which sums of rounded numbers may seem to be.
    pub(super) fn avg_s(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum_s / self.count as f64).min(self.max_s))
    }
}

type Entries<K, V> = Vec<(K, V)>;

/// The `keep` entries that `worse` puts first, by key, and the rest.
pub(super) fn worst<K: Ord, V>(
    all: impl IntoIterator<Item = (K, V)>,
    keep: usize,
    rank: impl Fn(&V) -> f64,
) -> (Entries<K, V>, Entries<K, V>) {
    let mut sorted: Entries<K, V> = all.into_iter().collect();
    sorted.sort_by(|a, b| rank(&b.1).total_cmp(&rank(&a.1)).then_with(|| a.0.cmp(&b.0)));
    let rest = sorted.split_off(keep.min(sorted.len()));
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    (sorted, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_kept_and_the_rest_is_counted() {
        let all = [("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 2.0)];
        let (kept, rest) = worst(all, 2, |value| *value);
        assert_eq!(kept, [("b", 3.0), ("c", 2.0)]);
        assert_eq!(rest, [("d", 2.0), ("a", 1.0)]);
    }

    #[test]
    fn rows_add_up() {
        let mut tally = Tally::of(2, 0.001, 0.0015);
        tally.add(Tally::of(1, 0.004, 0.004));
        assert_eq!((tally.count, tally.max_s), (3, 0.004));
        assert!((tally.avg_s().unwrap() - 0.002).abs() < 1e-12);
        assert_eq!(Tally::default().avg_s(), None);
    }
}
