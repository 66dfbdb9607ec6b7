//! Disks, and what cgroups were throttled.

use crate::demo::host::Moment;

use super::{Lines, TreeFile, whole};

/// The fraction of the requests that read.
pub(super) const READS: f64 = 0.3;
/// The mean size of a request.
pub(super) const READ_KIB: f64 = 22.0;
pub(super) const WRITE_KIB: f64 = 14.0;

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    files.push(TreeFile::new("proc/diskstats", diskstats(moment)));
    for (group, has_quota) in [("", false), ("system.slice/", false), ("system.slice/app.service/", true)] {
        files.push(TreeFile::new(
            format!("sys/fs/cgroup/{group}cpu.stat"),
            cpu_stat(moment, group, has_quota),
        ));
    }
}

fn diskstats(moment: &Moment<'_>) -> String {
    let host = moment.host;
    let platform = host.platform;
    let ios = host.ios_per_s * moment.io_s;
    let (reads, writes) = (ios * READS, ios * (1.0 - READS));
    // What requests take wanders apart from how many there are, and so does their mean. Those of a dying
    // disk are tried again and again.
    let (served, retried) = (host.ios_per_s * moment.service_s, host.ios_per_s * moment.dying_s);
    let read_ms = READS * (served * host.io_s * 800.0 + retried * 4.5);
    let write_ms = (1.0 - READS) * (served * host.io_s * 1_100.0 + retried * 4.5);
    let flushes = writes * 0.05;
    let flush_ms = flushes * 0.9 + 0.05 * retried * 6.0;
    // Requests overlap a little, so the disk is busy for less than they take together.
    let busy_ms = (read_ms + write_ms) * 0.7;
    let mut lines = Lines::default();
    let row = |minor: u32, name: &str, share: f64| {
        let n = |value: f64| whole(value * share);
        format!(
            "{:>4} {minor:>7} {name} {} {} {} {} {} {} {} {} 0 {} {} 0 0 0 0 {} {}",
            platform.disk_major,
            n(reads),
            n(reads * 0.04),
            n(reads * READ_KIB * 2.0),
            n(read_ms),
            n(writes),
            n(writes * 0.5),
            n(writes * WRITE_KIB * 2.0),
            n(write_ms),
            n(busy_ms),
            n(read_ms + write_ms + flush_ms),
            n(flushes),
            n(flush_ms),
        )
    };
    let partition = if platform.disk.starts_with("nvme") { "p1" } else { "1" };
    lines.line(format_args!("{}", row(0, platform.disk, 1.0)));
    lines.line(format_args!("{}", row(1, &format!("{}{partition}", platform.disk), 0.98)));
    lines.0
}

/// cgroup v2's cpu.stat. Only a group with a quota counts periods.
fn cpu_stat(moment: &Moment<'_>, group: &str, has_quota: bool) -> String {
    let share = if group.is_empty() { 1.0 } else { 0.6 };
    let usage_us = moment.task_cpu_s() * share * 1e6;
    let mut lines = Lines::default();
    lines.line(format_args!("usage_usec {}", whole(usage_us)));
    lines.line(format_args!("user_usec {}", whole(usage_us * 0.7)));
    lines.line(format_args!("system_usec {}", whole(usage_us * 0.3)));
    if group.is_empty() {
        return lines.0;
    }
    let periods_per_s = if has_quota { 9.5 } else { 0.0 };
    // Work that piled up while the host stood still is done in bursts, and bursts meet the quota.
    let throttled = 0.1 * periods_per_s * moment.stolen_s;
    lines.line(format_args!("nr_periods {}", whole(periods_per_s * moment.uptime_s)));
    lines.line(format_args!("nr_throttled {}", whole(throttled)));
    lines.line(format_args!("throttled_usec {}", whole(throttled * 21_000.0)));
    lines.line(format_args!("nr_bursts 0"));
    lines.line(format_args!("burst_usec 0"));
    lines.0
}
