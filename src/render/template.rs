//! Texts with places to fill in: `{{summary}}`. What is filled in never becomes part of the text's own
//! language: the caller says how a value is written there.

use std::fmt::Write as _;

/// A text and its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("a `{{{{` without its `}}}}`")]
    Open,
    #[error("no such place: {{{{{0}}}}}")]
    Unknown(String),
}

impl Template {
    /// Reads `text`, whose places are all among `known`.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(BadTemplate::Open)?;
            let name = name.trim();
            if !known.contains(&name) {
                return Err(BadTemplate::Unknown(name.to_owned()));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// Fills the places; `value` gives each as it is to be written.
    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing to a string cannot fail.
            let _ = match part {
                Part::Text(part) => text.write_str(part),
                Part::Place(name) => text.write_str(&value(name)),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let known = ["who", "what"];
        let check = |text: &str, expected: Result<&str, BadTemplate>| {
            let filled = Template::parse(text, &known).map(|it| it.fill(|name| format!("<{name}{{{{>")));
            assert_eq!(filled, expected.map(str::to_owned), "{text}");
        };
        check("", Ok(""));
        check("{\"a\": {\"b\": 1}}", Ok("{\"a\": {\"b\": 1}}"));
        check("{{who}} and {{ what }}!", Ok("<who{{> and <what{{>!"));
        check("{{who", Err(BadTemplate::Open));
        check("{{where}}", Err(BadTemplate::Unknown("where".to_owned())));
        assert_eq!(BadTemplate::Unknown("x".to_owned()).to_string(), "no such place: {{x}}");
        assert_eq!(BadTemplate::Open.to_string(), "a `{{` without its `}}`");
    }
}
