//! A series in one line of text. It shows a shape, never a value: the scale is its own.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The series scaled between its own least and greatest value; an absent one (`None`, NaN, infinite)
/// is a blank. A series that does not change is low at zero and in the middle elsewhere.
pub fn sparkline(values: &[Option<f64>]) -> String {
    let present = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let min = present().fold(f64::INFINITY, f64::min);
    let max = present().fold(f64::NEG_INFINITY, f64::max);
    sparkline_within(values, min, max)
}

/// As [`sparkline`], on a scale of the caller's, so that two series can be compared; values beyond it
/// stay at its ends.
pub fn sparkline_within(values: &[Option<f64>], min: f64, max: f64) -> String {
    let bar = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() => BARS[height(*value, min, max)],
        _ => ' ',
    };
    values.iter().map(bar).collect()
}

fn height(value: f64, min: f64, max: f64) -> usize {
    let top = BARS.len() - 1;
    // Halved first: the distance between two finite numbers may be infinite.
    let (value, min, max) = (value / 2.0, min / 2.0, max / 2.0);
    if max > min {
        let share = ((value - min) / (max - min)).clamp(0.0, 1.0);
        // A cast of a float saturates, and the share is at most 1.
        ((share * BARS.len() as f64) as usize).min(top)
    } else if value == 0.0 {
        0
    } else {
        top / 2
    }
}

/// At most `columns` values, each the greatest of its part: a spike must not vanish between columns.
pub fn squeeze(values: &[Option<f64>], columns: usize) -> Vec<Option<f64>> {
    if values.len() <= columns {
        return values.to_vec();
    }
    let part = |column: usize| column * values.len() / columns;
    let greatest = |column| {
        let part = values[part(column)..part(column + 1)].iter().flatten();
        part.copied().filter(|value| value.is_finite()).reduce(f64::max)
    };
    (0..columns).map(greatest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().map(|value| Some(*value)).collect()
    }

    #[test]
    fn shapes() {
        let check = |values: &[f64], expected: &str| assert_eq!(sparkline(&all(values)), expected);
        check(&[], "");
        check(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "▁▂▃▄▅▆▇█");
        check(&[7.0, 0.0], "█▁");
        check(&[-1.0, 1.0], "▁█");
        check(&[0.0, 0.0], "▁▁");
        check(&[5.0, 5.0], "▄▄");
        check(&[1.0, f64::NAN, 2.0, f64::INFINITY], "▁ █ ");
        check(&[f64::NAN], " ");
        check(&[f64::MIN, 0.0, f64::MAX], "▁▅█");
        assert_eq!(sparkline(&[None, Some(1.0), None, Some(3.0)]), " ▁ █");
    }

    #[test]
    fn a_scale_of_the_callers_holds_its_ends() {
        assert_eq!(sparkline_within(&all(&[-5.0, 5.0, 50.0]), 0.0, 10.0), "▁▅█");
    }

    #[test]
    fn a_spike_survives_squeezing() {
        let mut values = vec![Some(1.0); 1_000];
        values[617] = Some(9.0);
        let squeezed = squeeze(&values, 10);
        assert_eq!(sparkline(&squeezed), "▁▁▁▁▁▁█▁▁▁");
        assert_eq!(squeeze(&[None, None, Some(1.0)], 2), [None, Some(1.0)]);
        assert_eq!(squeeze(&[Some(2.0)], 0), []);
    }
}
