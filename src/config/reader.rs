//! A typed walk over a TOML document that collects every fault instead of stopping at the first. It
//! knows no setting: what keys there are is the caller's to say.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, Place, suggestion};
use super::file::Text;
use super::value::{Base, Value, describe, integer};

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// A parsed document, with what the parser could not read.
pub(crate) struct Document<'d> {
    text: &'d Text,
    base: Base,
    root: DeTable<'d>,
    syntax: Faults,
}

impl<'d> Document<'d> {
    pub fn parse(text: &'d Text, home: Option<&std::path::Path>) -> Self {
        let (root, errors) = DeTable::parse_recoverable(&text.text);
        let syntax = Faults(errors.iter().map(|error| syntax_fault(text, error)).collect());
        let base = Base { folder: text.folder.clone(), home: home.map(std::path::Path::to_path_buf) };
        Self { text, base, root: root.into_inner(), syntax }
    }

    /// Whether the text is TOML: only then is what is missing really missing.
    pub fn is_whole(&self) -> bool {
        self.syntax.is_empty()
    }

    /// Runs `walk` over the document and appends the faults, those of the syntax among them.
    pub fn walk<T>(
        &self,
        keys: &'static [&'static str],
        faults: &mut Faults,
        walk: impl FnOnce(&Section<'_>, &mut Faults) -> T,
    ) -> Option<T> {
        let text = &self.text.text;
        let broken = self.syntax.iter().map(|fault| line_around(text, fault.place.span.start));
        let broken: Vec<Range<usize>> = broken.collect();
        // After a broken header every key belongs to a section it was not written in.
        if broken.iter().any(|line| text[line.clone()].trim_start().starts_with('[')) {
            faults.append(self.syntax.clone());
            return None;
        }
        let mut found = Faults::default();
        let section = Section { document: self, path: String::new(), span: 0..0, table: &self.root };
        section.refuse_unknown(keys, &mut found);
        let value = walk(&section, &mut found);
        // The parser puts stand-ins where it could not read on; a fault about one would only puzzle.
        let on_broken = |fault: &Fault| {
            let at = fault.place.span.start;
            broken.iter().any(|line| (line.start..=line.end).contains(&at))
        };
        found.0.retain(|fault| !on_broken(fault));
        found.append(self.syntax.clone());
        found.sort();
        faults.append(found);
        Some(value)
    }
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    start..text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

fn syntax_fault(text: &Text, error: &toml::de::Error) -> Fault {
    let mut span = error.span().unwrap_or(0..0);
    let (title, expected) = match error.message().split_once(", expected ") {
        Some((title, expected)) => (title, Some(expected)),
        None => (error.message(), None),
    };
    // At the end of the file there is nothing to point at; its last line is where to look.
    if span.start >= text.text.len() {
        let end = text.text.trim_end().len();
        span = end..end;
    }
    let written = text.text.get(span.clone()).unwrap_or_default();
    let place = text.place(span);
    // The parser's words for the commonest slips are about its grammar, not about the slip.
    match title {
        "string values must be quoted" if written.is_empty() => Fault::new(place, "the value is missing"),
        "string values must be quoted" => Fault::new(place, title).expected(format!("\"{written}\"")),
        "duplicate key" => Fault::new(place, format!("the key `{written}` is here a second time")),
        _ => Fault { expected: expected.map(str::to_owned), ..Fault::new(place, title) },
    }
}

/// One table of a document.
pub(crate) struct Section<'d> {
    document: &'d Document<'d>,
    /// `limits`, `hosts`; empty at the top.
    path: String,
    span: Range<usize>,
    table: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    pub fn place(&self) -> Place {
        self.document.text.place(self.span.clone())
    }

    /// `limits.concurrency`.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn refuse_unknown(&self, known: &[&'static str], faults: &mut Faults) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let word = key.get_ref().as_ref();
            let of = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            let place = self.document.text.place(key.span());
            let fault = Fault::new(place, format!("unknown key `{word}`{of}"));
            faults.push(match suggestion(word, known.iter().copied()) {
                Some(help) => fault.help(help),
                None => fault.expected(format!("one of {}", known.join(", "))),
            });
        }
    }

    pub fn field(&self, key: &str) -> Option<Field<'d>> {
        let (name, value) = self.table.get_key_value(key)?;
        Some(Field { document: self.document, path: self.path_of(key), key: name.span(), value })
    }

    /// What stands in the section, for `config show`.
    pub fn written(&self) -> impl Iterator<Item = WrittenValue> + '_ {
        self.fields().map(|(key, field)| WrittenValue {
            key: key.to_owned(),
            value: json(field.value.get_ref()),
            place: field.place(),
        })
    }

    /// Every key with its value, for tables whose keys are the user's own (`labels`, `[groups]`).
    pub fn fields(&self) -> impl Iterator<Item = (&'d str, Field<'d>)> + '_ {
        self.table.iter().map(|(name, value)| {
            let key = name.get_ref().as_ref();
            (key, Field { document: self.document, path: self.path_of(key), key: name.span(), value })
        })
    }

    pub fn read<T: Value>(&self, key: &str, faults: &mut Faults) -> Option<Located<T>> {
        self.field(key)?.read(faults)
    }

    /// As [`Section::read`]; `check` completes "expected …" about a value that does not fit.
    pub fn read_checked<T: Value>(
        &self,
        key: &str,
        check: impl FnOnce(&T) -> Result<(), String>,
        faults: &mut Faults,
    ) -> Option<Located<T>> {
        let field = self.field(key)?;
        let read = field.read(faults)?;
        match check(&read.value) {
            Ok(()) => Some(read),
            Err(expected) => {
                faults.push(field.fault(&expected));
                None
            }
        }
    }

    /// As [`Section::read`]; a missing key is a fault that points at the section's header.
    pub fn require<T: Value>(&self, key: &str, faults: &mut Faults) -> Option<Located<T>> {
        if self.table.contains_key(key) {
            return self.read(key, faults);
        }
        self.missing(key, T::EXPECTED, faults);
        None
    }

    /// `None` and a fault if `key` is not there, before it is read in some other way.
    pub fn missing_unless_given(&self, key: &str, expected: &str, faults: &mut Faults) -> Option<()> {
        if self.table.contains_key(key) {
            return Some(());
        }
        self.missing(key, expected, faults);
        None
    }

    fn missing(&self, key: &str, expected: &str, faults: &mut Faults) {
        if self.document.is_whole() {
            faults.push(
                Fault::new(self.place(), format!("`{}` is missing", self.path_of(key))).expected(expected),
            );
        }
    }

    /// The table `key`, its unknown keys refused.
    pub fn section(&self, key: &str, known: &[&'static str], faults: &mut Faults) -> Option<Section<'d>> {
        let section = self.open_section(key, faults)?;
        section.refuse_unknown(known, faults);
        Some(section)
    }

    /// The table `key`, whose keys are the user's own.
    pub fn open_section(&self, key: &str, faults: &mut Faults) -> Option<Section<'d>> {
        let field = self.field(key)?;
        let section = field.table();
        if section.is_none() {
            faults.push(field.fault(&format!("a table, as in [{}]", field.path)));
        }
        section
    }

    /// The tables of `[[key]]`, unknown keys refused in each.
    pub fn sections(&self, key: &str, known: &[&'static str], faults: &mut Faults) -> Vec<Section<'d>> {
        let Some(field) = self.field(key) else { return Vec::new() };
        let expected = format!("tables, each under its own [[{}]]", field.path);
        let Some(items) = field.value.get_ref().as_array() else {
            faults.push(field.fault(&expected));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            let field =
                Field { document: self.document, path: field.path.clone(), key: item.span(), value: item };
            match field.table() {
                Some(section) => {
                    section.refuse_unknown(known, faults);
                    sections.push(section);
                }
                None => faults.push(field.fault(&expected)),
            }
        }
        sections
    }

    /// The strings of an array.
    pub fn strings(&self, key: &str, faults: &mut Faults) -> Option<Vec<Located<String>>> {
        let field = self.field(key)?;
        let Some(items) = field.value.get_ref().as_array() else {
            faults.push(field.fault("an array of strings"));
            return None;
        };
        let strings = items.iter().filter_map(|item| {
            let path = field.path.clone();
            Field { document: self.document, path, key: item.span(), value: item }.read(faults)
        });
        Some(strings.collect())
    }

    /// A word out of a closed set.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&'static str, T)], faults: &mut Faults) -> Option<T> {
        let given = self.read::<String>(key, faults)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == given.value) {
            return Some(*value);
        }
        let names = || words.iter().map(|(word, _)| *word);
        let title = format!("`{}` cannot be {:?}", self.path_of(key), given.value);
        let fault = Fault::new(given.place, title)
            .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")))
            .maybe_help(suggestion(&given.value, names()));
        faults.push(fault);
        None
    }
}

/// A value as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenValue {
    pub key: String,
    pub value: serde_json::Value,
    pub place: Place,
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(_) => {
            integer(value).flatten().map_or(serde_json::Value::Null, serde_json::Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(serde_json::Value::Null, Into::into),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(value) => value.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref().to_owned(), json(value.get_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// One key and its value.
pub(crate) struct Field<'d> {
    document: &'d Document<'d>,
    path: String,
    key: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Field<'d> {
    pub fn place(&self) -> Place {
        self.document.text.place(self.value.span())
    }

    pub fn key_place(&self) -> Place {
        self.document.text.place(self.key.clone())
    }

    fn fault(&self, expected: &str) -> Fault {
        let title = format!("`{}` cannot be {}", self.path, describe(self.value.get_ref()));
        Fault::new(self.place(), title).expected(expected)
    }

    pub fn read<T: Value>(&self, faults: &mut Faults) -> Option<Located<T>> {
        let read = T::from_toml(self.value.get_ref(), &self.document.base);
        match read {
            None => {
                faults.push(self.fault(T::EXPECTED));
                None
            }
            Some(Ok(value)) => Some(Located { value, place: self.place() }),
            Some(Err(bad)) => {
                let items = self.value.get_ref().as_array();
                let element = bad.element.and_then(|index| items?.get(index)).unwrap_or(self.value);
                let field = Field { path: self.path.clone(), key: self.key.clone(), value: element, ..*self };
                faults.push(field.fault(&bad.expected).maybe_help(bad.help));
                None
            }
        }
    }

    fn table(&self) -> Option<Section<'d>> {
        let table = self.value.get_ref().as_table()?;
        Some(Section { document: self.document, path: self.path.clone(), span: self.value.span(), table })
    }
}

/// The place of the bytes `range` of the string that stands at `place`: past the quote if the string
/// is written without escapes, else the whole of it.
pub(crate) fn inside(place: &Place, value: &str, range: Range<usize>) -> Place {
    let written = place.text.get(place.span.clone()).unwrap_or_default();
    let start = written.find(value).filter(|_| !value.is_empty() && !written.contains('\\'));
    let span = start.map_or(place.span.clone(), |start| {
        let from = place.span.start + start;
        from + range.start.min(value.len())..from + range.end.min(value.len())
    });
    Place { span, ..place.clone() }
}
