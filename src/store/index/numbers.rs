//! The bytes of (series, value) lists: a reading's staged samples, and a host's last totals. Sorted by
//! series; the series' numbers come first, so that a value is found without reading the others.

use super::varint;

/// `pairs` must be sorted by series, each once.
pub(super) fn encode(pairs: &[(i64, f64)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pairs.len() * 10 + 4);
    varint::put(&mut out, pairs.len() as u64);
    let mut last = 0;
    for (series, _) in pairs {
        varint::put(&mut out, varint::zigzag(series - last));
        last = *series;
    }
    pairs.iter().for_each(|(_, value)| out.extend_from_slice(&value.to_le_bytes()));
    out
}

pub(super) fn decode(blob: &[u8]) -> Option<Vec<(i64, f64)>> {
    let series = series(blob)?;
    let values = &blob[blob.len() - series.len() * 8..];
    let value = |bytes: &[u8]| Some(f64::from_le_bytes(bytes.try_into().ok()?));
    series.into_iter().zip(values.chunks_exact(8)).map(|(id, bytes)| Some((id, value(bytes)?))).collect()
}

/// The series' ids, if the blob is as long as they say.
pub(super) fn series(blob: &[u8]) -> Option<Vec<i64>> {
    let mut rest = blob;
    let count = usize::try_from(varint::take(&mut rest)?).ok().filter(|count| *count <= blob.len())?;
    let mut last = 0_i64;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        last = last.checked_add(varint::unzigzag(varint::take(&mut rest)?))?;
        ids.push(last);
    }
    (rest.len() == count * 8).then_some(ids)
}

/// The value at a rank in the list.
pub(super) fn value(blob: &[u8], rank: usize) -> Option<f64> {
    let mut rest = blob;
    let count = usize::try_from(varint::take(&mut rest)?).ok()?;
    let start = blob.len().checked_sub(count.checked_mul(8)?)?;
    let at = start.checked_add(rank.checked_mul(8)?)?;
    let bytes = blob.get(at..at.checked_add(8)?)?;
    (rank < count).then_some(())?;
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_and_broken_ones_do_not() {
        let pairs = vec![(1, 0.5), (2, f64::MAX), (900, -0.0), (1 << 40, 3.0)];
        let blob = encode(&pairs);
        assert_eq!(decode(&blob), Some(pairs.clone()));
        for (rank, (_, expected)) in pairs.iter().enumerate() {
            assert_eq!(value(&blob, rank).map(f64::to_bits), Some(expected.to_bits()));
        }
        assert_eq!(value(&blob, 4), None);
        for len in 0..blob.len() {
            assert_eq!(decode(&blob[..len]), None);
        }
    }
}
