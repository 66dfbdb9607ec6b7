//! CPU time, scheduling, pressure.

use crate::demo::host::Moment;

use super::{Lines, TreeFile, interrupts, spaced, whole};

/// USER_HZ, which /proc/stat counts in.
pub(super) const TICKS_PER_S: f64 = 100.0;

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    files.push(TreeFile::new("proc/uptime", uptime(moment)));
    files.push(TreeFile::new("proc/stat", stat(moment)));
    files.push(TreeFile::new("proc/loadavg", loadavg(moment)));
    if let Some(version) = moment.host.platform.schedstat_version {
        files.push(TreeFile::new("proc/schedstat", schedstat(moment, version)));
    }
    for (name, text) in pressure(moment) {
        files.push(TreeFile::new(format!("proc/pressure/{name}"), text));
    }
}

/// Seconds since boot of one CPU, by mode, in /proc/stat's order: user, nice, system, idle, iowait, irq,
/// softirq, steal. They add up to the uptime.
fn modes(moment: &Moment<'_>, cpu: usize) -> [f64; 8] {
    let host = moment.host;
    let weight = host.cpu_weight[cpu];
    let busy = host.busy * weight;
    let user = busy * 0.67 * moment.work_s;
    let nice = 0.0;
    let system = busy * 0.27 * moment.work_s;
    let softirq = host.softirq * weight * moment.traffic_s;
    let iowait = 0.03 * moment.io_s + 0.1 * moment.dying_s;
    let steal = 0.35 * weight * moment.stolen_s;
    let idle = moment.uptime_s - (user + nice + system + softirq + iowait + steal);
    [user, nice, system, idle, iowait, 0.0, softirq, steal]
}

fn uptime(moment: &Moment<'_>) -> String {
    let idle: f64 = (0..moment.host.cpus).map(|cpu| modes(moment, cpu)[3]).sum();
    format!("{:.2} {:.2}\n", moment.uptime_s, idle)
}

fn stat(moment: &Moment<'_>) -> String {
    let host = moment.host;
    let per_cpu: Vec<[u64; 8]> =
        (0..host.cpus).map(|cpu| modes(moment, cpu).map(|seconds| whole(seconds * TICKS_PER_S))).collect();
    let total = (0..8).map(|mode| per_cpu.iter().map(|cpu| cpu[mode]).sum());
    let mut lines = Lines::default();
    lines.line(format_args!("cpu  {} 0 0", spaced(total)));
    for (cpu, ticks) in per_cpu.iter().enumerate() {
        lines.line(format_args!("cpu{cpu} {} 0 0", spaced(*ticks)));
    }
    lines.line(format_args!("intr {}", spaced(interrupts::totals(moment))));
    lines.line(format_args!("ctxt {}", whole(context_switches(moment))));
    lines.line(format_args!("btime {}", whole(moment.boot.at_s)));
    lines.line(format_args!("processes {}", 1_900 + whole(2.4 * moment.work_s)));
    lines.line(format_args!("procs_running {}", running(moment)));
    lines.line(format_args!("procs_blocked 0"));
    lines.line(format_args!("softirq {}", spaced(interrupts::softirq_totals(moment))));
    lines.0
}

pub(super) fn context_switches(moment: &Moment<'_>) -> f64 {
    let threads = moment.host.processes.iter().flat_map(|process| &process.threads);
    // A slice that ends in idle costs a second switch.
    1.7 * threads.map(|thread| moment.slices(thread)).sum::<f64>()
}

/// Tasks that want a CPU at this moment, on the average.
fn demand(moment: &Moment<'_>) -> f64 {
    let host = moment.host;
    host.cpus as f64 * host.busy * moment.work_level() + moment.waiting()
}

fn running(moment: &Moment<'_>) -> u64 {
    // The reader of the file is running too.
    1 + whole(demand(moment))
}

fn loadavg(moment: &Moment<'_>) -> String {
    let over = |seconds: f64| (demand(moment) + demand(&moment.earlier(seconds))) / 2.0;
    let tasks: usize = moment.host.processes.iter().map(|process| process.threads.len()).sum();
    format!(
        "{:.2} {:.2} {:.2} {}/{tasks} {}\n",
        over(60.0),
        over(300.0),
        over(900.0),
        running(moment),
        2_000 + whole(2.4 * moment.work_s) % 30_000
    )
}

fn schedstat(moment: &Moment<'_>, version: u32) -> String {
    let host = moment.host;
    let threads = || host.processes.iter().flat_map(|process| &process.threads);
    let waited_s: f64 = threads().map(|thread| moment.wait_s(thread)).sum();
    let slices: f64 = threads().map(|thread| moment.slices(thread)).sum();
    let mut lines = Lines::default();
    lines.line(format_args!("version {version}"));
    lines.line(format_args!("timestamp {}", 4_294_892_296 + whole(moment.uptime_s * 250.0)));
    for (cpu, weight) in host.cpu_weight.iter().enumerate() {
        let share = weight / host.cpus as f64;
        let (run, wait) = (moment.task_cpu_s() * share, waited_s * share);
        lines.line(format_args!(
            "cpu{cpu} 0 0 0 0 0 0 {} {} {}",
            whole(run * 1e9),
            whole(wait * 1e9),
            whole(slices * share)
        ));
    }
    lines.0
}

/// Seconds stalled since boot, some and full, per resource.
fn stalled(moment: &Moment<'_>) -> [(&'static str, f64, f64); 4] {
    [
        ("cpu", 0.018 * moment.contention_s + 0.2 * moment.slow_s, 0.0),
        ("io", 0.011 * moment.io_s + 0.17 * moment.dying_s, 0.008 * moment.io_s + 0.12 * moment.dying_s),
        ("memory", 0.000_2 * moment.work_s, 0.000_1 * moment.work_s),
        ("irq", 0.0, 0.004 * moment.traffic_s),
    ]
}

fn pressure(moment: &Moment<'_>) -> Vec<(&'static str, String)> {
    let windows = [10.0, 60.0, 300.0];
    let before = windows.map(|seconds| (moment.earlier(seconds).uptime_s, stalled(&moment.earlier(seconds))));
    let line = |word: &str, total: f64, earlier: [f64; 3]| {
        let mut text = word.to_owned();
        for ((window, (uptime_s, _)), stalled_s) in windows.iter().zip(&before).zip(earlier) {
            let span = (moment.uptime_s - uptime_s).max(0.01);
            text.push_str(&format!(" avg{window}={:.2}", 100.0 * (total - stalled_s) / span));
        }
        format!("{text} total={}\n", whole(total * 1e6))
    };
    let mut files = Vec::with_capacity(4);
    for (i, (name, some, full)) in stalled(moment).into_iter().enumerate() {
        let some_line = line("some", some, [0, 1, 2].map(|w: usize| before[w].1[i].1));
        let full_line = line("full", full, [0, 1, 2].map(|w: usize| before[w].1[i].2));
        match name {
            "irq" if !moment.host.platform.irq_pressure => {}
            // An interrupt stalls everybody or nobody.
            "irq" => files.push((name, full_line)),
            _ => files.push((name, some_line + &full_line)),
        }
    }
    files
}
