//! A line of `export` in csv or ndjson: the columns of a view, and nothing that the view does not have.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::Format;
use crate::model::{HostName, Kind, Labels, ProbeName, Span, SweepId};
use crate::render::csv;
use crate::render::json::to_line;
use crate::store::index::{HostHistogram, HostSample};

/// Those of v_sample.
pub(super) const COLUMNS: [&str; 9] =
    ["sweep", "ts", "host", "probe", "metric", "labels", "kind", "span", "value"];

#[derive(Debug, Serialize)]
pub(super) struct ExportRow<'a> {
    sweep: &'a SweepId,
    /// Unix seconds.
    ts: Option<i64>,
    host: &'a HostName,
    probe: &'a ProbeName,
    metric: &'a str,
    labels: &'a Labels,
    kind: Kind,
    span: Span,
    value: f64,
}

impl<'a> ExportRow<'a> {
    pub(super) fn new(sweep: &'a SweepId, ts: Option<i64>, sample: &'a HostSample) -> Self {
        let series = &sample.series;
        Self {
            sweep,
            ts,
            host: &sample.host,
            probe: &series.probe,
            metric: &series.metric,
            labels: &series.labels,
            kind: series.kind,
            span: series.span,
            value: sample.value,
        }
    }

    pub(super) fn write(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        let mut line = String::new();
        if format == Format::Csv {
            let fields = [
                self.sweep.to_string(),
                self.ts.map(|ts| ts.to_string()).unwrap_or_default(),
                self.host.to_string(),
                self.probe.to_string(),
                self.metric.to_owned(),
                to_line(self.labels)?,
                self.kind.as_str().to_owned(),
                self.span.as_str().to_owned(),
                self.value.to_string(),
            ];
            csv::line(&mut line, fields);
        } else {
            line = to_line(self)?;
            line.push('\n');
        }
        Ok(out.write_all(line.as_bytes())?)
    }
}

/// Those of v_histogram.
pub(super) const HISTOGRAM_COLUMNS: [&str; 11] =
    ["sweep", "ts", "host", "probe", "metric", "labels", "unit", "count", "sum", "max", "buckets"];

#[derive(Debug, Serialize)]
pub(super) struct HistogramRow<'a> {
    sweep: &'a SweepId,
    /// Unix seconds.
    ts: Option<i64>,
    host: &'a HostName,
    probe: &'a ProbeName,
    metric: &'a str,
    labels: &'a Labels,
    unit: &'a str,
    count: u64,
    sum: Option<f64>,
    max: Option<f64>,
    /// An open end is null.
    buckets: Vec<(f64, f64, u64)>,
}

impl<'a> HistogramRow<'a> {
    pub(super) fn new((sweep, ts): (&'a SweepId, Option<i64>), unit: &'a str, it: &'a HostHistogram) -> Self {
        let (series, histogram) = (&it.series, &it.histogram);
        Self {
            sweep,
            ts,
            host: &it.host,
            probe: &series.probe,
            metric: &series.metric,
            labels: &series.labels,
            unit,
            count: histogram.count,
            sum: histogram.sum,
            max: histogram.max,
            buckets: histogram.buckets.iter().map(|bucket| (bucket.lo, bucket.hi, bucket.count)).collect(),
        }
    }

    pub(super) fn write(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        let mut line = String::new();
        if format == Format::Csv {
            let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let fields = [
                self.sweep.to_string(),
                self.ts.map(|ts| ts.to_string()).unwrap_or_default(),
                self.host.to_string(),
                self.probe.to_string(),
                self.metric.to_owned(),
                to_line(self.labels)?,
                self.unit.to_owned(),
                self.count.to_string(),
                number(self.sum),
                number(self.max),
                to_line(&self.buckets)?,
            ];
            csv::line(&mut line, fields);
        } else {
            line = to_line(self)?;
            line.push('\n');
        }
        Ok(out.write_all(line.as_bytes())?)
    }
}
