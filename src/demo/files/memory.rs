//! Memory: gauges, and what reclaim and faults have counted.

use crate::demo::host::Moment;

use super::{Lines, TreeFile, spaced, whole};

const PAGE_KIB: u64 = 4;

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    let memory = Memory::at(moment);
    files.push(TreeFile::new("proc/meminfo", memory.meminfo()));
    files.push(TreeFile::new("proc/vmstat", vmstat(moment, &memory)));
    files.push(TreeFile::new("proc/buddyinfo", memory.buddyinfo()));
}

/// Where the pages are, in KiB; the parts add up to the total.
struct Memory {
    total: u64,
    free: u64,
    buffers: u64,
    cached: u64,
    anon: u64,
    slab: u64,
    rest: u64,
    dirty: u64,
}

impl Memory {
    fn at(moment: &Moment<'_>) -> Self {
        let total = moment.host.memory_kib;
        let part = |fraction: f64| whole(total as f64 * fraction) / PAGE_KIB * PAGE_KIB;
        // What is in use follows the load a little.
        let anon = part(moment.host.anon + 0.06 * (moment.work_level() - 1.0));
        let (buffers, cached, slab, rest) = (part(0.01), part(0.31), part(0.035), part(0.015));
        let free = total - anon - buffers - cached - slab - rest;
        Self { total, free, buffers, cached, anon, slab, rest, dirty: part(0.000_4) }
    }

    fn meminfo(&self) -> String {
        let available = self.free + (self.cached + self.buffers) * 9 / 10 + self.slab / 2;
        let rows = [
            ("MemTotal", self.total),
            ("MemFree", self.free),
            ("MemAvailable", available),
            ("Buffers", self.buffers),
            ("Cached", self.cached),
            ("SwapCached", 0),
            ("Active", self.anon / 8 + self.cached / 2),
            ("Inactive", self.anon - self.anon / 8 + self.cached - self.cached / 2),
            ("SwapTotal", 0),
            ("SwapFree", 0),
            ("Dirty", self.dirty),
            ("Writeback", 0),
            ("AnonPages", self.anon),
            ("Mapped", self.cached / 3),
            ("Shmem", self.cached / 60),
            ("Slab", self.slab),
            ("SReclaimable", self.slab * 3 / 4),
            ("SUnreclaim", self.slab - self.slab * 3 / 4),
            ("KernelStack", self.rest / 20),
            ("PageTables", self.rest / 10),
            ("CommitLimit", self.total / 2),
            ("Committed_AS", self.anon * 3 / 2),
        ];
        let mut lines = Lines::default();
        for (name, kib) in rows {
            lines.line(format_args!("{:<15} {kib:>8} kB", format!("{name}:")));
        }
        lines.0
    }

    /// Free pages by order, spread over two zones; the blocks add up to the free pages.
    fn buddyinfo(&self) -> String {
        let mut pages = self.free / PAGE_KIB;
        let dma32 = pages.min(524_288);
        pages -= dma32;
        let mut lines = Lines::default();
        for (zone, pages) in [("DMA32", dma32), ("Normal", pages)] {
            let mut rest = pages;
            let mut blocks = [0_u64; 11];
            for order in (1..11).rev() {
                blocks[order] = if order == 10 { rest * 8 / 10 } else { rest / 2 } >> order;
                rest -= blocks[order] << order;
            }
            blocks[0] = rest;
            let cells: String = blocks.iter().map(|count| format!(" {count:>6}")).collect();
            lines.line(format_args!("Node 0, zone {zone:>8}{cells} "));
        }
        lines.0
    }
}

fn vmstat(moment: &Moment<'_>, memory: &Memory) -> String {
    let host = moment.host;
    let faults = 700.0 * host.cpus as f64 * moment.work_s;
    let kib = |share: f64, size: f64| whole(host.ios_per_s * moment.io_s * share * size);
    let mut lines = Lines::default();
    let rows = [
        ("nr_free_pages", memory.free / PAGE_KIB),
        ("nr_anon_pages", memory.anon / PAGE_KIB),
        ("nr_mapped", memory.cached / 3 / PAGE_KIB),
        ("nr_file_pages", (memory.cached + memory.buffers) / PAGE_KIB),
        ("nr_dirty", memory.dirty / PAGE_KIB),
        ("nr_writeback", 0),
        ("pgpgin", kib(super::io::READS, super::io::READ_KIB)),
        ("pgpgout", kib(1.0 - super::io::READS, super::io::WRITE_KIB)),
        ("pswpin", 0),
        ("pswpout", 0),
        ("pgalloc_dma32", whole(faults * 0.1)),
        ("pgalloc_normal", whole(faults * 0.9)),
        ("allocstall_dma", 0),
        ("allocstall_dma32", 0),
        ("allocstall_normal", 0),
        ("allocstall_movable", 0),
        ("pgfree", whole(faults * 1.02)),
        ("pgactivate", whole(faults * 0.02)),
        ("pgdeactivate", 0),
        ("pgfault", whole(faults)),
        ("pgmajfault", 400 + whole(0.05 * moment.work_s)),
        ("pgsteal_kswapd", 0),
        ("pgsteal_direct", 0),
        ("pgscan_kswapd", 0),
        ("pgscan_direct", 0),
        ("pgscan_direct_throttle", 0),
        ("oom_kill", 0),
        ("compact_stall", 0),
        ("compact_fail", 0),
        ("compact_success", 0),
        ("thp_fault_alloc", whole(faults * 0.000_1)),
    ];
    for (name, value) in rows {
        lines.line(format_args!("{name} {}", spaced([value])));
    }
    lines.0
}
