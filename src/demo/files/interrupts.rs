//! Interrupts, softirqs and the per-CPU network backlog.

use crate::demo::host::Moment;

use super::cpu::context_switches;
use super::{Lines, TreeFile, whole};

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    files.push(TreeFile::new("proc/interrupts", interrupts(moment)));
    files.push(TreeFile::new("proc/softirqs", softirqs(moment)));
    files.push(TreeFile::new("proc/net/softnet_stat", softnet(moment)));
}

/// One line of /proc/interrupts.
struct Line {
    id: String,
    per_cpu: Vec<u64>,
    what: String,
}

/// The number of the first queue's interrupt.
const FIRST_IRQ: usize = 24;

/// The devices' interrupts: each queue's come to its own CPU.
fn devices(moment: &Moment<'_>) -> Vec<Line> {
    let host = moment.host;
    let cpus = host.cpus;
    let on = |cpu: usize, count: f64| (0..cpus).map(|c| if c == cpu { whole(count) } else { 0 }).collect();
    let mut lines = Vec::with_capacity(2 * cpus);
    for cpu in 0..cpus {
        let name = match host.platform.nic_driver {
            "ena" => format!("PCI-MSIX-0000:00:05.0 {:>3}-edge      eth0-Tx-Rx-{cpu}", cpu + 1),
            _ => format!("PCI-MSIX-0000:00:03.0 {:>3}-edge      virtio1-input.{cpu}", 2 * cpu + 1),
        };
        // NAPI takes several packets for each interrupt.
        let count = host.packets_per_s * moment.traffic_s * host.cpu_weight[cpu] / cpus as f64 / 4.0;
        lines.push(Line { id: (FIRST_IRQ + cpu).to_string(), per_cpu: on(cpu, count), what: name });
    }
    for cpu in 0..cpus {
        let name = match host.platform.disk {
            "vda" => format!("PCI-MSIX-0000:00:02.0 {:>3}-edge      virtio2-req.{cpu}", cpu + 1),
            disk => format!("PCI-MSIX-0000:00:04.0 {:>3}-edge      {}q{}", cpu + 1, &disk[..5], cpu + 1),
        };
        let count = host.ios_per_s * moment.io_s * host.cpu_weight[cpu] / cpus as f64;
        lines.push(Line { id: (FIRST_IRQ + cpus + cpu).to_string(), per_cpu: on(cpu, count), what: name });
    }
    lines
}

/// The processor's own.
fn processor(moment: &Moment<'_>) -> Vec<Line> {
    let host = moment.host;
    let line = |id: &str, what: &str, per_cpu: &dyn Fn(f64) -> f64| Line {
        id: id.to_owned(),
        per_cpu: host.cpu_weight.iter().map(|weight| whole(per_cpu(*weight))).collect(),
        what: format!("  {what}"),
    };
    let switches = context_switches(moment) / host.cpus as f64;
    vec![
        line("NMI", "Non-maskable interrupts", &|_| 0.0),
        line("LOC", "Local timer interrupts", &|w| w * 95.0 * moment.work_s),
        line("RES", "Rescheduling interrupts", &|w| w * 0.04 * switches),
        line("CAL", "Function call interrupts", &|w| w * 11.0 * moment.work_s),
        line("TLB", "TLB shootdowns", &|w| w * 6.0 * moment.work_s),
    ]
}

/// /proc/stat's `intr`: the sum of all, then the count of each number from 0 on.
pub(super) fn totals(moment: &Moment<'_>) -> Vec<u64> {
    let sum = |line: &Line| line.per_cpu.iter().sum::<u64>();
    let devices: Vec<u64> = devices(moment).iter().map(sum).collect();
    let total = devices.iter().sum::<u64>() + processor(moment).iter().map(sum).sum::<u64>();
    let below_first = std::iter::repeat_n(0, FIRST_IRQ);
    std::iter::once(total).chain(below_first).chain(devices).collect()
}

fn interrupts(moment: &Moment<'_>) -> String {
    let mut lines = Lines::default();
    let header: String = (0..moment.host.cpus).map(|cpu| format!("{:>11}", format!("CPU{cpu}"))).collect();
    lines.line(format_args!("    {header}"));
    for line in devices(moment).into_iter().chain(processor(moment)) {
        let counts: String = line.per_cpu.iter().map(|count| format!("{count:>11}")).collect();
        lines.line(format_args!("{:>3}:{counts} {}", line.id, line.what));
    }
    lines.line(format_args!("ERR:          0"));
    lines.line(format_args!("MIS:          0"));
    lines.0
}

/// Each vector's count on each CPU, in the kernel's order.
fn vectors(moment: &Moment<'_>) -> Vec<(&'static str, Vec<u64>)> {
    let host = moment.host;
    let cpus = host.cpus as f64;
    let packets = host.packets_per_s * moment.traffic_s / cpus;
    let ios = host.ios_per_s * moment.io_s / cpus;
    let switches = context_switches(moment) / cpus;
    let threads = || host.processes.iter().flat_map(|process| &process.threads);
    let balancing = 0.6 * moment.slow_s * threads().map(|it| moment.slices_per_s(it)).sum::<f64>() / cpus;
    // A poll that runs out of its budget raises the vector once more.
    let polls = packets / 3.0 + 0.6 * moment.stolen_s;
    [
        ("HI", 0.0),
        ("TIMER", 62.0 * moment.work_s),
        ("NET_TX", packets * 0.000_4),
        ("NET_RX", polls),
        ("BLOCK", ios),
        ("IRQ_POLL", 0.0),
        ("TASKLET", 0.02 * moment.work_s),
        // A CPU that lets its queue grow is asked to balance it again and again.
        ("SCHED", switches * 0.11 + balancing),
        ("HRTIMER", 0.001 * moment.work_s),
        ("RCU", switches * 0.14),
    ]
    .map(|(name, mean)| (name, host.cpu_weight.iter().map(|weight| whole(weight * mean)).collect()))
    .into()
}

/// /proc/stat's `softirq`: the sum of all, then each vector's.
pub(super) fn softirq_totals(moment: &Moment<'_>) -> Vec<u64> {
    let sums: Vec<u64> = vectors(moment).iter().map(|(_, counts)| counts.iter().sum()).collect();
    std::iter::once(sums.iter().sum()).chain(sums).collect()
}

fn softirqs(moment: &Moment<'_>) -> String {
    let mut lines = Lines::default();
    let header: String = (0..moment.host.cpus).map(|cpu| format!("{:<11}", format!("CPU{cpu}"))).collect();
    lines.line(format_args!("                    {header}"));
    for (name, counts) in vectors(moment) {
        let counts: String = counts.iter().map(|count| format!(" {count:>10}")).collect();
        lines.line(format_args!("{name:>12}:{counts}"));
    }
    lines.0
}

fn softnet(moment: &Moment<'_>) -> String {
    let host = moment.host;
    let mut lines = Lines::default();
    for (cpu, weight) in host.cpu_weight.iter().enumerate() {
        let processed = host.packets_per_s * moment.traffic_s * weight / host.cpus as f64;
        let squeezed = weight * (0.004 * moment.traffic_s + 0.6 * moment.stolen_s);
        let mut columns = [0_u64; 15];
        columns[0] = whole(processed);
        columns[2] = whole(squeezed);
        columns[12] = cpu as u64;
        // The kernel keeps these counters in 32 bits, and they wrap.
        let shown = &columns[..host.platform.softnet_columns];
        let cells: Vec<String> = shown.iter().map(|value| format!("{:08x}", value & 0xffff_ffff)).collect();
        lines.line(format_args!("{}", cells.join(" ")));
    }
    lines.0
}
