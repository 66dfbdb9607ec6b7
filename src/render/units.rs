//! Numbers a person can compare at a glance: at most three significant digits, in the unit that
//! fits, `-` for what is absent. For the eye only: JSON and CSV carry the number itself.

use std::time::Duration;

use crate::model::Kind;

const ABSENT: &str = "-";

/// A gauge, a total or a bound in its metric's unit: `seconds` as `3.7ms`, `bytes` as `1.2 GiB`, `ratio`
/// as `7.8%`, `hertz` as `2.4GHz`, anything else as `12.3k`.
pub fn value(value: impl Into<Option<f64>>, unit: &str) -> String {
    spell(value.into(), |number| match unit {
        "seconds" => seconds(number),
        "bytes" => bytes(number),
        "ratio" | "fraction" => percent(number),
        "percent" => format!("{}%", digits(number)),
        "hertz" => format!("{}Hz", si(number)),
        "celsius" => format!("{}°C", digits(number)),
        _ => si(number),
    })
}

/// By what time a rate is told: nobody sees an event an hour in 0.00028 of one a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Second,
    Hour,
    Day,
}

impl Per {
    /// What suits a rate.
    pub fn of(per_second: f64) -> Self {
        match per_second.abs() {
            0.0 => Self::Second,
            rate if rate < 1.0 / 3_600.0 => Self::Day,
            rate if rate < 0.01 => Self::Hour,
            _ => Self::Second,
        }
    }

    /// What suits all samples up to this one: on one axis one and the same.
    pub fn of_sample(most: f64, unit: &str, kind: Kind) -> Self {
        if kind == Kind::Counter && unit != "seconds" { Self::of(most) } else { Self::Second }
    }

    pub fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Hour => 3_600.0,
            Self::Day => 86_400.0,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Second => "/s",
            Self::Hour => "/h",
            Self::Day => "/d",
        }
    }
}

/// A counter's increase in its metric's unit. Seconds per second are a share of the time (`34%`); the rest is
/// `1.2 GiB/s`, `12.3k/s`, and what is seldom `1.1/h`, `3/d`.
pub fn rate(per_second: impl Into<Option<f64>>, unit: &str) -> String {
    let per_second = per_second.into();
    rate_per(per_second, unit, Per::of(per_second.unwrap_or(0.0)))
}

fn rate_per(per_second: impl Into<Option<f64>>, unit: &str, per: Per) -> String {
    spell(per_second.into(), |number| match unit {
        "seconds" => percent(number),
        "bytes" => format!("{}{}", bytes(number * per.seconds()), per.suffix()),
        _ => format!("{}{}", si(number * per.seconds()), per.suffix()),
    })
}

/// A sample: of a counter its rate.
pub fn sample(value: impl Into<Option<f64>>, unit: &str, kind: Kind) -> String {
    match kind {
        Kind::Counter => rate(value, unit),
        Kind::Gauge | Kind::Histogram => self::value(value, unit),
    }
}

/// A sample whose rate is told by a given time.
pub fn sample_per(value: f64, unit: &str, kind: Kind, per: Per) -> String {
    match kind {
        Kind::Counter => rate_per(value, unit, per),
        Kind::Gauge | Kind::Histogram => self::value(value, unit),
    }
}

/// How many times: `3.4×`.
pub fn times(ratio: impl Into<Option<f64>>) -> String {
    spell(ratio.into(), |number| format!("{}×", si(number)))
}

/// What lies above `lo` and not above `hi`: `4.1–8.2ms`, `over 8.2ms` where the end is open.
pub fn interval(lo: f64, hi: f64, unit: &str) -> String {
    if lo == hi {
        return value(lo, unit);
    }
    match (lo == 0.0 || lo == f64::NEG_INFINITY, hi == f64::INFINITY) {
        (_, true) => format!("over {}", value(lo, unit)),
        (true, false) => format!("up to {}", value(hi, unit)),
        (false, false) => {
            let (lo, hi) = (value(lo, unit), value(hi, unit));
            let suffix = hi.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let shared = suffix.is_empty() || lo.ends_with(|c: char| c.is_ascii_digit());
            match lo
                .strip_suffix(suffix)
                .filter(|rest| !shared && rest.ends_with(|c: char| c.is_ascii_digit()))
            {
                Some(number) => format!("{number}–{hi}"),
                None => format!("{lo}–{hi}"),
            }
        }
    }
}

/// How long something took: `3.7ms`, `1.5m`.
pub fn elapsed(duration: Duration) -> String {
    spell(Some(duration.as_secs_f64()), seconds)
}

/// How long ago, in whole units: `42s`, `12m`, `3h`, `5d`.
pub fn age(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..172_800 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// Handles what is no number, and the sign; `write` gets a finite number from 0 up.
fn spell(value: Option<f64>, write: impl FnOnce(f64) -> String) -> String {
    let Some(value) = value.filter(|value| !value.is_nan()) else { return ABSENT.to_owned() };
    let sign = if value < 0.0 { "-" } else { "" };
    if value.is_infinite() { format!("{sign}∞") } else { format!("{sign}{}", write(value.abs())) }
}

fn seconds(s: f64) -> String {
    const SMALL: [(f64, &str); 4] = [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")];
    match s {
        0.0 => "0s".to_owned(),
        _ if s < 120.0 => scaled(s, &SMALL),
        _ if s < 7_200.0 => format!("{}m", digits(s / 60.0)),
        _ if s < 172_800.0 => format!("{}h", digits(s / 3_600.0)),
        _ => format!("{}d", si(s / 86_400.0)),
    }
}

fn bytes(bytes: f64) -> String {
    const UNITS: [(f64, &str); 7] = [
        (1.0, " B"),
        (1024.0, " KiB"),
        (1_048_576.0, " MiB"),
        (1_073_741_824.0, " GiB"),
        (1_099_511_627_776.0, " TiB"),
        (1_125_899_906_842_624.0, " PiB"),
        (1_152_921_504_606_846_976.0, " EiB"),
    ];
    scaled(bytes, &UNITS)
}

fn percent(fraction: f64) -> String {
    format!("{}%", digits(fraction * 100.0))
}

fn si(number: f64) -> String {
    const UNITS: [(f64, &str); 7] =
        [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"), (1e18, "E")];
    scaled(number, &UNITS)
}

/// In the first unit that leaves fewer than four digits before the point, once rounded; where none
/// does, in the smallest.
fn scaled(number: f64, units: &[(f64, &str)]) -> String {
    match units.iter().find(|(scale, _)| number / scale < 999.5) {
        Some((scale, suffix)) => format!("{}{suffix}", digits(number / scale)),
        None => format!("{}{}", digits(number), units.first().map_or("", |(_, suffix)| suffix)),
    }
}

/// At most three significant digits, no zeros behind the last one that counts.
fn digits(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    // Rounded by its scientific form, because rounding may carry into a digit more: 9.996 is 10.
    let scientific = format!("{number:.2e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        return format!("{}e{exponent}", trim_zeros(mantissa));
    }
    let rounded: f64 = scientific.parse().unwrap_or(number);
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    trim_zeros(&format!("{rounded:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_unit() {
        let check = |number: f64, unit: &str, expected: &str| {
            assert_eq!(value(number, unit), expected, "{number} {unit}");
        };
        check(0.0, "seconds", "0s");
        check(0.0037, "seconds", "3.7ms");
        check(4.2e-8, "seconds", "42ns");
        check(1e-12, "seconds", "0.001ns");
        check(0.000_999_6, "seconds", "1ms");
        check(1.0, "seconds", "1s");
        check(119.0, "seconds", "119s");
        check(5_400.0, "seconds", "90m");
        check(86_400.0, "seconds", "24h");
        check(864_000.0, "seconds", "10d");
        check(-0.5, "seconds", "-500ms");
        check(0.0, "bytes", "0 B");
        check(512.0, "bytes", "512 B");
        check(1_000.0, "bytes", "0.977 KiB");
        check(1_288_490_189.0, "bytes", "1.2 GiB");
        check(0.078, "ratio", "7.8%");
        check(1.0, "fraction", "100%");
        check(0.000_012, "ratio", "0.0012%");
        check(55.5, "percent", "55.5%");
        check(2.4e9, "hertz", "2.4GHz");
        check(54.25, "celsius", "54.2°C");
        check(12_345.0, "jobs", "12.3k");
        check(999.0, "", "999");
        check(999.6, "", "1k");
        check(9.996, "", "10");
        check(0.5, "", "0.5");
        check(1.5e-7, "", "1.5e-7");
        check(3e24, "", "3e24");
        check(3e24, "bytes", "3e24 B");
        check(f64::NAN, "seconds", "-");
        check(f64::INFINITY, "", "∞");
        assert_eq!(value(None, "seconds"), "-");
        assert_eq!(value(Some(1.0), "seconds"), "1s");
    }

    #[test]
    fn rates() {
        let check = |number: f64, unit: &str, expected: &str| assert_eq!(rate(number, unit), expected);
        check(0.34, "seconds", "34%");
        check(2.5, "seconds", "250%");
        check(1_288_490_189.0, "bytes", "1.2 GiB/s");
        check(12_345.0, "packets", "12.3k/s");
        check(0.0, "", "0/s");
        check(0.01, "", "0.01/s");
        check(0.0003, "messages", "1.08/h");
        check(-0.005, "", "-18/h");
        check(3.5e-5, "", "3.02/d");
        check(0.005, "bytes", "18 B/h");
        check(0.0003, "seconds", "0.03%");
        check(f64::NAN, "", "-");
        assert_eq!(sample_per(0.1, "", Kind::Counter, Per::of_sample(0.005, "", Kind::Counter)), "360/h");
        assert_eq!(Per::of_sample(0.05, "seconds", Kind::Counter), Per::Second);
    }

    #[test]
    fn ratios_and_times() {
        assert_eq!(times(3.4), "3.4×");
        assert_eq!(times(12_345.0), "12.3k×");
        assert_eq!(times(f64::NAN), "-");
        assert_eq!(times(f64::INFINITY), "∞");
        assert_eq!(elapsed(Duration::from_millis(1_234)), "1.23s");
        assert_eq!(elapsed(Duration::from_secs(150)), "2.5m");
        assert_eq!(age(Duration::from_secs(59)), "59s");
        assert_eq!(age(Duration::from_secs(3_599)), "59m");
        assert_eq!(age(Duration::from_secs(86_400)), "24h");
        assert_eq!(age(Duration::from_secs(864_000)), "10d");
    }

    #[test]
    fn intervals() {
        let check = |lo: f64, hi: f64, unit: &str, expected: &str| {
            assert_eq!(interval(lo, hi, unit), expected, "{lo} {hi} {unit}");
        };
        check(0.0041, 0.0082, "seconds", "4.1–8.2ms");
        check(0.0005, 0.001, "seconds", "500µs–1ms");
        check(0.5, 1.0, "seconds", "500ms–1s");
        check(0.0, 1e-6, "seconds", "up to 1µs");
        check(0.0082, f64::INFINITY, "seconds", "over 8.2ms");
        check(f64::NEG_INFINITY, -1.0, "", "up to -1");
        check(-2.0, -1.0, "", "-2–-1");
        check(1.0, 2.0, "", "1–2");
        check(512.0, 1024.0, "bytes", "512 B–1 KiB");
        check(2048.0, 4096.0, "bytes", "2–4 KiB");
        check(3.0, 3.0, "seconds", "3s");
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_three_significant_digits(number in proptest::num::f64::NORMAL, unit in 0usize..4) {
            let text = value(number, ["seconds", "bytes", "ratio", ""][unit]);
            let mantissa = text.split('e').next().unwrap_or_default();
            let significant = mantissa.chars().filter(char::is_ascii_digit).collect::<String>();
            let significant = significant.trim_start_matches('0').trim_end_matches('0');
            proptest::prop_assert!(significant.len() <= 3, "{} is {}", number, text);
        }
    }
}
