//! Chances after many tests: of twenty, one is below 0.05 by luck. It changes chances only; where to draw the
//! line is its caller's.

/// Holm's: the chance that one of all is a false alarm stays below the level. In the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = rising(p);
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        largest = largest.max(p[at] * (p.len() - rank) as f64).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's: the share of false alarms among the alarms stays below the level. In the
/// order given.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = rising(p);
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest = 1.0_f64;
    for (rank, at) in order.into_iter().enumerate().rev() {
        smallest = smallest.min(p[at] * (p.len() as f64 / (rank + 1) as f64));
        adjusted[at] = smallest;
    }
    adjusted
}

fn rising(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tests_make_small_chances_larger() {
        let check = |found: Vec<f64>, expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
            assert_eq!(found.len(), expected.len());
        };
        let p = [0.04, 0.01, 0.03, 0.5];
        check(holm(&p), &[0.09, 0.04, 0.09, 0.5]);
        check(benjamini_hochberg(&p), &[0.16 / 3.0, 0.04, 0.16 / 3.0, 0.5]);
        check(holm(&[]), &[]);
    }
}
