//! The bytes of a block: one series of one sweep over up to [`CHUNK`] hosts. Every encoding is exact to
//! the bit; a broken blob decodes to `None`, never to a wrong length.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use super::varint;

/// Hosts per block: of 250, 1,000 and 10,000, the size at which both a sweep's column and a host's
/// history are read within milliseconds.
pub const CHUNK: u32 = 1_000;

/// Which slots have a value.
mod presence {
    /// 0 to n-1: the count follows.
    pub(super) const DENSE: u8 = 0;
    /// The count and then the gaps follow.
    pub(super) const SPARSE: u8 = 1;
    /// The length of a bitmap and the bitmap follow.
    pub(super) const BITMAP: u8 = 2;
}

/// How the values stand there. They share a byte with the presence: the low four bits here.
mod values {
    pub(super) const RAW: u8 = 0;
    /// One value for all.
    pub(super) const CONSTANT: u8 = 1;
    /// Integers over a power of ten: exponent, smallest, bits each, packed.
    pub(super) const DECIMAL: u8 = 2;
    /// Byte planes, deflated.
    pub(super) const PLANES: u8 = 3;
}

/// Decimal digits that are tried: kernels print two or three (loadavg, uptime, PSI), rates over a
/// window of milliseconds and clock ticks have up to six.
const EXPONENTS: [i32; 5] = [0, 1, 2, 3, 6];

/// Encodes (slot, value) pairs, sorted by slot, each slot once.
pub fn encode(cells: &[(u32, f64)]) -> Vec<u8> {
    let mut out = vec![0];
    let presence = encode_presence(&mut out, cells);
    let numbers: Vec<f64> = cells.iter().map(|(_, value)| *value).collect();
    let kind = encode_values(&mut out, &numbers);
    out[0] = presence << 4 | kind;
    out
}

fn encode_presence(out: &mut Vec<u8>, cells: &[(u32, f64)]) -> u8 {
    let count = cells.len() as u64;
    let last = cells.last().map_or(0, |(slot, _)| *slot);
    if cells.is_empty() || u64::from(last) + 1 == count {
        varint::put(out, count);
        return presence::DENSE;
    }
    if cells.len() * 8 < last as usize {
        varint::put(out, count);
        let mut next = 0;
        for (slot, _) in cells {
            varint::put(out, u64::from(slot - next));
            next = slot + 1;
        }
        return presence::SPARSE;
    }
    let mut bits = vec![0_u8; last as usize / 8 + 1];
    for (slot, _) in cells {
        bits[*slot as usize / 8] |= 1 << (slot % 8);
    }
    varint::put(out, bits.len() as u64);
    out.extend_from_slice(&bits);
    presence::BITMAP
}

fn encode_values(out: &mut Vec<u8>, numbers: &[f64]) -> u8 {
    let Some(first) = numbers.first() else { return values::RAW };
    if numbers.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.extend_from_slice(&first.to_le_bytes());
        return values::CONSTANT;
    }
    if let Some(decimal) = Decimal::fit(numbers) {
        // Planes hardly ever beat packed decimals of at most 32 bits, and cost fifty times as much.
        if decimal.bits <= 32 {
            decimal.encode(out, numbers);
            return values::DECIMAL;
        }
    }
    let raw_len = numbers.len() * 8;
    if numbers.len() >= 32 {
        let packed = deflate(&to_planes(numbers));
        if packed.len() < raw_len {
            out.extend_from_slice(&packed);
            return values::PLANES;
        }
    }
    numbers.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    values::RAW
}

/// Values that are integers over 10^exponent, counted from the smallest.
struct Decimal {
    exponent: u8,
    lowest: i64,
    bits: u32,
}

impl Decimal {
    fn fit(numbers: &[f64]) -> Option<Self> {
        EXPONENTS.iter().find_map(|exponent| {
            let scale = 10_f64.powi(*exponent);
            let (mut lowest, mut highest) = (i64::MAX, i64::MIN);
            for value in numbers {
                let integer = to_integer(*value, scale)?;
                lowest = lowest.min(integer);
                highest = highest.max(integer);
            }
            let bits = 64 - highest.abs_diff(lowest).leading_zeros();
            Some(Self { exponent: *exponent as u8, lowest, bits })
        })
    }

    fn encode(&self, out: &mut Vec<u8>, numbers: &[f64]) {
        let scale = 10_f64.powi(i32::from(self.exponent));
        out.extend_from_slice(&[self.exponent, self.bits as u8]);
        varint::put(out, varint::zigzag(self.lowest));
        let (mut pending, mut held) = (0_u64, 0_u32);
        for value in numbers {
            let offset = to_integer(*value, scale).map_or(0, |integer| integer.abs_diff(self.lowest));
            pending |= offset << held;
            held += self.bits;
            while held >= 8 {
                out.push(pending as u8);
                pending >>= 8;
                held -= 8;
            }
        }
        if held > 0 {
            out.push(pending as u8);
        }
    }
}

/// The integer that gives exactly `value` when divided by `scale`; -0.0, huge and odd values have none.
fn to_integer(value: f64, scale: f64) -> Option<i64> {
    let integer = (value * scale).round();
    let exact = integer.abs() < 9e15 && (integer as i64 as f64 / scale).to_bits() == value.to_bits();
    exact.then_some(integer as i64)
}

fn to_planes(numbers: &[f64]) -> Vec<u8> {
    let mut planes = vec![0; numbers.len() * 8];
    for (at, value) in numbers.iter().enumerate() {
        for (plane, byte) in value.to_le_bytes().into_iter().enumerate() {
            planes[plane * numbers.len() + at] = byte;
        }
    }
    planes
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len()), Compression::fast());
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A block in its readable form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Value by rank; a slot's rank comes from `ranks`.
    numbers: Vec<f64>,
    /// Slots in order; empty when the block is dense.
    slots: Vec<u32>,
}

impl Block {
    pub fn decode(blob: &[u8]) -> Option<Self> {
        let (head, rest) = blob.split_first()?;
        let mut rest = rest;
        let (slots, count) = decode_presence(head >> 4, &mut rest)?;
        let numbers = decode_values(head & 0xf, rest, count)?;
        Some(Self { numbers, slots })
    }

    pub fn get(&self, slot: u32) -> Option<f64> {
        let rank =
            if self.slots.is_empty() { slot as usize } else { self.slots.binary_search(&slot).ok()? };
        self.numbers.get(rank).copied()
    }

    pub fn cells(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.numbers
            .iter()
            .enumerate()
            .map(|(rank, value)| (self.slots.get(rank).copied().unwrap_or(rank as u32), *value))
    }
}

fn decode_presence(kind: u8, rest: &mut &[u8]) -> Option<(Vec<u32>, usize)> {
    let size = usize::try_from(varint::take(rest)?).ok().filter(|size| *size <= CHUNK as usize)?;
    match kind {
        presence::DENSE => Some((Vec::new(), size)),
        presence::SPARSE => {
            let mut slots = Vec::with_capacity(size);
            let mut next = 0_u32;
            for _ in 0..size {
                let slot = next.checked_add(u32::try_from(varint::take(rest)?).ok()?)?;
                slots.push(slot);
                next = slot.checked_add(1)?;
            }
            Some((slots, size))
        }
        presence::BITMAP => {
            let bits = rest.get(..size)?;
            *rest = &rest[size..];
            let slots: Vec<u32> =
                (0..size as u32 * 8).filter(|slot| bits[*slot as usize / 8] & 1 << (slot % 8) != 0).collect();
            let count = slots.len();
            Some((slots, count))
        }
        _ => None,
    }
}

fn decode_values(kind: u8, bytes: &[u8], count: usize) -> Option<Vec<f64>> {
    let number = |bytes: &[u8]| Some(f64::from_le_bytes(bytes.try_into().ok()?));
    match kind {
        values::RAW if bytes.len() == count * 8 => bytes.chunks_exact(8).map(number).collect(),
        values::CONSTANT => Some(vec![number(bytes)?; count]),
        values::DECIMAL => decode_decimal(bytes, count),
        values::PLANES => {
            let planes = inflate(bytes, count * 8)?;
            let value = |at: usize| std::array::from_fn(|plane| planes[plane * count + at]);
            Some((0..count).map(|at| f64::from_le_bytes(value(at))).collect())
        }
        _ => None,
    }
}

/// Exactly `len` bytes out of exactly this stream.
fn inflate(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut planes = vec![0; len];
    let mut state = Decompress::new(false);
    let status = state.decompress(bytes, &mut planes, FlushDecompress::Finish).ok()?;
    let whole = state.total_out() == len as u64 && state.total_in() == bytes.len() as u64;
    (status == Status::StreamEnd && whole).then_some(planes)
}

fn decode_decimal(bytes: &[u8], count: usize) -> Option<Vec<f64>> {
    let [exponent, bits, rest @ ..] = bytes else { return None };
    let (bits, mut rest) = (u32::from(*bits), rest);
    let lowest = varint::unzigzag(varint::take(&mut rest)?);
    if bits > 32 || rest.len() != (count * bits as usize).div_ceil(8) {
        return None;
    }
    let scale = 10_f64.powi(i32::from(*exponent));
    let mask = (1_u64 << bits) - 1;
    let (mut pending, mut held) = (0_u64, 0_u32);
    let mut bytes = rest.iter();
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        while held < bits {
            pending |= u64::from(*bytes.next()?) << held;
            held += 8;
        }
        let offset = (pending & mask) as i64;
        numbers.push(lowest.checked_add(offset)? as f64 / scale);
        pending >>= bits;
        held -= bits;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(cells: &[(u32, f64)], at_most: usize) {
        let blob = encode(cells);
        let block = Block::decode(&blob).unwrap();
        let back: Vec<_> = block.cells().map(|(slot, value)| (slot, value.to_bits())).collect();
        let expected: Vec<_> = cells.iter().map(|(slot, value)| (*slot, value.to_bits())).collect();
        assert_eq!(back, expected);
        for (slot, value) in cells {
            assert_eq!(block.get(*slot).map(f64::to_bits), Some(value.to_bits()));
        }
        assert_eq!(block.get(CHUNK), None);
        assert!(blob.len() <= at_most, "{} bytes for {} cells", blob.len(), cells.len());
    }

    #[test]
    fn small_and_regular_blocks_stay_small() {
        check(&[], 2);
        check(&[(0, 0.1)], 10);
        check(&[(999, 1e300)], 13);
        check(&(0..50).map(|slot| (slot, 0.25)).collect::<Vec<_>>(), 10);
        check(&(0..8).map(|slot| (slot, f64::from(slot) * 3.0)).collect::<Vec<_>>(), 12);
        check(&(0..1_000).map(|slot| (slot, f64::from(slot % 128) / 100.0)).collect::<Vec<_>>(), 890);
        check(&(0..1_000).map(|slot| (slot, f64::from(slot).sqrt())).collect::<Vec<_>>(), 7_900);
        check(&(0..500).map(|slot| (slot * 2, f64::from(slot))).collect::<Vec<_>>(), 710);
        check(&[(0, -0.0), (1, f64::INFINITY), (2, f64::MIN_POSITIVE), (3, 9.1e15)], 40);
    }

    #[test]
    fn a_broken_blob_is_none() {
        let blob = encode(&(0..100).map(|slot| (slot * 3, f64::from(slot).sqrt())).collect::<Vec<_>>());
        for len in 0..blob.len() {
            assert_eq!(Block::decode(&blob[..len]), None, "{len}");
        }
        assert_eq!(Block::decode(&[0xff; 64]), None);
    }

    proptest! {
        #[test]
        fn every_value_comes_back_to_the_bit(
            cells in prop::collection::btree_map(0..CHUNK, prop_oneof![
                any::<f64>(),
                (-5_000_000_i64..5_000_000).prop_map(|n| n as f64 / 1e3),
                (0_u32..9).prop_map(f64::from),
            ], 0..200)
        ) {
            let cells: Vec<(u32, f64)> = cells.into_iter().collect();
            let block = Block::decode(&encode(&cells)).unwrap();
            let bits = |cells: &[(u32, f64)]| cells.iter().map(|(s, v)| (*s, v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&block.cells().collect::<Vec<_>>()), bits(&cells));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Block::decode(&bytes);
        }
    }
}
