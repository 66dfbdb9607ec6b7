//! Lines and columns of perf's tables. It guesses no number: a cell that is not one is `None`.

use crate::parse::sink::Sink;
use crate::parse::text::{decimal, excerpt};

/// No table or stack of perf has a longer one.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Gives each line of `raw` with its number from 1 to `take`, one after the other: the output of a
/// tracer is too long to be kept as a list. What `take` returns is the words of a fault.
pub(super) fn each_line(
    raw: &[u8],
    sink: &mut Sink,
    mut take: impl FnMut(&str, &mut Sink) -> Option<String>,
) {
    let body = raw.strip_suffix(b"\n").unwrap_or(raw);
    if body.is_empty() {
        return;
    }
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if line.len() > MAX_LINE_BYTES {
            sink.fault(|| {
                format!("line {number}: {} bytes long, expected at most {MAX_LINE_BYTES}", line.len())
            });
            continue;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        if is_time_output(&text) {
            continue;
        }
        if let Some(words) = take(&text, sink) {
            sink.fault(|| format!("line {number}: {words}, found {}", excerpt(line)));
        }
    }
}

/// What `time perf …` adds to a saved output.
fn is_time_output(line: &str) -> bool {
    let rest = ["real\t", "user\t", "sys\t"].iter().find_map(|word| line.strip_prefix(word));
    rest.is_some_and(|rest| rest.ends_with('s') && rest.contains('m'))
}

/// A number of milliseconds, in seconds.
pub(super) fn ms(text: &str) -> Option<f64> {
    number(text).map(|ms| ms / 1e3)
}

/// A finite number that is not negative.
pub(super) fn number(text: &str) -> Option<f64> {
    decimal(text.trim().as_bytes()).filter(|value| *value >= 0.0)
}

/// `3.025 ms`, in seconds.
pub(super) fn ms_cell(text: &str) -> Option<f64> {
    ms(text.trim().strip_suffix("ms")?)
}

pub(super) fn count(text: &str) -> Option<u64> {
    crate::parse::text::integer(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_bounded_and_free_of_what_time_adds() {
        let mut raw = b"one\n\n".to_vec();
        raw.extend(vec![b'x'; MAX_LINE_BYTES + 1]);
        raw.extend(b"\nreal\t0m1.4s\nuser\t0m0.3s\nsys\t0m0.0s\nlast\r\n");
        let mut sink = Sink::default();
        let mut seen = Vec::new();
        each_line(&raw, &mut sink, |line, _| {
            seen.push(line.to_owned());
            (line == "last").then(|| "expected more".to_owned())
        });
        assert_eq!(seen, ["one", "", "last"]);
        let faults: Vec<_> = sink.finish().faults.into_iter().map(|fault| fault.0).collect();
        let long = format!("line 3: {} bytes long, expected at most {MAX_LINE_BYTES}", MAX_LINE_BYTES + 1);
        assert_eq!(faults, [long, "line 7: expected more, found \"last\"".to_owned()]);
    }

    #[test]
    fn cells() {
        assert_eq!(ms_cell("  3.5 ms "), Some(0.0035));
        for bad in ["3.5", "-1 ms", "x ms", "ms", "nan ms", ""] {
            assert_eq!(ms_cell(bad), None, "{bad}");
        }
        assert_eq!((count(" 12 "), count("1.5"), count("-1")), (Some(12), None, None));
    }
}
