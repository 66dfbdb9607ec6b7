//! The bytes of a histogram's buckets: bounds exact to the bit, counts as varints.

use super::varint;
use crate::model::Bucket;

pub(super) fn encode(buckets: &[Bucket]) -> Vec<u8> {
    let mut out = Vec::with_capacity(buckets.len() * 18);
    for bucket in buckets {
        out.extend_from_slice(&bucket.lo.to_le_bytes());
        out.extend_from_slice(&bucket.hi.to_le_bytes());
        varint::put(&mut out, bucket.count);
    }
    out
}

pub(super) fn decode(mut blob: &[u8]) -> Option<Vec<Bucket>> {
    let mut buckets = Vec::new();
    while !blob.is_empty() {
        let (lo, rest) = blob.split_first_chunk()?;
        let (hi, rest) = rest.split_first_chunk()?;
        blob = rest;
        let count = varint::take(&mut blob)?;
        buckets.push(Bucket { lo: f64::from_le_bytes(*lo), hi: f64::from_le_bytes(*hi), count });
    }
    Some(buckets)
}

/// `[[lo,hi,n],…]`; an infinite bound is null, because JSON has no word for it.
pub(super) fn to_json(buckets: &[Bucket]) -> String {
    let rows: Vec<(f64, f64, u64)> =
        buckets.iter().map(|bucket| (bucket.lo, bucket.hi, bucket.count)).collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_back() {
        let buckets = vec![
            Bucket { lo: 0.0, hi: 1e-6, count: 0 },
            Bucket { lo: 0.1, hi: f64::INFINITY, count: 1 << 40 },
        ];
        let blob = encode(&buckets);
        assert_eq!(decode(&blob), Some(buckets.clone()));
        assert_eq!(decode(&blob[..blob.len() - 1]), None);
        assert_eq!(to_json(&buckets), "[[0.0,1e-6,0],[0.1,null,1099511627776]]");
    }
}
