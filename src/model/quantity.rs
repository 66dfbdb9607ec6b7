//! Durations (`"5s"`) and sizes (`"1MiB"`) as configuration and flags write them.

use std::fmt;
use std::time::Duration;

/// Why a text is not a quantity: what was expected, ready to be shown behind the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct BadQuantity {
    pub expected: &'static str,
}

const DURATION: BadQuantity =
    BadQuantity { expected: "a duration such as \"500ms\", \"5s\", \"2m\", \"1h\", \"7d\" or \"1h30m\"" };
const SIZE: BadQuantity =
    BadQuantity { expected: "a size such as \"512B\", \"256KiB\", \"1MiB\" or \"2GiB\"" };

/// Reads `500ms`, `5s`, `2m`, `1h`, `7d` and sums of them, largest unit first (`1h30m`).
pub fn parse_duration(text: &str) -> Result<Duration, BadQuantity> {
    const UNITS: [(&str, f64); 7] =
        [("d", 86_400.0), ("h", 3_600.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("m", 60.0), ("s", 1.0)];
    let mut rest = text;
    let mut total_s = 0.0;
    let mut last_unit = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or(DURATION)?;
        let (unit, scale) = UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or(DURATION)?;
        if *scale >= last_unit {
            return Err(DURATION);
        }
        last_unit = *scale;
        total_s += number * scale;
        rest = &after[unit.len()..];
    }
    if text.is_empty() { Err(DURATION) } else { Duration::try_from_secs_f64(total_s).map_err(|_| DURATION) }
}

/// A duration as [`parse_duration`] reads it, exact to the millisecond.
pub fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(86_400_000) => format!("{}d", ms / 86_400_000),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        match bytes {
            0 => f.pad("0B"),
            _ if bytes.is_multiple_of(1 << 30) => f.pad(&format!("{}GiB", bytes >> 30)),
            _ if bytes.is_multiple_of(1 << 20) => f.pad(&format!("{}MiB", bytes >> 20)),
            _ if bytes.is_multiple_of(1 << 10) => f.pad(&format!("{}KiB", bytes >> 10)),
            _ => f.pad(&format!("{bytes}B")),
        }
    }
}

/// Reads `512B`, `256KiB`, `1MiB`, `2GiB`, and the decimal `kB`, `MB`, `GB`.
pub fn parse_byte_size(text: &str) -> Result<ByteSize, BadQuantity> {
    const UNITS: [(&str, f64); 7] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let (number, unit) = split_number(text).ok_or(SIZE)?;
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SIZE)?;
    let bytes = number * scale;
    if bytes.fract() == 0.0 && bytes < 9e15 { Ok(ByteSize(bytes as u64)) } else { Err(SIZE) }
}

/// Splits `12.5ms` into 12.5 and `ms`. Signs, exponents and a bare dot are not numbers here.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let starts = digits.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if starts && digits.len() <= 15 {
        Some((digits.parse().ok()?, rest.trim_start_matches(' ')))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected_ms: u64| {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(expected_ms)), "{text}");
        };
        check("500ms", 500);
        check("5s", 5_000);
        check("2m", 120_000);
        check("1h30m", 5_400_000);
        check("7d", 604_800_000);
        check("1.5s", 1_500);
        for bad in ["", "5", "s", "-5s", "5 parsecs", "1s1h", "1e9s", "5s5s", "..s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
        for text in ["500ms", "5s", "2m", "3h", "7d"] {
            assert_eq!(parse_duration(text).map(duration_text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn sizes() {
        let check =
            |text: &str, expected: u64| assert_eq!(parse_byte_size(text), Ok(ByteSize(expected)), "{text}");
        check("512B", 512);
        check("256KiB", 262_144);
        check("1MiB", 1_048_576);
        check("1.5KiB", 1_536);
        check("2GB", 2_000_000_000);
        for bad in ["", "1", "MiB", "-1B", "1.5B", "1Mib", "99999999GiB"] {
            assert!(parse_byte_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ByteSize(262_144).to_string(), "256KiB");
    }
}
