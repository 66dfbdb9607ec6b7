//! Durations counted in powers of two of microseconds, as bpftrace's `hist()` does it, so that what two
//! tools saw can be put side by side bucket by bucket. It refuses to say more about a single duration
//! than its bucket, but for the longest one.

use std::borrow::Cow;

use crate::model::{Bucket, Histogram, LabelPairs};

/// 0, then one for each power of two that 64 bits hold.
const BUCKETS: usize = 65;

#[derive(Debug, Clone)]
pub(super) struct Log2 {
    counts: [u64; BUCKETS],
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Log2 {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_ns: 0, max_ns: 0 }
    }
}

impl Log2 {
    pub(super) fn add(&mut self, ns: u64) {
        self.add_times(ns, 1);
    }

    /// `times` durations of that length.
    pub(super) fn add_times(&mut self, ns: u64, times: u64) {
        if times == 0 {
            return;
        }
        let us = ns / 1000;
        if let Some(count) = self.counts.get_mut((u64::BITS - us.leading_zeros()) as usize) {
            *count = count.saturating_add(times);
        }
        self.sum_ns = self.sum_ns.saturating_add(u128::from(ns) * u128::from(times));
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The distribution in seconds; `None` when nothing was counted. Empty buckets are listed only
    /// between full ones.
    pub(super) fn histogram(
        &self,
        metric: impl Into<Cow<'static, str>>,
        labels: LabelPairs,
    ) -> Option<Histogram> {
        let first = self.counts.iter().position(|count| *count > 0)?;
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        let bucket = |(index, count): (usize, &u64)| Bucket {
            lo: if index == 0 { 0.0 } else { bound_s(index - 1) },
            hi: bound_s(index),
            count: *count,
        };
        let buckets = self.counts.iter().enumerate().take(last + 1).skip(first).map(bucket).collect();
        Some(Histogram {
            metric: metric.into(),
            labels,
            count: self.count(),
            sum: Some(self.sum_ns as f64 / 1e9),
            max: Some(self.max_ns as f64 / 1e9),
            buckets,
        })
    }
}

/// 2^power µs in seconds. Divided, not multiplied: so it is the number nearest to what people would
/// write, and the same to the bit wherever it is made.
fn bound_s(power: usize) -> f64 {
    (1_u128 << power) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_two_of_microseconds() {
        let mut log2 = Log2::default();
        for us in [0, 1, 2, 3, 4, 7, 31, 32] {
            log2.add(us * 1000 + 999);
        }
        let histogram = log2.histogram("h", vec![]).unwrap();
        let buckets: Vec<_> = histogram.buckets.iter().map(|b| (b.lo, b.hi, b.count)).collect();
        let expected = [
            (0.0, 1e-6, 1),
            (1e-6, 2e-6, 1),
            (2e-6, 4e-6, 2),
            (4e-6, 8e-6, 2),
            (8e-6, 16e-6, 0),
            (16e-6, 32e-6, 1),
            (32e-6, 64e-6, 1),
        ];
        assert_eq!(buckets, expected);
        assert_eq!((histogram.count, histogram.max), (8, Some(32_999e-9)));
        assert_eq!(histogram.sum, Some(87_992e-9));
    }

    #[test]
    fn nothing_is_no_distribution_and_the_longest_fits() {
        assert_eq!(Log2::default().histogram("h", vec![]), None);
        let mut log2 = Log2::default();
        log2.add(u64::MAX);
        let histogram = log2.histogram("h", vec![]).unwrap();
        assert_eq!((histogram.count, histogram.buckets.len()), (1, 1));
        assert!(histogram.buckets[0].lo <= 18_446_744_073.8 && histogram.buckets[0].hi > 18_446_744_073.0);
    }
}
