//! `host_context`: what a host is, as `key value` lines that become its labels for `explain`.
//!
//! It makes no numbers, and it takes no line whose key another program would have to quote.

use super::sink::Sink;
use super::text::{excerpt, utf8_lines};

const MAX_FACTS: usize = 256;
const MAX_KEY_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 256;

pub(super) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut facts = 0;
    for (number, line) in utf8_lines(raw, sink) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim();
        if !is_key(key) {
            sink.fault(|| {
                format!(
                    "line {number}: expected a key of at most {MAX_KEY_BYTES} of a-z 0-9 _ . and a blank, found {}",
                    excerpt(line.as_bytes())
                )
            });
        } else if value.is_empty() {
            sink.fault(|| format!("line {number}: expected a value behind {key}, found none"));
        } else if value.len() > MAX_VALUE_BYTES {
            let length = value.len();
            sink.fault(|| {
                format!("line {number}: {key} is {length} bytes long, expected at most {MAX_VALUE_BYTES}")
            });
        } else if facts == MAX_FACTS {
            sink.fault(|| format!("line {number}: expected at most {MAX_FACTS} facts: {key} is left out"));
        } else {
            facts += 1;
            sink.fact(key, value);
        }
    }
}

fn is_key(key: &str) -> bool {
    key.len() <= MAX_KEY_BYTES
        && key.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_taken_and_the_rest_is_named() {
        let mut sink = Sink::default();
        let long = format!("long {}\n", "x".repeat(MAX_VALUE_BYTES + 1));
        let raw =
            format!("kernel 6.8.0-52-generic\ncpu_model Some CPU @ 3.00GHz\nBad 1\nempty\n{long}nic\t1\n");
        parse(raw.as_bytes(), &mut sink);
        let parsed = sink.finish();
        let facts: Vec<_> = parsed.facts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(facts, [("cpu_model", "Some CPU @ 3.00GHz"), ("kernel", "6.8.0-52-generic")]);
        let lines: Vec<_> = parsed.faults.iter().map(|fault| &fault.0[..7]).collect();
        assert_eq!(lines, ["line 3:", "line 4:", "line 5:", "line 6:"]);
    }

    #[test]
    fn a_flood_of_facts_is_cut() {
        let raw: String = (0..MAX_FACTS + 9).map(|i| format!("f{i} x\n")).collect();
        let mut sink = Sink::default();
        parse(raw.as_bytes(), &mut sink);
        let parsed = sink.finish();
        assert_eq!((parsed.facts.len(), parsed.faults.len()), (MAX_FACTS, 9));
    }
}
