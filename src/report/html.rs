//! Markup under construction. What is not written in this program's source can only come in as text, so
//! a host that names itself `</svg><script>` is a strange name and nothing more.

use std::fmt::Write as _;

use crate::render::{Lines, escape};

#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Markup of this program's own.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Any text, between tags or in a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in escape(text, Lines::Single).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(c),
            }
        }
        self
    }

    pub fn count(&mut self, count: usize) -> &mut Self {
        let _ = write!(self.0, "{count}");
        self
    }

    /// A coordinate, to a tenth of what it counts in.
    pub fn at(&mut self, place: f64) -> &mut Self {
        let tenths = (place * 10.0).round();
        // A place that is no number must not break the path that it is in.
        let place = if tenths.is_finite() { tenths / 10.0 } else { 0.0 };
        let _ = write!(self.0, "{}", if place == 0.0 { 0.0 } else { place });
        self
    }

    /// A share of the width, `0.432` as `43.2%`.
    pub fn percent(&mut self, share: f64) -> &mut Self {
        self.at(share * 100.0).raw("%")
    }

    /// `<tag>text</tag>`.
    pub fn element(&mut self, (open, close): (&'static str, &'static str), text: &str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    pub fn push(&mut self, inner: &Html) -> &mut Self {
        self.0.push_str(&inner.0);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// A cell of a table.
pub const CELL: (&str, &str) = ("<td>", "</td>");
/// One with a number.
pub const NUMBER: (&str, &str) = ("<td class=\"n\">", "</td>");
/// One with a moment, which is read in one piece.
pub const MOMENT: (&str, &str) = ("<td class=\"t\">", "</td>");
/// One that names its row.
pub const ROW_HEAD: (&str, &str) = ("<th scope=\"row\">", "</th>");
/// A paragraph of less weight.
pub const NOTE: (&str, &str) = ("<p class=\"note\">", "</p>");

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.finish()
    }

    #[test]
    fn texts_stay_texts() {
        assert_eq!(
            text("</svg><script>alert('1')</script>"),
            "&lt;/svg&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"
        );
        assert_eq!(text("\" onload=\"x&y"), "&quot; onload=&quot;x&amp;y");
        assert_eq!(text("a\u{202e}b\0c\x1b[2J\n"), "a\\u{202e}b\\x00c\\x1b[2J\\n");
        assert_eq!(text("漢字 ünï"), "漢字 ünï");
    }

    #[test]
    fn places_are_short_and_never_break_a_path() {
        let at = |place: f64| {
            let mut html = Html::default();
            html.at(place);
            html.finish()
        };
        assert_eq!(at(12.0), "12");
        assert_eq!(at(0.123), "0.1");
        assert_eq!(at(-0.01), "0");
        assert_eq!(at(f64::NAN), "0");
        assert_eq!(at(f64::INFINITY), "0");
    }
}
