//! The middle of some numbers and how far they usually lie from it, by medians: a few wild values move
//! neither. It never divides by nothing: the scale has a floor.

use super::Sorted;

/// Makes the median absolute deviation of normal numbers their standard deviation.
const NORMAL: f64 = 1.4826;

/// Numbers that all agree still differ by chance tomorrow, by at least this share of their median.
const LEAST_SHARE: f64 = 0.05;

/// Median and median absolute deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub mad: f64,
}

impl Spread {
    /// `None` without numbers, or when the median is infinite.
    pub fn of(values: &Sorted) -> Option<Self> {
        let median = values.median().filter(|median| median.is_finite())?;
        let mad = values.iter().map(|value| (value - median).abs()).collect::<Sorted>().median()?;
        Some(Self { median, mad })
    }

    /// What the distance from the median is measured in. `resolution` is what the metric's source can tell
    /// apart.
    pub fn scale(&self, resolution: f64) -> f64 {
        (NORMAL * self.mad).max(LEAST_SHARE * self.median.abs()).max(resolution)
    }

    /// How many scales `value` lies above the median; 0 at the median whatever the scale.
    pub fn robust_z(&self, value: f64, resolution: f64) -> f64 {
        let apart = value - self.median;
        if apart == 0.0 { 0.0 } else { apart / self.scale(resolution) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Option<Spread> {
        Spread::of(&values.iter().copied().collect())
    }

    #[test]
    fn the_scale_has_a_floor() {
        let constant = spread(&[20.0; 5]).unwrap();
        assert_eq!((constant.mad, constant.scale(0.1), constant.scale(3.0)), (0.0, 1.0, 3.0));
        assert_eq!(constant.robust_z(22.0, 0.1), 2.0);
        let zeros = spread(&[0.0; 5]).unwrap();
        assert_eq!((zeros.robust_z(0.0, 0.0), zeros.robust_z(2.0, 0.5)), (0.0, 4.0));
    }

    #[test]
    fn wild_values_are_no_middle() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[f64::INFINITY]), None);
        assert_eq!(spread(&[1.0, 2.0, f64::INFINITY]), Some(Spread { median: 2.0, mad: 1.0 }));
    }
}
