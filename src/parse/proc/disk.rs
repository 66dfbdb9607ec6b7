//! Family 8, block_io: /proc/diskstats. Sectors there are 512 bytes whatever the device's own are.

use crate::parse::text::{fields, integer, lossy};

use super::snapshot::{File, Line, Snapshot};
use super::table::Table;
use super::window::{Step, Window, label};

/// Devices beyond these, the busiest since boot, have no series.
const MAX_DEVICES: usize = 16;
/// Kernels have written 11 columns behind the name, 15 since 4.18 and 17 since 5.5.
const COLUMNS: usize = 17;
const FIRST_KERNELS: usize = 11;

const READS: usize = 0;
const READ_MS: usize = 3;
const WRITES: usize = 4;
const WRITE_MS: usize = 7;
const IN_FLIGHT: usize = 8;
const IO_MS: usize = 9;
const WEIGHTED_MS: usize = 10;

/// (column, metric, what one step is).
const COUNTERS: [(usize, &str, Step); 16] = [
    (READS, "node_disk_reads_completed_total", Step::One),
    (1, "node_disk_reads_merged_total", Step::One),
    (2, "node_disk_read_bytes_total", Step::Sector),
    (READ_MS, "node_disk_read_time_seconds_total", Step::Millisecond),
    (WRITES, "node_disk_writes_completed_total", Step::One),
    (5, "node_disk_writes_merged_total", Step::One),
    (6, "node_disk_written_bytes_total", Step::Sector),
    (WRITE_MS, "node_disk_write_time_seconds_total", Step::Millisecond),
    (IO_MS, "node_disk_io_time_seconds_total", Step::Millisecond),
    (WEIGHTED_MS, "node_disk_io_time_weighted_seconds_total", Step::Millisecond),
    (11, "node_disk_discards_completed_total", Step::One),
    (12, "node_disk_discards_merged_total", Step::One),
    (13, "node_disk_discarded_sectors_total", Step::One),
    (14, "node_disk_discard_time_seconds_total", Step::Millisecond),
    (15, "node_disk_flush_requests_total", Step::One),
    (16, "node_disk_flush_requests_time_seconds_total", Step::Millisecond),
];

type Columns = [Option<u64>; COLUMNS];

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let mut earlier = before.map(|snapshot| Table::new(snapshot.lines(File::Diskstats).filter_map(row)));
    let mut devices: Vec<(&[u8], Columns)> = Vec::new();
    for line in after.lines(File::Diskstats) {
        let Some((name, columns)) = row(line) else {
            line.fault(window.sink, "major, minor, a name and at least 11 whole numbers");
            continue;
        };
        let never_used = columns[READS] == Some(0) && columns[WRITES] == Some(0) && columns[IO_MS] == Some(0);
        if !never_used && !is_part_or_memory(name) {
            devices.push((name, columns));
        }
    }
    devices.sort_by(|a, b| b.1[IO_MS].cmp(&a.1[IO_MS]).then_with(|| a.0.cmp(b.0)));
    for (name, columns) in devices.into_iter().take(MAX_DEVICES) {
        let old = earlier.as_mut().and_then(|table| table.find(name)).copied();
        device(&lossy(name), old, columns, window);
    }
}

fn row<'a>(line: Line<'a>) -> Option<(&'a [u8], Columns)> {
    let mut parts = fields(line.text).skip(2);
    let name = parts.next()?;
    let mut columns = [None; COLUMNS];
    for (slot, field) in columns.iter_mut().zip(parts) {
        *slot = Some(integer(field)?);
    }
    columns[FIRST_KERNELS - 1].map(|_| (name, columns))
}

fn device(name: &str, old: Option<Columns>, new: Columns, window: &mut Window) {
    for (column, metric, step) in COUNTERS {
        let Some(after) = new[column] else { continue };
        // Times and the weighted sum are 32 bits of milliseconds on many kernels: they wrap quietly.
        let pair = (old.and_then(|old| old[column]), after);
        if matches!(step, Step::Millisecond) {
            window.quiet_counter(metric, label("device", name), pair, step);
        } else {
            window.counter(metric, label("device", name), pair, step);
        }
    }
    if let Some(in_flight) = new[IN_FLIGHT] {
        window.gauge("node_disk_io_now", label("device", name), in_flight as f64);
    }
    derived(name, old, new, window);
}

/// sysstat's r_await, w_await, aqu-sz and %util, as a share of 1.
fn derived(name: &str, old: Option<Columns>, new: Columns, window: &mut Window) {
    let delta = |column: usize| new[column]?.checked_sub(old.as_ref()?[column]?);
    for (metric, time, requests) in
        [("disk_r_await_seconds", READ_MS, READS), ("disk_w_await_seconds", WRITE_MS, WRITES)]
    {
        // Without a request that ended in the window there is no such time: no sample.
        if let (Some(ms), Some(requests)) = (delta(time), delta(requests).filter(|count| *count > 0)) {
            window.gauge(metric, label("device", name), Step::Millisecond.of(ms) / requests as f64);
        }
    }
    let Some(seconds) = window.seconds else { return };
    for (metric, column) in [("disk_aqu_sz", WEIGHTED_MS), ("disk_util_ratio", IO_MS)] {
        if let Some(ms) = delta(column) {
            window.gauge(metric, label("device", name), Step::Millisecond.of(ms) / seconds);
        }
    }
}

/// Partitions repeat their disk, and disks in memory are not disks: `sda1`, `nvme0n1p2`, `ram0`,
/// `zram0`, `fd0`. A loop device that was used is kept, since a container's root may be one.
fn is_part_or_memory(name: &[u8]) -> bool {
    let stem = name.trim_ascii_end();
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits == stem.len() {
        return false;
    }
    let base = &stem[..stem.len() - digits];
    let lettered = |prefix: &[u8]| {
        base.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_lowercase))
    };
    let memory = matches!(base, b"ram" | b"zram" | b"fd");
    let numbered = (base.starts_with(b"nvme") || base.starts_with(b"mmcblk"))
        && base.ends_with(b"p")
        && base.iter().any(u8::is_ascii_digit);
    memory || numbered || [&b"sd"[..], b"hd", b"vd", b"xvd"].into_iter().any(lettered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_kept_and_their_parts_are_not() {
        for disk in
            ["sda", "vda", "xvdf", "nvme0n1", "dm-3", "md127", "loop4", "mmcblk0", "sr0", "nbd1", "rbd0"]
        {
            assert!(!is_part_or_memory(disk.as_bytes()), "{disk}");
        }
        for other in ["sda1", "vdb12", "xvda1", "nvme0n1p2", "mmcblk0p1", "ram0", "zram0", "fd0"] {
            assert!(is_part_or_memory(other.as_bytes()), "{other}");
        }
    }
}
