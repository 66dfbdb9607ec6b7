//! Events of the parser → one document.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::scalar::{resolve, whole};
use super::{Node, Value};

/// Why a text is no document. The span is in bytes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    pub span: Range<usize>,
    pub title: String,
}

/// Lists of lists of lists; nobody can follow more, and the stack need not.
const MAX_DEPTH: usize = 64;

/// Values, with those that an alias repeats: some fifty for each of 10,000 hosts.
const MAX_NODES: usize = 1_000_000;

/// The text's one document; nothing at all is `Null`.
pub fn load(text: &str) -> Result<Node, YamlError> {
    let mut loader = Loader::new(text);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => loader.take(event, span)?,
            Err(error) => {
                let at = loader.offset(*error.marker());
                return Err(YamlError { span: at..at, title: error.info().to_owned() });
            }
        }
    }
    Ok(loader.root.unwrap_or(Node { value: Value::Null, span: 0..0 }))
}

/// A list or mapping that is not closed yet.
struct Open {
    anchor: usize,
    start: usize,
    /// Keys and values in turn for a mapping.
    items: Vec<Node>,
    is_map: bool,
    forced: Option<String>,
}

struct Loader<'t> {
    text: &'t str,
    /// Where each character starts; empty for a text of single bytes.
    starts: Vec<usize>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl<'t> Loader<'t> {
    fn new(text: &'t str) -> Self {
        let starts = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(start, _)| start).collect(),
        };
        Self { text, starts, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None }
    }

    /// The parser counts characters.
    fn offset(&self, marker: Marker) -> usize {
        let index = marker.index();
        if self.text.is_ascii() {
            return index.min(self.text.len());
        }
        self.starts.get(index).copied().unwrap_or(self.text.len())
    }

    fn span(&self, span: Span) -> Range<usize> {
        self.offset(span.start)..self.offset(span.end)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let span = self.span(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_ref());
                self.add(Node { value, span }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.begin((anchor, false), span, tag),
            Event::MappingStart(anchor, tag) => self.begin((anchor, true), span, tag),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = node.clone();
                    self.count(size(&node), &span)?;
                    self.add(node, 0)
                }
                None => Err(error(span, "an alias of what it stands in")),
            },
            Event::DocumentStart(_) if self.root.is_some() => Err(error(span, "a second document")),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, span: &Range<usize>) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(error(span.clone(), "more values than anybody wrote"));
        }
        Ok(())
    }

    fn begin(
        &mut self,
        (anchor, is_map): (usize, bool),
        span: Range<usize>,
        tag: Option<Cow<'_, Tag>>,
    ) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(error(span, "nested too deeply"));
        }
        let forced = tag.map(|tag| tag.suffix.clone());
        self.open.push(Open { anchor, start: span.start, items: Vec::new(), is_map, forced });
        Ok(())
    }

    fn end(&mut self, span: Range<usize>) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let span = open.start..span.end.max(open.start);
        let value = match open.is_map {
            false => Value::List(open.items),
            true if open.forced.as_deref() == Some("set") => {
                Value::List(open.items.into_iter().step_by(2).collect())
            }
            true => Value::Map(pairs(open.items)?),
        };
        self.add(Node { value, span }, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.count(1, &node.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

fn error(span: Range<usize>, title: &str) -> YamlError {
    YamlError { span, title: title.to_owned() }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(pairs) => 1 + pairs.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Value {
    let text_value = || Value::Text(text.to_owned());
    match tag.map(|tag| tag.suffix.as_str()) {
        Some("vault" | "vault-encrypted") => Value::Vault(text.to_owned()),
        Some("int") => match resolve(text) {
            Value::Int(value) => Value::Int(value),
            _ => whole(text).map_or_else(text_value, Value::Int),
        },
        Some("float") => match resolve(text) {
            Value::Int(value) => Value::Float(value as f64),
            Value::Float(value) => Value::Float(value),
            _ => text.parse().map_or_else(|_| text_value(), Value::Float),
        },
        Some("bool" | "null") => resolve(text),
        Some(_) => text_value(),
        None if style == ScalarStyle::Plain => resolve(text),
        None => text_value(),
    }
}

/// The last of equal keys wins, and a mapping's own win over those that `<<` merges.
fn pairs(items: Vec<Node>) -> Result<Vec<(Node, Node)>, YamlError> {
    let mut merged: Vec<(Node, Node)> = Vec::new();
    let mut own: Vec<(Node, Node)> = Vec::new();
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        if key.text() != Some("<<") {
            own.push((key, value));
            continue;
        }
        let span = value.span.clone();
        match value.value {
            Value::Map(pairs) => merged.extend(pairs),
            // Of several, the first wins.
            Value::List(maps) => {
                for map in maps.into_iter().rev() {
                    let Value::Map(pairs) = map.value else {
                        return Err(error(map.span, "`<<` merges mappings only"));
                    };
                    merged.extend(pairs);
                }
            }
            _ => return Err(error(span, "`<<` merges mappings only")),
        }
    }
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut pairs: Vec<(Node, Node)> = Vec::with_capacity(merged.len() + own.len());
    for (key, value) in merged.into_iter().chain(own) {
        match index.get(&key.key_text()) {
            Some(at) => pairs[*at] = (key, value),
            None => {
                index.insert(key.key_text(), pairs.len());
                pairs.push((key, value));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        load(text).map_or_else(
            |error| format!("{}: {}", error.span.start, error.title),
            |node| node.json().to_string(),
        )
    }

    #[test]
    fn anchors_merge_keys_and_tags() {
        let check = |text: &str, expected: &str| assert_eq!(json(text), expected, "{text}");
        check("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", r#"{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}"#);
        check(
            "- &p {a: 1}\n- &q {a: 2, b: 2}\n- {<<: [*p, *q]}\n",
            r#"[{"a":1},{"a":2,"b":2},{"a":1,"b":2}]"#,
        );
        check("a: 1\na: 2\n", r#"{"a":2}"#);
        check("a: !!str 22\nb: '22'\nc: !unsafe x{{y}}\n", r#"{"a":"22","b":"22","c":"x{{y}}"}"#);
        check(
            "a: !vault |\n  $ANSIBLE_VAULT;1.1\n  61\n",
            r#"{"a":{"__ansible_vault":"$ANSIBLE_VAULT;1.1\n61\n"}}"#,
        );
        check("1: a\nyes: b\n", r#"{"1":"a","true":"b"}"#);
        check("", "null");
        check("a: 1\n---\nb: 1\n", "5: a second document");
        check("&a [*a]", "4: an alias of what it stands in");
    }

    #[test]
    fn places_are_bytes_whatever_the_letters() {
        let text = "ä: ö\nhost: [\n";
        let at = load(text).unwrap_err().span.start;
        assert!(at >= text.find('[').unwrap() && at <= text.len(), "{at}");
        let node = load("ä: ö\nhost: x\n").unwrap();
        let (key, value) = &node.map().unwrap()[1];
        assert_eq!(
            (&"ä: ö\nhost: x\n"[key.span.clone()], &"ä: ö\nhost: x\n"[value.span.clone()]),
            ("host", "x")
        );
    }

    #[test]
    fn neither_depth_nor_laughter_costs_more_than_it_is_worth() {
        let deep = "[".repeat(100_000);
        assert!(load(&deep).is_err());
        let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
        assert_eq!(load(&deep).unwrap_err().title, "nested too deeply");
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(",")));
        }
        assert!(load(&bomb).unwrap_err().title.contains("more values"));
    }
}
