//! The events of a trace, one after the other.

use std::collections::{BTreeMap, HashMap};

use super::block;
use super::line::{self, Event, Line};
use super::pairs::Pairs;
use crate::parse::log2::Log2;
use crate::parse::sink::Sink;
use crate::parse::text::{excerpt, integer};

/// Distributions of one metric.
const MAX_SERIES: usize = 4_000;

/// Distributions by what they are of.
#[derive(Debug)]
pub(super) struct Tally<K>(pub BTreeMap<K, Log2>);

impl<K: Ord> Tally<K> {
    fn add(&mut self, key: K, took_ns: u64, full: &mut u64) {
        if self.0.len() >= MAX_SERIES && !self.0.contains_key(&key) {
            *full += 1;
        } else {
            self.0.entry(key).or_default().add(took_ns);
        }
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// All that is kept of a trace.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    pub hardirq: Pairs<(u64, u64), &'a [u8]>,
    pub softirq: Pairs<(u64, u64), &'a [u8]>,
    pub raise: Pairs<(u64, u64), ()>,
    pub block: Pairs<((u64, u64), u64), &'static str>,
    pub queue: Pairs<((u64, u64), u64), &'static str>,
    pub reclaim: Pairs<u64, ()>,
    pub memcg: Pairs<u64, ()>,
    pub compaction: Pairs<u64, ()>,
    pub of_irq: Tally<(u64, &'a [u8])>,
    pub of_vector: Tally<&'a [u8]>,
    pub of_raise: Tally<&'a [u8]>,
    pub of_block: Tally<((u64, u64), &'static str)>,
    pub of_queue: Tally<((u64, u64), &'static str)>,
    pub of_reclaim: Tally<()>,
    pub of_memcg: Tally<()>,
    pub of_compaction: Tally<()>,
    /// Names of devices, from the lines of /proc/partitions.
    pub devices: HashMap<(u64, u64), &'a [u8]>,
    /// Durations of series over the limit.
    pub uncounted: u64,
    /// The window, by the trace's own clock: the script's marks, or the first and the last event.
    pub first_ns: Option<u64>,
    pub last_ns: u64,
    /// When all CPUs' events are there.
    covered: (u64, u64),
}

impl<'a> Trace<'a> {
    pub fn new(covered: (u64, u64)) -> Self {
        Self {
            hardirq: Pairs::new("hardirq"),
            softirq: Pairs::new("softirq"),
            raise: Pairs::new("softirq_raise"),
            block: Pairs::new("block"),
            queue: Pairs::new("block_queue"),
            reclaim: Pairs::new("direct_reclaim"),
            memcg: Pairs::new("memcg_reclaim"),
            compaction: Pairs::new("compaction"),
            of_irq: Tally::default(),
            of_vector: Tally::default(),
            of_raise: Tally::default(),
            of_block: Tally::default(),
            of_queue: Tally::default(),
            of_reclaim: Tally::default(),
            of_memcg: Tally::default(),
            of_compaction: Tally::default(),
            devices: HashMap::new(),
            uncounted: 0,
            first_ns: None,
            last_ns: 0,
            covered,
        }
    }

    /// How long all CPUs' events are there.
    pub fn covered_s(&self) -> Option<f64> {
        let (from_ns, to_ns) = (self.first_ns?.max(self.covered.0), self.last_ns.min(self.covered.1));
        Some(to_ns.saturating_sub(from_ns) as f64 / 1e9)
    }

    /// `irq:softirq_entry`: the host was asked for it, so that none of them is a true 0.
    pub fn asked_for(&mut self, event: &[u8]) {
        match event {
            b"irq:irq_handler_entry" => self.hardirq.wanted = true,
            b"irq:softirq_entry" => self.softirq.wanted = true,
            b"irq:softirq_raise" => self.raise.wanted = true,
            b"block:block_rq_issue" => self.block.wanted = true,
            b"block:block_rq_insert" => self.queue.wanted = true,
            b"vmscan:mm_vmscan_direct_reclaim_begin" => self.reclaim.wanted = true,
            b"vmscan:mm_vmscan_memcg_reclaim_begin" => self.memcg.wanted = true,
            b"compaction:mm_compaction_begin" => self.compaction.wanted = true,
            _ => {}
        }
    }

    /// A line of /proc/partitions; its heading is none.
    pub fn device(&mut self, text: &'a [u8]) {
        let mut words = crate::parse::text::fields(text);
        let number = |word: Option<&[u8]>| word.and_then(integer);
        if let (Some(major), Some(minor), Some(_), Some(name)) =
            (number(words.next()), number(words.next()), words.next(), words.next())
        {
            self.devices.insert((major, minor), name);
        }
    }

    /// A line of the trace itself.
    pub fn line(&mut self, number: usize, text: &'a [u8], sink: &mut Sink) {
        match line::read(text) {
            Some(Line::Event(event)) => {
                if self.event(&event).is_none() {
                    sink.fault(|| {
                        format!("line {number}: fields of an event of another form: {}", excerpt(text))
                    });
                }
            }
            Some(Line::Lost { cpu, .. }) => self.gap(cpu),
            Some(Line::Entries { .. } | Line::Nothing) => {}
            None => {
                sink.fault(|| format!("line {number}: expected a line of a trace, found {}", excerpt(text)))
            }
        }
    }

    fn gap(&mut self, cpu: u64) {
        let at_ns = self.last_ns;
        self.hardirq.gap(at_ns, Some(cpu));
        self.softirq.gap(at_ns, Some(cpu));
        self.raise.gap(at_ns, Some(cpu));
        self.block.gap(at_ns, None);
        self.queue.gap(at_ns, None);
        self.reclaim.gap(at_ns, None);
        self.memcg.gap(at_ns, None);
        self.compaction.gap(at_ns, None);
    }

    fn begins(&mut self, at_ns: u64) {
        self.first_ns = Some(at_ns);
        let at_ns = at_ns.max(self.covered.0);
        self.hardirq.starts_at(at_ns);
        self.softirq.starts_at(at_ns);
        self.raise.starts_at(at_ns);
        self.block.starts_at(at_ns);
        self.queue.starts_at(at_ns);
        self.reclaim.starts_at(at_ns);
        self.memcg.starts_at(at_ns);
        self.compaction.starts_at(at_ns);
    }

    /// `None` when the event is one of ours and cannot be read.
    fn event(&mut self, event: &Event<'a>) -> Option<()> {
        if self.first_ns.is_none() {
            self.begins(event.at_ns);
        }
        self.last_ns = self.last_ns.max(event.at_ns);
        match event.name {
            b"irq_handler_entry" | b"irq_handler_exit" | b"softirq_raise" | b"softirq_entry"
            | b"softirq_exit" => self.irq(event),
            // These go from CPU to CPU: they are whole only where every CPU's events are there.
            _ if event.at_ns < self.covered.0 || event.at_ns > self.covered.1 => Some(()),
            b"block_rq_insert" | b"block_rq_issue" | b"block_rq_requeue" | b"block_rq_merge"
            | b"block_rq_complete" => self.block(event),
            _ => {
                self.memory(event);
                Some(())
            }
        }
    }

    fn irq(&mut self, event: &Event<'a>) -> Option<()> {
        let (cpu, at_ns) = (event.cpu, event.at_ns);
        let hard = event.name.starts_with(b"irq_");
        let (number, rest) = numbered(event.fields, if hard { b"irq=" } else { b"vec=" })?;
        let key = (cpu, number);
        let full = &mut self.uncounted;
        match event.name {
            b"irq_handler_entry" => self.hardirq.begin(key, at_ns, cpu, rest.strip_prefix(b"name=")?),
            b"irq_handler_exit" => {
                if let Some((took_ns, name)) = self.hardirq.end(&key, at_ns) {
                    self.of_irq.add((number, name), took_ns, full);
                }
            }
            b"softirq_raise" => self.raise.begin_once(key, at_ns, cpu, ()),
            b"softirq_entry" => {
                let vector = vector(number, rest);
                self.softirq.begin(key, at_ns, cpu, vector);
                // Some are raised without a word: those of a CPU that goes down, of a kernel in real time.
                if let Some((took_ns, ())) = self.raise.end_if_begun(&key, at_ns) {
                    self.of_raise.add(vector, took_ns, full);
                }
            }
            _ => {
                if let Some((took_ns, vector)) = self.softirq.end(&key, at_ns) {
                    self.of_vector.add(vector, took_ns, full);
                }
            }
        }
        Some(())
    }

    fn block(&mut self, event: &Event<'a>) -> Option<()> {
        let request = block::read(event.fields)?;
        let (key, at_ns, op) = ((request.device, request.sector), event.at_ns, request.op);
        let full = &mut self.uncounted;
        match event.name {
            b"block_rq_insert" => self.queue.begin(key, at_ns, event.cpu, op),
            b"block_rq_issue" => {
                // Without a scheduler a request may go to the device at once, without ever being queued.
                if let Some((took_ns, op)) = self.queue.end_if_begun(&key, at_ns) {
                    self.of_queue.add((request.device, op), took_ns, full);
                }
                self.block.begin(key, at_ns, event.cpu, op);
            }
            // The device was full: it was queued after all, and is going to be issued again.
            b"block_rq_requeue" => {
                self.block.forget(&key);
                self.queue.begin_once(key, at_ns, event.cpu, op);
            }
            // It goes on as a part of another one.
            b"block_rq_merge" => self.queue.forget(&key),
            _ => {
                // A write that asked for a flush ends once more, empty, when that is done; it was never
                // issued like that.
                let ended = match request.empty {
                    true => self.block.end_if_begun(&key, at_ns),
                    false => self.block.end(&key, at_ns),
                };
                if let Some((took_ns, op)) = ended {
                    self.of_block.add((request.device, op), took_ns, full);
                }
            }
        }
        Some(())
    }

    fn memory(&mut self, event: &Event<'a>) {
        let (pid, cpu, at_ns) = (event.pid, event.cpu, event.at_ns);
        let full = &mut self.uncounted;
        match event.name {
            b"mm_vmscan_direct_reclaim_begin" => self.reclaim.begin(pid, at_ns, cpu, ()),
            b"mm_vmscan_direct_reclaim_end" => {
                if let Some((took_ns, ())) = self.reclaim.end(&pid, at_ns) {
                    self.of_reclaim.add((), took_ns, full);
                }
            }
            b"mm_vmscan_memcg_reclaim_begin" => self.memcg.begin(pid, at_ns, cpu, ()),
            b"mm_vmscan_memcg_reclaim_end" => {
                if let Some((took_ns, ())) = self.memcg.end(&pid, at_ns) {
                    self.of_memcg.add((), took_ns, full);
                }
            }
            // In the background, where nobody waits for it.
            b"mm_compaction_begin" | b"mm_compaction_end" if event.comm.starts_with(b"kcompactd") => {}
            b"mm_compaction_begin" => self.compaction.begin(pid, at_ns, cpu, ()),
            b"mm_compaction_end" => {
                if let Some((took_ns, ())) = self.compaction.end(&pid, at_ns) {
                    self.of_compaction.add((), took_ns, full);
                }
            }
            _ => {}
        }
    }
}

/// `irq=36 name=virtio1-req.0` → 36 and what follows.
fn numbered<'a>(fields: &'a [u8], key: &[u8]) -> Option<(u64, &'a [u8])> {
    let rest = fields.strip_prefix(key)?;
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    Some((integer(digits)?, rest.trim_ascii_start()))
}

/// The names of the vectors by number: `[action=RCU]` says the same, where it is there.
fn vector(number: u64, rest: &[u8]) -> &[u8] {
    const NAMES: [&[u8]; 10] = [
        b"HI",
        b"TIMER",
        b"NET_TX",
        b"NET_RX",
        b"BLOCK",
        b"IRQ_POLL",
        b"TASKLET",
        b"SCHED",
        b"HRTIMER",
        b"RCU",
    ];
    let named = rest.strip_prefix(b"[action=").and_then(|rest| rest.strip_suffix(b"]"));
    let known = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    named.or(known.copied()).unwrap_or(b"other")
}
