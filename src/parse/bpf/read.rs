//! Line by line: which tool wrote a line, and what it belongs to. What a tool says beside its maps
//! (warnings, errors, lost events) is a fault; what time(1) adds below is not.

use super::host::{Host, Section};
use super::map::{Entry, Key, Maps, Row, Value};
use super::{bcc, emit, json, text};
use crate::model::Probe;
use crate::parse::sink::Sink;
use crate::parse::text::excerpt;

/// bpftrace puts a whole map, with all keys, in one line of JSON.
const MAX_JSON_LINE_BYTES: usize = 8 << 20;
const MAX_TEXT_LINE_BYTES: usize = 64 << 10;

pub(in crate::parse) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(raw.split(|byte| *byte == b'\n')) {
        let is_json = line.first() == Some(&b'{');
        let most = if is_json { MAX_JSON_LINE_BYTES } else { MAX_TEXT_LINE_BYTES };
        if line.len() > most {
            sink.fault(|| format!("line {number}: {} bytes long, expected at most {most}", line.len()));
            continue;
        }
        match std::str::from_utf8(line) {
            Ok(line) if is_json => reader.json(number, line, sink),
            Ok(line) => reader.text(number, line.trim_end(), sink),
            Err(_) => sink.fault(|| format!("line {number}: expected UTF-8, found {}", excerpt(line))),
        }
    }
    reader.close();
    let Reader { maps, host, lost, .. } = reader;
    if lost > 0 {
        sink.fault(|| format!("{lost} events were lost: the counts are too low"));
    }
    emit::emit(probe, maps.into_entries(), &host, sink);
}

/// A histogram whose rows are coming.
struct Open {
    map: String,
    keys: Vec<Key>,
    is_bcc: bool,
    rows: Vec<Row>,
}

struct Reader {
    maps: Maps,
    host: Host,
    section: Section,
    lost: u64,
    open: Option<Open>,
    /// bcc says whose a histogram is above it.
    key: Option<Key>,
    /// The columns of a bcc table whose rows are coming.
    columns: Vec<String>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            maps: Maps::default(),
            host: Host::default(),
            section: Section::Tool,
            lost: 0,
            open: None,
            key: None,
            columns: Vec::new(),
        }
    }
}

impl Reader {
    fn json(&mut self, number: usize, line: &str, sink: &mut Sink) {
        self.close();
        match json::line(line) {
            Ok(json::Line::Entries(entries)) => self.maps.print(entries),
            Ok(json::Line::Lost(events)) => self.lost = self.lost.saturating_add(events),
            Ok(json::Line::Other) => {}
            Err(words) => sink.fault(|| format!("line {number}: {words}")),
        }
    }

    fn text(&mut self, number: usize, line: &str, sink: &mut Sink) {
        if let Some(words) = line.strip_prefix("@@@ ") {
            self.close();
            self.section = self.host.section(words);
            return;
        }
        if self.section != Section::Tool {
            if self.section != Section::Unknown && self.host.line(self.section, line).is_none() {
                sink.fault(|| {
                    format!(
                        "line {number}: expected a line of that section, found {}",
                        excerpt(line.as_bytes())
                    )
                });
            }
            return;
        }
        let taken = line.trim().is_empty() || self.bpftrace(line) || self.bcc(line) || self.cells(line);
        if !taken {
            self.message(number, line, sink);
        }
    }

    fn bpftrace(&mut self, line: &str) -> bool {
        match text::line(line) {
            text::Line::Header { map, keys } => {
                self.open(Open { map: map.to_owned(), keys, is_bcc: false, rows: Vec::new() });
            }
            text::Line::Single { map, keys, value } => {
                self.close();
                self.maps.print(vec![Entry { map: map.to_owned(), keys, value }]);
            }
            text::Line::Row(row) => match &mut self.open {
                Some(open) => open.rows.push(row),
                None => return false,
            },
            text::Line::Other => return false,
        }
        true
    }

    fn bcc(&mut self, line: &str) -> bool {
        match bcc::line(line) {
            bcc::Line::Key(key) => {
                self.close();
                self.key = Some(key);
            }
            bcc::Line::Header(unit) => {
                let keys = self.key.take().into_iter().collect();
                self.open(Open { map: unit.to_owned(), keys, is_bcc: true, rows: Vec::new() });
            }
            bcc::Line::Row(row) => match &mut self.open {
                Some(open) => open.rows.push(row),
                None => return false,
            },
            bcc::Line::Columns(columns) => {
                self.close();
                self.columns = columns;
            }
            bcc::Line::Other => return false,
        }
        true
    }

    /// A row of a table of totals.
    fn cells(&mut self, line: &str) -> bool {
        let Some((first, others)) = self.columns.split_first() else { return false };
        let Some((of, numbers)) = bcc::cells(line, self.columns.len()) else { return false };
        for (column, number) in others.iter().zip(numbers) {
            let Some((metric, per_unit)) = column_metric(first, column) else { continue };
            let entry =
                Entry { map: metric, keys: vec![Key::plain(&of)], value: Value::Number(number / per_unit) };
            self.maps.add(entry);
        }
        true
    }

    fn message(&mut self, number: usize, line: &str, sink: &mut Sink) {
        if let Some(events) = lost_events(line) {
            self.lost = self.lost.saturating_add(events);
        } else if !is_noise(line) {
            sink.fault(|| format!("line {number}: no map and no table: {}", excerpt(line.as_bytes())));
        }
    }

    fn open(&mut self, open: Open) {
        self.close();
        self.open = Some(open);
    }

    /// An empty map is printed without its name, so a name without rows is none that counted nothing.
    fn close(&mut self) {
        self.columns.clear();
        if let Some(Open { map, keys, is_bcc, rows }) = self.open.take().filter(|open| !open.rows.is_empty())
        {
            let entry = Entry { map, keys, value: Value::Rows(rows) };
            if is_bcc { self.maps.add(entry) } else { self.maps.print(vec![entry]) }
        }
    }
}

/// The metric of a table's column, and how many of the column's units are one of its own.
fn column_metric(first: &str, column: &str) -> Option<(String, f64)> {
    let noun = if first == "hardirq" { "irq_handler" } else { first };
    let unit = column.rsplit('_').next().unwrap_or(column);
    match emit::per_second(unit) {
        Some(per_second) => Some((format!("{noun}_time_seconds"), per_second)),
        None => column.ends_with("count").then(|| (format!("{noun}_calls"), 1.0)),
    }
}

/// `Lost 123 events`
fn lost_events(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Lost ")?;
    rest.strip_suffix(" events")?.parse().ok()
}

/// What every run says: that it began, the time of day, and what time(1) measured.
fn is_noise(line: &str) -> bool {
    let line = line.trim();
    let clock = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let timed = ["real", "user", "sys"].iter().any(|word| {
        line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t']) && rest.len() < 20)
    });
    (line.starts_with("Attaching ") && line.contains(" probe"))
        || line.starts_with("Tracing ")
        || clock(line.trim_matches(['[', ']']))
        || timed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_known() {
        for noise in [
            "Attaching 6 probes...",
            "Tracing block device I/O... Hit Ctrl-C to end.",
            "[21:49:17]",
            "21:49:17",
            "real\t0m2.5s",
            "sys 0.02",
        ] {
            assert!(is_noise(noise), "{noise}");
        }
        for message in ["WARNING: failed to detach probe", "ERROR: x", "syscalls", "12:34"] {
            assert!(!is_noise(message), "{message}");
        }
        assert_eq!(lost_events("Lost 123 events"), Some(123));
    }
}
