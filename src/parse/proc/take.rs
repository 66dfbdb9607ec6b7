//! From the script's output to samples: the two snapshots, then family after family.

use crate::parse::sink::Sink;
use crate::parse::text::lines;

use super::headed::Saved;
use super::snapshot::{Recording, Snapshot};
use super::window::Window;
use super::{
    blocked, cgroup, cpu, disk, interrupts, kernel, memory, netdev, netstat, pressure, sched, softnet,
};

/// /proc/uptime counts in hundredths: over a shorter window a rate would be mostly rounding.
const SHORTEST_WINDOW_S: f64 = 0.1;

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut numbered = lines(raw, sink);
    let saved = Saved::read(&numbered);
    if let Some(saved) = &saved {
        numbered = saved.lines();
    }
    let recording = Recording::read(&numbered, sink);
    let (before, after) = match recording.snapshots.as_slice() {
        [] => {
            return sink
                .fault(|| "expected two snapshots, each after a line \"@@@ snapshot\", found none".into());
        }
        [only] => {
            sink.fault(|| {
                "expected two snapshots, found one: totals and gauges only, rates need two looks".into()
            });
            (None, only)
        }
        [first, .., last] => (Some(first), last),
    };
    if saved.as_ref().is_some_and(|saved| !saved.is_dated) {
        return families(None, after, &mut Window { sink, seconds: None });
    }
    let Some(uptime_s) = after.uptime_s(sink) else { return };
    sink.totals_read_at(uptime_s, after.boot_id());
    let seconds = before.and_then(|before| window_s(before, after, sink));
    let before = before.filter(|_| seconds.is_some());
    families(before, after, &mut Window { sink, seconds });
    blocked::parse(&recording.scans, seconds, sink);
}

fn families(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let cpu_time = cpu::parse(before, after, window);
    sched::parse(before, after, cpu_time.as_ref().map(cpu::Summary::busy_s), window);
    pressure::parse(before, after, window);
    interrupts::parse(before, after, window);
    softnet::parse(before, after, window);
    memory::parse(before, after, window);
    disk::parse(before, after, window);
    netstat::parse(before, after, window);
    netdev::parse(before, after, window);
    kernel::parse(before, after, window);
    cgroup::parse(before, after, window);
    if let Some(summary) = cpu_time {
        summary.gauges(window.sink);
    }
}

/// The window by the host's own clock, never the sleep that was asked for; `None`, with a fault,
/// where the two snapshots cannot be compared.
fn window_s(before: &Snapshot, after: &Snapshot, sink: &mut Sink) -> Option<f64> {
    if before.boot_id().is_some() && after.boot_id().is_some() && before.boot_id() != after.boot_id() {
        sink.fault(|| "the boot id changed between the snapshots: no rates".into());
        return None;
    }
    let seconds = after.uptime_s(sink)? - before.uptime_s(sink)?;
    if seconds < SHORTEST_WINDOW_S {
        sink.fault(|| {
            format!("expected snapshots at least {SHORTEST_WINDOW_S} s apart, found {seconds:.2} s: no rates")
        });
        return None;
    }
    Some(seconds)
}
