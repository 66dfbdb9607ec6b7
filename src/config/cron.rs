//! The form of a cron expression. It says whether one can be read and where it cannot; it computes no
//! time.

use std::ops::Range;

struct FieldRule {
    what: &'static str,
    least: u32,
    greatest: u32,
    names: &'static [&'static str],
}

const fn rule(what: &'static str, least: u32, greatest: u32, names: &'static [&'static str]) -> FieldRule {
    FieldRule { what, least, greatest, names }
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [FieldRule; 6] = [
    rule("seconds", 0, 59, &[]),
    rule("minutes", 0, 59, &[]),
    rule("hours", 0, 23, &[]),
    rule("days of the month", 1, 31, &[]),
    rule("months", 1, 12, MONTHS),
    rule("days of the week", 0, 7, DAYS),
];

const SHORTHANDS: [&str; 6] = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly"];

/// Why an expression cannot be read: the bytes at fault, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadCron {
    pub span: Range<usize>,
    pub expected: String,
}

/// Checks five fields (minute to day of the week), six (seconds before them) or a shorthand.
pub(crate) fn check(text: &str) -> Result<(), BadCron> {
    let bad = |span, expected: &str| Err(BadCron { span, expected: expected.to_owned() });
    if text.starts_with('@') {
        let known = SHORTHANDS.contains(&text);
        return if known {
            Ok(())
        } else {
            bad(0..text.len(), "@hourly, @daily, @weekly, @monthly or @yearly")
        };
    }
    let fields: Vec<Range<usize>> = words(text);
    let rules = match fields.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        _ => {
            return bad(
                0..text.len(),
                "five fields (minute, hour, day of the month, month, day of the week), as in \"0 * * * *\"",
            );
        }
    };
    fields.into_iter().zip(rules).try_for_each(|(span, rule)| check_field(text, span, rule))
}

fn words(text: &str) -> Vec<Range<usize>> {
    let at = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
    text.split_ascii_whitespace().map(|word| at(word)..at(word) + word.len()).collect()
}

fn check_field(text: &str, span: Range<usize>, rule: &FieldRule) -> Result<(), BadCron> {
    let mut start = span.start;
    for part in text[span].split(',') {
        let span = start..start + part.len();
        start = span.end + 1;
        if !fits(part, rule) {
            let FieldRule { what, least, greatest, .. } = rule;
            let names =
                rule.names.first().map(|first| format!(", or names such as {first}")).unwrap_or_default();
            let expected = format!("{what} from {least} to {greatest}{names}; *, ranges a-b and steps /n");
            return Err(BadCron { span, expected });
        }
    }
    Ok(())
}

/// `*`, `7`, `1-5`, each with an optional `/step`; a step needs a range or `*` to step through.
fn fits(part: &str, rule: &FieldRule) -> bool {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let step_fits = step.is_none_or(|step| number(step).is_some_and(|n| n >= 1 && n <= rule.greatest));
    let range_fits = match range.split_once('-') {
        _ if range == "*" => true,
        Some((from, to)) => {
            matches!((value(from, rule), value(to, rule)), (Some(from), Some(to)) if from <= to)
        }
        None => step.is_none() && value(range, rule).is_some(),
    };
    step_fits && range_fits
}

fn value(text: &str, rule: &FieldRule) -> Option<u32> {
    let named = || {
        let index = rule.names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        u32::try_from(index).ok().map(|index| index + rule.least)
    };
    number(text).filter(|n| (rule.least..=rule.greatest).contains(n)).or_else(named)
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_can_be_read() {
        for good in [
            "0 * * * *",
            "*/5 0-6/2 1,15 jan-MAR mon-fri",
            "30 0 4 * * 7",
            "@hourly",
            "  0  3 * * sun ",
            "59 23 31 12 0",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_fault_points_at_the_part() {
        let check = |text: &str, at: Range<usize>| {
            assert_eq!(check(text).map_err(|bad| bad.span), Err(at), "{text}");
        };
        check("60 * * * *", 0..2);
        check("0 24 * * *", 2..4);
        check("0 0 0 * *", 4..5);
        check("0 0 1,32 * *", 6..8);
        check("0 0 * 13 *", 6..8);
        check("0 0 * * 8", 8..9);
        check("0 0 * * mun", 8..11);
        check("*/0 * * * *", 0..3);
        check("5-1 * * * *", 0..3);
        check("5/2 * * * *", 0..3);
        check("0, * * * *", 2..2);
        check("hourly", 0..6);
        check("* * * *", 0..7);
        check("@never", 0..6);
        check("", 0..0);
        check("-1 * * * *", 0..2);
        check("ä * * * *", 0..2);
    }
}
