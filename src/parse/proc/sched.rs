//! Family 2, runqueue_delay: how long tasks that could run waited for a CPU.
//!
//! /proc/schedstat has it per CPU, exited tasks included. Where a kernel does not have that file,
//! the sum over the tasks of the second snapshot stands in: a window's rate only, because the
//! totals of two readings would differ by whatever exited in between. How much of the CPU time
//! those tasks account for is a gauge beside it: a host that compiles loses most of its tasks.

use std::collections::HashMap;

use crate::parse::text::{fields, integer};

use super::snapshot::{File, Line, Snapshot, TaskRun};
use super::table::Table;
use super::window::{Step, Window};

const RUNNING: &str = "node_schedstat_running_seconds_total";
const WAITING: &str = "node_schedstat_waiting_seconds_total";
const SLICES: &str = "node_schedstat_timeslices_total";

/// /proc/stat counts in ticks of 10 ms: of less CPU time than this a share would be mostly rounding.
const ENOUGH_TO_COVER_S: f64 = 0.1;

/// Nanoseconds on and waiting for a CPU, and how often one was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Run {
    running_ns: u64,
    waiting_ns: u64,
    slices: u64,
}

impl Run {
    fn plus(self, other: Self) -> Self {
        Self {
            running_ns: self.running_ns.saturating_add(other.running_ns),
            waiting_ns: self.waiting_ns.saturating_add(other.waiting_ns),
            slices: self.slices.saturating_add(other.slices),
        }
    }

    fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            running_ns: self.running_ns.checked_sub(other.running_ns)?,
            waiting_ns: self.waiting_ns.checked_sub(other.waiting_ns)?,
            slices: self.slices.checked_sub(other.slices)?,
        })
    }
}

/// `busy_s` is the CPU time that was used in the window.
pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, busy_s: Option<f64>, window: &mut Window) {
    let delta = if after.lines(File::Schedstat).next().is_some() {
        by_cpu(before, after, window)
    } else {
        before.and_then(|before| by_task(&before.tasks, &after.tasks, busy_s, window))
    };
    let Some(delta) = delta.filter(|_| window.seconds.is_some()) else { return };
    if delta.slices > 0 {
        let wait_s = Step::Nanosecond.of(delta.waiting_ns);
        window.gauge("scheduler_runqueue_wait_per_slice_seconds", vec![], wait_s / delta.slices as f64);
    }
    let busy = delta.waiting_ns.saturating_add(delta.running_ns);
    window.ratio("scheduler_runqueue_wait_ratio", vec![], delta.waiting_ns, busy);
}

/// The seventh to ninth number of each `cpuN` line; the rest needs schedstats switched on.
fn cpu_line<'a>(line: Line<'a>) -> Option<(&'a [u8], Option<Run>, Line<'a>)> {
    let mut parts = fields(line.text);
    let name = parts.next().filter(|name| name.starts_with(b"cpu"))?;
    let mut numbers = parts.skip(6).map(integer);
    let mut next = || numbers.next().flatten();
    let run = match (next(), next(), next()) {
        (Some(running_ns), Some(waiting_ns), Some(slices)) => Some(Run { running_ns, waiting_ns, slices }),
        _ => None,
    };
    Some((name, run, line))
}

fn by_cpu(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) -> Option<Run> {
    let mut earlier = before.map(|snapshot| {
        let rows = snapshot.lines(File::Schedstat).filter_map(cpu_line);
        Table::new(rows.filter_map(|(name, run, _)| Some((name, run?))))
    });
    let mut total: Option<Run> = None;
    let mut delta = earlier.as_ref().map(|_| Run::default());
    for (name, run, line) in after.lines(File::Schedstat).filter_map(cpu_line) {
        let Some(run) = run else {
            line.fault(window.sink, "nine numbers behind the CPU's name");
            continue;
        };
        total = Some(total.unwrap_or_default().plus(run));
        let old = earlier.as_mut().and_then(|table| table.find(name)).copied();
        // A CPU that came online within the window has no earlier line: the others still count.
        if let (Some(sum), Some(step)) = (delta, old.and_then(|old| run.minus(old))) {
            delta = Some(sum.plus(step));
        }
    }
    let total = total?;
    for (metric, total, step, delta) in [
        (RUNNING, total.running_ns, Step::Nanosecond, delta.map(|run| run.running_ns)),
        (WAITING, total.waiting_ns, Step::Nanosecond, delta.map(|run| run.waiting_ns)),
        (SLICES, total.slices, Step::One, delta.map(|run| run.slices)),
    ] {
        let before = delta.and_then(|delta| total.checked_sub(delta));
        window.counter(metric, vec![], (before, total), step);
    }
    delta
}

fn by_task(before: &[TaskRun], after: &[TaskRun], busy_s: Option<f64>, window: &mut Window) -> Option<Run> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let key = |task: &TaskRun| (task.pid, task.tid);
    let run = |task: &TaskRun| Run {
        running_ns: task.running_ns,
        waiting_ns: task.waiting_ns,
        slices: task.slices,
    };
    let earlier: HashMap<(u64, u64), Run> = before.iter().map(|task| (key(task), run(task))).collect();
    let delta = after.iter().fold(Run::default(), |sum, task| {
        // A task that was not there, or has the ids of one that had run longer, began within the
        // window: all of its time is in it.
        let old = earlier.get(&key(task)).copied();
        let step = old.and_then(|old| run(task).minus(old)).unwrap_or_else(|| run(task));
        sum.plus(step)
    });
    window.rate(RUNNING, vec![], delta.running_ns, Step::Nanosecond);
    window.rate(WAITING, vec![], delta.waiting_ns, Step::Nanosecond);
    window.rate(SLICES, vec![], delta.slices, Step::One);
    if let Some(busy_s) = busy_s.filter(|busy_s| *busy_s >= ENOUGH_TO_COVER_S) {
        let share = Step::Nanosecond.of(delta.running_ns) / busy_s;
        window.gauge("scheduler_schedstat_task_coverage_ratio", vec![], share.min(1.0));
    }
    Some(delta)
}
