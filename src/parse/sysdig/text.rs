//! Lines of the chisels' tables for a person. Colours are taken off; a command's name may hold blanks.

use crate::parse::text::{decimal, integer};

/// Which table a header begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Time,
    Calls,
    SlowCalls,
    SlowFiles,
}

/// One slow call.
#[derive(Debug, PartialEq)]
pub(super) struct Slow<'a> {
    pub command: String,
    pub syscall: &'a str,
    pub seconds: f64,
}

pub(super) fn header(line: &str) -> Option<Table> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(match words.as_slice() {
        ["Time", "Syscall"] => Table::Time,
        ["#", "Calls", "Syscall"] => Table::Calls,
        ["evt.datetime", "proc.name", "LATENCY(ms)", "evt.type"] => Table::SlowCalls,
        ["evt.datetime", "proc.name", "evt.type", "LATENCY(ms)", "fd.name"] => Table::SlowFiles,
        _ => return None,
    })
}

/// `80ms  poll` in seconds.
pub(super) fn time(line: &str) -> Option<(&str, f64)> {
    let mut words = line.split_ascii_whitespace();
    let (time, name) = (words.next()?, words.next()?);
    let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let per_second = match time.get(digits.len()..)? {
        "ns" => 1e9,
        "us" => 1e6,
        "ms" => 1e3,
        "s" => 1.0,
        _ => return None,
    };
    let seconds = decimal(digits.as_bytes())? / per_second;
    words.next().is_none().then_some((name, seconds))
}

/// `315  procinfo`
pub(super) fn calls(line: &str) -> Option<(&str, f64)> {
    let mut words = line.split_ascii_whitespace();
    let (count, name) = (words.next()?, words.next()?);
    let count = integer(count.as_bytes())?;
    words.next().is_none().then_some((name, count as f64))
}

/// Date and time, the command, then the syscall and its milliseconds in the table's order, then
/// perhaps a file.
pub(super) fn slow(table: Table, line: &str) -> Option<Slow<'_>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ms = |word: &str| decimal(word.as_bytes()).filter(|ms| *ms >= 0.0);
    let (command_end, syscall, ms) = match table {
        Table::SlowCalls => {
            let [_, _, _, .., latency, syscall] = words.as_slice() else { return None };
            (words.len() - 2, *syscall, ms(latency)?)
        }
        _ => {
            let (place, ms) =
                words.iter().enumerate().skip(4).find_map(|(place, word)| Some((place, ms(word)?)))?;
            (place - 1, words[place - 1], ms)
        }
    };
    let command = words.get(2..command_end)?.join(" ");
    Some(Slow { command, syscall, seconds: ms / 1e3 })
}

/// Without escape sequences that set colours.
pub(super) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (line, expected) in [
            ("80ms   poll", ("poll", 0.08)),
            ("7.47us clone", ("clone", 7.47e-6)),
            ("910ns x", ("x", 910e-9)),
            ("2.5s y", ("y", 2.5)),
        ] {
            assert_eq!(time(line), Some(expected));
        }
        for bad in ["80 poll", "ms poll", "80ms", "80ms a b", "80h poll", ""] {
            assert_eq!(time(bad), None, "{bad}");
        }
        assert_eq!(calls("315                 procinfo"), Some(("procinfo", 315.0)));
        assert_eq!(calls("-1 procinfo"), None);
    }

    #[test]
    fn slow_calls_in_both_orders() {
        let line = plain("\u{1b}[32m2018-08-17 17:35:48.523 Web Content        4.134009             poll");
        let expected = Slow { command: "Web Content".into(), syscall: "poll", seconds: 0.004134009 };
        assert_eq!(slow(Table::SlowCalls, &line), Some(expected));
        let line = "2018-08-17 17:35:48.514 Web Content read    12.5 /tmp/a 3";
        let expected = Slow { command: "Web Content".into(), syscall: "read", seconds: 0.0125 };
        assert_eq!(slow(Table::SlowFiles, line), Some(expected));
        for bad in ["", "a b", "a b c d", "a b c x poll", "a b c -1 poll"] {
            assert_eq!(slow(Table::SlowCalls, bad), None, "{bad}");
            assert_eq!(slow(Table::SlowFiles, bad), None, "{bad}");
        }
    }
}
