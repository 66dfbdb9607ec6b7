//! `csv`: a header, then a row per series. Columns with a `[[metric]]` entry are numbers, all
//! others are labels.
//!
//! The separator is the first of `,` `;` and tab that the header has. A cell may be quoted as in
//! RFC 4180, but a row is one line: it takes no line break in a cell.

use std::borrow::Cow;

use crate::model::{LabelPairs, MetricSpec, Probe};

use super::sink::Sink;
use super::specs;
use super::text::{decimal, excerpt, utf8_lines};

enum Column<'p> {
    Metric(&'p MetricSpec),
    Label,
}

pub(super) fn parse(probe: &Probe, raw: &[u8], sink: &mut Sink) {
    let mut rows = utf8_lines(raw, sink).into_iter().filter(|(_, line)| !line.trim().is_empty());
    let Some((number, header)) = rows.next() else {
        return sink.fault(|| "expected a header line with the names of the columns, found nothing".into());
    };
    let separator = header.chars().find(|c| [',', ';', '\t'].contains(c)).unwrap_or(',');
    let Some(names) = cells(header, separator) else {
        return sink.fault(|| {
            format!("line {number}: expected a closing quote, found {}", excerpt(header.as_bytes()))
        });
    };
    let columns: Vec<Column> =
        names.iter().map(|name| specs::of_key(probe, name).map_or(Column::Label, Column::Metric)).collect();
    check_header(probe, &names, &columns, sink);
    for (number, line) in rows {
        let Some(values) = cells(line, separator).filter(|values| values.len() == names.len()) else {
            sink.fault(|| {
                format!(
                    "line {number}: expected {} cells as in the header, found {}",
                    names.len(),
                    excerpt(line.as_bytes())
                )
            });
            continue;
        };
        row(number, &names, &columns, &values, sink);
    }
}

fn check_header(probe: &Probe, names: &[Cow<str>], columns: &[Column], sink: &mut Sink) {
    for spec in probe.metrics.iter().filter(|spec| !spec.name.contains('*')) {
        let wanted = spec.source.as_deref().unwrap_or(&spec.name);
        if !names.iter().any(|name| name == wanted) {
            sink.fault(|| {
                format!("line 1: expected a column {wanted:?} for metric {}, found none", spec.name)
            });
        }
    }
    for (name, _) in names.iter().zip(columns).filter(|(_, column)| matches!(column, Column::Label)) {
        if !is_label(name) {
            sink.fault(|| {
                format!(
                    "line 1: {} is no [[metric]] and no label: expected A-Z a-z 0-9 _",
                    excerpt(name.as_bytes())
                )
            });
        }
    }
}

fn row(number: usize, names: &[Cow<str>], columns: &[Column], values: &[Cow<str>], sink: &mut Sink) {
    let cells = || names.iter().zip(columns).zip(values);
    let labels: LabelPairs = cells()
        .filter(|((name, column), value)| {
            matches!(column, Column::Label) && !value.is_empty() && is_label(name)
        })
        .map(|((name, _), value)| (Cow::Owned(name.to_string()), value.to_string()))
        .collect();
    let labels = match specs::sorted(labels) {
        Ok(labels) => labels,
        Err(words) => return sink.fault(|| format!("line {number}: {words}")),
    };
    for ((name, column), value) in cells() {
        let Column::Metric(spec) = column else { continue };
        // An empty cell is the CSV way to say absent.
        if value.is_empty() {
            continue;
        }
        match decimal(value.as_bytes()) {
            Some(value) => specs::store(sink, specs::name_of(spec, name), spec.kind, labels.clone(), value),
            None => sink.fault(|| {
                format!(
                    "line {number}: expected a finite number in column {name:?}, found {}",
                    excerpt(value.as_bytes())
                )
            }),
        }
    }
}

fn is_label(name: &str) -> bool {
    specs::is_metric_name(name) && !name.contains(':')
}

/// The cells of a line, trimmed, unquoted; `None` where a quote is left open or text follows one.
fn cells(line: &str, separator: char) -> Option<Vec<Cow<'_, str>>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.trim_start_matches(' ').strip_prefix('"') {
            Some(quoted) => {
                let (cell, after) = unquote(quoted)?;
                let after = after.trim_start_matches(' ');
                (cell, if after.is_empty() { None } else { Some(after.strip_prefix(separator)?) })
            }
            None => match rest.split_once(separator) {
                Some((cell, after)) => (Cow::Borrowed(cell.trim()), Some(after)),
                None => (Cow::Borrowed(rest.trim()), None),
            },
        };
        cells.push(cell);
        match after {
            Some(after) => rest = after,
            None => return Some(cells),
        }
    }
}

/// The text up to the closing quote, `""` being one quote, and what follows.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut end = text.find('"')?;
    if !text[end + 1..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut cell = String::new();
    let mut from = 0;
    while text[end + 1..].starts_with('"') {
        cell.push_str(&text[from..=end]);
        from = end + 2;
        end = from + text[from..].find('"')?;
    }
    cell.push_str(&text[from..end]);
    Some((Cow::Owned(cell), &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::parse::testing::{faults, probe, series};

    #[test]
    fn cells_are_split_and_unquoted() {
        let check = |line: &str, expected: &[&str]| assert_eq!(cells(line, ',').unwrap(), expected, "{line}");
        check("a, b ,c", &["a", "b", "c"]);
        check(r#""x, y",2"#, &["x, y", "2"]);
        check(r#""say ""hi""" , 3"#, &[r#"say "hi""#, "3"]);
        check(r#""""""#, &["\""]);
        check(",", &["", ""]);
        check("", &[""]);
        for open in [r#""never"#, r#""a"b,c"#, r#""a"""#] {
            assert_eq!(cells(open, ','), None, "{open}");
        }
    }

    #[test]
    fn columns_with_an_entry_are_numbers_and_the_others_labels() {
        let metrics = [("await_seconds", Kind::Gauge, Some("await")), ("reads_total", Kind::Counter, None)];
        let raw = b"device;await;op;reads_total\nsda;0.5;r;7\nsdb;;w;8\n";
        let parsed = crate::parse::parse(&probe("csv", &metrics), raw, &Default::default());
        assert_eq!(
            series(&parsed),
            [
                "await_seconds{device=sda,op=r} 0.5",
                "total reads_total{device=sda,op=r} 7",
                "total reads_total{device=sdb,op=w} 8"
            ]
        );
        assert_eq!(faults(&parsed), [""; 0]);
    }

    #[test]
    fn faults_name_the_line() {
        let metrics = [("x", Kind::Gauge, None), ("y", Kind::Gauge, None)];
        let raw = b"x,bad label\n1,a,b\nno,a\n";
        let parsed = crate::parse::parse(&probe("csv", &metrics), raw, &Default::default());
        assert_eq!(
            faults(&parsed),
            [
                "line 1: expected a column \"y\" for metric y, found none",
                "line 1: \"bad label\" is no [[metric]] and no label: expected A-Z a-z 0-9 _",
                "line 2: expected 2 cells as in the header, found \"1,a,b\"",
                "line 3: expected a finite number in column \"x\", found \"no\"",
            ]
        );
        assert_eq!(faults(&crate::parse::parse(&probe("csv", &metrics), b"", &Default::default())).len(), 1);
    }
}
