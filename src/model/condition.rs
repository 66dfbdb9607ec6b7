//! What a rule waits for in the readings of a sweep, as plain data. How it is written belongs to the
//! configuration, and which hosts meet it to whoever has the readings.

use std::fmt;

/// What a rule waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Threshold(Threshold),
    /// A host stands to its peers otherwise than in its own past, in a metric that fits this mask.
    Changed(String),
}

/// A value beyond a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    pub metric: String,
    /// Only series with these labels.
    pub labels: Vec<(String, String)>,
    pub comparison: Comparison,
    pub limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    NotEqual,
}

impl Comparison {
    /// Longer signs first, so that `>=` is not read as `>`.
    pub const ALL: [(&'static str, Self); 6] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        (">", Self::Above),
        ("<", Self::Below),
    ];

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(sign, _)| sign)
    }

    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit && !value.is_nan(),
        }
    }
}

impl Threshold {
    pub fn holds(&self, value: f64) -> bool {
        self.comparison.holds(value, self.limit)
    }

    /// Of two values that both hold, whether `a` is the one farther beyond.
    pub fn is_worse(&self, a: f64, b: f64) -> bool {
        match self.comparison {
            Comparison::Above | Comparison::AtLeast => a > b,
            Comparison::Below | Comparison::AtMost => a < b,
            Comparison::Equal | Comparison::NotEqual => (a - self.limit).abs() > (b - self.limit).abs(),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(mask) => write!(f, "outliers.changed({mask})"),
            Self::Threshold(threshold) => threshold.fmt(f),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if !self.labels.is_empty() {
            let labels: Vec<String> =
                self.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
            write!(f, "{{{}}}", labels.join(","))?;
        }
        write!(f, " {} {}", self.comparison.as_str(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_holds_or_not() {
        let check = |sign: &str, holds: [bool; 3]| {
            let (_, comparison) = Comparison::ALL.into_iter().find(|(known, _)| *known == sign).unwrap();
            assert_eq!([1.0, 2.0, 3.0].map(|value| comparison.holds(value, 2.0)), holds, "{sign}");
            assert_eq!(comparison.as_str(), sign);
            assert!(!comparison.holds(f64::NAN, 2.0), "{sign}");
        };
        check(">", [false, false, true]);
        check(">=", [false, true, true]);
        check("<", [true, false, false]);
        check("<=", [true, true, false]);
        check("==", [false, true, false]);
        check("!=", [true, false, true]);
    }

    #[test]
    fn the_worse_value_is_the_one_farther_beyond() {
        let threshold = |comparison| Threshold {
            metric: "m".to_owned(),
            labels: vec![("cpu".to_owned(), "0".to_owned())],
            comparison,
            limit: 2.0,
        };
        assert!(threshold(Comparison::Above).is_worse(5.0, 3.0));
        assert!(threshold(Comparison::Below).is_worse(-5.0, 1.0));
        assert!(threshold(Comparison::NotEqual).is_worse(-5.0, 3.0));
        assert_eq!(Condition::Threshold(threshold(Comparison::Above)).to_string(), "m{cpu=\"0\"} > 2");
        assert_eq!(Condition::Changed("node_*".to_owned()).to_string(), "outliers.changed(node_*)");
    }
}
