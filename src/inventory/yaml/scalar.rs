//! What a scalar without quotes means in YAML 1.1: `yes` is true, `0644` is octal, `22:30` counts in sixties
//! and `1e3` is a text. Version 1.2 says otherwise, and Ansible would not agree with it.

use super::Value;

pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || b"+-.".contains(&first)) {
        return Value::Text(text.to_owned());
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(value) = whole(digits) {
        return Value::Int(if negative { -value } else { value });
    }
    match float(digits, digits.len() < text.len()) {
        Some(value) => Value::Float(if negative { -value } else { value }),
        None => Value::Text(text.to_owned()),
    }
}

/// Digits, also in base 2, 8, 16 or counted in sixties.
pub(super) fn whole(text: &str) -> Option<i128> {
    let all = |digits: &str, radix: u32| {
        let plain: String = digits.chars().filter(|c| *c != '_').collect();
        let fits = digits.chars().all(|c| c == '_' || c.is_digit(radix));
        fits.then(|| i128::from_str_radix(&plain, radix).ok()).flatten()
    };
    if let Some(digits) = text.strip_prefix("0b") {
        return all(digits, 2);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, 16);
    }
    if text == "0" {
        return Some(0);
    }
    if let Some(digits) = text.strip_prefix('0') {
        return all(digits, 8);
    }
    let mut parts = text.split(':');
    let first = parts.next().filter(|part| part.starts_with(|c: char| c.is_ascii_digit()))?;
    parts.try_fold(all(first, 10)?, |value, part| value.checked_mul(60)?.checked_add(sixtieth(part)?))
}

fn sixtieth(part: &str) -> Option<i128> {
    let fits = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    fits.then(|| part.parse().ok()).flatten()
}

fn float(text: &str, signed: bool) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return (!signed).then_some(f64::NAN),
        _ => {}
    }
    let (before, after) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let without = |text: &str| text.replace('_', "");
    let (decimals, exponent) = match after.split_once(['e', 'E']) {
        Some((decimals, exponent)) => (decimals, Some(exponent)),
        None => (after, None),
    };
    let exponent = match exponent {
        // Without its sign it is none.
        Some(exponent) if exponent.starts_with(['+', '-']) => format!("e{exponent}"),
        Some(_) => return None,
        None => String::new(),
    };
    if !digits(decimals) {
        return None;
    }
    if before.is_empty() {
        let fits = !signed && decimals.starts_with(|c: char| c.is_ascii_digit());
        return fits.then(|| format!("0.{}{exponent}", without(decimals)).parse().ok()).flatten();
    }
    if !before.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits(before) {
        return format!("{}.{}{exponent}", without(before), without(decimals)).parse().ok();
    }
    // Counted in sixties, with a fraction of the last.
    let mut parts = before.split(':');
    let first: f64 = without(parts.next().filter(|part| digits(part))?).parse().ok()?;
    let value = parts.try_fold(first, |value, part| Some(value * 60.0 + sixtieth(part)? as f64))?;
    let fraction: f64 = format!("0.{}", without(decimals)).parse().ok()?;
    exponent.is_empty().then_some(value + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_version_1_1_says() {
        let check = |text: &str, expected: &str| {
            let node = super::super::Node { value: resolve(text), span: 0..0 };
            assert_eq!(node.json().to_string(), expected, "{text}");
        };
        check("yes", "true");
        check("Off", "false");
        check("~", "null");
        check("", "null");
        check("0", "0");
        check("0644", "420");
        check("089", "\"089\"");
        check("0x1F", "31");
        check("0b101", "5");
        check("0o17", "\"0o17\"");
        check("1_000", "1000");
        check("-17", "-17");
        check("22:30", "1350");
        check("2:70", "\"2:70\"");
        check("1.5", "1.5");
        check("1.", "1.0");
        check(".5", "0.5");
        check("1e3", "\"1e3\"");
        check("1.0e3", "\"1.0e3\"");
        check("1.0e+3", "1000.0");
        check("10.0.0.1", "\"10.0.0.1\"");
        check("-", "\"-\"");
        check("2222", "2222");
        check("y", "\"y\"");
    }
}
