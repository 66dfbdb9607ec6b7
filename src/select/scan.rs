//! An expression into its operands: `a[1-3,5] , b ! c` is `a[1-3,5]`, union `b`, difference `c`.

use std::ops::Range;

use super::SelectError;

/// What an operand does to the set so far; always from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

impl Op {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b',' => Some(Self::Union),
            b'!' => Some(Self::Difference),
            b'&' => Some(Self::Intersection),
            b'^' => Some(Self::SymmetricDifference),
            _ => None,
        }
    }
}

/// One operand with its place, blanks around it cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operand {
    pub op: Op,
    pub span: Range<usize>,
}

/// Splits at the operators outside of brackets. There is at least one operand and none is empty.
pub(super) fn operands(text: &str) -> Result<Vec<Operand>, SelectError> {
    let mut operands = Vec::new();
    let mut op = Op::Union;
    let mut start = 0;
    let mut open = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' if open.is_none() => open = Some(at),
            b'[' => return Err(SelectError::syntax(at..at + 1, "a number or `]`", "`[`")),
            b']' if open.is_none() => {
                return Err(SelectError::syntax(at..at + 1, "a `[` before it", "`]`"));
            }
            b']' => open = None,
            _ if open.is_some() => {}
            _ => {
                if let Some(next) = Op::from_byte(byte) {
                    operands.push(operand(text, op, start..at)?);
                    op = next;
                    start = at + 1;
                }
            }
        }
    }
    if let Some(at) = open {
        return Err(SelectError::syntax(at..text.len(), "a `]` that ends the range", "the end"));
    }
    operands.push(operand(text, op, start..text.len())?);
    Ok(operands)
}

fn operand(text: &str, op: Op, span: Range<usize>) -> Result<Operand, SelectError> {
    let slice = &text[span.clone()];
    let blank = slice.len() - slice.trim_ascii_start().len();
    let start = span.start + blank;
    let end = start + slice.trim_ascii().len();
    if start < end {
        return Ok(Operand { op, span: start..end });
    }
    let found = text
        .as_bytes()
        .get(span.end)
        .map_or_else(|| "the end".to_owned(), |operator| format!("`{}`", char::from(*operator)));
    Err(SelectError::syntax(span.end..span.end + usize::from(span.end < text.len()), "hosts", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_and_their_places() {
        let text = " a[1-3,5] , b!c & d ^ e=f ";
        let found: Vec<(Op, &str)> =
            operands(text).unwrap().into_iter().map(|o| (o.op, &text[o.span])).collect();
        let expected = [
            (Op::Union, "a[1-3,5]"),
            (Op::Union, "b"),
            (Op::Difference, "c"),
            (Op::Intersection, "d"),
            (Op::SymmetricDifference, "e=f"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn faults_carry_their_place() {
        let check = |text: &str, place: Range<usize>| {
            assert_eq!(operands(text).map_err(|e| e.span()), Err(place), "{text:?}");
        };
        check("", 0..0);
        check("  ", 2..2);
        check("a,,b", 2..3);
        check("a,", 2..2);
        check("!a", 0..1);
        check("a[1-3", 1..5);
        check("a]", 1..2);
        check("a[[1]]", 2..3);
        check("a ! ", 4..4);
    }
}
