//! Family 11, blocked_tasks: tasks in uninterruptible sleep, and which of them did not move.
//!
//! A task's state says nothing about how long it has been so. The script looks three times; a task
//! that is in D each time and was never given a CPU in between has been stuck all along. That age
//! is a lower bound, no longer than the window.

use std::collections::BTreeMap;

use crate::parse::sink::Sink;
use crate::parse::text::{fields, integer, lossy};

use super::snapshot::{Scan, thread_of};
use super::window::label;

/// Places in the kernel beyond these are not told apart.
const MAX_PLACES: usize = 8;

#[derive(Debug, Default, Clone, Copy)]
struct Task<'a> {
    blocked: bool,
    start: Option<u64>,
    ticks: Option<u64>,
    slices: Option<u64>,
    place: &'a [u8],
}

impl Task<'_> {
    fn is_still(&self, later: &Self) -> bool {
        later.blocked && (self.start, self.ticks, self.slices) == (later.start, later.ticks, later.slices)
    }
}

type Tasks<'a> = BTreeMap<(u64, u64), Task<'a>>;

pub(super) fn parse(scans: &[Scan], seconds: Option<f64>, sink: &mut Sink) {
    let Some(first) = scans.first() else { return };
    // Too many tasks to look at is not "none is blocked".
    if first.scope != b"threads" && first.scope != b"processes" {
        return;
    }
    let looks: Vec<Tasks> = scans.iter().map(|scan| tasks(scan, sink)).collect();
    let Some((first, later)) = looks.split_first() else { return };
    let blocked = || first.iter().filter(|(_, task)| task.blocked);
    sink.gauge("blocked_tasks", vec![], blocked().count() as f64);
    let Some(seconds) = seconds else { return };
    if later.is_empty() && blocked().next().is_some() {
        return;
    }
    let is_stuck = |key: &(u64, u64), task: &Task| {
        later.iter().all(|look| look.get(key).is_some_and(|then| task.is_still(then)))
    };
    let stuck: Vec<&Task> =
        blocked().filter(|(key, task)| is_stuck(key, task)).map(|(_, task)| task).collect();
    sink.gauge("blocked_tasks_stuck", vec![], stuck.len() as f64);
    sink.gauge("blocked_task_age_seconds", vec![], if stuck.is_empty() { 0.0 } else { seconds });
    let mut places: BTreeMap<&[u8], u64> = BTreeMap::new();
    for task in stuck.iter().filter(|task| !matches!(task.place, b"" | b"0")) {
        *places.entry(task.place).or_default() += 1;
    }
    for (place, count) in places.into_iter().take(MAX_PLACES) {
        sink.gauge("blocked_tasks_stuck_by_wchan", label("wchan", lossy(place)), count as f64);
    }
}

fn tasks<'a>(scan: &Scan<'a>, sink: &mut Sink) -> Tasks<'a> {
    let mut tasks = Tasks::new();
    for (path, line) in &scan.lines {
        let Some((key, file)) = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .and_then(|slash| Some((thread_of(&path[..slash])?, &path[slash + 1..])))
        else {
            sink.fault(|| {
                format!(
                    "expected PID/stat, PID/wchan or PID/schedstat of a blocked task, found {:?}",
                    lossy(path)
                )
            });
            continue;
        };
        let task = tasks.entry(key).or_default();
        match file {
            b"stat" => stat(line, task),
            b"wchan" => task.place = line,
            b"schedstat" => task.slices = fields(line).nth(2).and_then(integer),
            _ => {}
        }
    }
    tasks
}

/// A name may hold blanks and parentheses, so the fields are counted from the last `)`.
fn stat(line: &[u8], task: &mut Task) {
    const STATE: usize = 0;
    const UTIME: usize = 11;
    const STIME: usize = 12;
    const START: usize = 19;
    let Some(end) = line.iter().rposition(|byte| *byte == b')') else { return };
    let parts: Vec<&[u8]> = fields(&line[end + 1..]).collect();
    let number = |at: usize| parts.get(at).copied().and_then(integer);
    task.blocked = parts.get(STATE) == Some(&&b"D"[..]);
    task.start = number(START);
    task.ticks = number(UTIME).zip(number(STIME)).map(|(user, system)| user.saturating_add(system));
}
