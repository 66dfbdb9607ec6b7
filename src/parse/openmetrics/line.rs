//! One line of the exposition. It knows the grammar and nothing about families.

use std::borrow::Cow;

use crate::model::LabelPairs;
use crate::parse::specs::is_metric_name;

#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Eof,
    /// HELP, UNIT, or anything else behind a `#`.
    Comment,
    Type {
        name: &'a str,
        word: &'a str,
    },
    Sample {
        name: &'a str,
        labels: LabelPairs,
        value: f64,
        has_timestamp: bool,
    },
}

/// Reads a line; the error is what was expected.
pub(super) fn read_line(line: &str) -> Result<Line<'_>, &'static str> {
    if let Some(comment) = line.trim_start().strip_prefix('#') {
        let mut words = comment.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some("EOF"), None, _) => Ok(Line::Eof),
            (Some("TYPE"), Some(name), Some(word)) => Ok(Line::Type { name, word }),
            (Some("TYPE"), ..) => Err("# TYPE name type"),
            _ => Ok(Line::Comment),
        };
    }
    let line = line.trim();
    let end = line.find(['{', ' ', '\t']).ok_or("a name and a value")?;
    let (name, rest) = line.split_at(end);
    if !is_metric_name(name) {
        return Err("a metric name of A-Z a-z 0-9 _ :");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => read_labels(inside)?,
        None => (Vec::new(), rest),
    };
    // Behind " # " stands an exemplar: an example of an observation, not a value of this line.
    let numbers = rest.split_once(" # ").map_or(rest, |(numbers, _)| numbers);
    let mut words = numbers.split_whitespace();
    let value = words.next().and_then(read_value).ok_or("a value behind the name and labels")?;
    let timestamp = words.next();
    if timestamp.is_some_and(|word| read_value(word).is_none()) || words.next().is_some() {
        return Err("nothing but a timestamp behind the value");
    }
    Ok(Line::Sample { name, labels, value, has_timestamp: timestamp.is_some() })
}

/// A float as both dialects write it, NaN and the infinities included: some lines may have them.
fn read_value(word: &str) -> Option<f64> {
    let digits = word.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_special = ["nan", "inf", "infinity"].iter().any(|special| digits.eq_ignore_ascii_case(special));
    (is_number || is_special).then(|| word.parse().ok()).flatten()
}

/// The labels up to the closing brace, and what follows it.
fn read_labels(mut rest: &str) -> Result<(LabelPairs, &str), &'static str> {
    let mut labels = LabelPairs::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once('=').ok_or("name=\"value\" or a closing brace")?;
        let name = name.trim_end();
        if !is_metric_name(name) || name.contains(':') {
            return Err("a label name of A-Z a-z 0-9 _");
        }
        let quoted = after.trim_start().strip_prefix('"').ok_or("a label's value in double quotes")?;
        let (value, after) = unescape(quoted).ok_or("a closing quote, and no escapes but \\\\ \\\" \\n")?;
        labels.push((Cow::Owned(name.to_owned()), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after,
            None if rest.starts_with('}') => rest,
            None => return Err("a comma or a closing brace behind a label"),
        };
    }
}

/// The text up to the closing quote, and what follows it.
fn unescape(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_floats_of_both_dialects() {
        for (word, expected) in [("1", 1.0), ("-1.5e3", -1500.0), ("+Inf", f64::INFINITY), (".5", 0.5)] {
            assert_eq!(read_value(word), Some(expected), "{word}");
        }
        assert!(read_value("NaN").is_some_and(f64::is_nan));
        for bad in ["", "-", "one", "1_000", "0x10", "1,5"] {
            assert_eq!(read_value(bad), None, "{bad}");
        }
    }

    #[test]
    fn exemplars_are_read_over() {
        let line = read_line("a_bucket{le=\"1\"} 5 # {trace=\"x\"} 0.9 1700000000.5").unwrap();
        let Line::Sample { name, value, has_timestamp, .. } = line else { panic!("{line:?}") };
        assert_eq!((name, value, has_timestamp), ("a_bucket", 5.0, false));
    }
}
