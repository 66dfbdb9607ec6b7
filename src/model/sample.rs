//! Numbers out of a reading.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Kind, Labels};

/// What stretch of time a number speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A gauge, at the moment of the reading.
    Instant,
    /// A counter's increase per second within the probe's own window.
    Window,
    /// A counter's increase per second since the previous reading of the same boot.
    Between,
}

impl Span {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Window => "window",
            Self::Between => "between",
        }
    }
}

/// Label name and value pairs of one series, sorted by name.
pub type LabelPairs = Vec<(Cow<'static, str>, String)>;

/// One number. A counter's `value` is its increase per second over the span.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub metric: Cow<'static, str>,
    pub labels: LabelPairs,
    pub kind: Kind,
    pub span: Span,
    pub value: f64,
}

/// A counter's total as the host gave it: two of them from one boot make a `between` sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    pub metric: Cow<'static, str>,
    pub labels: LabelPairs,
    pub value: f64,
}

/// `count` observations in (lo, hi], in the metric's unit. An open end is infinite, which JSON has as
/// null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    pub lo: f64,
    pub hi: f64,
    pub count: u64,
}

/// A distribution with the real bounds its tool used.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub metric: Cow<'static, str>,
    pub labels: LabelPairs,
    pub count: u64,
    pub sum: Option<f64>,
    /// The largest single observation, where the tool gives it: never inside a bucket's bounds.
    pub max: Option<f64>,
    pub buckets: Vec<Bucket>,
}

/// Something in the output that could not be read, in words a person can act on: what, where
/// (line), what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

/// What a parser got out of one reading. Broken input is normal: what could be read stands beside
/// the faults that say what could not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// Gauges, and counters' rates within the window.
    pub samples: Vec<Sample>,
    /// The counters' last totals, and when they were read on the host's uptime clock; `None` takes
    /// the trailer's end.
    pub totals: Vec<Total>,
    pub totals_uptime_s: Option<f64>,
    /// The boot that they count from, where the output names it: a probe may read the `$PROC` of another
    /// kernel than the one that its shell runs on. `None` takes the trailer's.
    pub totals_boot_id: Option<String>,
    pub histograms: Vec<Histogram>,
    /// The host's labels as it gave them (host_context).
    pub facts: Labels,
    /// Where the probe's next reading on this host should go on from.
    pub cursor: Option<String>,
    pub faults: Vec<Fault>,
}
