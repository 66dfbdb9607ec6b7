//! Whatever perf's output is made into, reading it ends soon, with finite numbers; and a flame graph of
//! it is still an SVG.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::model::{Parsed, Probe};
use dropsonde::parse::{Context, parse, stacks};
use dropsonde::render::{Caption, Widths, flame, flame_diff};
use proptest::prelude::*;
use proptest::sample::Index;

use super::svg::assert_well_formed;
use crate::support::patience::cpu_time_of;

const PROBES: [&str; 5] = ["cpu_profile", "kwork", "perf_counters", "runqueue_latency", "syscall_latency"];

fn probes() -> Vec<Arc<Probe>> {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    PROBES.map(|name| Arc::clone(library.get(name).unwrap())).to_vec()
}

fn seeds() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folders = PROBES.iter().flat_map(|probe| std::fs::read_dir(corpus.join(probe)).unwrap());
    let mut files: Vec<_> = folders.map(|folder| folder.unwrap().path().join("output")).collect();
    files.sort();
    // The beginnings hold every kind of line.
    let start = |path| {
        let mut raw = std::fs::read(path).unwrap();
        raw.truncate(12_000);
        raw
    };
    files.into_iter().map(start).collect()
}

fn check(parsed: &Parsed) {
    assert!(parsed.samples.iter().all(|sample| sample.value.is_finite() && sample.value >= 0.0));
    for histogram in &parsed.histograms {
        assert_eq!(histogram.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), histogram.count);
    }
    assert!(parsed.samples.len() <= 20_000 && parsed.faults.len() <= 52);
    for fault in &parsed.faults {
        assert!(fault.0.len() < 2_000 && !fault.0.contains(|c: char| c.is_control()), "{fault:?}");
    }
}

fn check_all(raw: &[u8]) {
    for probe in probes() {
        check(&parse(&probe, raw, &Context::default()));
    }
    let counts = stacks(raw).counts;
    let caption = Caption { title: "<a> & ]]>", subtitle: "\u{1}" };
    if !counts.is_empty() {
        assert_well_formed(&flame(caption, &counts).unwrap());
        let half = counts.iter().step_by(2).map(|(stack, count)| (stack.clone(), *count)).collect();
        assert_well_formed(&flame_diff(caption, &counts, &half, Widths::Ours).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check_all(&raw);
    }

    #[test]
    fn real_outputs_with_damage(
        seed in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), 0usize..14, any::<u8>()), 1..30),
    ) {
        let words = ["\n", " ", "|", "[", "]", ";", "99999999999999999999", "-1", "nan", "\0", "%", "\u{202e}"];
        let mut raw = seed.get(&seeds()).clone();
        for (place, kind, byte) in changes {
            let at = place.index(raw.len() + 1);
            match words.get(kind) {
                Some(word) => { raw.splice(at..at, word.bytes()); }
                None if kind == 12 => { raw.drain(at..(at + usize::from(byte)).min(raw.len())); }
                None => if let Some(slot) = raw.get_mut(at) { *slot = byte },
            }
        }
        check_all(&raw);
    }
}

/// A megabyte of what is most work for each parser. Quadratic code would take minutes.
#[test]
fn large_outputs_take_time_in_proportion() {
    let numbered = |head: &str, line: &dyn Fn(usize) -> String| -> Vec<u8> {
        let mut raw = head.to_owned();
        (0..)
            .map(line)
            .take_while(|line| {
                raw.push_str(line);
                raw.len() < 1 << 20
            })
            .for_each(drop);
        raw.into_bytes()
    };
    let sched = "Task | Runtime ms | Switches | Avg delay ms |\n";
    let inputs = [
        numbered(sched, &|n| {
            format!("t{n}:1 | 1.0 ms | 1 | avg: 1.0 ms | max: 1.0 ms | max start: 1 s | max end: 1 s\n")
        }),
        numbered("time cpu task name wait time sch delay run time state\n", &|n| {
            format!("1.0 [0] a[[[[[[{n}] 1.0 1.0 1.0 R\n")
        }),
        numbered("Kwork Name | Cpu | Avg delay |\n", &|n| {
            format!("(w)w{n} | 0 | 1.0 ms | 1 | 1.0 ms | 1 s | 1 s |\n")
        }),
        numbered("", &|n| format!("a{n} (1), 1 events, 1.0%\n--- \n c{n} 1 0 1.0 1.0 1.0 1.0 1.0%\n")),
        numbered("", &|n| format!("{n},,e{n},1,100.00,,\n")),
        numbered("", &|n| format!("a{n} 1 [0] 1.0: e: \n\t1 f{n} (/x)\n\n")),
        numbered("a 1 [0] 1.0: e: \n", &|n| format!("\t1 f{n} (/x)\n")),
        numbered("", &|_| "1 ".to_owned()),
        vec![b'|'; 60_000],
        vec![b','; 60_000],
        vec![b'/'; 60_000],
        vec![b'['; 60_000],
    ];
    for raw in &inputs {
        let took = cpu_time_of(|| {
            for probe in probes() {
                check(&parse(&probe, raw, &Context::default()));
            }
        });
        assert!(took < Duration::from_secs(10), "{took:?}: {:?}", String::from_utf8_lossy(&raw[..60]));
    }
}
