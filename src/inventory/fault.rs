//! What is wrong in a configuration or an inventory, as data: where, what, what was expected, what to do.
//! Nothing here draws: the caret picture under a fault belongs to `render`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A stretch of a text. A flag's or an environment variable's value is such a text too, so that
/// every layer's faults look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path, or what else the text came from (`environment variable DROPSONDE_STATE`).
    pub file: Arc<str>,
    /// All of it; empty when there is none to show (a missing file).
    pub text: Arc<str>,
    /// Bytes of `text`.
    pub span: Range<usize>,
}

impl Place {
    /// A thing with no text to point into.
    pub fn whole(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), text: Arc::from(""), span: 0..0 }
    }

    /// One-based line and column (in characters); `None` when there is no text.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        let before = self.text.get(..self.span.start)?;
        if self.text.is_empty() {
            return None;
        }
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_column() {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => write!(f, "{}", self.file),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    pub title: String,
    /// Completes "expected …".
    pub expected: Option<String>,
    /// What to do about it, as a sentence without its full stop.
    pub help: Option<String>,
    /// Other places that belong to it, each with what it is ("first here").
    pub also: Vec<(Place, String)>,
}

impl Fault {
    pub fn new(place: Place, title: impl Into<String>) -> Self {
        Self { place, title: title.into(), expected: None, help: None, also: Vec::new() }
    }

    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    #[must_use]
    pub fn also(mut self, place: Place, what: impl Into<String>) -> Self {
        self.also.push((place, what.into()));
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.title)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        for (place, what) in &self.also {
            write!(f, "; {what} ({place})")?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// Everything that is wrong, in the order in which it was read. As an error: one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    pub(crate) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    /// Sorts the faults of one file by where they stand; a walk finds them by kind.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by_key(|fault| fault.place.span.start);
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

/// The candidate that `word` was most likely meant to be, if any is near enough.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(word, candidate);
    let best = candidates.into_iter().min_by_key(distance)?;
    // A third of the letters: "concurency" finds its word, "foo" does not become "user".
    let near = best.chars().count().max(word.chars().count()).div_ceil(3);
    (distance(&best) <= near.min(4)).then_some(best)
}

/// "did you mean `x`?", if one is near.
pub(crate) fn suggestion<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    closest(word, candidates).map(|best| format!("did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let check = |text: &str, at: usize, expected: Option<(usize, usize)>| {
            let place = Place { file: "f".into(), text: text.into(), span: at..at };
            assert_eq!(place.line_column(), expected, "{text:?} at {at}");
        };
        check("abc", 0, Some((1, 1)));
        check("a\nbc", 3, Some((2, 2)));
        check("ä = 1", 3, Some((1, 3)));
        check("a\r\nb", 3, Some((2, 1)));
        check("\u{feff}a", 3, Some((1, 1)));
        check("a\n", 2, Some((2, 1)));
        check("", 0, None);
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let known = ["concurrency", "connect_timeout", "user", "port"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(closest(word, known), expected, "{word}");
        check("concurency", Some("concurrency"));
        check("conect_timeout", Some("connect_timeout"));
        check("usr", Some("user"));
        check("prot", Some("port"));
        check("hostname", None);
        check("x", None);
    }
}
