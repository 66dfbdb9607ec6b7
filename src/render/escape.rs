//! What a host said, made fit for a terminal, a log or a page: a control sequence in an error message
//! must not repaint the screen of whoever reads it, nor reversed text make one name look like another.
//!
//! Escapes are for the eye. They are not read back: a backslash stays one, so that paths and patterns
//! stay readable.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// What becomes of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// The result is one line: a line end is shown as `\n`.
    Single,
    /// Line ends stay (CR LF becomes LF).
    Block,
}

/// Whether a character would be invisible, move the cursor or change the direction of what follows.
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Format characters without a mark of their own: bidi controls, joiners, fillers, separators, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        u32::from(c),
        0x00ad
            | 0x034f
            | 0x061c
            | 0x070f
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0x2800
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xfffb
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff
    )
}

/// `text` with every unprintable character as `\t`, `\x1b` or `\u{202e}`.
pub fn escape(text: &str, lines: Lines) -> Cow<'_, str> {
    let clean = |c: char| !is_unprintable(c) || (c == '\n' && lines == Lines::Block);
    if text.chars().all(clean) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    write_text(&mut out, text, lines);
    Cow::Owned(out)
}

/// As [`escape`]; a byte that is not UTF-8 becomes `\xff`, which no character does above `\x7f`.
pub fn escape_bytes(bytes: &[u8], lines: Lines) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape(text, lines);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        write_text(&mut out, chunk.valid(), lines);
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

/// `text` escaped as one line of at most `columns` terminal columns; `…` in the last one says that
/// something was cut. Only as much of `text` is read as fits.
pub fn escape_limited(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    // Where to cut if more follows: the last place that leaves a column for the ellipsis.
    let mut cut = 0;
    let mut piece = String::new();
    for c in text.chars() {
        piece.clear();
        write_char(&mut piece, c);
        let piece_width: usize = piece.chars().map(char_width).sum();
        if width + piece_width > columns {
            out.truncate(cut);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        width += piece_width;
        out.push_str(&piece);
        if width < columns {
            cut = out.len();
        }
    }
    out
}

/// Columns that an escaped text takes.
pub(super) fn text_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn write_text(out: &mut String, text: &str, lines: Lines) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' if lines == Lines::Block => out.push('\n'),
            '\r' if lines == Lines::Block && chars.peek() == Some(&'\n') => {}
            _ => write_char(out, c),
        }
    }
}

fn write_char(out: &mut String, c: char) {
    let _ = match c {
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\0'..='\x7f' if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)),
        _ if is_unprintable(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        _ => out.write_char(c),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text, Lines::Single), expected);
        check("plain – ünïcode 漢字", "plain – ünïcode 漢字");
        check("\x1b[2Jgone", "\\x1b[2Jgone");
        check("a\tb\nc\r", "a\\tb\\nc\\r");
        check("\0\x07\x7f", "\\x00\\x07\\x7f");
        check("\u{9b}31m", "\\u{9b}31m");
        check("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe");
        check("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}");
        check("line\u{2028}separator", "line\\u{2028}separator");
        check("C:\\temp", "C:\\temp");
    }

    #[test]
    fn a_block_keeps_its_lines() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text, Lines::Block), expected);
        check("a\nb\r\nc\n", "a\nb\nc\n");
        check("50%\r100%\n", "50%\\r100%\n");
        check("a\x1bb", "a\\x1bb");
    }

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(escape("clean", Lines::Single), Cow::Borrowed(_)));
        assert!(matches!(escape("two\nlines", Lines::Block), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(escape_bytes(bytes, Lines::Single), expected);
        check(b"ok", "ok");
        check(b"a\xff\xfeb", "a\\xff\\xfeb");
        check(b"\xe2\x82", "\\xe2\\x82");
        check(b"\xc2\x9b", "\\u{9b}");
    }

    #[test]
    fn limited() {
        let check = |text: &str, columns: usize, expected: &str| {
            assert_eq!(escape_limited(text, columns), expected, "{text:?} in {columns}");
        };
        check("hello", 5, "hello");
        check("hello", 4, "hel…");
        check("hello", 1, "…");
        check("hello", 0, "");
        check("", 0, "");
        check("漢字漢字", 5, "漢字…");
        check("漢字漢字", 4, "漢…");
        check("a\x1bb", 4, "a…");
        check("a\x1bb", 6, "a\\x1bb");
        check(&"x\n".repeat(1_000_000), 8, "x\\nx\\nx…");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unprintable_gets_through(bytes: Vec<u8>, text: String, columns in 0usize..40) {
            let clean = |out: &str, kept: &[char]| {
                out.chars().all(|c| kept.contains(&c) || !(c.is_control() || is_invisible(c)))
            };
            proptest::prop_assert!(clean(&escape_bytes(&bytes, Lines::Single), &[]));
            proptest::prop_assert!(clean(&escape_bytes(&bytes, Lines::Block), &['\n']));
            proptest::prop_assert!(clean(&escape(&text, Lines::Single), &[]));
            let limited = escape_limited(&text, columns);
            proptest::prop_assert!(clean(&limited, &[]));
            proptest::prop_assert!(text_width(&limited) <= columns);
        }

        #[test]
        fn escaping_twice_changes_nothing(text: String) {
            let once = escape(&text, Lines::Single).into_owned();
            proptest::prop_assert_eq!(escape(&once, Lines::Single), once.as_str());
        }

        /// The ranges above, checked against the characters that attacks are made of.
        #[test]
        fn bidi_and_zero_width_characters_are_escaped(c in proptest::char::ranges(
            vec!['\u{80}'..='\u{9f}', '\u{200b}'..='\u{200f}', '\u{202a}'..='\u{202e}',
                 '\u{2060}'..='\u{2064}', '\u{2066}'..='\u{2069}'].into()
        )) {
            let escaped = escape_limited(&c.to_string(), 80);
            proptest::prop_assert!(escaped.is_ascii(), "{}", escaped);
        }
    }
}
