//! One metric of some hosts over some sweeps, and what a host's peers had at each. A host is never among
//! its own peers, and an absent value is nobody's.

use super::shape::Measure;

/// Fewer peers have no median worth the name: what the lens `changed` needs.
pub(super) const FEWEST_PEERS: usize = 3;

/// The values of one metric.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    values: &'a [f64],
    sweeps: usize,
}

impl<'a> Grid<'a> {
    /// The values of the first host, the oldest sweep first, then those of the next host. What is not
    /// finite is absent. `values` must be whole hosts.
    pub fn new(values: &'a [f64], sweeps: usize) -> Self {
        assert!(values.len() == sweeps * values.len().checked_div(sweeps).unwrap_or(0), "whole hosts");
        Self { values, sweeps }
    }

    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    pub fn hosts(&self) -> usize {
        self.values.len().checked_div(self.sweeps).unwrap_or(0)
    }

    pub fn host(&self, host: usize) -> &'a [f64] {
        &self.values[host * self.sweeps..(host + 1) * self.sweeps]
    }
}

/// What some hosts had at one sweep: the medians of all but one of them, of which there are just three.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    count: usize,
    middle: f64,
    /// Without a host below the middle, at it, above it.
    medians: [f64; 3],
    strengths: [f64; 3],
}

impl Column {
    /// Reorders `values`, which are all finite.
    fn of(values: &mut [f64], measure: Measure) -> Self {
        let count = values.len();
        if count <= FEWEST_PEERS {
            return Self { count, middle: f64::NAN, medians: [f64::NAN; 3], strengths: [f64::NAN; 3] };
        }
        let (lower, middle, upper) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
        let middle = *middle;
        let below = lower.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let medians = if count % 2 == 1 {
            let above = upper.iter().copied().fold(f64::INFINITY, f64::min);
            [middle.midpoint(above), below.midpoint(above), below.midpoint(middle)]
        } else {
            [middle, below, below]
        };
        Self { count, middle, medians, strengths: medians.map(|it| measure.strength(it)) }
    }

    /// Which of the medians leaves this host's value out.
    fn without(&self, value: f64) -> usize {
        usize::from(value >= self.middle) + usize::from(value > self.middle)
    }
}

/// The columns of some hosts.
pub(super) fn columns(grid: Grid<'_>, hosts: &[usize], measure: Measure) -> Vec<Column> {
    let mut scratch = Vec::with_capacity(hosts.len());
    let column = |sweep: usize| {
        scratch.clear();
        scratch.extend(hosts.iter().map(|host| grid.host(*host)[sweep]).filter(|it| it.is_finite()));
        Column::of(&mut scratch, measure)
    };
    (0..grid.sweeps()).map(column).collect()
}

/// How much stronger a host was than its peers, at each sweep since `first` where that is known.
pub(super) fn against_peers(
    (grid, host): (Grid<'_>, usize),
    columns: &[Column],
    measure: Measure,
    first: usize,
) -> impl DoubleEndedIterator<Item = Seen> {
    let known = move |(sweep, (value, column)): (usize, (&f64, &Column))| {
        let which = column.without(*value);
        let known = value.is_finite() && column.count > FEWEST_PEERS;
        known.then(|| Seen {
            sweep: first + sweep,
            value: *value,
            peers: column.medians[which],
            ratio: measure.strength(*value) / column.strengths[which],
        })
    };
    grid.host(host)[first..].iter().zip(&columns[first..]).enumerate().filter_map(known)
}

/// One host at one sweep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) sweep: usize,
    pub(super) value: f64,
    /// The median of the others.
    pub(super) peers: f64,
    /// Of the strengths.
    pub(super) ratio: f64,
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, Sorted};
    use super::*;
    use crate::model::Worse;

    proptest::proptest! {
        #[test]
        fn the_median_of_the_others(values in proptest::collection::vec(-4i32..4, 4..12)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let sorted: Sorted = values.iter().copied().collect();
            let measure = Measure { shape: Shape::Amount, worse: Worse::Higher, resolution: 1.0 };
            let column = Column::of(&mut values.clone(), measure);
            for value in &values {
                let found = column.medians[column.without(*value)];
                proptest::prop_assert_eq!(Some(found), sorted.median_without(*value));
            }
        }
    }
}
