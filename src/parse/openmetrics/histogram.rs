//! Cumulative `_bucket{le}` lines put together to a distribution with its real bounds.

use std::collections::HashMap;

use crate::model::{Bucket, Histogram, LabelPairs};
use crate::parse::sink::Sink;

/// Distributions in one reading.
const MAX_HISTOGRAMS: usize = 2_000;
const MAX_BUCKETS: usize = 1_000;

#[derive(Debug, Default)]
struct Parts {
    /// (upper bound, observations up to it).
    cumulative: Vec<(f64, u64)>,
    sum: Option<f64>,
    count: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Histograms {
    order: Vec<(String, LabelPairs)>,
    by_series: HashMap<(String, LabelPairs), Parts>,
}

impl Histograms {
    /// Adds one line of `family`; `part` is the suffix of its name.
    pub(super) fn add(
        &mut self,
        family: &str,
        part: &str,
        mut labels: LabelPairs,
        value: f64,
    ) -> Result<(), String> {
        let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
        let parts = self.parts(family, labels)?;
        match part {
            "_bucket" => {
                let bound = bound.as_deref().and_then(read_bound);
                let (Some(bound), Some(count)) = (bound, whole(value)) else {
                    return Err(format!("expected a label le and a whole number for a bucket of {family}"));
                };
                if parts.cumulative.len() == MAX_BUCKETS {
                    return Err(format!("expected at most {MAX_BUCKETS} buckets for {family}"));
                }
                parts.cumulative.push((bound, count));
            }
            "_sum" | "_gsum" => {
                parts.sum = value.is_finite().then_some(value);
            }
            "_count" | "_gcount" => {
                parts.count =
                    Some(whole(value).ok_or_else(|| format!("expected a whole number for {family}{part}"))?);
            }
            _ => {}
        }
        Ok(())
    }

    fn parts(&mut self, family: &str, labels: LabelPairs) -> Result<&mut Parts, String> {
        let key = (family.to_owned(), labels);
        if !self.by_series.contains_key(&key) {
            if self.order.len() == MAX_HISTOGRAMS {
                return Err(format!("expected at most {MAX_HISTOGRAMS} histograms: {family} is left out"));
            }
            self.order.push(key.clone());
        }
        Ok(self.by_series.entry(key).or_default())
    }

    pub(super) fn finish(mut self, sink: &mut Sink) {
        for key in std::mem::take(&mut self.order) {
            let Some(parts) = self.by_series.remove(&key) else { continue };
            let (family, labels) = key;
            match parts.buckets() {
                Ok((buckets, count)) => {
                    sink.histogram(Histogram {
                        metric: family.into(),
                        labels,
                        count,
                        sum: parts.sum,
                        max: None,
                        buckets,
                    });
                }
                Err(expected) => {
                    sink.fault(|| format!("{family}: expected {expected}: the histogram is left out"))
                }
            }
        }
    }
}

impl Parts {
    /// Buckets of their own counts. The first starts at 0 unless its bound is negative.
    fn buckets(&self) -> Result<(Vec<Bucket>, u64), &'static str> {
        let (Some(first), Some(last)) = (self.cumulative.first(), self.cumulative.last()) else {
            return Err("at least one _bucket");
        };
        let count = self.count.unwrap_or(last.1);
        let mut buckets = Vec::with_capacity(self.cumulative.len() + 1);
        let mut lo = if first.0 > 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let mut below = 0;
        let overflow = (last.0 < f64::INFINITY && count > last.1).then_some((f64::INFINITY, count));
        for (hi, upto) in self.cumulative.iter().copied().chain(overflow) {
            let grows = hi > lo || buckets.is_empty();
            let Some(own) = upto.checked_sub(below).filter(|_| grows) else {
                return Err("counts that grow with le");
            };
            buckets.push(Bucket { lo, hi, count: own });
            (lo, below) = (hi, upto);
        }
        if below == count { Ok((buckets, count)) } else { Err("_count to be the count of the last bucket") }
    }
}

fn read_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    (!bound.is_nan()).then_some(bound)
}

/// Counts come as `5`, `5.0` or `5e0`.
fn whole(value: f64) -> Option<u64> {
    (value >= 0.0 && value.fract() == 0.0 && value < 9.0e15).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(cumulative: &[(f64, u64)], count: Option<u64>) -> Result<Vec<(f64, f64, u64)>, &'static str> {
        let parts = Parts { cumulative: cumulative.to_vec(), sum: None, count };
        parts.buckets().map(|(buckets, _)| buckets.iter().map(|b| (b.lo, b.hi, b.count)).collect())
    }

    #[test]
    fn open_ends() {
        assert_eq!(buckets(&[(1.0, 2)], Some(5)), Ok(vec![(0.0, 1.0, 2), (1.0, f64::INFINITY, 3)]));
        assert_eq!(buckets(&[(1.0, 2)], None), Ok(vec![(0.0, 1.0, 2)]));
        assert_eq!(
            buckets(&[(-1.0, 2), (0.0, 2), (f64::INFINITY, 3)], Some(3)),
            Ok(vec![(f64::NEG_INFINITY, -1.0, 2), (-1.0, 0.0, 0), (0.0, f64::INFINITY, 1)])
        );
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        for (cumulative, count) in [
            (&[][..], Some(1)),
            (&[(1.0, 5), (2.0, 4)], None),
            (&[(2.0, 1), (1.0, 2)], None),
            (&[(1.0, 5)], Some(4)),
            (&[(f64::INFINITY, 5)], Some(6)),
        ] {
            assert!(buckets(cumulative, count).is_err(), "{cumulative:?} {count:?}");
        }
    }
}
