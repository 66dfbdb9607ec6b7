//! Family 6, softnet: packets through the per-CPU backlog. Hexadecimal, 32 bits, one line a CPU.

use std::collections::HashMap;

use crate::model::Total;
use crate::parse::text::{fields, hexadecimal};

use super::snapshot::{File, Line, Snapshot};
use super::window::{Step, Window, delta32};

/// (metric, column).
const METRICS: [(&str, usize); 3] = [
    ("node_softnet_processed_total", 0),
    ("node_softnet_dropped_total", 1),
    ("node_softnet_times_squeezed_total", 2),
];
/// Newer kernels say which CPU a line is of; on older ones an offline CPU shifts the lines below it.
const CPU_COLUMN: usize = 12;

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let earlier: Option<HashMap<u64, [u64; 3]>> =
        before.map(|snapshot| snapshot.lines(File::Softnet).enumerate().filter_map(row).collect());
    let mut totals = [0u64; METRICS.len()];
    let mut deltas = [earlier.as_ref().map(|_| 0u64); METRICS.len()];
    let mut rows = 0;
    for (index, line) in after.lines(File::Softnet).enumerate() {
        let Some((cpu, counts)) = row((index, line)) else {
            line.fault(window.sink, "at least three hexadecimal numbers");
            continue;
        };
        rows += 1;
        let old = earlier.as_ref().and_then(|rows| rows.get(&cpu));
        for (column, count) in counts.into_iter().enumerate() {
            totals[column] = totals[column].saturating_add(count);
            let step = old.and_then(|old| delta32(old[column], count));
            deltas[column] = deltas[column].zip(step).and_then(|(sum, step)| sum.checked_add(step));
        }
    }
    if rows == 0 {
        return;
    }
    for (column, (metric, _)) in METRICS.iter().enumerate() {
        if let Some(delta) = deltas[column] {
            window.rate(metric, vec![], delta, Step::One);
        }
        window.sink.total(Total { metric: (*metric).into(), labels: vec![], value: totals[column] as f64 });
    }
}

fn row((index, line): (usize, Line)) -> Option<(u64, [u64; 3])> {
    let mut columns = [None; CPU_COLUMN + 1];
    for (slot, field) in columns.iter_mut().zip(fields(line.text)) {
        *slot = Some(hexadecimal(field)?);
    }
    let cpu = columns[CPU_COLUMN].unwrap_or(index as u64);
    Some((cpu, [columns[METRICS[0].1]?, columns[METRICS[1].1]?, columns[METRICS[2].1]?]))
}
