//! One operand: text, bracketed numbers and, where they are allowed, the wildcards `*` and `?`.

use std::collections::HashSet;
use std::ops::Range;

use super::SelectError;
use super::index::{Index, MAX_DIGITS, runs};

/// The most names that one expression may stand for: above it, a slip of the finger
/// (`a[1-999999999]`) would eat the memory of the collector.
pub const MAX_NAMES: u64 = 1_000_000;

/// The most texts one operand may stand for when each is tried on each host: names are looked up,
/// wildcards and label values are not.
const MAX_MASKS: u64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Distinct, in the order given.
    Numbers(Vec<Index>),
}

/// What an operand may hold beside brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// A host's name, nothing else.
    Name,
    /// A host's or a group's name, or a wildcard.
    Glob,
    /// A label's value: any text, or a wildcard.
    Value,
}

/// `rack[1-4]node[01-20]`, or with wildcards `web*-[1-3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    pub wildcard: bool,
}

impl Pattern {
    /// Reads `text[span]`. `budget` is what the expression may still stand for, and is drawn on.
    pub fn read(
        text: &str,
        span: Range<usize>,
        alphabet: Alphabet,
        budget: &mut u64,
    ) -> Result<Self, SelectError> {
        let mut reader = Reader { text, end: span.end, whole: span.clone(), budget: *budget, count: 1 };
        let mut pieces = Vec::new();
        let mut at = span.start;
        while at < span.end {
            let piece = if text.as_bytes()[at] == b'[' {
                reader.numbers(&mut at, pieces.last())?
            } else {
                reader.text(&mut at, alphabet, &pieces)?
            };
            pieces.push(piece);
        }
        let wildcard = pieces.iter().any(|piece| matches!(piece, Piece::Text(t) if t.contains(['*', '?'])));
        if (wildcard || alphabet == Alphabet::Value) && reader.count > MAX_MASKS {
            return Err(SelectError::TooMany { span, count: reader.count, max: MAX_MASKS });
        }
        *budget -= reader.count;
        Ok(Self { pieces, wildcard })
    }

    /// Calls `each` with every text it stands for, all different, the last bracket turning fastest.
    pub fn for_each(&self, mut each: impl FnMut(&str)) {
        let mut name = String::new();
        visit(&self.pieces, &mut name, &mut each);
    }

    /// Every text it stands for, as masks for [`matches_mask`].
    pub fn masks(&self) -> Vec<String> {
        let mut masks = Vec::new();
        self.for_each(|mask| masks.push(mask.to_owned()));
        masks
    }
}

fn visit(pieces: &[Piece], name: &mut String, each: &mut impl FnMut(&str)) {
    use std::fmt::Write as _;
    let Some((piece, rest)) = pieces.split_first() else {
        each(name);
        return;
    };
    let length = name.len();
    match piece {
        Piece::Text(text) => {
            name.push_str(text);
            visit(rest, name, each);
            name.truncate(length);
        }
        Piece::Numbers(numbers) => {
            for number in numbers {
                let _ = write!(name, "{number}");
                visit(rest, name, each);
                name.truncate(length);
            }
        }
    }
}

/// Whether `text` fits `mask`, where `*` is any run of characters and `?` any one of them.
pub fn matches_mask(mask: &str, text: &str) -> bool {
    let (mut mask, mut text) = (mask.chars(), text.chars());
    // What follows the last `*`, and the text it was last tried on: on a mismatch the star takes one
    // character more. Earlier stars never need another try, so the work is at most mask × text.
    let mut retry = None;
    loop {
        let text_before = text.clone();
        match (mask.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = text_before;
                retry = Some((mask.clone(), text.clone()));
            }
            (Some(m), Some(t)) if m == '?' || m == t => {}
            _ => {
                let Some((after_star, mut tried)) = retry.take() else { return false };
                if tried.next().is_none() {
                    return false;
                }
                mask = after_star.clone();
                text = tried.clone();
                retry = Some((after_star, tried));
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    end: usize,
    whole: Range<usize>,
    budget: u64,
    count: u64,
}

impl Reader<'_> {
    /// Text up to the next bracket or the end.
    fn text(&self, at: &mut usize, alphabet: Alphabet, before: &[Piece]) -> Result<Piece, SelectError> {
        let rest = &self.text[*at..self.end];
        let text = &rest[..rest.find('[').unwrap_or(rest.len())];
        if let Some((offset, bad)) = text.char_indices().find(|(_, c)| !alphabet.holds(*c)) {
            let span = *at + offset..*at + offset + bad.len_utf8();
            return Err(SelectError::syntax(span, alphabet.expected(), format!("{bad:?}")));
        }
        let first = text.chars().next();
        if before.is_empty() && alphabet != Alphabet::Value && matches!(first, Some('-' | '.' | '_')) {
            let found = first.map(|c| format!("{c:?}")).unwrap_or_default();
            return Err(SelectError::syntax(*at..*at + 1, "a letter or digit at the start", found));
        }
        let more_brackets = text.len() < rest.len();
        let only_digits = text.bytes().all(|b| b.is_ascii_digit());
        if only_digits && more_brackets && !before.is_empty() {
            return Err(self.reopened(*at + text.len()));
        }
        *at += text.len();
        Ok(Piece::Text(text.to_owned()))
    }

    /// `[1-3,5]`, with the cursor on its `[`.
    fn numbers(&mut self, at: &mut usize, before: Option<&Piece>) -> Result<Piece, SelectError> {
        let open = *at;
        if matches!(before, Some(Piece::Numbers(_))) {
            return Err(self.reopened(open));
        }
        // The scan made sure of the closing bracket.
        let length = self.text[open..self.end].find(']').unwrap_or(self.end - open - 1);
        let close = open + length;
        let mut ranges = Vec::new();
        let mut start = open + 1;
        for part in self.text[open + 1..close].split(',') {
            ranges.push(range(self.text, start..start + part.len())?);
            start += part.len() + 1;
        }
        let size = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.len()));
        self.count = self.count.saturating_mul(size);
        if self.count > self.budget {
            let count = (MAX_NAMES - self.budget).saturating_add(self.count);
            return Err(SelectError::TooMany { span: self.whole.clone(), count, max: MAX_NAMES });
        }
        let numbers = distinct(&ranges);
        let after_digit = self.text[..open].bytes().next_back().is_some_and(|b| b.is_ascii_digit());
        if after_digit && matches!(before, Some(Piece::Text(_))) {
            refuse_growing(&numbers, open..close + 1)?;
        }
        *at = close + 1;
        Ok(Piece::Numbers(numbers))
    }

    fn reopened(&self, at: usize) -> SelectError {
        SelectError::syntax(at..at + 1, "something that is no digit between two ranges", "`[`")
    }
}

impl Alphabet {
    fn holds(self, c: char) -> bool {
        match self {
            Self::Name => c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
            Self::Glob => Self::Name.holds(c) || matches!(c, '*' | '?'),
            Self::Value => !c.is_control(),
        }
    }

    pub fn expected(self) -> &'static str {
        match self {
            Self::Name => "a host name (A-Z a-z 0-9 . _ -) or one of , ! & ^",
            Self::Glob => "a name (A-Z a-z 0-9 . _ -), a wildcard (* ?) or one of , ! & ^",
            Self::Value => "a label's value without control characters",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    first: u64,
    last: u64,
    step: u64,
    pad: u8,
}

impl Numbers {
    fn len(&self) -> u64 {
        (self.last - self.first) / self.step + 1
    }
}

/// `7`, `01-48` or `0-10/2`; blanks around each number are allowed, as in ClusterShell.
fn range(text: &str, span: Range<usize>) -> Result<Numbers, SelectError> {
    let part = &text[span.clone()];
    let (bounds, step) = match part.split_once('/') {
        Some((bounds, step)) => (bounds, Some((step, span.start + bounds.len() + 1))),
        None => (part, None),
    };
    let (first, last) = match bounds.split_once('-') {
        Some((first, last)) => {
            let last_at = span.start + first.len() + 1;
            (number(first, span.start)?, Some(number(last, last_at)?))
        }
        None => (number(bounds, span.start)?, None),
    };
    let step = match step {
        None => 1,
        Some((step, at)) => {
            let value = number(step, at)?.value;
            if value == 0 || (last.is_none() && value != 1) {
                let expected = if last.is_none() { "a range before a step" } else { "a step above 0" };
                return Err(SelectError::syntax(span, expected, format!("{:?}", part.trim_ascii())));
            }
            value
        }
    };
    let last = last.unwrap_or(first);
    if first.value > last.value {
        return Err(SelectError::syntax(span, "a range that goes up", format!("{:?}", part.trim_ascii())));
    }
    if (first.is_padded() || last.is_padded()) && first.width != last.width {
        return Err(SelectError::syntax(
            span,
            "as many digits at both ends of a range with leading zeros",
            format!("{:?}", part.trim_ascii()),
        ));
    }
    let pad = if first.is_padded() { first.width } else { 0 };
    Ok(Numbers { first: first.value, last: last.value, step, pad })
}

fn number(text: &str, at: usize) -> Result<Index, SelectError> {
    let digits = text.trim_ascii();
    let blank = text.len() - text.trim_ascii_start().len();
    let span = at + blank..at + blank + digits.len();
    Index::read(digits).ok_or_else(|| {
        let long = digits.len() > MAX_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        let expected =
            if long { format!("a number of at most {MAX_DIGITS} digits") } else { "a number".to_owned() };
        let found = if digits.is_empty() { "nothing".to_owned() } else { format!("{digits:?}") };
        SelectError::syntax(span, expected, found)
    })
}

/// The numbers of the ranges, each once, where it is first named.
fn distinct(ranges: &[Numbers]) -> Vec<Index> {
    let values = |range: &Numbers| {
        let Numbers { first, step, pad, .. } = *range;
        (0..range.len()).map(move |i| Index::padded_to(first + i * step, pad))
    };
    let mut seen = HashSet::new();
    let all = ranges.iter().flat_map(values);
    if ranges.len() == 1 { all.collect() } else { all.filter(|index| seen.insert(*index)).collect() }
}

/// Behind a digit, ClusterShell reads `1[9-10]` as 19 to 110; a reader, as 19 and 110. Neither is
/// safe to guess.
fn refuse_growing(numbers: &[Index], span: Range<usize>) -> Result<(), SelectError> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    match runs(&sorted).into_iter().find(|run| run.first.width != run.last.width) {
        None => Ok(()),
        Some(run) => Err(SelectError::syntax(
            span,
            "the digits before the bracket written inside of it",
            format!("a range that grows a digit behind a digit, {}-{}", run.first, run.last),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, alphabet: Alphabet) -> Result<Vec<String>, SelectError> {
        let mut budget = MAX_NAMES;
        Pattern::read(text, 0..text.len(), alphabet, &mut budget).map(|pattern| pattern.masks())
    }

    #[test]
    fn brackets_are_enumerated_in_the_order_given() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(read(text, Alphabet::Name).unwrap(), expected, "{text}");
        };
        check("web", &["web"]);
        check("web[1-3]", &["web1", "web2", "web3"]);
        check("web[08-11].eu", &["web08.eu", "web09.eu", "web10.eu", "web11.eu"]);
        check("a[0-10/5]", &["a0", "a5", "a10"]);
        check("a[ 3 , 1 - 2 ]b", &["a3b", "a1b", "a2b"]);
        check("a[1-3,2-4,01]", &["a1", "a2", "a3", "a4", "a01"]);
        check("r[1-2]n[1-2]", &["r1n1", "r1n2", "r2n1", "r2n2"]);
        check("a[1-3]0", &["a10", "a20", "a30"]);
        check("a1[1-3]", &["a11", "a12", "a13"]);
        check("a0[0-10/5]", &["a00", "a05", "a010"]);
        check("[1-2]", &["1", "2"]);
        check("a[1/1]", &["a1"]);
    }

    #[test]
    fn faults_say_what_was_expected_and_where() {
        let check = |text: &str, place: Range<usize>, expected: &str| {
            let fault = read(text, Alphabet::Name).unwrap_err();
            assert_eq!((fault.span(), fault.expected()), (place, expected.to_owned()), "{text}");
        };
        check("a[]", 2..2, "a number");
        check("a[1,]", 4..4, "a number");
        check("a[x]", 2..3, "a number");
        check("a[-5]", 2..2, "a number");
        check("a[1-]", 4..4, "a number");
        check("a[3-1]", 2..5, "a range that goes up");
        check("a[1-9/0]", 2..7, "a step above 0");
        check("a[5/2]", 2..5, "a range before a step");
        check("a[01-100]", 2..8, "as many digits at both ends of a range with leading zeros");
        check("a[1-1234567890123456789]", 4..23, "a number of at most 18 digits");
        check("a[1-2][3-4]", 6..7, "something that is no digit between two ranges");
        check("a[1-2]3[4-5]", 7..8, "something that is no digit between two ranges");
        check("web1[1-10]", 4..10, "the digits before the bracket written inside of it");
        check("-rf", 0..1, "a letter or digit at the start");
        check("a b", 1..2, Alphabet::Name.expected());
        check("a*", 1..2, Alphabet::Name.expected());
        check("aä", 1..3, Alphabet::Name.expected());
    }

    #[test]
    fn a_wish_for_too_many_names_is_refused_before_memory_is_spent() {
        for text in [
            "a[1-999999999]",
            "a[1-1000001]",
            "a[0-999999999999999999]b[0-999999999999999999]c[0-999999999999999999]",
            "a[1-1000]b[1-1000]c[1-2]",
        ] {
            let fault = read(text, Alphabet::Name).unwrap_err();
            assert!(matches!(fault, SelectError::TooMany { max: MAX_NAMES, .. }), "{text}: {fault}");
        }
        assert_eq!(read("a[1-1000000]", Alphabet::Name).unwrap().len(), 1_000_000);
    }

    #[test]
    fn masks() {
        let check = |mask: &str, text: &str, expected: bool| {
            assert_eq!(matches_mask(mask, text), expected, "{mask} {text}");
        };
        check("*", "", true);
        check("web*", "web01.eu", true);
        check("web*", "we", false);
        check("*.eu", "web01.eu", true);
        check("*.eu", "web01.us", false);
        check("w?b*1", "web01", true);
        check("w?b", "wb", false);
        check("a*b*c", "aXbYbZc", true);
        check("a*b*c", "aXbYbZ", false);
        check("?", "ä", true);
        check("**", "x", true);
        check("", "x", false);
        check("*a*a*a*a*a*a*b", &"a".repeat(200), false);
    }
}
