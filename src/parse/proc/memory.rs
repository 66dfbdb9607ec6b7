//! Families 7 and 12: what the machine has to do to find memory, and what it has left.

use crate::parse::text::{fields, integer};

use super::snapshot::{File, Line, Snapshot};
use super::table::Table;
use super::window::{Step, Window};

/// The fields of vmstat that have a metric: reclaim, faults, swap, compaction.
const VMSTAT: &[(&[u8], &str)] = &[
    (b"pgpgin", "node_vmstat_pgpgin"),
    (b"pgpgout", "node_vmstat_pgpgout"),
    (b"pswpin", "node_vmstat_pswpin"),
    (b"pswpout", "node_vmstat_pswpout"),
    (b"pgfault", "node_vmstat_pgfault"),
    (b"pgmajfault", "node_vmstat_pgmajfault"),
    (b"pgsteal_kswapd", "node_vmstat_pgsteal_kswapd"),
    (b"pgsteal_direct", "node_vmstat_pgsteal_direct"),
    (b"pgscan_kswapd", "node_vmstat_pgscan_kswapd"),
    (b"pgscan_direct", "node_vmstat_pgscan_direct"),
    (b"pgscan_direct_throttle", "node_vmstat_pgscan_direct_throttle"),
    (b"workingset_refault_anon", "node_vmstat_workingset_refault_anon"),
    (b"workingset_refault_file", "node_vmstat_workingset_refault_file"),
    (b"compact_stall", "node_vmstat_compact_stall"),
    (b"compact_fail", "node_vmstat_compact_fail"),
    (b"thp_fault_fallback", "node_vmstat_thp_fault_fallback"),
    (b"oom_kill", "node_vmstat_oom_kill"),
];

/// The fields of meminfo that have a metric.
const MEMINFO: &[(&[u8], &str)] = &[
    (b"MemTotal", "node_memory_MemTotal_bytes"),
    (b"MemFree", "node_memory_MemFree_bytes"),
    (b"MemAvailable", "node_memory_MemAvailable_bytes"),
    (b"Buffers", "node_memory_Buffers_bytes"),
    (b"Cached", "node_memory_Cached_bytes"),
    (b"SwapTotal", "node_memory_SwapTotal_bytes"),
    (b"SwapFree", "node_memory_SwapFree_bytes"),
    (b"Active", "node_memory_Active_bytes"),
    (b"Inactive", "node_memory_Inactive_bytes"),
    (b"Unevictable", "node_memory_Unevictable_bytes"),
    (b"Dirty", "node_memory_Dirty_bytes"),
    (b"Writeback", "node_memory_Writeback_bytes"),
    (b"AnonPages", "node_memory_AnonPages_bytes"),
    (b"AnonHugePages", "node_memory_AnonHugePages_bytes"),
    (b"Mapped", "node_memory_Mapped_bytes"),
    (b"Shmem", "node_memory_Shmem_bytes"),
    (b"SReclaimable", "node_memory_SReclaimable_bytes"),
    (b"SUnreclaim", "node_memory_SUnreclaim_bytes"),
    (b"KernelStack", "node_memory_KernelStack_bytes"),
    (b"PageTables", "node_memory_PageTables_bytes"),
    (b"CommitLimit", "node_memory_CommitLimit_bytes"),
    (b"Committed_AS", "node_memory_Committed_AS_bytes"),
];

/// Blocks of 2^3 pages and more: what kernel stacks, jumbo frames and huge pages are made of.
const CONTIGUOUS_FROM_ORDER: usize = 3;

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    vmstat(before, after, window);
    meminfo(after, window);
    buddyinfo(after, window);
}

fn pair(line: Line<'_>) -> (&[u8], Option<u64>) {
    let mut parts = fields(line.text);
    (parts.next().unwrap_or_default(), parts.next().and_then(integer))
}

fn vmstat(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let mut earlier = before.map(|snapshot| Table::new(snapshot.lines(File::Vmstat).map(pair)));
    let mut stalls = (earlier.as_ref().map(|_| 0u64), None);
    for line in after.lines(File::Vmstat) {
        let (key, value) = pair(line);
        // `allocstall` was one field once and is one per zone now; the sum is on every kernel.
        let is_stall = key.starts_with(b"allocstall");
        let known = VMSTAT.iter().find(|(name, _)| *name == key);
        if !is_stall && known.is_none() {
            continue;
        }
        let Some(value) = value else {
            line.fault(window.sink, "a name and a whole number");
            continue;
        };
        let old = earlier.as_mut().and_then(|table| table.find(key)).copied().flatten();
        if is_stall {
            stalls = (
                stalls.0.zip(old).and_then(|(a, b)| a.checked_add(b)),
                Some(value.saturating_add(stalls.1.unwrap_or(0))),
            );
        } else if let Some((_, metric)) = known {
            window.counter(metric, vec![], (old, value), Step::One);
        }
    }
    if let (before, Some(total)) = stalls {
        window.counter("node_vmstat_allocstall", vec![], (before, total), Step::One);
    }
}

fn meminfo(after: &Snapshot, window: &mut Window) {
    let (mut total, mut available) = (None, None);
    for line in after.lines(File::Meminfo) {
        let mut parts = fields(line.text);
        let key = parts.next().and_then(|key| key.strip_suffix(b":")).unwrap_or_default();
        let Some((_, metric)) = MEMINFO.iter().find(|(name, _)| *name == key) else { continue };
        let kib = parts.next().and_then(integer).filter(|_| parts.next() == Some(b"kB"));
        let Some(bytes) = kib.and_then(|kib| kib.checked_mul(1024)) else {
            line.fault(window.sink, "a name, a whole number and kB");
            continue;
        };
        match key {
            b"MemTotal" => total = Some(bytes),
            b"MemAvailable" => available = Some(bytes),
            _ => {}
        }
        window.gauge(metric, vec![], bytes as f64);
    }
    if let (Some(total), Some(available)) = (total, available) {
        window.ratio("memory_used_ratio", vec![], total.saturating_sub(available), total);
    }
}

/// How much of the free memory is in blocks that a large allocation can use.
fn buddyinfo(after: &Snapshot, window: &mut Window) {
    let (mut free, mut contiguous) = (0u64, 0u64);
    for line in after.lines(File::Buddyinfo) {
        let zone_at = fields(line.text).position(|field| field == b"zone");
        let counts =
            zone_at.map(|at| fields(line.text).skip(at + 2).map(integer).collect::<Option<Vec<_>>>());
        let Some(counts) = counts.flatten().filter(|counts| !counts.is_empty()) else {
            line.fault(window.sink, "a node, a zone and a number of free blocks per order");
            continue;
        };
        for (order, blocks) in counts.into_iter().enumerate().take(32) {
            let pages = blocks.saturating_mul(1 << order);
            free = free.saturating_add(pages);
            if order >= CONTIGUOUS_FROM_ORDER {
                contiguous = contiguous.saturating_add(pages);
            }
        }
    }
    window.ratio("memory_free_contiguous_ratio", vec![], contiguous, free);
}
