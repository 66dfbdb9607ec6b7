//! How much one reading may put into the index. The archive keeps every byte whatever is cut here.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{ByteSize, Fault, Parsed};

/// Caps on what is taken out of one reading. A host that passes them is broken or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Samples, and totals, and histograms.
    pub samples: usize,
    /// Sets of labels of one metric.
    pub labels_per_metric: usize,
    /// The host's own labels.
    pub facts: usize,
    /// Output that is inflated again out of the archive: no probe may have a larger `max_output`.
    pub output: ByteSize,
}

impl Default for Caps {
    /// The largest real readings: a snapshot of a machine with 1,000 CPUs and some thousand cgroups.
    fn default() -> Self {
        Self { samples: 50_000, labels_per_metric: 10_000, facts: 500, output: ByteSize(128 << 20) }
    }
}

impl Caps {
    /// Cuts what is over the caps and says so in the faults; returns whether anything was cut. A value
    /// that is no number is dropped too: SQLite would keep it as NULL, which here means "absent".
    pub(super) fn apply(&self, parsed: &mut Parsed) -> bool {
        let before = parsed.samples.len();
        parsed.samples.retain(|sample| !sample.value.is_nan());
        parsed.totals.retain(|total| !total.value.is_nan());
        let dropped = before - parsed.samples.len();
        if dropped > 0 {
            parsed.faults.push(Fault(format!("{dropped} samples are not a number; expected a value")));
        }
        let mut cut = Vec::new();
        cut.extend(self.cut("samples", &mut parsed.samples, |sample| &sample.metric));
        cut.extend(self.cut("totals", &mut parsed.totals, |total| &total.metric));
        cut.extend(self.cut("histograms", &mut parsed.histograms, |histogram| &histogram.metric));
        if parsed.facts.len() > self.facts {
            cut.push(Fault(format!("{} facts; at most {} are kept", parsed.facts.len(), self.facts)));
            let kept = std::mem::take(&mut parsed.facts).into_iter().take(self.facts);
            parsed.facts = kept.collect();
        }
        let truncated = !cut.is_empty();
        parsed.faults.extend(cut);
        truncated
    }

    fn cut<T>(
        &self,
        what: &str,
        items: &mut Vec<T>,
        metric: impl Fn(&T) -> &Cow<'static, str>,
    ) -> Option<Fault> {
        let all = items.len();
        items.truncate(self.samples);
        if items.len() > self.labels_per_metric {
            let mut seen: HashMap<String, usize> = HashMap::new();
            items.retain(|item| {
                let count = seen.entry(metric(item).to_string()).or_default();
                *count += 1;
                *count <= self.labels_per_metric
            });
        }
        (items.len() < all).then(|| {
            Fault(format!(
                "{all} {what}: {} are kept; the caps are {} in all and {} of one metric",
                items.len(),
                self.samples,
                self.labels_per_metric
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Sample, Span};

    fn sample(metric: &'static str, label: usize, value: f64) -> Sample {
        let labels = vec![("n".into(), label.to_string())];
        Sample { metric: metric.into(), labels, kind: Kind::Gauge, span: Span::Instant, value }
    }

    #[test]
    fn what_is_over_a_cap_is_cut_and_said() {
        let caps = Caps { samples: 50, labels_per_metric: 10, facts: 1, ..Caps::default() };
        let mut parsed = Parsed::default();
        parsed.samples.extend((0..30).map(|n| sample("a", n, 1.0)));
        parsed.samples.push(sample("b", 0, f64::NAN));
        parsed.samples.push(sample("b", 1, 2.0));
        parsed.facts = [("kernel", "6"), ("os", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert!(caps.apply(&mut parsed));
        assert_eq!(parsed.samples.len(), 11);
        assert_eq!(parsed.facts.len(), 1);
        assert_eq!(parsed.faults.len(), 3, "{:?}", parsed.faults);
        assert!(!caps.apply(&mut Parsed::default()));
    }
}
