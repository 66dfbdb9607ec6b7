//! `when = "…"`: how a condition is written. It knows no metric; whether one is there is asked of the
//! library, because a rule on a metric that nothing reads would wait for ever.

use std::ops::Range;

use super::fault::{Fault, Faults, closest};
use super::library::Library;
use super::reader::{Located, inside};
use crate::model::{Comparison, Condition, Kind, Threshold};
use crate::select::matches_mask;

/// The one question to the survey that a rule may ask.
const CHANGED: &str = "outliers.changed";

/// What is wrong where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bad {
    span: Range<usize>,
    title: String,
    expected: &'static str,
    help: Option<String>,
}

impl Bad {
    fn new(span: Range<usize>, title: impl Into<String>, expected: &'static str) -> Self {
        Self { span, title: title.into(), expected, help: None }
    }
}

/// Reads and checks a condition. With a `broken` library a metric that is not there may well be one of
/// what could not be read.
pub(super) fn read(
    given: &Located<String>,
    (library, broken): (&Library, bool),
    faults: &mut Faults,
) -> Option<Condition> {
    let checked = parse(&given.value).and_then(|(condition, metric)| {
        if broken { Ok(condition) } else { known(&condition, metric, library).map(|()| condition) }
    });
    let bad = match checked {
        Ok(condition) => return Some(condition),
        Err(bad) => bad,
    };
    let place = inside(&given.place, &given.value, bad.span);
    faults.push(Fault::new(place, bad.title).expected(bad.expected).maybe_help(bad.help));
    None
}

/// The condition, and where its metric stands.
fn parse(text: &str) -> Result<(Condition, Range<usize>), Bad> {
    match text.find('(') {
        Some(open) if !text[..open].contains(['{', '<', '>', '=', '!']) => changed(text, open),
        _ => threshold(text),
    }
}

/// The bytes `range` without the blanks around it.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let start = range.start + slice.len() - slice.trim_start().len();
    start..start + slice.trim().len()
}

fn changed(text: &str, open: usize) -> Result<(Condition, Range<usize>), Bad> {
    let function = trimmed(text, 0..open);
    let name = &text[function.clone()];
    if name != CHANGED {
        let help = closest(name, [CHANGED]).map(|near| format!("did you mean {near}(…)?"));
        let title = format!("{name:?} is no question that a rule can ask");
        let expected = "\"outliers.changed(METRIC)\" or \"METRIC > NUMBER\"";
        return Err(Bad { help, ..Bad::new(function, title, expected) });
    }
    let end = trimmed(text, 0..text.len()).end;
    if !text[..end].ends_with(')') {
        return Err(Bad::new(open..end, "the parenthesis is not closed", "a `)` at the end"));
    }
    let metric = trimmed(text, open + 1..end - 1);
    let mask = &text[metric.clone()];
    if mask.is_empty() || !mask.bytes().all(|byte| is_metric(byte) || byte == b'*' || byte == b'?') {
        let title = format!("{mask:?} is not a metric");
        return Err(Bad::new(open + 1..end - 1, title, "a metric's name; `*` and `?` are wildcards"));
    }
    Ok((Condition::Changed(mask.to_owned()), metric))
}

fn is_metric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

const SIGNS: &str = "one of >, >=, <, <=, ==, !=";

fn threshold(text: &str) -> Result<(Condition, Range<usize>), Bad> {
    let all = trimmed(text, 0..text.len());
    let length = text[all.clone()].bytes().take_while(|byte| is_metric(*byte)).count();
    let metric = all.start..all.start + length;
    if length == 0 {
        return Err(Bad::new(all, "a rule begins with a metric", "\"METRIC > NUMBER\""));
    }
    let mut rest = trimmed(text, metric.end..all.end);
    let mut labels = Vec::new();
    if text[rest.clone()].starts_with('{') {
        let Some(close) = text[rest.clone()].find('}') else {
            return Err(Bad::new(rest, "the labels are not closed", "a `}` behind them"));
        };
        labels = label_pairs(text, rest.start + 1..rest.start + close)?;
        rest = trimmed(text, rest.start + close + 1..all.end);
    }
    let signs = text[rest.clone()].bytes().take_while(|byte| b"<>=!~".contains(byte)).count();
    let written = &text[rest.start..rest.start + signs];
    let Some((_, comparison)) = Comparison::ALL.into_iter().find(|(sign, _)| *sign == written) else {
        let end = if signs == 0 { rest.end } else { rest.start + signs };
        let found = text[rest.start..end].split_whitespace().next().unwrap_or("the end");
        return Err(Bad::new(rest.start..end, format!("{found:?} is no comparison"), SIGNS));
    };
    let number = trimmed(text, rest.start + signs..rest.end);
    let limit = text[number.clone()].parse::<f64>().ok().filter(|limit| limit.is_finite());
    let Some(limit) = limit else {
        let title = format!("{:?} is not a number", &text[number.clone()]);
        return Err(Bad::new(number, title, "a number in the metric's unit, as in 0.25 or 1e9"));
    };
    let name = text[metric.clone()].to_owned();
    Ok((Condition::Threshold(Threshold { metric: name, labels, comparison, limit }), metric))
}

fn label_pairs(text: &str, within: Range<usize>) -> Result<Vec<(String, String)>, Bad> {
    let mut labels = Vec::new();
    let mut at = within.start;
    for pair in text[within.clone()].split(',') {
        let span = trimmed(text, at..at + pair.len());
        at += pair.len() + 1;
        let parts = text[span.clone()].split_once('=');
        let value = |value: &str| {
            let inner = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
        };
        let read = parts.and_then(|(label, written)| Some((label.trim().to_owned(), value(written)?)));
        match read {
            Some((label, value)) if !label.is_empty() => labels.push((label, value)),
            _ => {
                let title = format!("{:?} is not a label", &text[span.clone()]);
                return Err(Bad::new(span, title, "LABEL=\"VALUE\", several of them with commas between"));
            }
        }
    }
    Ok(labels)
}

/// Refuses a metric that no probe gives, and a number of what has none.
fn known(condition: &Condition, metric: Range<usize>, library: &Library) -> Result<(), Bad> {
    let probes = || library.probes.values().map(|shelved| &shelved.probe);
    let names = || probes().flat_map(|probe| probe.metrics.iter()).map(|spec| spec.name.as_str());
    let (name, found) = match condition {
        Condition::Changed(mask) => {
            let exact = !mask.contains(['*', '?']);
            let fits = |name: &str| matches_mask(mask, name);
            (mask, names().any(fits) || exact && probes().any(|probe| probe.spec(mask).is_some()))
        }
        Condition::Threshold(threshold) => {
            let kinds: Vec<Kind> =
                probes().filter_map(|probe| Some(probe.spec(&threshold.metric)?.kind)).collect();
            if !kinds.is_empty() && kinds.iter().all(|kind| *kind == Kind::Histogram) {
                let title = format!("{} is a distribution, which has no single number", threshold.metric);
                let bad = Bad::new(metric, title, "a counter or a gauge");
                let help = format!("`{CHANGED}({})` compares distributions", threshold.metric);
                return Err(Bad { help: Some(help), ..bad });
            }
            (&threshold.metric, !kinds.is_empty())
        }
    };
    if found {
        return Ok(());
    }
    let help = closest(name, names()).map(|near| format!("did you mean {near}?"));
    let title = format!("no probe has a metric {name}");
    let expected = "a metric of a probe; `dropsonde probes show NAME` lists them";
    Err(Bad { help, ..Bad::new(metric, title, expected) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str, shown: &str) {
        let (condition, metric) = parse(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
        assert_eq!(condition.to_string(), shown);
        let name = shown.trim_start_matches("outliers.changed(");
        assert!(name.starts_with(&text[metric]), "{text}");
    }

    #[test]
    fn conditions_are_read() {
        good("node_load1 > 20", "node_load1 > 20");
        good(" node_load1>=0.5 ", "node_load1 >= 0.5");
        good("a:b{cpu=\"0\", mode = \"user\"} < 1e3", "a:b{cpu=\"0\",mode=\"user\"} < 1000");
        good("m != -1", "m != -1");
        good("outliers.changed(node_load1)", "outliers.changed(node_load1)");
        good(" outliers.changed( node_* ) ", "outliers.changed(node_*)");
    }

    #[test]
    fn what_cannot_be_read_is_pointed_at() {
        let check = |text: &str, at: &str, title: &str| {
            let bad = parse(text).expect_err(text);
            assert_eq!((&text[bad.span.clone()], bad.title.as_str()), (at, title), "{text}");
        };
        check("node_load1 => 20", "=>", "\"=>\" is no comparison");
        check("node_load1 = 20", "=", "\"=\" is no comparison");
        check("node_load1 above 20", "above 20", "\"above\" is no comparison");
        check("node_load1", "", "\"the end\" is no comparison");
        check("node_load1 > 20%", "20%", "\"20%\" is not a number");
        check("node_load1 > inf", "inf", "\"inf\" is not a number");
        check("> 3", "> 3", "a rule begins with a metric");
        check("", "", "a rule begins with a metric");
        check("m{cpu=0} > 1", "cpu=0", "\"cpu=0\" is not a label");
        check("m{cpu=\"0\" > 1", "{cpu=\"0\" > 1", "the labels are not closed");
        check(
            "outlier.changed(m)",
            "outlier.changed",
            "\"outlier.changed\" is no question that a rule can ask",
        );
        check("outliers.changed(m", "(m", "the parenthesis is not closed");
        check("outliers.changed()", "", "\"\" is not a metric");
        check("outliers.changed(a b)", "a b", "\"a b\" is not a metric");
    }
}
