//! Flame graphs: folded stacks into an SVG that a browser opens, with search and zoom. It never lets a
//! name from a host be more than text: what cannot stand in XML is replaced, the rest is escaped.

use std::collections::BTreeMap;
use std::str::FromStr;

use inferno::flamegraph::{self, Options, Palette};

use super::is_unprintable;

/// Stacks (`comm;outermost;…;innermost`) and how many samples had each.
pub type Folded = BTreeMap<String, u64>;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum FlameError {
    #[error("there is no stack to draw")]
    Empty,
    #[error("the stacks cannot be drawn: {0}")]
    Drawing(String),
}

/// What stands above the picture.
#[derive(Debug, Clone, Copy)]
pub struct Caption<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
}

/// Which of two profiles gives a differential graph its widths. The colours mean the same in both: red
/// is what `ours` does more of, blue what it does less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    Ours,
    Theirs,
}

/// One profile: the kernel's frames orange, C++ and Rust's yellow, others red.
pub fn flame(caption: Caption<'_>, stacks: &Folded) -> Result<String, FlameError> {
    let line = |(stack, count): (&String, &u64)| format!("{} {count}", folded(stack));
    let lines: Vec<String> = stacks.iter().map(line).collect();
    draw(caption, &lines, false)
}

/// Two profiles, `theirs` scaled to as many samples as `ours` has.
pub fn flame_diff(
    caption: Caption<'_>,
    ours: &Folded,
    theirs: &Folded,
    widths: Widths,
) -> Result<String, FlameError> {
    let (shown, other) = match widths {
        Widths::Ours => (ours, theirs),
        Widths::Theirs => (theirs, ours),
    };
    let other = scaled(other, shown.values().sum());
    let stacks: std::collections::BTreeSet<&String> = shown.keys().chain(other.keys()).collect();
    let of = |folded: &Folded, stack: &String| folded.get(stack).copied().unwrap_or(0);
    let lines: Vec<String> = stacks
        .into_iter()
        .map(|stack| format!("{} {} {}", folded(stack), of(&other, stack), of(shown, stack)))
        .collect();
    draw(caption, &lines, widths == Widths::Theirs)
}

/// With `total` samples in all. Rounding each stack by itself would lose the rare ones that make up a
/// frame; what is left over goes to the next stack, so that a frame's sum is right to one sample.
fn scaled(stacks: &Folded, total: u64) -> Folded {
    let all: u64 = stacks.values().sum();
    let (mut seen, mut given) = (0u128, 0u128);
    let scale = |(stack, count): (&String, &u64)| {
        seen += u128::from(*count);
        let due = (seen * u128::from(total) + u128::from(all) / 2) / u128::from(all.max(1));
        let count = due - given;
        given = due;
        (stack.clone(), u64::try_from(count).unwrap_or(u64::MAX))
    };
    stacks.iter().map(scale).collect()
}

fn draw(caption: Caption<'_>, lines: &[String], negate: bool) -> Result<String, FlameError> {
    let empty = |line: &String| line.ends_with(" 0");
    if lines.iter().all(empty) {
        return Err(FlameError::Empty);
    }
    let drawing = |error: &dyn std::fmt::Display| FlameError::Drawing(error.to_string());
    let mut options = Options::default();
    options.title = safe(caption.title);
    options.subtitle = Some(safe(caption.subtitle));
    options.colors = Palette::from_str("java").map_err(|error| drawing(&error))?;
    // The same stacks make the same picture.
    options.deterministic = true;
    options.negate_differentials = negate;
    options.min_width = 0.05;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(|error| drawing(&error))?;
    String::from_utf8(svg).map_err(|error| drawing(&error))
}

/// A stack as inferno reads it: a number behind a blank would be a count, and `# ` opens a comment.
fn folded(stack: &str) -> String {
    let digits =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let stack = safe(stack);
    let comment = stack.strip_prefix("# ").map(|rest| format!("#\u{a0}{rest}"));
    let stack = comment.unwrap_or(stack);
    match stack.rsplit_once(' ') {
        Some((head, word)) if digits(word) => format!("{head}\u{a0}{word}"),
        _ => stack,
    }
}

/// Without what XML forbids, and without what would turn a line's direction around.
fn safe(text: &str) -> String {
    let forbidden = |c: char| is_unprintable(c) || matches!(c, '\u{fffe}' | '\u{ffff}') || c.is_control();
    text.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'_> = Caption { title: "web06 & co", subtitle: "<10 samples>" };

    fn counts(stacks: &[(&str, u64)]) -> Folded {
        stacks.iter().map(|(stack, count)| ((*stack).to_owned(), *count)).collect()
    }

    #[test]
    fn hostile_names_are_text() {
        let svg =
            flame(CAPTION, &counts(&[("</svg><script>alert(1)</script>;]]>&\"'\u{1}\u{202e}x", 3)])).unwrap();
        assert_eq!(svg.matches("<script").count(), 1, "inferno's own");
        assert_eq!(svg.matches("</svg>").count(), 2, "inferno's own");
        assert!(svg.contains("&lt;/svg&gt;&lt;script&gt;alert(1)"), "{svg}");
        assert!(!svg.contains(['\u{1}', '\u{202e}']));
        assert!(svg.contains("web06 &amp; co") && svg.contains("&lt;10 samples&gt;"));
    }

    #[test]
    fn the_other_profile_is_scaled_without_losing_rare_stacks() {
        let rare: Vec<(String, u64)> = (0..10).map(|n| (format!("a;f{n}"), 1)).collect();
        let scaled = scaled(&rare.into_iter().collect(), 5);
        assert_eq!(scaled.values().sum::<u64>(), 5);
        assert!(scaled.values().all(|count| *count <= 1));
        assert_eq!(super::scaled(&Folded::new(), 7), Folded::new());
    }

    #[test]
    fn both_directions_colour_alike() {
        let ours = counts(&[("a;more", 30), ("a;same", 10)]);
        let theirs = counts(&[("a;same", 100), ("a;gone", 300)]);
        let frame = |svg: &str, name: &str| {
            let title = svg.split("<title>").find(|part| part.starts_with(name))?;
            title.split("</title>").next().map(str::to_owned)
        };
        let svg = flame_diff(CAPTION, &ours, &theirs, Widths::Ours).unwrap();
        assert_eq!(frame(&svg, "more").unwrap(), "more (30 samples, 75.00%; +75.00%)");
        assert_eq!(frame(&svg, "same").unwrap(), "same (10 samples, 25.00%; 0.00%)");
        assert_eq!(frame(&svg, "gone"), None);
        let svg = flame_diff(CAPTION, &ours, &theirs, Widths::Theirs).unwrap();
        assert_eq!(frame(&svg, "gone").unwrap(), "gone (300 samples, 75.00%; -75.00%)");
        assert_eq!(frame(&svg, "more"), None);
    }

    #[test]
    fn a_number_at_the_end_of_a_name_is_no_count() {
        let svg = flame(CAPTION, &counts(&[("Web 12", 3), ("# x;y 1 2.5", 4)])).unwrap();
        for name in
            ["<title>Web\u{a0}12 (3 samples, 42.86%)<", "<title>#\u{a0}x (4 ", "<title>y 1\u{a0}2.5 (4 "]
        {
            assert!(svg.contains(name), "{name} is not in {svg}");
        }
    }

    #[test]
    fn nothing_is_no_picture() {
        assert!(matches!(flame(CAPTION, &Folded::new()), Err(FlameError::Empty)));
        let ours = counts(&[("a", 1)]);
        assert!(matches!(flame_diff(CAPTION, &Folded::new(), &ours, Widths::Ours), Err(FlameError::Empty)));
    }
}
