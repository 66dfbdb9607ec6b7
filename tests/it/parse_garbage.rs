//! Whatever a host sends, parsing it ends, soon, with finite numbers and a bounded answer.

use std::path::Path;
use std::time::Duration;

use dropsonde::config::{Library, parse_probe};
use dropsonde::model::{Format, Parsed, Probe};
use dropsonde::parse::{Context, parse};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::patience::cpu_time_of;
use crate::support::program::files_below;

/// A probe of each format; those of users have an entry to match.
fn probes() -> Vec<Probe> {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let users = ["openmetrics", "keyvalue", "json", "csv", "text"].map(|format| {
        let toml = format!(
            "name = \"user\"\nsummary = \"a\"\nscript = \":\"\nformat = \"{format}\"\n\
             [[metric]]\nname = \"a\"\nkind = \"gauge\"\n\
             [[metric]]\nname = \"b_total\"\nkind = \"counter\"\nsource = \"/*/b\"\n"
        );
        parse_probe("user", "test", &toml).unwrap_or_else(|faults| panic!("{faults}"))
    });
    let mut probes = users.to_vec();
    for (_, format) in Format::ALL {
        if probes.iter().all(|probe| probe.format != format) {
            let shipped =
                library.probes.values().map(|shelved| &shelved.probe).find(|probe| probe.format == format);
            probes.push(Probe::clone(shipped.unwrap_or_else(|| panic!("no probe reads {format:?}"))));
        }
    }
    assert_eq!(probes.len(), Format::ALL.len());
    probes
}

/// Every output of the corpus that is not too long to be damaged many times.
fn seeds() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let outputs = files_below(&root).into_iter().filter(|path| path.ends_with("output"));
    let files: Vec<Vec<u8>> =
        outputs.map(|path| std::fs::read(path).unwrap()).filter(|raw| raw.len() < 64 << 10).collect();
    assert!(files.len() >= 30, "{}", files.len());
    let users: [&[u8]; 4] = [
        b"# TYPE a histogram\na_bucket{x=\"1\",le=\"0.5\"} 3\na_bucket{x=\"1\",le=\"+Inf\"} 4\na_sum 1 2\na_count 4\n# EOF\n",
        b"a=1\nb_total: 2\n# c\na 3\n",
        b"{\"a\": 1.5, \"x\": {\"b\": [1, {\"b\": \"2\"}], \"c\": null}, \"y\": {\"b\": true}}",
        b"a,/*/b,name\n1,2,\"x\"\"y\"\n,,z\n",
    ];
    files.into_iter().chain(users.map(<[u8]>::to_vec)).collect()
}

fn check(parsed: &Parsed, raw: &[u8]) {
    assert!(parsed.samples.iter().all(|sample| sample.value.is_finite()));
    assert!(parsed.totals.iter().all(|total| total.value.is_finite()));
    assert!(parsed.samples.len() + parsed.totals.len() + parsed.histograms.len() <= 20_000);
    assert!(parsed.faults.len() <= 52, "{}", parsed.faults.len());
    for fault in &parsed.faults {
        assert!(
            fault.0.len() < 2_000 && !fault.0.contains(|c: char| c.is_control()),
            "{fault:?} from {raw:?}"
        );
    }
}

fn check_all(raw: &[u8]) {
    for probe in probes() {
        for cursor in [None, Some("00000000-0000-4000-8000-000000000001 1822.118230 2000.00")] {
            check(&parse(&probe, raw, &Context { clock: None, cursor }), raw);
        }
    }
}

/// What a mutation does at a place.
#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    Insert(Vec<u8>),
    Remove(u8),
    Cut,
}

fn changes() -> impl Strategy<Value = Vec<(Index, Change)>> {
    let words = [
        "\n",
        " ",
        "@@@ snapshot\n",
        "@@@ blocked threads\n",
        "18446744073709551615",
        "-1",
        "nan",
        ":",
        "\"",
        "{",
        "\0",
    ];
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Set),
        proptest::sample::select(words.to_vec()).prop_map(|word| Change::Insert(word.as_bytes().to_vec())),
        any::<u8>().prop_map(Change::Remove),
        Just(Change::Cut),
    ];
    proptest::collection::vec((any::<Index>(), change), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn garbage(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check_all(&raw);
    }

    #[test]
    fn real_outputs_with_damage(seed in any::<Index>(), changes in changes()) {
        let seeds = seeds();
        let mut raw = seed.get(&seeds).clone();
        for (place, change) in changes {
            let at = place.index(raw.len() + 1);
            match change {
                Change::Set(byte) => if let Some(slot) = raw.get_mut(at) { *slot = byte },
                Change::Insert(word) => { raw.splice(at..at, word); }
                Change::Remove(count) => { raw.drain(at..(at + usize::from(count)).min(raw.len())); }
                Change::Cut => if at > raw.len() / 2 { raw.truncate(at) },
            }
        }
        check_all(&raw);
    }
}

/// Half a megabyte of what is most work for each parser. Quadratic code would take minutes.
#[test]
fn large_outputs_take_time_in_proportion() {
    const BYTES: usize = 512 << 10;
    let numbered = |line: &dyn Fn(usize) -> String| -> Vec<u8> {
        let mut raw = String::with_capacity(BYTES + 200);
        for number in 0.. {
            if raw.len() > BYTES {
                break;
            }
            raw.push_str(&line(number));
        }
        raw.into_bytes()
    };
    let two_snapshots = |line: &dyn Fn(usize) -> String| {
        let half = numbered(line);
        [b"@@@ snapshot\nuptime:1.00 1\n", half.as_slice(), b"@@@ snapshot\nuptime:3.00 1\n", &half].concat()
    };
    let inputs = [
        two_snapshots(&|n| format!("diskstats:8 0 d{n} 1 1 1 1 1 1 1 1 1 1 1\n")),
        two_snapshots(&|n| format!("stat:cpu{n} 1 1 1 1\n")),
        two_snapshots(&|n| format!("vmstat:allocstall_{n} 1\n")),
        two_snapshots(&|n| format!("{n}/task/{n}/schedstat:1 1 1\n")),
        two_snapshots(&|n| format!("/sys/fs/cgroup/g{n}/cpu.stat:nr_periods 9\n")),
        two_snapshots(&|n| {
            if n == 0 { "interrupts: CPU0\n".into() } else { format!("interrupts:{n}: 1 a b dev{n}\n") }
        }),
        two_snapshots(&|n| format!("net/snmp:Tcp: F{n}\n")),
        numbered(&|n| format!("# TYPE m{n} histogram\nm{n}_bucket{{le=\"1\"}} 1\nm{n}_count 1\n")),
        numbered(&|n| format!("a{{x=\"{n}\"}} 1\n")),
        numbered(&|n| format!("a,l\n{n},x\n")),
        numbered(&|n| if n == 0 { "{\"x\":[".into() } else { "{\"b\":1},".into() }),
        numbered(&|n| {
            if n == 0 { "{\"type\":\"map\",\"data\":{\"@\":{".into() } else { format!("\"{n}\":1,") }
        }),
        numbered(&|n| format!("@us[{n}]: \n[1K, 2K) 3 |@|\n")),
        numbered(&|n| format!("disk = d{n}\n usecs : count distribution\n 0 -> 1 : 3 |*|\n")),
        numbered(&|_| "Index IRQ-000 IRQ-000 IRQ-000 IRQ-000\n1 1 1 1 1\n".into()),
        numbered(&|n| if n == 0 { "# Histogram\n".into() } else { format!("{n} 1 1 1 1 1 1\n") }),
        numbered(&|n| if n == 0 { "Time Syscall\n".into() } else { format!("7.5us s{n}\n") }),
        numbered(&|n| format!("{{\"data\":[[\"s{n}\",1]]}}\n")),
        numbered(&|n| format!("@@@ smartctl /dev/d{n}\n{{\"smartctl\":{{\"exit_status\":0}}}}\n")),
        numbered(&|n| format!("[ {n}.000000] task x blocked for more than I/O error\n")),
        vec![b'x'; BYTES],
        vec![b'\n'; BYTES],
        vec![b'"'; BYTES],
        vec![b'{'; BYTES],
    ];
    for raw in &inputs {
        for probe in probes() {
            let took = cpu_time_of(|| check(&parse(&probe, raw, &Context::default()), b""));
            assert!(
                took < Duration::from_secs(5),
                "{took:?}: {:?} {:?}",
                probe.format,
                String::from_utf8_lossy(&raw[..60])
            );
        }
    }
}
