//! OpenSSH's times: `90`, `90s`, `1m30s`, `1h`, `2d`, `1w`. In whole seconds.

use std::time::Duration;

/// `None` for what is no time; a time that does not fit is none either.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let (unit, after) = match rest[digits..].chars().next() {
            None => (1, ""),
            Some(letter) => (seconds(letter)?, &rest[digits + letter.len_utf8()..]),
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after;
    }
    (total <= i32::MAX.unsigned_abs().into()).then(|| Duration::from_secs(total))
}

fn seconds(unit: char) -> Option<u64> {
    Some(match unit.to_ascii_lowercase() {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse(text), expected.map(Duration::from_secs), "{text:?}");
        };
        check("90", Some(90));
        check("90S", Some(90));
        check("1m30", Some(90));
        check("1h2m3s", Some(3_723));
        check("1w", Some(604_800));
        check("0", Some(0));
        for bad in ["", "s", "1x", "-1", "1 m", "1.5m", "99999999999", "3000000000", "m1"] {
            check(bad, None);
        }
    }
}
