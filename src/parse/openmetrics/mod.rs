//! `openmetrics`: the text exposition of Prometheus and OpenMetrics.
//!
//! A metric's own `# TYPE` counts where the probe's file has no entry for it; one with neither is a
//! fault. Timestamps and exemplars are read over: a reading has one moment, its own.

mod histogram;
mod line;
mod take;

pub(super) use take::parse;
