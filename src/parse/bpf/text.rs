//! bpftrace's own text: `@name[key]: value`, and rows of `[1K, 2K)`. A suffix is a power of 1024. It
//! takes nothing that a program printed by itself for a map.

use super::map::{Key, Row, Value};
use crate::parse::text::{decimal, integer};

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// A histogram's rows follow.
    Header {
        map: &'a str,
        keys: Vec<Key>,
    },
    Single {
        map: &'a str,
        keys: Vec<Key>,
        value: Value,
    },
    Row(Row),
    Other,
}

pub(super) fn line(text: &str) -> Line<'_> {
    let text = text.trim_end();
    match text.as_bytes().first() {
        Some(b'@') => map(text).unwrap_or(Line::Other),
        Some(b'[' | b'(') => row(text).map_or(Line::Other, Line::Row),
        _ => Line::Other,
    }
}

fn map(text: &str) -> Option<Line<'_>> {
    let text = text.strip_prefix('@')?;
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (map, rest) = text.split_at(end);
    let (keys, rest) = match rest.strip_prefix('[') {
        None => (Vec::new(), rest.strip_prefix(':')?),
        Some(rest) => {
            let (keys, rest) = rest.split_once("]: ").or_else(|| Some((rest.strip_suffix("]:")?, "")))?;
            (keys.split(',').map(Key::plain).collect(), rest)
        }
    };
    let value = rest.trim();
    if value.is_empty() {
        return Some(Line::Header { map, keys });
    }
    let value = match (decimal(value.as_bytes()), stats(value)) {
        (Some(number), _) => Value::Number(number),
        (None, Some(stats)) => stats,
        (None, None) => Value::Text(value.to_owned()),
    };
    Some(Line::Single { map, keys, value })
}

/// `count 5, average 7, total 35`
fn stats(text: &str) -> Option<Value> {
    let mut parts = text.split(", ");
    let count = integer(parts.next()?.strip_prefix("count ")?.as_bytes())?;
    parts.next()?.strip_prefix("average ")?;
    let total = decimal(parts.next()?.strip_prefix("total ")?.as_bytes())?;
    Some(Value::Stats { count, total })
}

fn row(text: &str) -> Option<Row> {
    let end = text.find([')', ']'])?;
    let (bounds, rest) = (text.get(1..end)?, text.get(end + 1..)?);
    let mut fields = rest.split_ascii_whitespace();
    let count = integer(fields.next()?.as_bytes())?;
    if fields.next().is_some_and(|bar| !bar.starts_with('|')) {
        return None;
    }
    let (lo, hi) = match bounds.split_once(", ") {
        Some(("...", hi)) => (f64::NEG_INFINITY, bound(hi)?),
        Some((lo, "...")) => (bound(lo)?, f64::INFINITY),
        Some((lo, hi)) => (bound(lo)?, bound(hi)?),
        None => (bound(bounds)?, bound(bounds)? + 1.0),
    };
    (lo < hi).then_some(Row { lo, hi, count })
}

fn bound(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let power = match text.get(digits.len()..)? {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    Some(decimal(digits.as_bytes())? * 1024_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let check = |text: &str, lo: f64, hi: f64, count: u64| {
            assert_eq!(line(text), Line::Row(Row { lo, hi, count }), "{text}");
        };
        check("[1K, 2K)            122 |@@@@@@               |", 1024.0, 2048.0, 122);
        check("[512, 1K)             0 |                     |", 512.0, 1024.0, 0);
        check("[0]                   4 |@                    |", 0.0, 1.0, 4);
        check("[1]                   4 |@                    |", 1.0, 2.0, 4);
        check("(..., 0)              3 |@                    |", f64::NEG_INFINITY, 0.0, 3);
        check("[100, ...)            3 |@                    |", 100.0, f64::INFINITY, 3);
        check("[2G, 4G)              1 |", 2_147_483_648.0, 4_294_967_296.0, 1);
        for other in ["[1K, 2K)", "[x, y) 3", "[12:30:00] hello", "[2, 1) 3 |", "(1", "[1Q] 2 |", "[1] 2 3"] {
            assert_eq!(line(other), Line::Other, "{other}");
        }
    }

    #[test]
    fn maps() {
        let keys = |keys: &[&str]| keys.iter().map(|key| Key::plain(key)).collect::<Vec<_>>();
        assert_eq!(line("@us: "), Line::Header { map: "us", keys: vec![] });
        assert_eq!(line("@[3]:"), Line::Header { map: "", keys: keys(&["3"]) });
        assert_eq!(
            line("@us[266338304, WS]: "),
            Line::Header { map: "us", keys: keys(&["266338304", "WS"]) }
        );
        let single = |map, of: &[&str], value| Line::Single { map, keys: keys(of), value };
        assert_eq!(line("@[104]: 2"), single("", &["104"], Value::Number(2.0)));
        assert_eq!(line("@n[36]: virtio1-req.0"), single("n", &["36"], Value::Text("virtio1-req.0".into())));
        assert_eq!(
            line("@s: count 5, average 7, total 35"),
            single("s", &[], Value::Stats { count: 5, total: 35.0 })
        );
        for other in ["@", "@us", "@@@ arch", "@us[3", "Attaching 3 probes..."] {
            assert_eq!(line(other), Line::Other, "{other}");
        }
    }
}
