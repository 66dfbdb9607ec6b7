//! A line of `bpftrace -f json`: a whole JSON value with a type. Depth is bounded by serde_json. It
//! keeps nothing of what a program printed by itself (printf, time, cat).

use serde_json::{Map, Value as Json};

use super::map::{Entry, Key, Row, Value};

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Entries(Vec<Entry>),
    Lost(u64),
    Other,
}

pub(super) fn line(text: &str) -> Result<Line, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))?;
    let kind = json.get("type").and_then(Json::as_str).unwrap_or_default();
    let data = json.get("data");
    match kind {
        "hist" | "lhist" | "tseries" | "map" | "stats" => {
            let maps = data.and_then(Json::as_object).ok_or("expected the maps in \"data\"")?;
            let mut entries = Vec::new();
            for (name, value) in maps {
                let map = name.strip_prefix('@').ok_or("expected a map's name to begin with @")?;
                walk(map, &mut Vec::new(), value, &mut entries)?;
            }
            Ok(Line::Entries(entries))
        }
        "lost_events" => {
            let events = data.and_then(|data| data.get("events")).and_then(Json::as_u64);
            Ok(Line::Lost(events.ok_or("expected the number of lost events")?))
        }
        "" => Err("expected an object with a \"type\"".to_owned()),
        _ => Ok(Line::Other),
    }
}

/// Descends through the keys; several keys stand in one, with commas between.
fn walk(map: &str, keys: &mut Vec<Key>, json: &Json, entries: &mut Vec<Entry>) -> Result<(), String> {
    let value = match json {
        Json::Array(rows) if rows.iter().all(Json::is_object) => {
            Value::Rows(rows.iter().map(row).collect::<Result<_, _>>()?)
        }
        Json::Object(object) => match stats(object) {
            Some(stats) => stats,
            None => {
                for (key, inner) in object {
                    let known = keys.len();
                    keys.extend(key.split(',').map(Key::plain));
                    walk(map, keys, inner, entries)?;
                    keys.truncate(known);
                }
                return Ok(());
            }
        },
        Json::Number(number) => {
            Value::Number(number.as_f64().filter(|value| value.is_finite()).ok_or("expected a number")?)
        }
        Json::String(text) => Value::Text(text.clone()),
        _ => return Err(format!("expected numbers, text or buckets in map @{}", short(map))),
    };
    entries.push(Entry { map: map.to_owned(), keys: keys.clone(), value });
    Ok(())
}

fn stats(object: &Map<String, Json>) -> Option<Value> {
    let (count, total) = (object.get("count")?.as_u64()?, object.get("total")?.as_f64()?);
    object.contains_key("average").then_some(Value::Stats { count, total })
}

/// Both bounds are within the bucket, and whole; the first and the last may be open.
fn row(json: &Json) -> Result<Row, String> {
    let bound = |name: &str| json.get(name).map(|bound| bound.as_f64().ok_or("expected a bound"));
    let lo = bound("min").transpose()?.unwrap_or(f64::NEG_INFINITY);
    let hi = bound("max").transpose()?.map_or(f64::INFINITY, |max| max + 1.0);
    let count = json.get("count").and_then(Json::as_u64).ok_or("expected a bucket's count")?;
    if lo < hi { Ok(Row { lo, hi, count }) } else { Err("expected a bucket's min below its max".to_owned()) }
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        match line(text) {
            Ok(Line::Entries(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn entry(map: &str, keys: &[&str], value: Value) -> Entry {
        Entry { map: map.into(), keys: keys.iter().map(|key| Key::plain(key)).collect(), value }
    }

    #[test]
    fn keyed_or_not_nested_or_joined() {
        let row = Value::Rows(vec![Row { lo: 4.0, hi: 8.0, count: 5 }]);
        let bucket = r#"[{"min": 4, "max": 7, "count": 5}]"#;
        for (text, expected) in [
            (format!(r#"{{"type":"hist","data":{{"@us":{bucket}}}}}"#), entry("us", &[], row.clone())),
            (
                format!(r#"{{"type":"hist","data":{{"@":{{"1, a":{bucket}}}}}}}"#),
                entry("", &["1", "a"], row.clone()),
            ),
            (
                format!(r#"{{"type":"hist","data":{{"@":{{"1":{{"a":{bucket}}}}}}}}}"#),
                entry("", &["1", "a"], row),
            ),
        ] {
            assert_eq!(entries(&text), [expected]);
        }
        assert_eq!(
            entries(
                r#"{"type":"stats","data":{"@s":{"a":{"count":2,"average":3,"total":7}},"@t":{"b":"c"}}}"#
            ),
            [
                entry("s", &["a"], Value::Stats { count: 2, total: 7.0 }),
                entry("t", &["b"], Value::Text("c".into()))
            ]
        );
    }

    #[test]
    fn open_ends_and_zero() {
        let text = r#"{"type":"hist","data":{"@":[{"max":-1,"count":1},{"min":0,"max":0,"count":2},{"min":100,"count":3}]}}"#;
        let rows = [(f64::NEG_INFINITY, 0.0, 1), (0.0, 1.0, 2), (100.0, f64::INFINITY, 3)];
        let rows = rows.map(|(lo, hi, count)| Row { lo, hi, count }).to_vec();
        assert_eq!(entries(text), [entry("", &[], Value::Rows(rows))]);
    }

    #[test]
    fn messages_and_nonsense() {
        assert_eq!(line(r#"{"type": "lost_events", "data": {"events": 123}}"#), Ok(Line::Lost(123)));
        assert_eq!(line(r#"{"type": "printf", "data": "{}"}"#), Ok(Line::Other));
        let deep = format!(r#"{{"type":"map","data":{{"@":{}1{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
        for bad in [
            "{",
            "{}",
            r#"{"type":"map","data":[]}"#,
            r#"{"type":"map","data":{"x":1}}"#,
            r#"{"type":"hist","data":{"@":[{"min":8,"max":7,"count":1}]}}"#,
            r#"{"type":"hist","data":{"@":[{"min":4,"max":7,"count":-1}]}}"#,
            &deep,
        ] {
            assert!(line(bad).is_err(), "{bad:.80}");
        }
    }
}
