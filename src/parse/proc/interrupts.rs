//! Families 4 and 5: interrupts by what raised them, softirqs by vector, both summed over CPUs.
//!
//! A 64-queue NIC on 128 CPUs would be 8,000 series. What matters across hosts is which device and
//! whether one CPU takes it all, so queues are summed under `eth0-TxRx` and the busiest CPU's
//! share is a gauge of its own.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{LabelPairs, Total};
use crate::parse::text::{fields, integer, lossy};

use super::snapshot::{File, Line, Snapshot};
use super::table::Table;
use super::window::{Step, Window, delta32, label};

/// Devices beyond these, the busiest since boot, have no series.
const MAX_DEVICES: usize = 32;
/// Fewer interrupts in a window say nothing about how they are spread.
const ENOUGH_TO_SHARE: u64 = 100;

/// A file of `label: n n n rest` lines below a header that names the CPUs.
struct PerCpu<'a> {
    cpus: usize,
    header: &'a [u8],
    rows: Vec<(&'a [u8], Row<'a>)>,
}

#[derive(Debug, Clone)]
struct Row<'a> {
    counts: Vec<u64>,
    rest: &'a [u8],
}

impl<'a> PerCpu<'a> {
    /// `None` where the host has no such file.
    fn read(snapshot: &Snapshot<'a>, file: File, mut fault: impl FnMut(Line)) -> Option<Self> {
        let mut lines = snapshot.lines(file);
        let header = lines.next()?;
        let cpus = fields(header.text).take_while(|name| name.starts_with(b"CPU")).count();
        if cpus == 0 {
            fault(header);
            return None;
        }
        let mut rows = Vec::new();
        for line in lines.filter(|line| !line.text.trim_ascii().is_empty()) {
            match row(line.text, cpus) {
                Some(row) => rows.push(row),
                None => fault(line),
            }
        }
        Some(Self { cpus, header: header.text, rows })
    }
}

/// `ERR:` and `MIS:` have one number however many CPUs there are: the numbers end where the words
/// or the CPUs do.
fn row(text: &[u8], cpus: usize) -> Option<(&[u8], Row<'_>)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (key, mut rest) = (text[..colon].trim_ascii(), &text[colon + 1..]);
    let mut counts = Vec::with_capacity(cpus);
    while counts.len() < cpus {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let Some(count) = integer(&rest[..end]) else { break };
        counts.push(count);
        rest = &rest[end..];
    }
    (!key.is_empty() && !counts.is_empty()).then(|| (key, Row { counts, rest: rest.trim_ascii() }))
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    total: u64,
    /// `None` once a part of it has no difference.
    delta: Option<u64>,
}

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let expected = "a header of CPUs, then a name, a colon and a number per CPU";
    for (file, emit) in [
        (File::Interrupts, interrupts as fn(&PerCpu, Option<&PerCpu>, &mut Window)),
        (File::Softirqs, softirqs),
    ] {
        let Some(new) = PerCpu::read(after, file, |line| line.fault(window.sink, expected)) else { continue };
        let old =
            before.and_then(|before| PerCpu::read(before, file, |line| line.fault(window.sink, expected)));
        let same_cpus = old.as_ref().is_none_or(|old| old.header == new.header);
        if !same_cpus {
            window.sink.fault(|| "CPUs went on- or offline between the snapshots: no interrupt rates".into());
        }
        emit(&new, old.as_ref().filter(|_| same_cpus), window);
    }
}

fn interrupts(new: &PerCpu, old: Option<&PerCpu>, window: &mut Window) {
    let mut earlier = old.map(|old| Table::new(old.rows.iter().map(|(key, row)| (*key, row))));
    let mut by_device: HashMap<String, Sum> = HashMap::new();
    let mut on_cpu = vec![0u64; new.cpus];
    for (key, row) in &new.rows {
        let before = earlier.as_mut().and_then(|table| table.find(key)).copied();
        let sum = summed(row, before);
        // Most of a machine's vectors never fire; one that has not since boot is left out.
        if sum.total == 0 {
            continue;
        }
        if !key.iter().all(u8::is_ascii_digit) {
            emit(label("type", lossy(key)), sum, "node_interrupts_total", window);
            continue;
        }
        if let Some(before) = before {
            for (cpu, (a, b)) in before.counts.iter().zip(&row.counts).enumerate() {
                on_cpu[cpu] = on_cpu[cpu].saturating_add(delta32(*a, *b).unwrap_or(0));
            }
        }
        let entry = by_device.entry(device(row.rest)).or_insert(Sum { total: 0, delta: Some(0) });
        entry.total = entry.total.saturating_add(sum.total);
        entry.delta = entry.delta.zip(sum.delta).and_then(|(a, b)| a.checked_add(b));
    }
    let mut devices: Vec<_> = by_device.into_iter().collect();
    devices.sort_by(|a, b| b.1.total.cmp(&a.1.total).then_with(|| a.0.cmp(&b.0)));
    for (device, sum) in devices.into_iter().take(MAX_DEVICES) {
        let labels = vec![(Cow::Borrowed("devices"), device), (Cow::Borrowed("type"), "irq".to_owned())];
        emit(labels, sum, "node_interrupts_total", window);
    }
    let all: u64 = on_cpu.iter().fold(0, |sum, count| sum.saturating_add(*count));
    if new.cpus > 1 && all >= ENOUGH_TO_SHARE {
        window.ratio("interrupts_busiest_cpu_ratio", vec![], on_cpu.into_iter().max().unwrap_or(0), all);
    }
}

fn softirqs(new: &PerCpu, old: Option<&PerCpu>, window: &mut Window) {
    let mut earlier = old.map(|old| Table::new(old.rows.iter().map(|(key, row)| (*key, row))));
    for (key, row) in &new.rows {
        let before = earlier.as_mut().and_then(|table| table.find(key)).copied();
        emit(label("type", lossy(key)), summed(row, before), "node_softirqs_functions_total", window);
    }
}

/// Per CPU, because the kernel keeps each of these in 32 bits and they wrap one by one.
fn summed(row: &Row, before: Option<&Row>) -> Sum {
    let total = row.counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    let delta = before.filter(|before| before.counts.len() == row.counts.len()).and_then(|before| {
        before.counts.iter().zip(&row.counts).try_fold(0u64, |sum, (a, b)| sum.checked_add(delta32(*a, *b)?))
    });
    Sum { total, delta }
}

fn emit(labels: LabelPairs, sum: Sum, metric: &'static str, window: &mut Window) {
    if let Some(delta) = sum.delta {
        window.rate(metric, labels.clone(), delta, Step::One);
    }
    window.sink.total(Total { metric: Cow::Borrowed(metric), labels, value: Step::One.of(sum.total) });
}

/// The device behind `chip hwirq device, device`, without the number of its queue: `eth0-TxRx-12`
/// and `eth0-TxRx-13` are one line of a table, `mlx5_comp7@pci:0000:05:00.0` is
/// `mlx5_comp@pci:0000:05:00.0`.
fn device(rest: &[u8]) -> String {
    let words: Vec<&[u8]> = fields(rest).collect();
    let mut first = words.len().saturating_sub(1);
    while first > 0 && words[first - 1].ends_with(b",") {
        first -= 1;
    }
    // Old kernels write `chip device`, newer ones `chip line device`; nobody may have taken the line.
    let is_line = |word: &[u8]| {
        let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
        matches!(word, b"Level" | b"Edge") || (digits > 0 && matches!(word.get(digits), None | Some(b'-')))
    };
    if first == 0 || is_line(words[first]) {
        return String::new();
    }
    let name = lossy(&words[first..].join(&b' '));
    let (own, place) = name.split_once('@').map_or((name.as_str(), ""), |(own, _)| (own, &name[own.len()..]));
    let queue = own.trim_end_matches(|c: char| c.is_ascii_digit());
    let base = queue.trim_end_matches(['-', '.', ':']);
    // `eth0` ends in a digit that is no queue: only a number behind a separator, an @ or an `q` goes.
    let is_queue =
        queue.len() < own.len() && (base.len() < queue.len() || !place.is_empty() || base.ends_with('q'));
    if is_queue && !base.is_empty() { format!("{base}{place}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_one_device() {
        let check = |rest: &str, expected: &str| assert_eq!(device(rest.as_bytes()), expected, "{rest}");
        check("PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0", "virtio1-req");
        check("IR-PCI-MSI 524288-edge      eth0-TxRx-12", "eth0-TxRx");
        check("IR-PCI-MSI 1048577-edge      mlx5_comp7@pci:0000:05:00.0", "mlx5_comp@pci:0000:05:00.0");
        check("IR-PCI-MSI 1-edge      nvme0q12", "nvme0q");
        check("IO-APIC   4-edge      ttyS0", "ttyS0");
        check("IO-APIC   18-fasteoi   i801_smbus, snd_hda", "i801_smbus, snd_hda");
        check("IR-PCI-MSI 2-edge      eth0", "eth0");
        check("GICv3  27 Level     arch_timer", "arch_timer");
        check("PCI-MSI-edge      eth0-rx-3", "eth0-rx");
        check("IO-APIC-edge      timer", "timer");
        check("IR-IO-APIC    9-fasteoi   9p-device", "9p-device");
        for nobody in ["PCI-MSI 5-edge", "GICv3  27 Level", "XT-PIC", ""] {
            check(nobody, "");
        }
    }

    #[test]
    fn columns_follow_the_header_and_err_has_one() {
        assert_eq!(row(b"ERR:          7", 4).map(|(k, r)| (k, r.counts)), Some((&b"ERR"[..], vec![7])));
        let (key, found) = row(b" 36:   1   2 IO-APIC 4-edge 9lives", 2).unwrap();
        assert_eq!((key, found.counts, found.rest), (&b"36"[..], vec![1, 2], &b"IO-APIC 4-edge 9lives"[..]));
        assert!(row(b"no colon 1 2", 2).is_none());
        assert!(row(b"LOC: words only", 2).is_none());
    }

    #[test]
    fn each_cpu_wraps_on_its_own() {
        let row = |counts: &[u64]| Row { counts: counts.to_vec(), rest: b"" };
        let sum = summed(&row(&[5, 30]), Some(&row(&[0xffff_fffb, 20])));
        assert_eq!((sum.total, sum.delta), (35, Some(20)));
        assert_eq!(summed(&row(&[1]), Some(&row(&[1, 2]))).delta, None);
    }
}
