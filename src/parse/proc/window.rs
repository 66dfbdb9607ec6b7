//! What a pair of totals becomes: a rate over the window, and the last total for the rate since
//! the reading before. Differences are made in whole numbers, so they stay exact beyond 2^53.

use std::borrow::Cow;

use crate::model::{Kind, LabelPairs, Sample, Span, Total};
use crate::parse::sink::Sink;

/// The kernel's clock ticks per second as user space sees them: fixed at 100 on every architecture
/// that Linux still builds for but alpha.
const USER_HZ: f64 = 100.0;

/// What one step of a kernel's counter is worth.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    One,
    /// A tick of USER_HZ.
    Tick,
    Millisecond,
    Microsecond,
    Nanosecond,
    /// 512 bytes, whatever the device's own sector is.
    Sector,
}

impl Step {
    pub(super) fn of(self, steps: u64) -> f64 {
        let steps = steps as f64;
        match self {
            Self::One => steps,
            Self::Tick => steps / USER_HZ,
            Self::Millisecond => steps / 1e3,
            Self::Microsecond => steps / 1e6,
            Self::Nanosecond => steps / 1e9,
            Self::Sector => steps * 512.0,
        }
    }
}

/// Takes families' counters and gauges to the sink.
pub(super) struct Window<'s> {
    pub(super) sink: &'s mut Sink,
    /// Between the snapshots on the host's clock; `None` when there are no rates to be had.
    pub(super) seconds: Option<f64>,
}

impl Window<'_> {
    /// A counter of 64 bits: one that went backwards was reset, which within a window nobody expects.
    pub(super) fn counter(
        &mut self,
        metric: &'static str,
        labels: LabelPairs,
        (before, after): (Option<u64>, u64),
        step: Step,
    ) {
        if let Some(before) = before
            && before > after
        {
            self.sink.fault(|| format!("{metric} went from {before} to {after} in the window: no rate"));
        }
        self.quiet_counter(metric, labels, (before, after), step);
    }

    /// A counter that some kernels let go backwards: no rate then, and no fault either.
    pub(super) fn quiet_counter(
        &mut self,
        metric: &'static str,
        labels: LabelPairs,
        (before, after): (Option<u64>, u64),
        step: Step,
    ) {
        if let Some(delta) = before.and_then(|before| after.checked_sub(before)) {
            self.rate(metric, labels.clone(), delta, step);
        }
        self.sink.total(Total { metric: Cow::Borrowed(metric), labels, value: step.of(after) });
    }

    /// A counter whose difference the caller has made, because it wraps or is a sum.
    pub(super) fn rate(&mut self, metric: &'static str, labels: LabelPairs, delta: u64, step: Step) {
        let Some(seconds) = self.seconds else { return };
        self.sink.sample(Sample {
            metric: Cow::Borrowed(metric),
            labels,
            kind: Kind::Counter,
            span: Span::Window,
            value: step.of(delta) / seconds,
        });
    }

    pub(super) fn gauge(&mut self, metric: &'static str, labels: LabelPairs, value: f64) {
        self.sink.gauge(metric, labels, value);
    }

    /// The share `part / whole`, where there was anything to share.
    pub(super) fn ratio(&mut self, metric: &'static str, labels: LabelPairs, part: u64, whole: u64) {
        if whole > 0 {
            self.gauge(metric, labels, part as f64 / whole as f64);
        }
    }
}

/// The difference of a counter that the kernel keeps in 32 bits.
pub(super) fn delta32(before: u64, after: u64) -> Option<u64> {
    const TURN: u64 = 1 << 32;
    match after.checked_sub(before) {
        Some(delta) => Some(delta),
        None if before < TURN => Some(after + TURN - before),
        None => None,
    }
}

/// One label.
pub(super) fn label(name: &'static str, value: impl Into<String>) -> LabelPairs {
    vec![(Cow::Borrowed(name), value.into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_exact_where_floats_are_not() {
        let mut sink = Sink::default();
        let mut window = Window { sink: &mut sink, seconds: Some(2.0) };
        let big = (1u64 << 53) + 1;
        window.counter("c_total", vec![], (Some(big), big + 6), Step::One);
        assert_eq!(sink.finish().samples[0].value, 3.0);
    }

    #[test]
    fn backwards_is_no_rate_but_still_a_total() {
        let mut sink = Sink::default();
        let mut window = Window { sink: &mut sink, seconds: Some(2.0) };
        window.counter("loud_total", vec![], (Some(5), 4), Step::One);
        window.quiet_counter("quiet_total", vec![], (Some(5), 4), Step::One);
        window.counter("new_total", vec![], (None, 4), Step::One);
        let parsed = sink.finish();
        assert_eq!((parsed.samples.len(), parsed.totals.len()), (0, 3));
        assert_eq!(parsed.faults.len(), 1);
        assert!(parsed.faults[0].0.contains("loud_total went from 5 to 4"));
    }

    #[test]
    fn a_32_bit_counter_wraps() {
        assert_eq!(delta32(0xffff_fff0, 0x10), Some(0x20));
        assert_eq!(delta32(1, 3), Some(2));
        assert_eq!(delta32(1 << 33, 3), None);
    }
}
