//! A key's label: numbers that a kernel counts by become the names that people know. What has no name
//! keeps its number.

use std::collections::HashMap;

use super::host::Host;
use super::map::Key;
use crate::model::LabelPairs;

/// Both lists are `number name`, made from the kernel's headers for user space (asm/unistd_64.h, and
/// asm-generic/unistd.h with what arm64 asks of it) and, from 451 on, where both are alike, from its
/// syscall.tbl.
const X86_64: &str = include_str!("syscalls/x86_64.txt");
const AARCH64: &str = include_str!("syscalls/aarch64.txt");

/// include/linux/interrupt.h
const SOFTIRQS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// include/net/tcp_states.h, from 1.
const TCP_STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// Bits of a dev_t within the kernel.
const MINOR_BITS: u32 = 20;

/// What keys are called on one host.
#[derive(Debug)]
pub(super) struct Names<'h> {
    host: &'h Host,
    syscalls: HashMap<&'static str, &'static str>,
}

impl<'h> Names<'h> {
    pub(super) fn on(host: &'h Host) -> Self {
        let table = match host.arch.as_deref() {
            // Saved outputs do not say; nearly all of them are of this one.
            None | Some("x86_64") => X86_64,
            Some("aarch64") => AARCH64,
            Some(_) => "",
        };
        Self { host, syscalls: table.lines().filter_map(|line| line.split_once(' ')).collect() }
    }

    /// The labels of `keys` in a series of `metric`, sorted by name.
    pub(super) fn labels(&self, metric: &str, keys: &[Key]) -> LabelPairs {
        let mut labels: LabelPairs = match (family(metric), keys) {
            (_, []) => Vec::new(),
            (Family::Syscall, [key]) => {
                let name = self.syscalls.get(key.text.as_str()).map_or(key.text.as_str(), |name| name);
                vec![("syscall".into(), name.to_owned())]
            }
            (Family::Softirq, [key]) => vec![("vector".into(), softirq(&key.text))],
            (Family::Irq, [key]) => irq(key, self.host),
            (Family::Block, keys) => block(keys, self.host),
            (Family::Drop, [key]) => {
                let known = self.host.symbols.get(&key.text).unwrap_or(&key.text);
                vec![("reason".into(), known.trim_start_matches("SKB_DROP_REASON_").to_owned())]
            }
            (Family::Tcp, [key]) => vec![("state".into(), nth(&TCP_STATES, 1, &key.text))],
            (_, keys) => others(keys),
        };
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        labels
    }
}

enum Family {
    Syscall,
    Softirq,
    Irq,
    Block,
    Drop,
    Tcp,
    Other,
}

fn family(metric: &str) -> Family {
    let starts = |prefix: &str| metric.starts_with(prefix);
    match () {
        () if starts("syscall_") => Family::Syscall,
        () if starts("softirq_") => Family::Softirq,
        () if starts("irq_handler_") => Family::Irq,
        () if starts("blockio_") => Family::Block,
        () if starts("skb_drop") => Family::Drop,
        () if starts("tcp_retransmit") => Family::Tcp,
        () => Family::Other,
    }
}

/// bcc has its own names for them, in small letters.
fn softirq(key: &str) -> String {
    let upper = key.to_ascii_uppercase();
    if SOFTIRQS.contains(&upper.as_str()) { upper } else { nth(&SOFTIRQS, 0, key) }
}

fn nth(names: &[&str], first: usize, key: &str) -> String {
    let place = key.parse::<usize>().ok().and_then(|number| number.checked_sub(first));
    place.and_then(|place| names.get(place)).map_or(key, |name| name).to_owned()
}

fn irq(key: &Key, host: &Host) -> LabelPairs {
    if key.name.is_some() || key.text.parse::<u64>().is_err() {
        return vec![("name".into(), key.text.clone())];
    }
    let name = host.irqs.get(&key.text).cloned().unwrap_or_default();
    vec![("irq".into(), key.text.clone()), ("name".into(), name)]
}

/// A dev_t and a request's flags, or what bcc says of either.
fn block(keys: &[Key], host: &Host) -> LabelPairs {
    let label = |(place, key): (usize, &Key)| match (key.name.as_deref(), place) {
        (Some("disk" | "device" | "bucket_ptr"), _) | (None, 0) => ("device".into(), device(&key.text, host)),
        (Some("flags"), _) => ("op".into(), operation_in_words(&key.text)),
        (None, 1) => ("op".into(), operation(&key.text)),
        (Some(name), _) => (name.to_owned().into(), key.text.clone()),
        (None, _) => (format!("key{place}").into(), key.text.clone()),
    };
    keys.iter().enumerate().map(label).collect()
}

fn device(key: &str, host: &Host) -> String {
    let Ok(number) = key.parse::<u64>() else { return key.to_owned() };
    let (major, minor) = (number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1));
    host.devices.get(&(major, minor)).cloned().unwrap_or_else(|| format!("{major}:{minor}"))
}

/// The kernel's `rwbs`, whose F before the operation asks for a flush first; or the word itself.
fn operation(rwbs: &str) -> String {
    if ["read", "write", "discard", "flush", "other"].contains(&rwbs) {
        return rwbs.to_owned();
    }
    let after_flush = rwbs.strip_prefix('F').filter(|rest| rest.starts_with(['R', 'W', 'D']));
    let op = match after_flush.unwrap_or(rwbs).as_bytes().first() {
        Some(b'R') => "read",
        Some(b'W') => "write",
        Some(b'D') => "discard",
        Some(b'F') => "flush",
        _ => "other",
    };
    op.to_owned()
}

/// bcc's flags: `NoMerge-Sync-Write`, `Priority-Metadata-Read`.
fn operation_in_words(flags: &str) -> String {
    let op = ["Read", "Write", "Discard", "Flush"].into_iter().find(|op| flags.ends_with(op));
    op.map_or_else(|| "other".to_owned(), str::to_lowercase)
}

fn others(keys: &[Key]) -> LabelPairs {
    let label = |(place, key): (usize, &Key)| {
        let name = match &key.name {
            Some(name) => name.clone(),
            None if place == 0 => "key".to_owned(),
            None => format!("key{place}"),
        };
        (name.into(), key.text.clone())
    };
    keys.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metric: &str, keys: &[&str], expected: &[(&str, &str)]) {
        let mut host = Host { arch: Some("aarch64".into()), ..Host::default() };
        host.devices.insert((254, 0), "vda".into());
        host.irqs.insert("36".into(), "virtio1-req.0".into());
        let keys: Vec<_> = keys.iter().map(|key| Key::plain(key)).collect();
        let found = Names::on(&host).labels(metric, &keys);
        let found: Vec<_> = found.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        assert_eq!(found, expected, "{metric}");
    }

    #[test]
    fn numbers_become_names() {
        check("syscall_latency_seconds", &["63"], &[("syscall", "read")]);
        check("syscall_latency_seconds", &["-1"], &[("syscall", "-1")]);
        check("syscall_calls", &["futex"], &[("syscall", "futex")]);
        check("softirq_duration_seconds", &["3"], &[("vector", "NET_RX")]);
        check("softirq_duration_seconds", &["net_rx"], &[("vector", "NET_RX")]);
        check("softirq_duration_seconds", &["10"], &[("vector", "10")]);
        check("irq_handler_duration_seconds", &["36"], &[("irq", "36"), ("name", "virtio1-req.0")]);
        check("irq_handler_duration_seconds", &["eth0"], &[("name", "eth0")]);
        check("blockio_latency_seconds", &["266338304", "FWS"], &[("device", "vda"), ("op", "write")]);
        check("blockio_latency_seconds", &["8388624", "FF"], &[("device", "8:16"), ("op", "flush")]);
        check("blockio_latency_seconds", &["1048576", "read"], &[("device", "1:0"), ("op", "read")]);
        check("skb_drops_total", &["104"], &[("reason", "104")]);
        check("tcp_retransmits_total", &["1"], &[("state", "ESTABLISHED")]);
        check("tcp_retransmits_total", &["13"], &[("state", "13")]);
        check("mine_seconds", &["a", "b"], &[("key", "a"), ("key1", "b")]);
    }

    #[test]
    fn both_lists_are_whole() {
        for (table, read, last) in [(X86_64, "0 read", "470 listns"), (AARCH64, "63 read", "470 listns")] {
            assert!(table.lines().any(|line| line == read) && table.lines().any(|line| line == last));
            let numbers: Vec<u32> =
                table.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
