//! What can be wrong with an expression, with the place, so that a caller can draw a caret.

use std::ops::Range;

use super::fold;

/// Why an expression names no set of hosts. `Display` is the whole sentence; the parts are there
/// for a diagnostic that shows the expression with a caret under [`SelectError::span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The text itself is wrong.
    #[error("expected {expected} at byte {}, found {found}", span.start)]
    Syntax { span: Range<usize>, expected: String, found: String },
    /// Right in form, and too much.
    #[error("expected at most {max} names, found {count}")]
    TooMany { span: Range<usize>, count: u64, max: u64 },
    #[error("{} not in the inventory{}", unknown_hosts(names), suggestion(nearest))]
    UnknownHost { span: Range<usize>, names: Vec<String>, nearest: Vec<String> },
    #[error("there is no group @{name}{}", suggestion(nearest))]
    UnknownGroup { span: Range<usize>, name: String, nearest: Vec<String> },
    #[error("no host has a label {name:?}{}", suggestion(nearest))]
    UnknownLabel { span: Range<usize>, name: String, nearest: Vec<String> },
}

impl SelectError {
    /// The bytes of the expression that are at fault; empty at its end.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Syntax { span, .. }
            | Self::TooMany { span, .. }
            | Self::UnknownHost { span, .. }
            | Self::UnknownGroup { span, .. }
            | Self::UnknownLabel { span, .. } => span.clone(),
        }
    }

    /// What would have been right at that place, for the text beside the caret.
    pub fn expected(&self) -> String {
        match self {
            Self::Syntax { expected, .. } => expected.clone(),
            Self::TooMany { max, .. } => format!("at most {max} names"),
            Self::UnknownHost { .. } => "hosts of the inventory".to_owned(),
            Self::UnknownGroup { .. } => "a group of the configuration".to_owned(),
            Self::UnknownLabel { .. } => "a label that some host has".to_owned(),
        }
    }

    /// Names that are close to the unknown one, the closest first.
    pub fn nearest(&self) -> &[String] {
        match self {
            Self::UnknownHost { nearest, .. }
            | Self::UnknownGroup { nearest, .. }
            | Self::UnknownLabel { nearest, .. } => nearest,
            Self::Syntax { .. } | Self::TooMany { .. } => &[],
        }
    }

    /// The same fault with its place moved by `offset` bytes: for an expression inside a file.
    pub fn shifted(mut self, offset: usize) -> Self {
        match &mut self {
            Self::Syntax { span, .. }
            | Self::TooMany { span, .. }
            | Self::UnknownHost { span, .. }
            | Self::UnknownGroup { span, .. }
            | Self::UnknownLabel { span, .. } => *span = span.start + offset..span.end + offset,
        }
        self
    }

    pub(super) fn syntax(span: Range<usize>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Syntax { span, expected: expected.into(), found: found.into() }
    }
}

fn unknown_hosts(names: &[String]) -> String {
    format!("{} {}", fold(names), if names.len() == 1 { "is" } else { "are" })
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [only] => format!("; did you mean {only}?"),
        [most @ .., last] => format!("; did you mean {} or {last}?", most.join(", ")),
    }
}
