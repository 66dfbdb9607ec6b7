//! The tables of bcc and libbpf-tools: `1024 -> 2047 : n`, a unit above, `disk = sda` above that; and
//! the totals of hardirqs, softirqs and syscount. Bounds are whole and within the bucket.

use super::map::{Key, Row};
use crate::parse::text::{decimal, integer};

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// `hardirq = virtio1-req.0`: whose histogram comes next.
    Key(Key),
    /// `usecs : count distribution`, the unit given.
    Header(&'a str),
    Row(Row),
    /// `SYSCALL COUNT TIME (us)`, lower-cased words.
    Columns(Vec<String>),
    Other,
}

pub(super) fn line(text: &str) -> Line<'_> {
    if let Some(row) = row(text) {
        return Line::Row(row);
    }
    if let Some((unit, rest)) = text.split_once(':')
        && rest.split_ascii_whitespace().eq(["count", "distribution"])
    {
        return Line::Header(unit.trim());
    }
    if let Some((name, value)) = text.split_once(" = ") {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ';
        if !name.trim().is_empty() && name.len() <= 40 && name.chars().all(plain) {
            let name = name.trim().to_ascii_lowercase().replace(' ', "_");
            return Line::Key(Key { name: Some(name), text: unquoted(value.trim()).to_owned() });
        }
    }
    match columns(text) {
        Some(columns) => Line::Columns(columns),
        None => Line::Other,
    }
}

fn row(text: &str) -> Option<Row> {
    let (lo, rest) = text.split_once("->")?;
    let (hi, rest) = rest.split_once(':')?;
    let number = |text: &str| integer(text.trim().as_bytes());
    let (lo, hi) = (number(lo)?, number(hi)?);
    let count = number(rest.split('|').next()?)?;
    (lo <= hi).then_some(Row { lo: lo as f64, hi: hi as f64 + 1.0, count })
}

/// Python's bcc prints bytes as it has them: `b'sda'`.
fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('b').unwrap_or(text);
    let inner = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
    inner.unwrap_or(text)
}

fn columns(text: &str) -> Option<Vec<String>> {
    const FIRST: [&str; 3] = ["SYSCALL", "HARDIRQ", "SOFTIRQ"];
    let mut words = text.split_ascii_whitespace();
    let first = words.next().filter(|first| FIRST.contains(first))?;
    let mut columns = vec![first.to_ascii_lowercase()];
    for word in words {
        match word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) {
            Some(unit) => {
                let column = columns.last_mut()?;
                column.push('_');
                column.push_str(unit);
            }
            None => columns.push(word.to_ascii_lowercase()),
        }
    }
    (columns.len() > 1).then_some(columns)
}

/// A row of a table: what it is of, and a number for each further column.
pub(super) fn cells(text: &str, columns: usize) -> Option<(String, Vec<f64>)> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let split = words.len().checked_sub(columns.checked_sub(1)?).filter(|split| *split > 0)?;
    let (name, numbers) = words.split_at(split);
    let numbers = numbers.iter().map(|word| decimal(word.as_bytes())).collect::<Option<Vec<_>>>()?;
    Some((unquoted(&name.join(" ")).to_owned(), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_what_stands_above_them() {
        let row = |lo, hi, count| Line::Row(Row { lo, hi, count });
        assert_eq!(line("         0 -> 1          : 72757    |****    |"), row(0.0, 2.0, 72757));
        assert_eq!(line("131072 -> 262143     : 7        |"), row(131_072.0, 262_144.0, 7));
        assert_eq!(line("     usecs               : count    distribution"), Line::Header("usecs"));
        let key = |name: &str, text: &str| Line::Key(Key { name: Some(name.into()), text: text.into() });
        assert_eq!(line("disk = vda\t"), key("disk", "vda"));
        assert_eq!(line("disk = b'vda'"), key("disk", "vda"));
        assert_eq!(line("Bucket ptr = 'vda'"), key("bucket_ptr", "vda"));
        for other in ["a -> b : c", "3 -> 1 : 5", "Tracing... Hit Ctrl-C to end.", "", " = x", "x: y"] {
            assert_eq!(line(other), Line::Other, "{other}");
        }
    }

    #[test]
    fn tables() {
        let columns = Line::Columns(vec!["syscall".into(), "count".into(), "time_us".into()]);
        assert_eq!(line("SYSCALL                   COUNT        TIME (us)"), columns);
        assert_eq!(cells("futex   95  5675454.460", 3), Some(("futex".into(), vec![95.0, 5_675_454.46])));
        assert_eq!(cells("[unknown: 9] 1", 2), Some(("[unknown: 9]".into(), vec![1.0])));
        for bad in ["futex 95", "5 6", "", "a b c"] {
            assert_eq!(cells(bad, 3), None, "{bad}");
        }
    }
}
