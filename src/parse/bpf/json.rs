//! A line of `bpftrace -f json`: a whole JSON value with a type. Depth is bounded by serde_json. It
//! keeps nothing of what a program printed by itself (printf, time, cat).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

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
    let kind = match json.get("type") {
        Some(Json::Text(kind)) => kind.as_str(),
        _ => return Err("expected an object with a \"type\"".to_owned()),
    };
    let data = json.get("data");
    match kind {
        "hist" | "lhist" | "tseries" | "map" | "stats" => {
            let Some(Json::Object(maps)) = data else {
                return Err("expected the maps in \"data\"".to_owned());
            };
            let mut entries = Vec::new();
            for (name, value) in maps {
                let map = name.strip_prefix('@').ok_or("expected a map's name to begin with @")?;
                walk(map, &mut Vec::new(), value, &mut entries)?;
            }
            Ok(Line::Entries(entries))
        }
        "lost_events" => {
            let events = data.and_then(|data| data.whole("events"));
            Ok(Line::Lost(events.ok_or("expected the number of lost events")?))
        }
        _ => Ok(Line::Other),
    }
}

/// JSON with every member of an object, as many times as it comes.
#[derive(Debug)]
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Whole(u64),
    Number(f64),
    Text(String),
    Other,
}

impl Json {
    fn get(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    fn whole(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Self::Whole(number) => Some(*number),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number).filter(|number| number.is_finite()),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

/// Descends through the keys; several keys stand in one, with commas between.
fn walk(map: &str, keys: &mut Vec<Key>, json: &Json, entries: &mut Vec<Entry>) -> Result<(), String> {
    let value = match json {
        Json::Array(rows) => Value::Rows(rows.iter().map(row).collect::<Result<_, _>>()?),
        Json::Object(members) => match stats(json) {
            Some(stats) => stats,
            None => {
                for (key, inner) in members {
                    let known = keys.len();
                    keys.extend(key.split(',').map(Key::plain));
                    walk(map, keys, inner, entries)?;
                    keys.truncate(known);
                }
                return Ok(());
            }
        },
        Json::Text(text) => Value::Text(text.clone()),
        other => Value::Number(
            other
                .number()
                .ok_or_else(|| format!("expected numbers, text or buckets in map {:?}", short(map)))?,
        ),
    };
    entries.push(Entry { map: map.to_owned(), keys: keys.clone(), value });
    Ok(())
}

fn stats(json: &Json) -> Option<Value> {
    let (count, total) = (json.whole("count")?, json.get("total")?.number()?);
    json.get("average").map(|_| Value::Stats { count, total })
}

/// Both bounds are within the bucket, and whole; the first and the last may be open.
fn row(json: &Json) -> Result<Row, String> {
    let bound = |name: &str| json.get(name).map(|bound| bound.number().ok_or("expected a bound"));
    let lo = bound("min").transpose()?.unwrap_or(f64::NEG_INFINITY);
    let hi = bound("max").transpose()?.map_or(f64::INFINITY, |max| max + 1.0);
    let count = json.whole("count").ok_or("expected a bucket's count")?;
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
    fn a_key_that_comes_twice_counts_twice() {
        let found = entries(r#"{"type":"map","data":{"@":{"W":2,"W":3}}}"#);
        assert_eq!(found, [2.0, 3.0].map(|number| entry("", &["W"], Value::Number(number))));
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
            r#"{"type":"map","data":{"@x":null}}"#,
            r#"{"type":"hist","data":{"@":[{"min":8,"max":7,"count":1}]}}"#,
            r#"{"type":"hist","data":{"@":[{"min":4,"max":7,"count":-1}]}}"#,
            &deep,
        ] {
            assert!(line(bad).is_err(), "{bad:.80}");
        }
    }
}
