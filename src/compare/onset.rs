//! When the present began. Before a trouble there are accidents, and within it pauses: the beginning is where
//! the values as a whole go from the usual to the present, not the first that was far off.

/// The place of the first value of the present run. `off` says how far each value is from the usual, `present`,
/// above 0, how far the present ones are; two of the last values must reach that.
///
/// A value beyond half way speaks for the present by as much as it is beyond, at most half, one before it
/// against; the run is the one for which most is said, and of two alike the shorter. So a pause is bridged by
/// what was before it only where that lasted longer than the pause.
pub(super) fn onset(off: &[f64], present: f64) -> usize {
    let (mut start, mut best) = (off.len().saturating_sub(1), f64::NEG_INFINITY);
    let (mut said, mut reached) = (0.0, 0);
    for (at, off) in off.iter().enumerate().rev() {
        let beyond = (off / present - 0.5).clamp(-0.5, 0.5);
        // Of two infinities nothing is known.
        said += if beyond.is_nan() { 0.0 } else { beyond };
        reached += usize::from(*off >= present);
        if reached > 1 && said > best {
            (start, best) = (at, said);
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::onset;

    #[test]
    fn accidents_before_are_no_part_and_pauses_are() {
        let check = |off: &[f64], expected: usize| assert_eq!(onset(off, 1.0), expected, "{off:?}");
        check(&[0.0, 0.1, -0.1, 0.0, 1.0, 1.1], 4);
        // One far value, and a usual one after it.
        check(&[0.0, 0.1, 9.0, 0.0, 1.0, 1.1], 4);
        check(&[0.0, 0.4, 0.4, 0.4, 1.0, 1.1], 4);
        // It lasted before it paused.
        check(&[0.0, 1.0, 1.2, 0.9, 0.0, 1.0, 1.1], 1);
        check(&[0.0, 1.0, 1.2, 0.9, 0.1, 0.0, 1.0, 1.1], 1);
        // Two of the last three.
        check(&[0.0, 0.0, 1.0, 0.0, 1.0], 2);
        check(&[0.0, 0.0, 1.0, 1.2, 0.0], 2);
        check(&[1.0, 1.0], 0);
        check(&[1.0], 0);
        check(&[], 0);
        check(&[0.0, f64::INFINITY, 0.0, 1.0, f64::INFINITY], 3);
        // One that grows has begun when it was half of what it is.
        check(&[0.0, 0.1, 0.3, 0.45, 0.6, 0.8, 1.0, 1.2], 4);
    }
}
