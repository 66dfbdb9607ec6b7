//! Names with several numbers: a set of points into few blocks (`rack[1-4]node[01-20]`).
//!
//! The smallest cover is a hard problem; this one makes no claim to find it, it finds ClusterShell's.
//! The order of the passes and of the blocks within a pass decides which cover that is: two blocks
//! that differ in one dimension become one, first neighbours only until nothing changes, then any two.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::index::Index;

/// The numbers of one block in one dimension.
#[derive(Debug, Clone)]
struct Axis {
    numbers: Vec<Index>,
    /// Sorting waits until two axes have to be compared in full: a block that grows by one number at
    /// a time would else be sorted again for each.
    sorted: bool,
    first: Index,
    last: Index,
    /// The sum of a hash of each number, so that a union's is the sum of its parts'.
    hash: u64,
}

impl Axis {
    fn of(number: Index) -> Self {
        Self { numbers: vec![number], sorted: true, first: number, last: number, hash: hash_of(number) }
    }

    /// Takes in the numbers of `other`, which has none of these.
    fn absorb(&mut self, other: Self) {
        self.sorted = self.sorted && other.sorted && self.last < other.first;
        self.numbers.extend_from_slice(&other.numbers);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.hash = self.hash.wrapping_add(other.hash);
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.numbers.sort_unstable();
            self.sorted = true;
        }
    }

    fn equals(&mut self, other: &mut Self) -> bool {
        if self.hash != other.hash || self.numbers.len() != other.numbers.len() {
            return false;
        }
        self.sort();
        other.sort();
        self.numbers == other.numbers
    }
}

/// The product of its axes. Two blocks never share a point.
type Block = Vec<Axis>;

/// The blocks that cover the points, each as its sorted numbers per dimension. `points` holds
/// `dimensions` numbers for each point in a row.
pub(super) fn fold_vectors(points: &[Index], dimensions: usize) -> Vec<Vec<Vec<Index>>> {
    let mut points: Vec<&[Index]> = points.chunks_exact(dimensions).collect();
    points.sort_unstable();
    points.dedup();
    let mut blocks: Vec<Block> =
        points.into_iter().map(|point| point.iter().map(|number| Axis::of(*number)).collect()).collect();
    sort(&mut blocks);
    while join_neighbours(&mut blocks) {
        sort(&mut blocks);
    }
    while join_any(&mut blocks) {
        sort(&mut blocks);
    }
    let numbers = |mut axis: Axis| {
        axis.sort();
        axis.numbers
    };
    blocks.into_iter().map(|block| block.into_iter().map(numbers).collect()).collect()
}

/// Larger blocks first, then longer axes, then smaller numbers as text. Ties keep their order.
fn sort(blocks: &mut [Block]) {
    blocks.sort_by_cached_key(|block| {
        let points: usize = block.iter().map(|axis| axis.numbers.len()).product();
        let axes: Vec<_> = block
            .iter()
            .map(|axis| (Reverse(axis.numbers.len()), axis.first.text_key(), axis.last.text_key()))
            .collect();
        (Reverse(points), axes)
    });
}

/// One pass that joins each block with those right behind it, as long as they fit.
fn join_neighbours(blocks: &mut Vec<Block>) -> bool {
    let before = blocks.len();
    let mut joined: Vec<Block> = Vec::with_capacity(before);
    for mut block in blocks.drain(..) {
        if let Some(last) = joined.last_mut()
            && let Some(dimension) = only_difference(last, &mut block)
        {
            last[dimension].absorb(block.swap_remove(dimension));
        } else {
            joined.push(block);
        }
    }
    *blocks = joined;
    blocks.len() < before
}

/// The one dimension in which two blocks differ; there, as blocks share no point, they are disjoint.
fn only_difference(a: &mut Block, b: &mut Block) -> Option<usize> {
    let mut difference = None;
    for (dimension, (a, b)) in a.iter_mut().zip(b).enumerate() {
        if !a.equals(b) && difference.replace(dimension).is_some() {
            return None;
        }
    }
    difference
}

/// One pass that joins each block with any later one, nearest first. Blocks that may fit are found
/// by the hash of all axes but one: a thousand addresses without a pattern would else be compared
/// half a million times.
fn join_any(blocks: &mut Vec<Block>) -> bool {
    let before = blocks.len();
    let mut places: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
    for (place, block) in blocks.iter().enumerate() {
        for dimension in 0..block.len() {
            places.entry((dimension, hash_without(block, dimension))).or_default().push(place);
        }
    }
    let mut slots: Vec<Option<Block>> = std::mem::take(blocks).into_iter().map(Some).collect();
    for place in 0..slots.len() {
        let Some(mut block) = slots[place].take() else { continue };
        let mut from = place + 1;
        while let Some((found, dimension)) = next_fit(&mut block, &mut slots, &places, from) {
            if let Some(mut other) = slots[found].take() {
                block[dimension].absorb(other.swap_remove(dimension));
            }
            from = found + 1;
        }
        blocks.push(block);
    }
    blocks.len() < before
}

/// The first block at or after `from` that differs from `block` in one dimension, and which.
fn next_fit(
    block: &mut Block,
    slots: &mut [Option<Block>],
    places: &HashMap<(usize, u64), Vec<usize>>,
    from: usize,
) -> Option<(usize, usize)> {
    let mut best = None;
    for dimension in 0..block.len() {
        let Some(candidates) = places.get(&(dimension, hash_without(block, dimension))) else { continue };
        let start = candidates.partition_point(|place| *place < from);
        for &place in &candidates[start..] {
            if best.is_some_and(|(nearest, _)| nearest <= place) {
                break;
            }
            if let Some(other) = &mut slots[place]
                && only_difference(block, other) == Some(dimension)
            {
                best = Some((place, dimension));
                break;
            }
        }
    }
    best
}

fn hash_without(block: &Block, dimension: usize) -> u64 {
    let others = block.iter().enumerate().filter(|(other, _)| *other != dimension);
    others.fold(0, |hash, (_, axis)| mix(hash ^ axis.hash))
}

fn hash_of(number: Index) -> u64 {
    mix(number.value ^ (u64::from(number.width) << 60).rotate_left(7))
}

/// A bijection whose every output bit depends on every input bit (Stafford's 13th variant of the
/// MurmurHash3 finalizer), so that sums of it tell sets apart; equality is still checked in full.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
