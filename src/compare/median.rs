//! Medians, also of all values but one: a host is compared with the others, not with itself.

/// Numbers in rising order. What is not a number is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sorted(Vec<f64>);

impl FromIterator<f64> for Sorted {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }
}

impl Sorted {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
        self.0.iter().copied()
    }

    pub fn median(&self) -> Option<f64> {
        middle(self.0.len(), |at| self.0[at])
    }

    /// The median of the others; `value` must be one of the numbers.
    pub fn median_without(&self, value: f64) -> Option<f64> {
        let out = self.0.partition_point(|other| other.total_cmp(&value).is_lt());
        let others = self.0.len().checked_sub(1)?;
        middle(others, |at| self.0[if at < out { at } else { at + 1 }])
    }
}

fn middle(len: usize, get: impl Fn(usize) -> f64) -> Option<f64> {
    match len {
        0 => None,
        _ if len % 2 == 1 => Some(get(len / 2)),
        // Halved first: the sum of two finite numbers may be infinite.
        _ => Some(get(len / 2 - 1) / 2.0 + get(len / 2) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(values: &[f64]) -> Sorted {
        values.iter().copied().collect()
    }

    #[test]
    fn medians() {
        let check = |values: &[f64], expected| assert_eq!(sorted(values).median(), expected, "{values:?}");
        check(&[], None);
        check(&[f64::NAN], None);
        check(&[3.0], Some(3.0));
        check(&[9.0, 1.0, 2.0], Some(2.0));
        check(&[4.0, 1.0, 3.0, 2.0], Some(2.5));
        check(&[f64::MAX, f64::MAX], Some(f64::MAX));
    }

    proptest::proptest! {
        #[test]
        fn without_one_is_the_median_of_the_rest(values in proptest::collection::vec(-5i32..5, 1..20), at: usize) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let at = at % values.len();
            let mut rest = values.clone();
            rest.remove(at);
            proptest::prop_assert_eq!(sorted(&values).median_without(values[at]), sorted(&rest).median());
        }
    }
}
