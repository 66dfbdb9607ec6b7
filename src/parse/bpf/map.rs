//! What was found in an output, before it has a metric: maps with keys, in the tool's own units. It
//! knows neither probes nor metrics.

use std::collections::HashMap;

/// `count` observations in [lo, hi), in the tool's unit; an open end is infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub lo: f64,
    pub hi: f64,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Rows(Vec<Row>),
    Number(f64),
    Text(String),
    /// bpftrace's `stats()`.
    Stats {
        count: u64,
        total: f64,
    },
}

/// One thing of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Without the `@`; empty for bpftrace's unnamed map and for bcc.
    pub map: String,
    pub keys: Vec<Key>,
    pub value: Value,
}

/// A key, and what it is where the tool says so (`disk = sda`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub name: Option<String>,
    pub text: String,
}

impl Key {
    pub(super) fn plain(text: &str) -> Self {
        Self { name: None, text: text.trim().to_owned() }
    }
}

/// All entries of an output in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Maps {
    entries: Vec<Option<Entry>>,
    places: HashMap<(String, Vec<Key>), Places>,
    print: usize,
}

/// Where the entries of one map and key are, all of the same print.
#[derive(Debug, Default)]
struct Places {
    print: usize,
    at: Vec<usize>,
}

impl Maps {
    /// Takes what bpftrace prints at once: a map as it stands, so that the last print is the whole. A
    /// key may come twice in one, when it is text with leftovers behind its end; both count.
    pub(super) fn print(&mut self, entries: Vec<Entry>) {
        self.print += 1;
        for entry in entries {
            let places = self.places.entry((entry.map.clone(), entry.keys.clone())).or_default();
            if places.print != self.print {
                for old in places.at.drain(..) {
                    self.entries[old] = None;
                }
                places.print = self.print;
            }
            places.at.push(self.entries.len());
            self.entries.push(Some(entry));
        }
    }

    /// Takes what bcc's tools print after an interval, to begin anew: the whole is the sum.
    pub(super) fn add(&mut self, entry: Entry) {
        let places = self.places.entry((entry.map.clone(), entry.keys.clone())).or_default();
        let known = places.at.first().and_then(|at| self.entries[*at].as_mut());
        match (known.map(|known| &mut known.value), entry.value) {
            (Some(Value::Rows(rows)), Value::Rows(more)) => add_rows(rows, more),
            (Some(Value::Number(number)), Value::Number(more)) => *number += more,
            (_, value) => {
                places.at.push(self.entries.len());
                self.entries.push(Some(Entry { value, ..entry }));
            }
        }
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries.into_iter().flatten().collect()
    }
}

/// Adds counts where the bounds are the same; other bounds are rows of their own, in order.
pub(super) fn add_rows(rows: &mut Vec<Row>, more: Vec<Row>) {
    let place_of = |row: &Row| (row.lo.to_bits(), row.hi.to_bits());
    let places: HashMap<_, _> = rows.iter().enumerate().map(|(place, row)| (place_of(row), place)).collect();
    for row in more {
        match places.get(&place_of(&row)).and_then(|place| rows.get_mut(*place)) {
            Some(known) => known.count = known.count.saturating_add(row.count),
            None => rows.push(row),
        }
    }
    rows.sort_by(|a, b| a.lo.total_cmp(&b.lo).then(a.hi.total_cmp(&b.hi)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(counts: &[(f64, f64, u64)]) -> Vec<Row> {
        counts.iter().map(|(lo, hi, count)| Row { lo: *lo, hi: *hi, count: *count }).collect()
    }

    #[test]
    fn rows_add_by_their_bounds() {
        let mut sum = rows(&[(0.0, 2.0, 1), (4.0, 8.0, 3)]);
        add_rows(&mut sum, rows(&[(2.0, 4.0, 5), (4.0, 8.0, 2), (0.0, 2.0, u64::MAX)]));
        assert_eq!(sum, rows(&[(0.0, 2.0, u64::MAX), (2.0, 4.0, 5), (4.0, 8.0, 5)]));
    }

    #[test]
    fn what_comes_again_replaces_or_adds() {
        let entry =
            |value| Entry { map: "us".into(), keys: vec![Key::plain("3")], value: Value::Number(value) };
        let mut maps = Maps::default();
        maps.print(vec![entry(1.0), entry(2.0)]);
        maps.print(vec![entry(3.0), entry(4.0)]);
        assert_eq!(maps.into_entries(), [entry(3.0), entry(4.0)]);
        let mut maps = Maps::default();
        maps.add(entry(1.0));
        maps.add(entry(2.0));
        assert_eq!(maps.into_entries(), [entry(3.0)]);
    }
}
