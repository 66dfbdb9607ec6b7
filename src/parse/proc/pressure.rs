//! Family 3, pressure: how long tasks were stalled for want of CPU, I/O or memory.

use std::borrow::Cow;

use crate::parse::text::{decimal, fields, integer};

use super::snapshot::{File, Line, Snapshot};
use super::window::{Step, Window};

struct Resource {
    file: File,
    name: &'static str,
    waiting: Option<&'static str>,
    stalled: Option<&'static str>,
}

/// `full` of the whole machine's CPU is undefined and always 0; irq has no `some`.
const RESOURCES: [Resource; 4] = [
    Resource {
        file: File::PressureCpu,
        name: "cpu",
        waiting: Some("node_pressure_cpu_waiting_seconds_total"),
        stalled: None,
    },
    Resource {
        file: File::PressureIo,
        name: "io",
        waiting: Some("node_pressure_io_waiting_seconds_total"),
        stalled: Some("node_pressure_io_stalled_seconds_total"),
    },
    Resource {
        file: File::PressureMemory,
        name: "memory",
        waiting: Some("node_pressure_memory_waiting_seconds_total"),
        stalled: Some("node_pressure_memory_stalled_seconds_total"),
    },
    Resource {
        file: File::PressureIrq,
        name: "irq",
        waiting: None,
        stalled: Some("node_pressure_irq_stalled_seconds_total"),
    },
];

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    for resource in &RESOURCES {
        for line in after.lines(resource.file) {
            let (metric, kind) = match fields(line.text).next() {
                Some(b"some") => (resource.waiting, "some"),
                Some(b"full") => (resource.stalled, "full"),
                _ => {
                    line.fault(window.sink, "a line that starts with some or full");
                    continue;
                }
            };
            let Some(metric) = metric else { continue };
            let Some((share, total_us)) = values(line) else {
                line.fault(window.sink, "avg10=… and total=… in numbers");
                continue;
            };
            let old = before.and_then(|snapshot| {
                let same = |line: &Line| line.text.starts_with(kind.as_bytes());
                snapshot.lines(resource.file).find(same).and_then(values).map(|(_, total)| total)
            });
            window.counter(metric, vec![], (old, total_us), Step::Microsecond);
            let labels = vec![
                (Cow::Borrowed("kind"), kind.to_owned()),
                (Cow::Borrowed("resource"), resource.name.to_owned()),
            ];
            window.gauge("pressure_avg10_ratio", labels, share);
        }
    }
}

/// The ten-second average as a share of 1, and the total in microseconds.
fn values(line: Line) -> Option<(f64, u64)> {
    let value = |key: &[u8]| fields(line.text).find_map(|field| field.strip_prefix(key));
    Some((decimal(value(b"avg10=")?)? / 100.0, integer(value(b"total=")?)?))
}
