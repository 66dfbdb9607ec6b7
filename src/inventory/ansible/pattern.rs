//! The hosts that one entry of an inventory stands for: a name or address with a port or without, and ranges
//! in brackets (`web[01:50].eu`, `db-[a:f]`, `[0:9:3]`).

use crate::select::MAX_NAMES;

/// Names in the order of their ranges, and the port they share.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub names: Vec<String>,
    pub port: Option<u16>,
}

/// Ranges in one entry.
const MAX_RANGES: usize = 8;

/// `Err` completes "expected …".
pub(super) fn expand(text: &str) -> Result<Expanded, String> {
    let (pattern, port) = address(text).unwrap_or((text, None));
    if pattern.matches('[').count() > MAX_RANGES {
        return Err(format!("at most {MAX_RANGES} ranges"));
    }
    let mut names = Vec::new();
    ranges(pattern, &mut names)?;
    Ok(Expanded { names, port })
}

/// Name and port of what looks like an address; a text that does not is taken as it is.
fn address(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some((inner, port)) = text.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"))
        && let Some(port) = number(port)
    {
        let port = Some(u16::try_from(port).ok()?);
        return (is_name(inner) || is_ipv6(inner)).then_some((inner, port));
    }
    let (name, port) = match split_port(text) {
        Some((name, port)) => (name, Some(u16::try_from(port).ok()?)),
        None => (text, None),
    };
    (is_name(name) || is_ipv6(name)).then_some((name, port))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The last colon outside brackets, if it is the only one.
fn split_port(text: &str) -> Option<(&str, u64)> {
    let (name, port) = text.rsplit_once(':')?;
    let port = number(port)?;
    let mut inside = false;
    for c in name.chars() {
        match c {
            '[' if !inside => inside = true,
            ']' if inside => inside = false,
            ':' | '[' | ']' if !inside => return None,
            _ => {}
        }
    }
    (!inside).then_some((name, port))
}

/// A range stands for one of what it gives: `0` is as good as any. `None` where one is no range.
fn without_ranges(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, behind) = after.split_once(']')?;
        if !is_range(range) {
            return None;
        }
        plain.push_str(before);
        plain.push('0');
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain)
}

/// Labels with dots between them; a range stands for a letter or a number.
fn is_name(text: &str) -> bool {
    let Some(plain) = without_ranges(text) else { return false };
    let label = |label: &str| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        label.starts_with(word) && !label.ends_with(['_', '-']) && label.chars().all(|c| word(c) || c == '-')
    };
    !plain.is_empty() && plain.split('.').all(label)
}

fn is_range(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let letter = |text: &str| text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let digits = |text: &str| number(text).is_some();
    match parts.as_slice() {
        [first, last] => (digits(first) && digits(last)) || (letter(first) && letter(last)),
        [first, last, step] => {
            digits(step) && ((digits(first) && digits(last)) || (letter(first) && letter(last)))
        }
        _ => false,
    }
}

/// Ranges of numbers may stand between the colons.
fn is_ipv6(text: &str) -> bool {
    let Some(plain) = without_ranges(text) else { return false };
    plain.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Expands the first range and then what is left.
fn ranges(pattern: &str, names: &mut Vec<String>) -> Result<(), String> {
    let Some((head, after)) = pattern.split_once('[') else {
        if names.len() as u64 >= MAX_NAMES {
            return Err(format!("at most {MAX_NAMES} hosts"));
        }
        names.push(pattern.to_owned());
        return Ok(());
    };
    let Some((range, tail)) = after.split_once(']') else {
        return Err("a range that its bracket closes, as in web[01:50]".to_owned());
    };
    for part in span(range)? {
        ranges(&format!("{head}{part}{tail}"), names)?;
    }
    Ok(())
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn span(range: &str) -> Result<Vec<String>, String> {
    let wrong = || "a range of two numbers or two letters, as in [01:50], [a:f] or [0:9:3]".to_owned();
    let parts: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => (*first, *last, number(step).filter(|step| *step > 0).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    let first = if first.is_empty() { "0" } else { first };
    let step = usize::try_from(step).map_err(|_| wrong())?;
    let backward = || "a range that does not end before it begins".to_owned();
    if let (Some(from), Some(to)) = (LETTERS.find(first), LETTERS.find(last)) {
        if last.is_empty() || from > to {
            return Err(if last.is_empty() { wrong() } else { backward() });
        }
        return Ok(LETTERS[from..=to].chars().step_by(step).map(String::from).collect());
    }
    let (from, to) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
    if from > to {
        return Err(backward());
    }
    if to - from > MAX_NAMES {
        return Err(format!("at most {MAX_NAMES} hosts"));
    }
    let width = if first.starts_with('0') && first.len() > 1 { first.len() } else { 0 };
    if width > 0 && width != last.len() {
        return Err("a range whose ends have as many digits, as in [001:100]".to_owned());
    }
    Ok((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expand_to_hosts() {
        let check = |text: &str, expected: &str| {
            let shown = match expand(text) {
                Ok(Expanded { names, port: None }) => names.join(" "),
                Ok(Expanded { names, port: Some(port) }) => format!("{} port {port}", names.join(" ")),
                Err(expected) => format!("expected {expected}"),
            };
            assert_eq!(shown, expected, "{text}");
        };
        check("web1", "web1");
        check("web[01:03].eu:2222", "web01.eu web02.eu web03.eu port 2222");
        check("db-[a:c]", "db-a db-b db-c");
        check("r[1:2]n[0:4:2]", "r1n0 r1n2 r1n4 r2n0 r2n2 r2n4");
        check("web[8:11]", "web8 web9 web10 web11");
        check("10.0.0.[9:10]", "10.0.0.9 10.0.0.10");
        check("[2001:db8::1]:2200", "2001:db8::1 port 2200");
        check("2001:db8::1", "2001:db8::1");
        check("host_:22", "host_:22");
        check("web[03:1]", "expected a range that does not end before it begins");
        check("web[01:100]", "expected a range whose ends have as many digits, as in [001:100]");
        check("web[1:2", "expected a range that its bracket closes, as in web[01:50]");
        check("web[1:999999999]", "expected at most 1000000 hosts");
        check("web[1-3]", "expected a range of two numbers or two letters, as in [01:50], [a:f] or [0:9:3]");
    }
}
