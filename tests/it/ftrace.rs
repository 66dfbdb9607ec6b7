//! Traces against a second reading of them in the plainest way, and against damage.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::model::{Parsed, Probe};
use dropsonde::parse::{Context, parse};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::patience::cpu_time_of;

fn probe(name: &str) -> Probe {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    Probe::clone(library.get(name).expect("a shipped probe"))
}

fn output(case: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    std::fs::read(root.join(case).join("output")).unwrap()
}

fn read(case: &str) -> (String, Parsed) {
    let raw = output(case);
    let parsed = parse(&probe(case.split('/').next().unwrap()), &raw, &Context::default());
    (String::from_utf8(raw).unwrap(), parsed)
}

/// Count, sum and longest of what lies between lines with `begin` and lines with `end`, in microseconds,
/// by `key` of a line's words; the words begin with the CPU.
fn between(text: &str, (begin, end): (&str, &str), key: impl Fn(&str, &[&str]) -> String) -> (u64, u64, u64) {
    let mut began: HashMap<String, u64> = HashMap::new();
    let (mut count, mut sum_us, mut max_us) = (0, 0, 0);
    for line in text.lines() {
        let Some((task, rest)) = line.split_once(" [") else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| word.strip_suffix(':').is_some_and(|w| w.contains('.')))
        else {
            continue;
        };
        let at_us: u64 = words[at].replace(['.', ':'], "").parse().unwrap();
        let event = words[at + 1].trim_end_matches(':');
        let key = key(task, &[&words[..1], &words[at + 2..]].concat());
        if event == begin {
            began.insert(key, at_us);
        } else if event == end
            && let Some(since_us) = began.remove(&key)
        {
            count += 1;
            sum_us += at_us - since_us;
            max_us = max_us.max(at_us - since_us);
        }
    }
    (count, sum_us, max_us)
}

/// The same of all distributions of a metric together; each one's buckets must hold its longest.
fn of(parsed: &Parsed, metric: &str) -> (u64, u64, u64) {
    let us = |seconds: Option<f64>| (seconds.unwrap() * 1e6).round() as u64;
    let histograms = parsed.histograms.iter().filter(|histogram| histogram.metric == metric);
    histograms.fold((0, 0, 0), |(count, sum_us, max_us), histogram| {
        let (last, longest) = (histogram.buckets.last().unwrap(), histogram.max.unwrap());
        assert!(last.count > 0 && last.lo <= longest && longest < last.hi, "{histogram:?}");
        (count + histogram.count, sum_us + us(histogram.sum), max_us.max(us(histogram.max)))
    })
}

#[test]
fn sums_counts_and_longest_are_those_of_a_plain_reading() {
    let pid = |task: &str, _: &[&str]| task.trim().rsplit('-').next().unwrap().to_owned();
    let vector = |_: &str, words: &[&str]| format!("{} {}", words[0], words[1]);
    // Device and sector; the command in brackets is empty in all of these.
    let sector = |_: &str, words: &[&str]| {
        let at = words.iter().position(|word| *word == "+");
        let sector = at.map_or("", |at| words[at - 1]);
        format!("{} {}", words[1], if sector == "18446744073709551615" { "0" } else { sector })
    };
    let check = |case: &str, metric: &str, least: u64, expected: fn(&str, &Keys<'_>) -> (u64, u64, u64)| {
        let (text, parsed) = read(case);
        let expected = expected(&text, &Keys { pid: &pid, vector: &vector, sector: &sector });
        assert_eq!(of(&parsed, metric), expected, "{case}: {metric}");
        assert!(expected.0 >= least, "{case}: {metric} has only {}", expected.0);
    };
    let softirq = |text: &str, keys: &Keys<'_>| between(text, ("softirq_entry", "softirq_exit"), keys.vector);
    let hardirq =
        |text: &str, keys: &Keys<'_>| between(text, ("irq_handler_entry", "irq_handler_exit"), keys.vector);
    let block =
        |text: &str, keys: &Keys<'_>| between(text, ("block_rq_issue", "block_rq_complete"), keys.sector);
    let queue =
        |text: &str, keys: &Keys<'_>| between(text, ("block_rq_insert", "block_rq_issue"), keys.sector);
    let memcg = |text: &str, keys: &Keys<'_>| {
        between(text, ("mm_vmscan_memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_end"), keys.pid)
    };
    check("irq_softirq_latency/vm_6_18_sample", "softirq_duration_seconds", 6, softirq);
    check("irq_softirq_latency/vm_6_18_fio", "softirq_duration_seconds", 100, softirq);
    check("irq_softirq_latency/vm_6_18_fio", "irq_handler_duration_seconds", 90, hardirq);
    check("block_rq_latency/vm_6_18_sample", "blockio_latency_seconds", 2, block);
    check("block_rq_latency/vm_6_18_fio", "blockio_latency_seconds", 200, block);
    check("block_rq_latency/vm_6_18_fio", "blockio_queue_latency_seconds", 200, queue);
    check("direct_reclaim_latency/vm_6_18_memcg", "memcg_reclaim_latency_seconds", 300, memcg);
}

type Key<'a> = &'a dyn Fn(&str, &[&str]) -> String;

struct Keys<'a> {
    pid: Key<'a>,
    vector: Key<'a>,
    sector: Key<'a>,
}

fn check(raw: &[u8]) {
    let parsed = parse(&probe("block_rq_latency"), raw, &Context::default());
    assert!(parsed.faults.len() <= 52, "{}", parsed.faults.len());
    assert!(
        parsed
            .faults
            .iter()
            .all(|fault| fault.0.len() < 2_000 && !fault.0.contains(|c: char| c.is_control()))
    );
    for sample in &parsed.samples {
        assert!(sample.value.is_finite() && sample.value >= 0.0, "{sample:?}");
    }
    for histogram in &parsed.histograms {
        assert_eq!(histogram.count, histogram.buckets.iter().map(|bucket| bucket.count).sum::<u64>());
        assert!(histogram.sum.unwrap() + 1e-9 >= histogram.max.unwrap(), "{histogram:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_read_without_harm(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check(&raw);
    }

    #[test]
    fn damaged_traces_are_read_without_harm(
        seed in 0_usize..6,
        changes in proptest::collection::vec((any::<Index>(), any::<u8>(), 0_usize..12), 1..20),
    ) {
        let cases = [
            "irq_softirq_latency/old_4_19", "irq_softirq_latency/vm_6_18_lost", "irq_softirq_latency/vm_6_18_fio",
            "block_rq_latency/old_5_4", "block_rq_latency/vm_6_18_sample", "direct_reclaim_latency/old_4_19",
        ];
        let words: [&[u8]; 12] = [
            b"", b"\n", b" ", b"-", b"[", b"18446744073709551616", b"99999999999.999999999:", b"@@@ stats\n",
            b"CPU:1 [LOST 18446744073709551615 EVENTS]\n", b"# entries-in-buffer/entries-written: 1/18446744073709551615",
            b"per_cpu/cpu1/stats:dropped events: 18446744073709551615\n", b"\xff\x1b[31m",
        ];
        let mut raw = output(cases[seed]);
        for (place, byte, word) in changes {
            let at = place.index(raw.len());
            match word {
                0 => raw[at] = byte,
                word => { raw.splice(at..(at + usize::from(byte) / 8).min(raw.len()), words[word].iter().copied()); }
            }
        }
        check(&raw);
    }
}

/// What is most work: a million things that wait, as many series, and lines without an end.
#[test]
fn large_traces_take_time_in_proportion() {
    let many = |line: &dyn Fn(usize) -> String| (0..60_000).map(line).collect::<String>();
    let inputs = [
        many(&|n| format!("a-{n} [000] d.h.. 1.{n:06}: block_rq_issue: 8,0 W 8 () {n} + 8 [a]\n")),
        many(&|n| {
            format!(
                "a-{n} [{n}] d.h.. 1.{n:06}: irq_handler_entry: irq={n} name=d{n}\na-{n} [{n}] d.h.. 2.{n:06}: irq_handler_exit: irq={n} ret=handled\n"
            )
        }),
        many(&|n| {
            format!("CPU:{n} [LOST 1 EVENTS]\na-1 [{n}] d.h.. 1.{n:06}: softirq_raise: vec=1 [action=x]\n")
        }),
        many(&|n| format!("per_cpu/cpu{n}/stats:overrun: 1\na-1 [{n}] d.h.. 1.{n:06}: e: x\n")),
        format!("@@@ partitions\n{}", many(&|n| format!("{n} {n} 1 d{n}\n"))),
        "-".repeat(3 << 20),
        "a-1 [".repeat(500_000),
        "\n".repeat(3 << 20),
    ];
    for input in &inputs {
        let took = cpu_time_of(|| check(input.as_bytes()));
        assert!(took < Duration::from_secs(10), "{took:?}: {}", &input[..60]);
    }
}
