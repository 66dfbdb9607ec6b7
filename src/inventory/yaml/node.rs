//! What a document is made of.

use std::ops::Range;

use serde_json::json;

/// A value and the bytes of the text that it stands in.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// Encrypted by Ansible's vault.
    Vault(String),
    List(Vec<Node>),
    /// In the order in which they were written; each key once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, for "cannot be …".
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Vault(_) => "an encrypted value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As Python writes it when it is the key of a JSON object.
    pub fn key_text(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            _ => match self.json() {
                serde_json::Value::String(text) => text,
                value => value.to_string(),
            },
        }
    }

    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => integer(*value),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Vault(text) => json!({ "__ansible_vault": text }),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key.key_text(), value.json()));
                pairs.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// What JSON says, all of it at one place.
    pub fn from_json(value: serde_json::Value, span: &Range<usize>) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(|item| Self::from_json(item, span)).collect())
            }
            serde_json::Value::Object(pairs) => Value::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Self { value: Value::Text(key), span: span.clone() };
                        (key, Self::from_json(value, span))
                    })
                    .collect(),
            ),
        };
        Self { value, span: span.clone() }
    }
}

/// JSON has no limit; a number beyond 64 bits is rounded.
fn integer(value: i128) -> serde_json::Value {
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => value.into(),
        (_, Ok(value)) => value.into(),
        _ => (value as f64).into(),
    }
}
