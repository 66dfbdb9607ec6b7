//! Family 1, cpu_time: /proc/stat, and the load averages beside it.

use std::borrow::Cow;

use crate::model::LabelPairs;
use crate::parse::sink::Sink;
use crate::parse::text::{decimal, fields, integer, lossy};

use super::snapshot::{File, Line, Snapshot};
use super::table::Table;
use super::window::{Step, Window, label};

/// The columns of a cpu line. `guest` and `guest_nice` follow and are part of user and nice already.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const IOWAIT: usize = 4;
const STEAL: usize = 7;
/// Up to this many CPUs each has series of its own; on larger hosts the mean over all and the
/// busiest one tell the same at a size that an index of 10,000 hosts can hold.
const PER_CPU_SERIES_UP_TO: usize = 8;

type Ticks = [Option<u64>; MODES.len()];

/// What the whole machine did in the window, in ticks.
pub(super) struct Summary {
    delta: [Option<u64>; MODES.len()],
    all: u64,
    /// The largest share of one CPU's window that went to each mode.
    busiest: [Option<f64>; MODES.len()],
}

impl Summary {
    /// CPU time that went to anything but waiting.
    pub(super) fn busy_s(&self) -> f64 {
        let waited = self.delta[IDLE].unwrap_or(0).saturating_add(self.delta[IOWAIT].unwrap_or(0));
        Step::Tick.of(self.all.saturating_sub(waited))
    }

    pub(super) fn gauges(&self, sink: &mut Sink) {
        if self.all == 0 {
            return;
        }
        let share = |mode: usize| self.delta[mode].map(|ticks| ticks as f64 / self.all as f64);
        if let (Some(idle), Some(iowait)) = (share(IDLE), share(IOWAIT)) {
            sink.gauge("cpu_busy_ratio", vec![], (1.0 - idle - iowait).clamp(0.0, 1.0));
        }
        if let Some(steal) = share(STEAL) {
            sink.gauge("cpu_steal_ratio", vec![], steal);
        }
        for (mode, share) in MODES.iter().zip(self.busiest) {
            if let Some(share) = share.filter(|_| *mode != "idle") {
                sink.gauge("cpu_busiest_ratio", label("mode", *mode), share);
            }
        }
    }
}

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) -> Option<Summary> {
    scalars(before, after, window);
    load(after, window.sink);
    let mut earlier = before.map(|snapshot| {
        Table::new(snapshot.lines(File::Stat).filter_map(cpu_line).map(|(name, ticks, _)| (name, ticks)))
    });
    let cpus: Vec<_> = after.lines(File::Stat).filter_map(cpu_line).collect();
    let count = cpus.iter().filter(|(name, ..)| *name != b"cpu").count();
    if count > 0 {
        window.gauge("cpu_online", vec![], count as f64);
    }
    let mut summary = None;
    let mut busiest = [None; MODES.len()];
    for (name, ticks, line) in cpus {
        if ticks.iter().take(4).any(Option::is_none) {
            line.fault(window.sink, "a cpu with at least user, nice, system and idle ticks");
            continue;
        }
        let old = earlier.as_mut().and_then(|table| table.find(name)).copied();
        let delta = deltas(old, ticks);
        if name == b"cpu" {
            means(old, ticks, count, window);
            let all = delta.iter().flatten().sum();
            summary = old.map(|_| Summary { delta, all, busiest });
            continue;
        }
        if count <= PER_CPU_SERIES_UP_TO {
            per_cpu(&name[3..], old, ticks, window);
        }
        let all: u64 = delta.iter().flatten().sum();
        for (largest, ticks) in busiest.iter_mut().zip(delta) {
            let share = ticks.filter(|_| all > 0).map(|ticks| ticks as f64 / all as f64);
            *largest = share.into_iter().chain(*largest).reduce(f64::max);
        }
    }
    summary.map(|summary| Summary { busiest, ..summary })
}

fn cpu_line<'a>(line: Line<'a>) -> Option<(&'a [u8], Ticks, Line<'a>)> {
    let rest = line.text.strip_prefix(b"cpu")?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    rest[..end].iter().all(u8::is_ascii_digit).then_some(())?;
    let mut ticks = [None; MODES.len()];
    for (slot, field) in ticks.iter_mut().zip(fields(&rest[end..])) {
        *slot = integer(field);
    }
    Some((&line.text[..3 + end], ticks, line))
}

fn deltas(old: Option<Ticks>, new: Ticks) -> Ticks {
    let Some(old) = old else { return [None; MODES.len()] };
    std::array::from_fn(|mode| new[mode]?.checked_sub(old[mode]?))
}

/// idle and iowait are made from sums over CPUs and are known to go back a little: no fault.
fn emit(
    metric: &'static str,
    mode: usize,
    labels: LabelPairs,
    pair: (Option<u64>, u64),
    window: &mut Window,
) {
    if mode == IDLE || mode == IOWAIT {
        window.quiet_counter(metric, labels, pair, Step::Tick);
    } else {
        window.counter(metric, labels, pair, Step::Tick);
    }
}

fn per_cpu(cpu: &[u8], old: Option<Ticks>, new: Ticks, window: &mut Window) {
    for (mode, name) in MODES.iter().enumerate() {
        let Some(after) = new[mode] else { continue };
        let labels = vec![(Cow::Borrowed("cpu"), lossy(cpu)), (Cow::Borrowed("mode"), (*name).to_owned())];
        emit("node_cpu_seconds_total", mode, labels, (old.and_then(|old| old[mode]), after), window);
    }
}

/// Per online CPU, so that hosts of any size compare: the rate is the share of all CPUs' time.
fn means(old: Option<Ticks>, new: Ticks, count: usize, window: &mut Window) {
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else { return };
    for (mode, name) in MODES.iter().enumerate() {
        let Some(after) = new[mode] else { continue };
        // Divided after the step to nanoseconds: ticks alone would lose up to a tick per CPU.
        let mean_ns = |ticks: u64| (u128::from(ticks) * 10_000_000 / u128::from(count)) as u64;
        let pair = (old.and_then(|old| old[mode]).map(mean_ns), mean_ns(after));
        let labels = label("mode", *name);
        if mode == IDLE || mode == IOWAIT {
            window.quiet_counter("cpu_mean_seconds_total", labels, pair, Step::Nanosecond);
        } else {
            window.counter("cpu_mean_seconds_total", labels, pair, Step::Nanosecond);
        }
    }
}

fn scalars(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    const COUNTERS: [(&[u8], &str); 3] = [
        (b"ctxt", "node_context_switches_total"),
        (b"processes", "node_forks_total"),
        (b"intr", "node_intr_total"),
    ];
    const GAUGES: [(&[u8], &str); 3] = [
        (b"procs_running", "node_procs_running"),
        (b"procs_blocked", "node_procs_blocked"),
        (b"btime", "node_boot_time_seconds"),
    ];
    fn value(line: Line<'_>) -> (&[u8], Option<u64>) {
        let mut parts = fields(line.text);
        (parts.next().unwrap_or_default(), parts.next().and_then(integer))
    }
    let mut earlier = before.map(|snapshot| Table::new(snapshot.lines(File::Stat).map(value)));
    for line in after.lines(File::Stat) {
        let (key, number) = value(line);
        let counter = COUNTERS.iter().find(|(name, _)| *name == key);
        let gauge = GAUGES.iter().find(|(name, _)| *name == key);
        if counter.is_none() && gauge.is_none() {
            continue;
        }
        let Some(number) = number else {
            line.fault(window.sink, "a name and a whole number");
            continue;
        };
        if let Some((_, metric)) = counter {
            let old = earlier.as_mut().and_then(|table| table.find(key)).copied().flatten();
            window.counter(metric, vec![], (old, number), Step::One);
        }
        if let Some((_, metric)) = gauge {
            window.gauge(metric, vec![], number as f64);
        }
    }
}

fn load(after: &Snapshot, sink: &mut Sink) {
    const METRICS: [&str; 3] = ["node_load1", "node_load5", "node_load15"];
    let Some(line) = after.lines(File::Loadavg).next() else { return };
    let mut values = fields(line.text).map(decimal);
    for metric in METRICS {
        match values.next().flatten() {
            Some(value) => sink.gauge(metric, vec![], value),
            None => return line.fault(sink, "three load averages"),
        }
    }
}
