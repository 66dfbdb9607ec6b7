//! How the output may look. Whether it may be coloured (NO_COLOR, a terminal) and how wide it may be
//! is decided by whoever prints.

use std::borrow::Cow;

/// What the caller knows about where its text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub color: bool,
    /// Columns; `None` is a file or a pipe, where nothing is cut.
    pub width: Option<usize>,
}

/// A few of the terminal's own colours, so that they fit its theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

impl Style {
    /// No colour, no limit.
    pub const PLAIN: Self = Self { color: false, width: None };

    /// `text` in `ink` where colour is allowed. The text must be escaped already.
    pub fn paint<'a>(&self, ink: Ink, text: &'a str) -> Cow<'a, str> {
        if self.color && !text.is_empty() {
            Cow::Owned(format!("\x1b[{}m{text}\x1b[0m", ink.code()))
        } else {
            Cow::Borrowed(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_it_is_allowed() {
        let colored = Style { color: true, width: None };
        assert_eq!(colored.paint(Ink::Red, "bad"), "\x1b[31mbad\x1b[0m");
        assert_eq!(colored.paint(Ink::Red, ""), "");
        assert_eq!(Style::PLAIN.paint(Ink::Red, "bad"), "bad");
    }
}
