//! Distributions against the plainest way to the same numbers: a list of observations.

use super::*;

fn histogram(buckets: &[(f64, f64, u64)]) -> Histogram {
    let buckets: Vec<Bucket> = buckets.iter().map(|&(lo, hi, count)| Bucket { lo, hi, count }).collect();
    let count = buckets.iter().map(|bucket| bucket.count).sum();
    Histogram { metric: "m".into(), labels: Vec::new(), count, sum: None, max: None, buckets }
}

fn of(buckets: &[(f64, f64, u64)]) -> Distribution {
    Distribution::try_from(&histogram(buckets)).unwrap()
}

#[test]
fn a_quantile_is_the_bucket_that_holds_it() {
    let it = of(&[(0.0, 1.0, 50), (1.0, 2.0, 40), (4.0, 8.0, 9), (8.0, f64::INFINITY, 1)]);
    let check = |q: f64, lo: f64, hi: f64| assert_eq!(it.quantile(q), Some(Interval { lo, hi }), "{q}");
    check(0.0, 0.0, 1.0);
    check(0.5, 0.0, 1.0);
    check(0.51, 1.0, 2.0);
    check(0.9, 1.0, 2.0);
    check(0.99, 4.0, 8.0);
    check(1.0, 8.0, f64::INFINITY);
    assert_eq!(it.quantile(1.0).map(Interval::bound), Some(8.0));
    assert_eq!(of(&[(0.0, 1.0, 0)]).quantile(0.5), None);
    assert_eq!(of(&[]).quantile(0.5), None);
}

#[test]
fn only_one_scheme_is_merged() {
    let mut it = of(&[(1.0, 2.0, 3), (4.0, 8.0, 1)]);
    it.merge(&of(&[(0.0, 1.0, 5), (2.0, 4.0, 7), (4.0, 8.0, 2), (8.0, f64::INFINITY, 1)])).unwrap();
    let expected = [(0.0, 1.0, 5), (1.0, 2.0, 3), (2.0, 4.0, 7), (4.0, 8.0, 3), (8.0, f64::INFINITY, 1)];
    assert_eq!(it, of(&expected));
    assert_eq!(it.count(), 19);
    for other in [[(1.0, 3.0, 1)], [(1.5, 2.0, 1)], [(7.0, f64::INFINITY, 1)], [(0.0, 16.0, 0)]] {
        assert_eq!(it.merge(&of(&other)), Err(Mismatch::Scheme), "{other:?}");
    }
    assert_eq!(it, of(&expected));
    for bad in [&[(1.0, 3.0, 1), (2.0, 4.0, 1)][..], &[(2.0, 1.0, 1)], &[(f64::NAN, 1.0, 1)]] {
        assert_eq!(Distribution::try_from(&histogram(bad)), Err(Mismatch::Overlap), "{bad:?}");
    }
}

#[test]
fn a_max_or_sum_that_one_side_lacks_is_not_known_of_both() {
    let with =
        |sum, max| Distribution::try_from(&Histogram { sum, max, ..histogram(&[(0.0, 4.0, 2)]) }).unwrap();
    let mut both = with(Some(3.0), Some(2.0));
    both.merge(&with(Some(1.0), Some(4.0))).unwrap();
    assert_eq!((both.mean(), both.max()), (Some(1.0), Some(4.0)));
    both.merge(&with(None, None)).unwrap();
    assert_eq!((both.sum(), both.max()), (None, None));
}

#[test]
fn distances() {
    let check = |a: &[(f64, f64, u64)], b: &[(f64, f64, u64)], expected: Option<f64>| {
        assert_eq!(of(a).distance(&of(b)), expected, "{a:?} {b:?}");
        assert_eq!(of(b).distance(&of(a)), expected, "{b:?} {a:?}");
    };
    let low = [(0.0, 1.0, 10)];
    check(&low, &[(0.0, 1.0, 1000)], Some(0.0));
    check(&low, &[(1.0, 2.0, 3)], Some(1.0));
    check(&low, &[(0.0, 1.0, 1), (1.0, 2.0, 1)], Some(0.5));
    check(&low, &[(0.0, 1.0, 3), (1.0, f64::INFINITY, 1)], Some(0.25));
    check(&low, &[], None);
    // Another scheme: known at the bounds that neither cuts.
    check(&[(0.0, 2.0, 1), (2.0, 4.0, 1)], &[(0.0, 1.0, 1), (1.0, 2.0, 2), (2.0, 3.0, 1)], Some(0.25));
    check(&[(0.0, f64::INFINITY, 1)], &[(1.0, f64::INFINITY, 1)], Some(0.0));
}

#[test]
fn few_observations_must_be_farther_apart() {
    assert!((least_distance(10, 10) - 0.608).abs() < 0.001);
    assert_eq!((least_distance(0, 5), least_distance(1 << 40, 1 << 40)), (1.0, 0.05));
}

#[test]
fn statistics_ask_for_enough_observations() {
    let check = |text: &str, least: u64| {
        assert_eq!(Statistic::parse(text).map(Statistic::least_count), Some(least), "{text}");
    };
    check("p50", 2);
    check("p90", 10);
    check("p99", 100);
    check("p99.9", 1_000);
    check("max", 1);
    for bad in ["p", "p0", "p100", "p-1", "p1e1", "99", "median", "pinf", "device"] {
        assert_eq!(Statistic::parse(bad), None, "{bad}");
    }
    let few = of(&[(0.0, 1.0, 99)]);
    assert_eq!((Statistic::P99.of(&few), Statistic::Max.of(&few)), (None, None));
    assert_eq!(Statistic::P90.of(&few).map(Interval::bound), Some(1.0));
}

proptest::proptest! {
    /// Against the observations themselves, in powers of two.
    #[test]
    fn agrees_with_the_observations(
        mut a in proptest::collection::vec(1_u32..5_000, 1..60),
        b in proptest::collection::vec(1_u32..5_000, 1..60),
        q in 0.001_f64..1.0,
    ) {
        let bucketed = |values: &[u32]| {
            let mut buckets = Vec::new();
            for power in 0..14 {
                let (lo, hi) = (f64::from(1_u32 << power) / 2.0, f64::from(1_u32 << power));
                let within = |value: &&u32| f64::from(**value) > lo && f64::from(**value) <= hi;
                let count = values.iter().filter(within).count() as u64;
                if count > 0 {
                    buckets.push((lo, hi, count));
                }
            }
            of(&buckets)
        };
        let (ours, theirs) = (bucketed(&a), bucketed(&b));
        let distance = ours.distance(&theirs).unwrap();
        let share = |values: &[u32], at: u32| {
            values.iter().filter(|value| **value <= at).count() as f64 / values.len() as f64
        };
        let plain = (0..14).map(|power| (share(&a, 1 << power) - share(&b, 1 << power)).abs());
        proptest::prop_assert!((distance - plain.fold(0.0, f64::max)).abs() < 1e-12);

        a.sort_unstable();
        let rank = ((q * a.len() as f64).ceil() as usize).max(1);
        let found = ours.quantile(q).unwrap();
        let value = f64::from(a[rank - 1]);
        proptest::prop_assert!(found.lo < value && value <= found.hi, "{value} in {found:?}");

        let mut merged = ours;
        merged.merge(&theirs).unwrap();
        let all: Vec<u32> = a.into_iter().chain(b).collect();
        proptest::prop_assert_eq!(merged, bucketed(&all));
    }
}
