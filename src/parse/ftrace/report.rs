//! From a trace to a reading's numbers, and what it lacks in words.

use std::borrow::Cow;
use std::hash::Hash;

use super::line::{self, Line};
use super::losses::Losses;
use super::pairs::Pairs;
use super::read::{Tally, Trace};
use crate::model::LabelPairs;
use crate::parse::sink::Sink;
use crate::parse::text::lossy;

/// No event is longer.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// What a stretch of the output is; a saved trace without the script's headings is all trace.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Events,
    Partitions,
    Stats,
    Trace,
}

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let losses = losses(raw);
    let mut trace = Trace::new(losses.covered(lines(raw)));
    let mut part = Part::Trace;
    for (index, text) in lines(raw).enumerate() {
        match text {
            b"@@@ events" => part = Part::Events,
            b"@@@ partitions" => part = Part::Partitions,
            b"@@@ stats" => part = Part::Stats,
            b"@@@ trace" => part = Part::Trace,
            _ if text.len() > MAX_LINE_BYTES => sink.fault(|| {
                format!("line {}: {} bytes long, expected at most {MAX_LINE_BYTES}", index + 1, text.len())
            }),
            _ => match part {
                Part::Events => trace.asked_for(text),
                Part::Partitions => trace.device(text),
                Part::Stats => {}
                Part::Trace if is_stats(text) => {}
                Part::Trace => trace.line(index + 1, text, sink),
            },
        }
    }
    report(&trace, &losses, sink);
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = raw.strip_suffix(b"\n").unwrap_or(raw);
    body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// What grep prints of `per_cpu/cpu0/stats`, wherever it stands.
fn is_stats(text: &[u8]) -> bool {
    let path = text.split(|byte| *byte == b':').next().unwrap_or_default();
    path.ends_with(b"/stats") && path.windows(4).any(|window| window == b"/cpu")
}

/// A look at everything but the events: what is lost is told before them or behind them.
fn losses(raw: &[u8]) -> Losses {
    let mut losses = Losses::default();
    for text in lines(raw) {
        match text.first() {
            Some(b'#') => {
                if let Some(Line::Entries { kept, written }) = line::read(text) {
                    losses.entries(kept, written);
                }
            }
            Some(b'C') => {
                if let Some(Line::Lost { events, .. }) = line::read(text) {
                    losses.mark(events);
                }
            }
            Some(b'p' | b'/') if is_stats(text) => {
                losses.stats(text);
            }
            _ => {}
        }
    }
    losses
}

fn report(trace: &Trace<'_>, losses: &Losses, sink: &mut Sink) {
    let number = |key: &'static str, value: u64| (Cow::Borrowed(key), value.to_string());
    let text = |key: &'static str, value: &[u8]| (Cow::Borrowed(key), lossy(value));
    let vector = |vector: &&[u8]| vec![text("vector", vector)];
    let place = |(device, op): &((u64, u64), &'static str)| {
        let name = trace.devices.get(device).map(|name| lossy(name));
        let name = name.unwrap_or_else(|| format!("{}:{}", device.0, device.1));
        vec![(Cow::Borrowed("device"), name), (Cow::Borrowed("op"), (*op).to_owned())]
    };
    tell(sink, "irq_handler_duration_seconds", &trace.of_irq, |(irq, name)| {
        vec![number("irq", *irq), text("name", name)]
    });
    tell(sink, "softirq_duration_seconds", &trace.of_vector, vector);
    tell(sink, "softirq_raise_latency_seconds", &trace.of_raise, vector);
    tell(sink, "blockio_latency_seconds", &trace.of_block, place);
    tell(sink, "blockio_queue_latency_seconds", &trace.of_queue, place);
    tell(sink, "direct_reclaim_latency_seconds", &trace.of_reclaim, |()| vec![]);
    tell(sink, "memcg_reclaim_latency_seconds", &trace.of_memcg, |()| vec![]);
    tell(sink, "compaction_latency_seconds", &trace.of_compaction, |()| vec![]);
    let last_ns = (losses.count() == 0).then_some(trace.last_ns);
    count(sink, &trace.hardirq, None);
    count(sink, &trace.softirq, None);
    count(sink, &trace.raise, None);
    count(sink, &trace.block, last_ns);
    // A request whose place changed while it was queued waits here for ever.
    count(sink, &trace.queue, None);
    count(sink, &trace.reclaim, last_ns);
    count(sink, &trace.memcg, last_ns);
    count(sink, &trace.compaction, last_ns);
    if let Some(covered_s) = trace.covered_s() {
        sink.gauge("trace_covered_seconds", vec![], covered_s);
    }
    if losses.known {
        sink.gauge("trace_events_lost", vec![], losses.count() as f64);
    }
    if losses.count() > 0 {
        sink.fault(|| format!("{} events were lost: the distributions are incomplete", losses.count()));
    }
    if trace.uncounted > 0 {
        sink.fault(|| format!("{} durations of more series than are kept were left out", trace.uncounted));
    }
}

fn tell<K>(sink: &mut Sink, metric: &'static str, tally: &Tally<K>, labels: impl Fn(&K) -> LabelPairs) {
    for (key, durations) in &tally.0 {
        if let Some(histogram) = durations.histogram(metric, labels(key)) {
            sink.histogram(histogram);
        }
    }
}

/// How many there were and how many had no partner. Where ends may be far from their begins, also how
/// long the oldest waits that has not ended by `last_ns`: it is in no distribution.
fn count<K: Eq + Hash, V: Copy>(sink: &mut Sink, pairs: &Pairs<K, V>, last_ns: Option<u64>) {
    if !pairs.wanted {
        return;
    }
    let label = || vec![(Cow::Borrowed("pair"), pairs.kind.to_owned())];
    sink.gauge("trace_pairs", label(), pairs.whole as f64);
    sink.gauge("trace_pairs_unmatched", label(), pairs.unmatched as f64);
    if let (Some(last_ns), Some(oldest_ns)) = (last_ns, pairs.oldest_open_ns()) {
        sink.gauge("trace_open_seconds", label(), last_ns.saturating_sub(oldest_ns) as f64 / 1e9);
    }
    let Pairs { kind, whole, unmatched, dropped, .. } = pairs;
    let voided = pairs.voided();
    if *unmatched > 0 {
        sink.fault(|| format!("{kind}: {unmatched} begins or ends had no partner, beside {whole} pairs"));
    }
    if voided > 0 {
        sink.fault(|| format!("{kind}: {voided} begins were given up where events were lost"));
    }
    if *dropped > 0 {
        sink.fault(|| format!("{kind}: {dropped} begins were left out, too many waited for their ends"));
    }
}
