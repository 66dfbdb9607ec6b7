//! What either tool says of one CPU, and what becomes of it. It keeps only rows that counted
//! something: a histogram of a thousand rows has a dozen.

use crate::model::{Bucket, Histogram, LabelPairs};
use crate::parse::sink::Sink;

/// One column of a tool's table.
#[derive(Debug, Default, Clone)]
pub(super) struct Column {
    pub cpu: String,
    /// Where the timer's end was noticed: `irq`, `thread` or `user`.
    pub context: &'static str,
    /// Lower bound and count, in the tool's unit.
    pub rows: Vec<(u64, u64)>,
    /// Beyond the last row.
    pub over: u64,
    /// As the tool counted.
    pub total: Option<u64>,
    pub min: Option<f64>,
    pub avg: Option<f64>,
    pub max: Option<f64>,
}

/// What holds for all columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The tool's units in a second.
    pub per_second: f64,
    /// How many units a row is wide.
    pub width: u64,
    /// Where the rows end, in units.
    pub end: u64,
    /// Whether the tool's total has what is beyond the rows in it.
    pub total_has_over: bool,
}

impl Column {
    pub(super) fn emit(self, scale: Scale, sink: &mut Sink) {
        let labels: LabelPairs =
            vec![("context".into(), self.context.to_owned()), ("cpu".into(), self.cpu.clone())];
        let in_rows = self.rows.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let all = in_rows.saturating_add(self.over);
        let counted = if scale.total_has_over { all } else { in_rows };
        if let Some(total) = self.total.filter(|total| *total != counted && !self.rows.is_empty()) {
            let cpu = &self.cpu;
            sink.fault(|| format!("CPU {cpu}: expected rows that add up to {total}, found {counted}"));
        }
        let seconds = |units: f64| units / scale.per_second;
        for (metric, value) in
            [("timer_latency_min_seconds", self.min), ("timer_latency_avg_seconds", self.avg)]
        {
            if let Some(value) = value {
                sink.gauge(metric, labels.clone(), seconds(value));
            }
        }
        let row = |(at, count): &(u64, u64)| Bucket {
            lo: seconds(*at as f64),
            hi: seconds(at.saturating_add(scale.width) as f64),
            count: *count,
        };
        let mut buckets: Vec<Bucket> = self.rows.iter().map(row).collect();
        if self.over > 0 {
            buckets.push(Bucket { lo: seconds(scale.end as f64), hi: f64::INFINITY, count: self.over });
        }
        let mut count = all;
        // Without rows, all lie between the least and the largest, which is whole as well.
        if let (true, Some(total), Some(max)) = (buckets.is_empty(), self.total, self.max) {
            let lo = self.min.unwrap_or(0.0).min(max);
            buckets.push(Bucket { lo: seconds(lo), hi: seconds(max + 1.0), count: total });
            count = total;
        }
        sink.histogram(Histogram {
            metric: "timer_latency_seconds".into(),
            labels,
            count,
            // The tools round their mean to whole microseconds, which is no sum.
            sum: None,
            max: self.max.map(seconds),
            buckets,
        });
    }
}
