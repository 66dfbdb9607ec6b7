//! What is wrong with a text, drawn under the place. The text may be anything (a file that someone
//! else may write, an argument): only escaped characters of it reach the output.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::escape::{Lines, escape};
use super::style::Style;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// A place in a text, with what is said about it.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The file's path, or what else the text came from.
    pub origin: &'a str,
    /// All of the text; empty when there is none to show.
    pub text: &'a str,
    /// Bytes of `text`. A start that lies beyond it or inside of a character is moved back.
    pub start: usize,
    pub end: usize,
    /// Stands beside the caret; may be empty.
    pub label: &'a str,
}

/// One fault or warning, ready to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Diagnostic<'a> {
    pub severity: Severity,
    pub title: &'a str,
    pub spot: Spot<'a>,
    /// Other places that belong to it.
    pub also: &'a [Spot<'a>],
    /// What to do about it.
    pub help: Option<&'a str>,
}

/// Columns that a diagnostic takes where none are known.
const DEFAULT_COLUMNS: usize = 140;

impl Diagnostic<'_> {
    /// Some lines of text, ended by a line feed.
    pub fn render(&self, style: &Style) -> String {
        let title = escape(self.title, Lines::Single);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(title));
        group = draw(group, &self.spot, AnnotationKind::Primary);
        if self.spot.text.is_empty() && !self.spot.label.is_empty() {
            // There is no line to write it beside.
            group = group.element(Level::NOTE.message(escape(self.spot.label, Lines::Single)));
        }
        for spot in self.also {
            group = draw(group, spot, AnnotationKind::Context);
        }
        if let Some(help) = self.help {
            group = group.element(Level::HELP.message(escape(help, Lines::Single)));
        }
        let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.hyperlink(false).term_width(style.width.unwrap_or(DEFAULT_COLUMNS));
        let mut text = renderer.render(&[group]);
        text.push('\n');
        text
    }
}

fn draw<'a>(group: Group<'a>, spot: &Spot<'a>, kind: AnnotationKind) -> Group<'a> {
    let origin = escape(spot.origin, Lines::Single);
    if spot.text.is_empty() {
        return group.element(Origin::path(origin));
    }
    let line = Line::around(spot);
    let label = (!spot.label.is_empty()).then(|| escape(spot.label, Lines::Single));
    let annotation = kind.span(line.span.clone()).label(label);
    group.element(Snippet::source(line.text).line_start(line.number).path(origin).annotation(annotation))
}

/// The line that a spot begins in, escaped. A span over several lines is cut at the end of its first:
/// what starts there is what a reader has to mend.
struct Line {
    number: usize,
    text: String,
    span: Range<usize>,
}

impl Line {
    fn around(spot: &Spot<'_>) -> Self {
        let start = spot.text.floor_char_boundary(spot.start);
        let before = &spot.text[..start];
        let mut line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        // A byte order mark is no part of the first line, and an editor's columns do not count it.
        if line_start == 0 && spot.text.starts_with('\u{feff}') {
            line_start = '\u{feff}'.len_utf8();
        }
        let rest = &spot.text[line_start..];
        let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let start = start.saturating_sub(line_start).min(line.len());
        let end = line.floor_char_boundary(spot.end.saturating_sub(line_start)).max(start);
        let mut text = String::with_capacity(line.len());
        write_source(&mut text, &line[..start]);
        let escaped_start = text.len();
        write_source(&mut text, &line[start..end]);
        let escaped_end = text.len();
        write_source(&mut text, &line[end..]);
        Self { number: before.matches('\n').count() + 1, text, span: escaped_start..escaped_end }
    }
}

/// Escapes all but the tab: the renderer widens it, and the column it prints stays an editor's.
fn write_source(out: &mut String, source: &str) {
    for (i, part) in source.split('\t').enumerate() {
        if i > 0 {
            out.push('\t');
        }
        out.push_str(&escape(part, Lines::Single));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::is_unprintable;

    const CONFIG: &str = "[limits]\r\nconcurrency = 256\r\nvisit_timout = \"60s\"\r\n";

    fn fault<'a>(text: &'a str, span: Range<usize>) -> Diagnostic<'a> {
        let spot = Spot {
            origin: "config.toml",
            text,
            start: span.start,
            end: span.end,
            label: "expected a known key",
        };
        Diagnostic { severity: Severity::Error, title: "unknown key", spot, also: &[], help: None }
    }

    fn check(diagnostic: &Diagnostic<'_>, expected: &[&str]) {
        let text = diagnostic.render(&Style::PLAIN);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "\n{text}");
    }

    #[test]
    fn the_place_is_drawn() {
        let mut diagnostic = fault(CONFIG, 29..41);
        diagnostic.help = Some("did you mean visit_timeout?");
        check(
            &diagnostic,
            &[
                "error: unknown key",
                " --> config.toml:3:1",
                "  |",
                "3 | visit_timout = \"60s\"",
                "  | ^^^^^^^^^^^^ expected a known key",
                "  |",
                "  = help: did you mean visit_timeout?",
            ],
        );
    }

    #[test]
    fn other_places_are_drawn_below() {
        let mut diagnostic = fault(CONFIG, 29..41);
        let also = [Spot { label: "first here", ..fault(CONFIG, 10..21).spot }];
        diagnostic.also = &also;
        diagnostic.severity = Severity::Warning;
        check(
            &diagnostic,
            &[
                "warning: unknown key",
                " --> config.toml:3:1",
                "  |",
                "3 | visit_timout = \"60s\"",
                "  | ^^^^^^^^^^^^ expected a known key",
                "  |",
                " ::: config.toml:2:1",
                "  |",
                "2 | concurrency = 256",
                "  | ----------- first here",
            ],
        );
    }

    #[test]
    fn without_a_text_what_was_expected_stands_below_the_origin() {
        let mut diagnostic = fault("", 0..0);
        check(&diagnostic, &["error: unknown key", "--> config.toml", " = note: expected a known key"]);
        diagnostic.spot.label = "";
        check(&diagnostic, &["error: unknown key", "--> config.toml"]);
    }

    #[test]
    fn the_source_cannot_reach_the_terminal_raw() {
        let text = "\u{feff}\tname = \"\x1b[2J\u{202e}x\"";
        let start = text.find('"').unwrap();
        check(
            &fault(text, start..text.len()),
            &[
                "error: unknown key",
                " --> config.toml:1:9",
                "  |",
                "1 |     name = \"\\x1b[2J\\u{202e}x\"",
                "  |            ^^^^^^^^^^^^^^^^^^ expected a known key",
            ],
        );
        let mut hostile = fault("a", 0..1);
        (hostile.title, hostile.spot.origin, hostile.spot.label) = ("t\x1b", "o\u{202e}", "l\n");
        hostile.help = Some("h\u{9b}");
        let rendered = hostile.render(&Style::PLAIN);
        assert!(rendered.chars().all(|c| c == '\n' || !is_unprintable(c)), "{rendered:?}");
    }

    #[test]
    fn colour() {
        let colored = fault(CONFIG, 29..41).render(&Style { color: true, width: Some(80) });
        assert!(colored.contains("\x1b[") && !colored.contains("\x1b]"), "{colored:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_span_can_be_drawn(text: String, start in 0usize..200, length in 0usize..200) {
            let rendered = fault(&text, start..start + length).render(&Style::PLAIN);
            proptest::prop_assert!(rendered.starts_with("error: unknown key\n"));
            proptest::prop_assert!(rendered.chars().all(|c| c == '\n' || !is_unprintable(c)), "{:?}", rendered);
        }

        #[test]
        fn a_long_line_is_cut_to_the_width(prefix in 0usize..2_000) {
            let text = format!("{} here {}", "x".repeat(prefix), "y".repeat(2_000));
            let rendered = fault(&text, prefix + 1..prefix + 5).render(&Style { color: false, width: Some(80) });
            proptest::prop_assert!(rendered.contains("here") && rendered.len() < 1_000, "{}", rendered);
        }
    }
}
