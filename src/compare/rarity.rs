//! How many scales from the middle are rare, when the middle and the scale come from few numbers and many
//! hosts get a try. It knows normal numbers only; what a metric's own tails are, its history says.

use libm::erfc;

/// The median absolute deviation of n numbers says as much of their scale as this share of n would by the
/// standard deviation.
const EFFICIENCY: f64 = 0.37;

/// How many standard deviations a normal number exceeds with this chance.
pub(super) fn normal_limit(chance: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    for _ in 0..60 {
        let middle = low.midpoint(high);
        if 0.5 * erfc(middle / std::f64::consts::SQRT_2) > chance { low = middle } else { high = middle }
    }
    high
}

/// What replaces a limit of `z` standard deviations, when the scale is an estimate from `n` numbers: Student's
/// t, by the first terms of its expansion in 1/n.
pub(super) fn with_estimated_scale(z: f64, n: usize) -> f64 {
    let freedom = (EFFICIENCY * n.saturating_sub(1) as f64).max(1.0);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / freedom + second / freedom.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert!((normal_limit(0.025) - 1.959_963_985).abs() < 1e-8);
        assert!((normal_limit(1e-5) - 4.264_890_794).abs() < 1e-8);
        assert!(normal_limit(0.9) < 1e-9);
        // Student's t exceeds 3.25 with the chance 0.005 at 9 degrees of freedom.
        assert!((with_estimated_scale(2.5758, 25) - 3.25).abs() < 0.1);
        assert!(with_estimated_scale(3.0, 5) > 6.0 && with_estimated_scale(3.0, 10_000) < 3.01);
    }
}
