//! The mean rate of the whole time between two readings of one host: how a probe that runs for a second
//! an hour still sees a stall at half past. It never makes a negative rate, and none across a boot.

/// A host's counters at one moment of its uptime clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Totals {
    pub boot_id: String,
    pub uptime_s: f64,
    /// (the `between` series, total), sorted by series. Another unit or kind is another series.
    pub values: Vec<(i64, f64)>,
}

/// Increases per second from `last` to `now`, for every counter that both have and that did not fall.
pub(super) fn between(last: &Totals, now: &Totals) -> Vec<(i64, f64)> {
    let elapsed_s = now.uptime_s - last.uptime_s;
    let comparable = last.boot_id == now.boot_id && !now.boot_id.is_empty();
    // NaN is not greater either.
    let went_on = elapsed_s > 0.0;
    if !comparable || !went_on {
        return Vec::new();
    }
    let mut earlier = last.values.iter().copied().peekable();
    let mut rates = Vec::with_capacity(now.values.len());
    for (series, total) in &now.values {
        while earlier.next_if(|(id, _)| id < series).is_some() {}
        if let Some((_, before)) = earlier.next_if(|(id, _)| id == series) {
            let rate = (total - before) / elapsed_s;
            if rate >= 0.0 && rate.is_finite() {
                rates.push((*series, rate));
            }
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(boot_id: &str, uptime_s: f64, values: &[(i64, f64)]) -> Totals {
        Totals { boot_id: boot_id.to_owned(), uptime_s, values: values.to_vec() }
    }

    #[test]
    fn rates_within_one_boot() {
        let last = totals("a", 100.0, &[(1, 10.0), (2, 50.0), (4, 7.0), (6, 1.0)]);
        let check =
            |now: Totals, expected: &[(i64, f64)]| assert_eq!(between(&last, &now), expected, "{now:?}");
        check(
            totals("a", 110.0, &[(1, 30.0), (3, 9.0), (4, 7.0), (6, 3.5)]),
            &[(1, 2.0), (4, 0.0), (6, 0.25)],
        );
        // A fall voids that counter alone.
        check(totals("a", 110.0, &[(1, 9.0), (2, 60.0)]), &[(2, 1.0)]);
        // Another boot, a boot nobody named, or a clock that stands still or runs back void all.
        check(totals("b", 110.0, &[(1, 30.0)]), &[]);
        check(totals("", 110.0, &[(1, 30.0)]), &[]);
        check(totals("a", 100.0, &[(1, 30.0)]), &[]);
        check(totals("a", 90.0, &[(1, 30.0)]), &[]);
        check(totals("a", f64::NAN, &[(1, 30.0)]), &[]);
        check(totals("a", 110.0, &[(1, f64::INFINITY), (2, f64::NAN)]), &[]);
    }
}
