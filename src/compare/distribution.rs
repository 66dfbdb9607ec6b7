//! Distributions as their tools counted them: real bounds, whole counts. Nothing is interpolated: what
//! lies within a bucket is not known, so a quantile is an interval and two schemes are never mixed.

use crate::model::{Bucket, Histogram};

/// Where a value lies: above `lo`, and not above `hi`, which is infinite in an open last bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub lo: f64,
    pub hi: f64,
}

/// Why two distributions cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("its buckets overlap")]
    Overlap,
    #[error("their buckets have other bounds")]
    Scheme,
}

/// Counts in buckets that rise and do not overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    buckets: Vec<Bucket>,
    total: u64,
    sum: Option<f64>,
    max: Option<f64>,
}

impl TryFrom<&Histogram> for Distribution {
    type Error = Mismatch;

    fn try_from(histogram: &Histogram) -> Result<Self, Mismatch> {
        let mut buckets = histogram.buckets.clone();
        buckets.sort_by(|a, b| a.lo.total_cmp(&b.lo).then(a.hi.total_cmp(&b.hi)));
        let rises = |bucket: &Bucket| bucket.lo <= bucket.hi;
        let apart = |pair: &[Bucket]| pair[0].hi <= pair[1].lo;
        if !buckets.iter().all(rises) || !buckets.windows(2).all(apart) {
            return Err(Mismatch::Overlap);
        }
        let total = buckets.iter().fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count));
        Ok(Self { buckets, total, sum: histogram.sum, max: histogram.max })
    }
}

impl Distribution {
    /// Observations in its buckets.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest observation, where the tool said it.
    pub fn max(&self) -> Option<f64> {
        self.max
    }

    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    pub fn mean(&self) -> Option<f64> {
        self.sum.filter(|_| self.total > 0).map(|sum| sum / self.total as f64)
    }

    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The bucket of the observation that a share `q` of all are not above; `None` without any.
    pub fn quantile(&self, q: f64) -> Option<Interval> {
        let rank = ((q * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0_u64;
        let holds = |bucket: &&Bucket| {
            below = below.saturating_add(bucket.count);
            below >= rank
        };
        self.buckets.iter().find(holds).map(|bucket| Interval { lo: bucket.lo, hi: bucket.hi })
    }

    /// Adds the counts of `other`, whose buckets must be the same wherever both have one: one that is
    /// missing is empty, one that overlaps another in part is of another scheme.
    pub fn merge(&mut self, other: &Self) -> Result<(), Mismatch> {
        let mut merged = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let (mut ours, mut theirs) = (self.buckets.iter().peekable(), other.buckets.iter().peekable());
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(_), None) => ours.next().copied(),
                (None, Some(_)) => theirs.next().copied(),
                (Some(a), Some(b)) if a.lo == b.lo && a.hi == b.hi => {
                    let count = a.count.saturating_add(b.count);
                    theirs.next();
                    ours.next().map(|bucket| Bucket { count, ..*bucket })
                }
                (Some(a), Some(b)) if a.hi <= b.lo => ours.next().copied(),
                (Some(a), Some(b)) if b.hi <= a.lo => theirs.next().copied(),
                _ => return Err(Mismatch::Scheme),
            };
            merged.extend(next);
        }
        // What one side does not say is not known of both.
        self.sum = self.sum.zip(other.sum).map(|(a, b)| a + b);
        self.max = self.max.zip(other.max).map(|(a, b)| a.max(b));
        self.total = self.total.saturating_add(other.total);
        self.buckets = merged;
        Ok(())
    }

    /// How far the shares of both are apart where they are farthest (Kolmogorov and Smirnov's distance): 0
    /// for the same shape, 1 when all of one side lies below all of the other. Looked at only at the
    /// bounds where both shares are known; `None` when there is no such bound or nothing was counted.
    pub fn distance(&self, other: &Self) -> Option<f64> {
        if self.total == 0 || other.total == 0 {
            return None;
        }
        let bounds = |side: &Self| -> Vec<f64> {
            side.buckets
                .iter()
                .flat_map(|bucket| [bucket.lo, bucket.hi])
                .filter(|at| at.is_finite())
                .collect()
        };
        let (ours, theirs) = (self.cumulative(), other.cumulative());
        let gap = |at: f64| Some((self.share(&ours, at)? - other.share(&theirs, at)?).abs());
        bounds(self).into_iter().chain(bounds(other)).filter_map(gap).reduce(f64::max)
    }

    /// Observations up to the end of each bucket.
    fn cumulative(&self) -> Vec<u64> {
        let mut below = 0_u64;
        let upto = |bucket: &Bucket| {
            below = below.saturating_add(bucket.count);
            below
        };
        self.buckets.iter().map(upto).collect()
    }

    /// The share of observations up to `at`; not known within a bucket that has any.
    fn share(&self, cumulative: &[u64], at: f64) -> Option<f64> {
        let ended = self.buckets.partition_point(|bucket| bucket.hi <= at);
        let known = self.buckets.get(ended).is_none_or(|bucket| bucket.lo >= at || bucket.count == 0);
        let below = ended.checked_sub(1).map_or(0, |last| cumulative[last]);
        known.then_some(below as f64 / self.total as f64)
    }
}

/// A distance below this is none: chance makes it, or nobody would care. 1.36 is the factor at which two
/// draws from one distribution are farther apart in one case of twenty.
pub fn least_distance(a: u64, b: u64) -> f64 {
    let (a, b) = (a as f64, b as f64);
    if a == 0.0 || b == 0.0 { 1.0 } else { (1.36 * ((a + b) / (a * b)).sqrt()).max(LEAST_DISTANCE) }
}

/// One observation in twenty that lies elsewhere.
const LEAST_DISTANCE: f64 = 0.05;

/// One number of a distribution, by which hosts are ranked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    Quantile(f64),
    Max,
    Mean,
    Count,
}

impl Statistic {
    pub const P50: Self = Self::Quantile(0.5);
    pub const P90: Self = Self::Quantile(0.9);
    pub const P99: Self = Self::Quantile(0.99);

    /// Reads `p50`, `p99`, `p99.9`, `max`, `mean`, `count`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "max" => Some(Self::Max),
            "mean" => Some(Self::Mean),
            "count" => Some(Self::Count),
            _ => {
                let digits = text.strip_prefix('p')?;
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let percent: f64 = digits.parse().ok().filter(|_| plain && digits.len() <= 6)?;
                (percent > 0.0 && percent < 100.0).then_some(Self::Quantile(percent / 100.0))
            }
        }
    }

    /// With fewer observations it is chance: the 99th of 20 is their largest.
    pub fn least_count(self) -> u64 {
        match self {
            // A hair less than the quotient: 1 - 0.99 is a little more than 0.01.
            Self::Quantile(q) => (1.0 / (1.0 - q) - 1e-6).ceil() as u64,
            Self::Max | Self::Mean | Self::Count => 1,
        }
    }

    /// Where the number lies; an interval without width where it is known. `None` below
    /// [`Self::least_count`], or when the tool did not say.
    pub fn of(self, distribution: &Distribution) -> Option<Interval> {
        if distribution.count() < self.least_count() {
            return None;
        }
        let exact = |value: f64| Interval { lo: value, hi: value };
        match self {
            Self::Quantile(q) => distribution.quantile(q),
            Self::Max => distribution.max().map(exact),
            Self::Mean => distribution.mean().map(exact),
            Self::Count => Some(exact(distribution.count() as f64)),
        }
    }
}

impl Interval {
    /// One number for ranking and for programs: the upper end, or the lower one of an open bucket.
    pub fn bound(self) -> f64 {
        if self.hi.is_finite() { self.hi } else { self.lo }
    }
}

#[cfg(test)]
#[path = "distribution_tests.rs"]
mod tests;
