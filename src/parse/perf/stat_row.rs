//! One line of perf stat, CSV or JSON. Columns shift with -A, -I and the aggregation chosen, and an
//! event's name may hold the separator: they are told apart by their form. A counter that could not
//! be read is [`Value::Absent`], never 0.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::lines::{count, number};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Counted(f64),
    /// `<not supported>`, `<not counted>`.
    Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub event: Cow<'a, str>,
    pub value: Value,
    /// `msec`, `Joules`; empty for a count.
    pub unit: Cow<'a, str>,
    /// With -I: seconds since the start.
    pub interval_s: Option<f64>,
    /// With -A, or another aggregation: `0`, `S0-D0-C1`.
    pub cpu: Option<Cow<'a, str>>,
    /// How long it could have counted, over all CPUs, and the share of it in which it did.
    pub runtime_ns: Option<u64>,
    pub running: Option<f64>,
    /// perf's own figure beside the count.
    pub metric: Option<(f64, Cow<'a, str>)>,
}

/// What a line holds.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Row(Row<'a>),
    /// Nothing to count: a comment, or a further metric of the row before.
    Nothing,
    Unread,
}

pub(super) fn read(line: &str) -> Line<'_> {
    let text = line.trim();
    if text.is_empty() || text.starts_with('#') {
        return Line::Nothing;
    }
    if text.starts_with('{') {
        return json(text);
    }
    let separator = if text.contains(',') { ',' } else { ';' };
    let cells: Vec<&str> = text.split(separator).map(str::trim).collect();
    // `,,,,,0.45,stalled cycles per insn`
    if cells.len() > 4 && cells[..4].iter().all(|cell| cell.is_empty()) {
        return Line::Nothing;
    }
    csv(&cells, separator).map_or(Line::Unread, Line::Row)
}

/// `[seconds,][CPU0,|S0,2,]value,unit,event,[±%,]runtime,running[,metric,unit]`
fn csv<'a>(cells: &[&'a str], separator: char) -> Option<Row<'a>> {
    let mut rest = cells;
    let interval_s = rest.first().filter(|cell| is_interval(cell)).and_then(|cell| number(cell));
    if interval_s.is_some() {
        rest = &rest[1..];
    }
    let mut cpu = None;
    if let Some(cell) = rest.first().filter(|cell| cell.starts_with(|c: char| c.is_ascii_uppercase())) {
        cpu = Some(Cow::Borrowed(cell.strip_prefix("CPU").unwrap_or(cell)));
        rest = &rest[1..];
        // Sockets, dies, cores and nodes say of how many CPUs they are the sum.
        if !cell.starts_with("CPU") && !is_core(cell) {
            rest = rest.get(1..)?;
        }
    }
    let [value, unit, rest @ ..] = rest else { return None };
    let value = counted(value)?;
    let (event, rest) = event(rest, separator)?;
    let (runtime, rest) = match rest {
        // With -r the deviation comes first.
        [deviation, rest @ ..] if deviation.ends_with('%') => (rest.first(), rest.get(1..)),
        rest => (rest.first(), rest.get(1..)),
    };
    let rest = rest.unwrap_or_default();
    let metric = match rest {
        [_, metric, name, ..] if !name.is_empty() => {
            number(metric).map(|metric| (metric, Cow::Borrowed(*name)))
        }
        _ => None,
    };
    Some(Row {
        event,
        value,
        unit: Cow::Borrowed(unit),
        interval_s,
        cpu,
        runtime_ns: runtime.and_then(|cell| count(cell)),
        running: rest.first().and_then(|cell| number(cell)).map(|percent| percent / 100.0),
        metric,
    })
}

/// perf writes nine decimals of a moment and at most two of a value.
fn is_interval(cell: &str) -> bool {
    cell.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 9) && number(cell).is_some()
}

/// `S0-D0-C1` of -A with no count of CPUs behind it; older ones have one.
fn is_core(cell: &str) -> bool {
    cell.contains("-CPU")
}

fn counted(cell: &str) -> Option<Value> {
    match cell {
        "<not supported>" | "<not counted>" => Some(Value::Absent),
        _ => number(cell).map(Value::Counted),
    }
}

/// The event's name, with the separators between its slashes: `cpu/event=0x3c,umask=0x1/`.
fn event<'a, 'b>(cells: &'b [&'a str], separator: char) -> Option<(Cow<'a, str>, &'b [&'a str])> {
    let (first, mut rest) = cells.split_first()?;
    let mut name = Cow::Borrowed(*first);
    while name.matches('/').count() == 1 {
        let (next, after) = rest.split_first()?;
        name = Cow::Owned(format!("{name}{separator}{next}"));
        rest = after;
    }
    (!name.is_empty()).then_some((name, rest))
}

/// `{"counter-value" : "342.000000", "unit" : "", "event" : "cs", "event-runtime" : 1, "pcnt-running" : 100.00, …}`;
/// perf 6.12 writes in quotes what 6.1 wrote as numbers.
fn json(text: &str) -> Line<'static> {
    let Ok(Json::Object(fields)) = serde_json::from_str::<Json>(text) else { return Line::Unread };
    let word = |name: &str| fields.get(name).map(plain).filter(|word| word != "(null)");
    let Some(event) = word("event") else {
        // With --metric-only, and a metric of several: no count.
        let known = fields.keys().any(|key| key.starts_with("metric-"));
        return if known { Line::Nothing } else { Line::Unread };
    };
    let value = match word("counter-value") {
        Some(value) => counted(value.trim()),
        None => return Line::Nothing,
    };
    let Some(value) = value else { return Line::Unread };
    let figure = |name: &str| word(name).and_then(|word| number(&word));
    let place = ["cpu", "core", "die", "socket", "node", "thread", "cgroup"].into_iter().find_map(word);
    let metric = figure("metric-value").zip(word("metric-unit").filter(|unit| !unit.is_empty()));
    Line::Row(Row {
        event: Cow::Owned(event),
        value,
        unit: Cow::Owned(word("unit").unwrap_or_default()),
        interval_s: figure("interval"),
        cpu: place.map(|place| Cow::Owned(place.trim_start_matches("CPU").to_owned())),
        runtime_ns: word("event-runtime").and_then(|word| count(&word)),
        running: figure("pcnt-running").map(|percent| percent / 100.0),
        metric: metric.map(|(value, unit)| (value, Cow::Owned(unit))),
    })
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> Row<'_> {
        match read(line) {
            Line::Row(row) => row,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn columns_shift() {
        let check = |line: &str, interval, cpu: Option<&str>, value, event: &str, runtime, running| {
            let row = row(line);
            assert_eq!((row.interval_s, row.cpu.as_deref()), (interval, cpu), "{line}");
            assert_eq!((row.value, &*row.event), (Value::Counted(value), event), "{line}");
            assert_eq!((row.runtime_ns, row.running), (Some(runtime), Some(running)), "{line}");
        };
        check("649,,cs,4003567056,100.00,162.106,/sec", None, None, 649.0, "cs", 4_003_567_056, 1.0);
        check("CPU1,244,,cs,1001360787,50.00,,", None, Some("1"), 244.0, "cs", 1_001_360_787, 0.5);
        check(
            "     1.001069268,683,,cs,2002412750,100.00,,",
            Some(1.001_069_268),
            None,
            683.0,
            "cs",
            2_002_412_750,
            1.0,
        );
        let both = "     1.001069268,CPU1,7,,cpu/event=0x3c,umask=0x1/,5,100.00,,";
        check(both, Some(1.001_069_268), Some("1"), 7.0, "cpu/event=0x3c,umask=0x1/", 5, 1.0);
        check("S0,2,7,,cs,5,100.00,,", None, Some("S0"), 7.0, "cs", 5, 1.0);
        check("S0-D0-C1,1,7,,cs,5,100.00,,", None, Some("S0-D0-C1"), 7.0, "cs", 5, 1.0);
        check("7,,cs,1.25%,5,100.00,,", None, None, 7.0, "cs", 5, 1.0);
        check(
            "4003.56,msec,task-clock,5,100.00,2.000,CPUs utilized",
            None,
            None,
            4003.56,
            "task-clock",
            5,
            1.0,
        );
        check("7;;cs;5;100.00;;", None, None, 7.0, "cs", 5, 1.0);
        // Linux 6.12: numbers in quotes; 6.1: without.
        let quoted = r#"{"cpu" : "0", "counter-value" : "342.000000", "unit" : "", "event" : "cs", "event-runtime" : 5, "pcnt-running" : 100.00, "metric-value" : "170.5", "metric-unit" : "/sec"}"#;
        check(quoted, None, Some("0"), 342.0, "cs", 5, 1.0);
        assert_eq!(row(quoted).metric, Some((170.5, "/sec".into())));
        check(&quoted.replace("\"170.5\"", "170.5"), None, Some("0"), 342.0, "cs", 5, 1.0);
    }

    #[test]
    fn what_was_not_counted_is_absent() {
        for line in [
            "<not supported>,,cycles,0,100.00,,",
            "<not counted>,,cycles,0,0.00,,",
            r#"{"counter-value" : "<not supported>", "unit" : "", "event" : "cycles", "event-runtime" : 0}"#,
        ] {
            assert_eq!((row(line).value, &*row(line).event), (Value::Absent, "cycles"), "{line}");
        }
    }

    #[test]
    fn what_is_no_row() {
        for line in [
            "",
            "# started on Mon",
            ",,,,,0.45,stalled cycles per insn",
            r#"{"metric-value" : "1.0", "metric-unit" : "x"}"#,
        ] {
            assert_eq!(read(line), Line::Nothing, "{line}");
        }
        for line in [
            "nonsense",
            "1,,",
            "x,,cs,5,100.00,,",
            "7,,cpu/event=1,5,100.00,,",
            "{\"a\":1}",
            "{",
            "nan,,cs,5,1,,",
            "-1,,cs,5,1,,",
        ] {
            assert_eq!(read(line), Line::Unread, "{line}");
        }
    }
}
