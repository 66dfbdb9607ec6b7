//! `[[metric]]` of a probe file: what a number is called, counts and means. A metric that is not
//! described is still read and stored; what is described must make sense.

use std::collections::HashMap;

use super::fault::{Fault, Faults, Place};
use super::reader::{Located, Section};
use crate::model::{Format, Judging, Kind, MetricSpec, Worse};

pub(crate) const KEYS: &[&str] =
    &["name", "unit", "kind", "help", "worse", "warn", "why", "resolution", "judged", "source"];

const KINDS: [(&str, Kind); 3] =
    [("counter", Kind::Counter), ("gauge", Kind::Gauge), ("histogram", Kind::Histogram)];
const WORSE: [(&str, Worse); 3] =
    [("higher", Worse::Higher), ("lower", Worse::Lower), ("either", Worse::Either)];

const JUDGED: [(&str, Judging); 3] =
    [("always", Judging::Always), ("changed", Judging::Changed), ("never", Judging::Never)];

pub(crate) fn read_all(root: &Section<'_>, format: Option<Format>, faults: &mut Faults) -> Vec<MetricSpec> {
    let mut first: HashMap<String, Place> = HashMap::new();
    let mut specs = Vec::new();
    for section in root.sections("metric", KEYS, faults) {
        let Some((spec, place)) = read(&section, format, faults) else { continue };
        if let Some(earlier) = first.get(&spec.name) {
            let fault = Fault::new(place, format!("the metric {} is described twice", spec.name));
            faults.push(fault.also(earlier.clone(), "first here"));
            continue;
        }
        first.insert(spec.name.clone(), place);
        specs.push(spec);
    }
    specs
}

fn read(section: &Section<'_>, format: Option<Format>, faults: &mut Faults) -> Option<(MetricSpec, Place)> {
    let name = name(section, faults);
    let unit = section.read_checked("unit", |text: &String| unit(text), faults);
    section.missing_unless_given("kind", "one of counter, gauge, histogram", faults);
    let kind = section.word("kind", &KINDS, faults);
    let help = section.read_checked("help", |text: &String| one_line(text), faults);
    let worse = section.word("worse", &WORSE, faults);
    let warn = section.read::<f64>("warn", faults);
    let why = section.read_checked("why", |text: &String| one_line(text), faults);
    let resolution = section.read_checked("resolution", |step: &f64| step_size(*step), faults);
    let judged = section.word("judged", &JUDGED, faults);
    let source = source(section, name.as_ref(), faults);
    let (name, kind) = (name?, kind?);
    if format == Some(Format::Openmetrics) && kind == Kind::Counter {
        require_total(&name, faults);
    }
    let worse = worse.unwrap_or(Worse::Either);
    let spec = MetricSpec {
        name: name.value,
        unit: unit.map(|given| given.value).unwrap_or_default(),
        kind,
        help: help.map(|given| given.value).unwrap_or_default(),
        worse,
        warn: warn.map(|given| given.value),
        why: why.map(|given| given.value),
        resolution: resolution.map(|given| given.value),
        judged: judged.unwrap_or(Judging::usually(worse)),
        source,
    };
    Some((spec, name.place))
}

fn name(section: &Section<'_>, faults: &mut Faults) -> Option<Located<String>> {
    const EXPECTED: &str = "a metric's name: A-Z a-z 0-9 _ :, the first no digit, at most one *";
    section.missing_unless_given("name", EXPECTED, faults)?;
    let valid = |name: &String| {
        let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:*".contains(&byte));
        let fits = first && plain && name.len() <= 200 && name.matches('*').count() <= 1 && name != "*";
        if fits { Ok(()) } else { Err(EXPECTED.to_owned()) }
    };
    section.read_checked("name", valid, faults)
}

fn unit(unit: &str) -> Result<(), String> {
    let plain = unit.chars().all(|c| c.is_alphanumeric() || "_/%.^*-".contains(c));
    if plain && unit.len() <= 32 {
        Ok(())
    } else {
        Err("a unit such as \"seconds\", \"bytes\", \"ratio\" or \"jobs\"".to_owned())
    }
}

fn step_size(step: f64) -> Result<(), String> {
    if step.is_finite() && step > 0.0 {
        Ok(())
    } else {
        Err("the least step between two values, above 0".to_owned())
    }
}

fn one_line(text: &str) -> Result<(), String> {
    let fits = text.len() <= 300 && !text.contains(char::is_control);
    if fits { Ok(()) } else { Err("one line of up to 300 bytes".to_owned()) }
}

fn source(section: &Section<'_>, name: Option<&Located<String>>, faults: &mut Faults) -> Option<String> {
    let valid = |source: &String| {
        if name.is_some_and(|name| name.value.contains('*')) {
            return Err("no `source` beside a name with *: one place cannot be many metrics".to_owned());
        }
        let fits = !source.is_empty() && source.len() <= 300 && !source.contains(char::is_control);
        if fits { Ok(()) } else { Err("a JSON pointer, a column or a key".to_owned()) }
    };
    section.read_checked("source", valid, faults).map(|given| given.value)
}

/// An OpenMetrics exposition calls a counter's sample `…_total`: without it the entry would describe
/// a line that can never come. Elsewhere names are the user's own.
fn require_total(name: &Located<String>, faults: &mut Faults) {
    if !name.value.ends_with("_total") && !name.value.ends_with('*') {
        let fault =
            Fault::new(name.place.clone(), format!("the counter {} does not end in _total", name.value));
        faults.push(fault.expected(format!("\"{}_total\"", name.value)).help("or is it a gauge?"));
    }
}
