//! The number inside a name, with its leading zeros.

use std::fmt;

/// Longer runs of digits stay text: `MAX_DIGITS` nines fit a u64 with room for the arithmetic here.
pub(super) const MAX_DIGITS: usize = 18;

/// A number as it was written: `7`, `07` and `007` are three different ones. The order is that of
/// ClusterShell: by width, then by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Index {
    pub width: u8,
    pub value: u64,
}

impl Index {
    /// Reads ASCII digits; `None` when there are none or more than [`MAX_DIGITS`].
    pub fn read(digits: &str) -> Option<Self> {
        let fits = !digits.is_empty() && digits.len() <= MAX_DIGITS;
        if !fits || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { width: u8::try_from(digits.len()).ok()?, value: digits.parse().ok()? })
    }

    /// `value` with zeros up to `pad` digits, or as many digits as it needs.
    pub fn padded_to(value: u64, pad: u8) -> Self {
        let digits = value.checked_ilog10().map_or(1, |log| log + 1);
        Self { width: pad.max(u8::try_from(digits).unwrap_or(u8::MAX)), value }
    }

    /// Whether it has leading zeros. A lone `0` has none.
    pub fn is_padded(self) -> bool {
        self.width > 1 && self.value < power_of_ten(self.width - 1)
    }

    /// Orders as the digits do as text (`10` before `9`).
    pub fn text_key(self) -> (u64, u8) {
        let missing = (MAX_DIGITS as u8).saturating_sub(self.width);
        (self.value.saturating_mul(power_of_ten(missing)), self.width)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = usize::from(self.width))
    }
}

fn power_of_ten(digits: u8) -> u64 {
    10u64.saturating_pow(u32::from(digits))
}

/// A stretch of consecutive numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub first: Index,
    pub last: Index,
}

/// The stretches of `sorted`, cut where ClusterShell 1.9 cuts them: unpadded numbers run on across
/// widths (`9-10`), padded ones do not, and a padded stretch takes in unpadded numbers of its own
/// width (`08-11`).
pub(super) fn runs(sorted: &[Index]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // The width that the current stretch is padded to, if it is.
    let mut padding = None;
    for &index in sorted {
        let previous = runs.last_mut();
        let fits = padding.map_or(!index.is_padded(), |width| index.width == width);
        // ClusterShell asks whether a stretch is padded at its first number, but after a lone number
        // and a gap it keeps the answer it had: `08,98-99,100` is what it prints.
        let keeps_padding = fits && previous.as_ref().is_some_and(|run| run.first == run.last);
        match previous {
            Some(run) if fits && index.value == run.last.value + 1 => run.last = index,
            _ => {
                if !keeps_padding {
                    padding = index.is_padded().then_some(index.width);
                }
                runs.push(Run { first: index, last: index });
            }
        }
    }
    runs
}

/// `1-3,5` as it stands between brackets.
pub(super) fn write_runs(out: &mut String, sorted: &[Index]) {
    use std::fmt::Write as _;
    for (i, run) in runs(sorted).into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let _ = if run.first == run.last {
            write!(out, "{}", run.first)
        } else {
            write!(out, "{}-{}", run.first, run.last)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_cut_where_clustershell_cuts_them() {
        let check = |texts: &[&str], expected: &str| {
            let mut sorted: Vec<Index> = texts.iter().filter_map(|text| Index::read(text)).collect();
            assert_eq!(sorted.len(), texts.len());
            sorted.sort_unstable();
            let mut folded = String::new();
            write_runs(&mut folded, &sorted);
            assert_eq!(folded, expected, "{texts:?}");
        };
        check(&["1", "2", "3", "5"], "1-3,5");
        check(&["9", "10", "11"], "9-11");
        check(&["08", "09", "10", "11"], "08-11");
        check(&["99", "100", "099"], "99,099-100");
        check(&["8", "08", "9", "09"], "8-9,08-09");
        check(&["0", "1"], "0-1");
        check(&["00", "01"], "00-01");
        check(&["98", "99", "100"], "98-100");
        check(&["08", "98", "99", "100"], "08,98-99,100");
        check(&["08", "09", "98", "99", "100"], "08-09,98-100");
        check(&["1", "3", "5"], "1,3,5");
    }

    #[test]
    fn an_index_prints_as_it_was_read_and_orders_as_text_by_its_key() {
        for text in ["0", "00", "7", "007", "999999999999999999"] {
            assert_eq!(Index::read(text).map(|index| index.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Index::read("1234567890123456789"), None);
        assert_eq!(Index::read(""), None);
        let key = |text: &str| Index::read(text).map(Index::text_key);
        let mut texts = ["10", "9", "1", "010", "100", "01", "2", "0"];
        texts.sort_unstable();
        assert!(texts.windows(2).all(|pair| key(pair[0]) < key(pair[1])), "{texts:?}");
    }
}
