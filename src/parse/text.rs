//! Lines, fields and numbers out of bytes that nobody has checked.

use super::sink::Sink;

/// A longer line is skipped with a fault: no file that a probe reads has one. The longest is that of the
/// interrupts in /proc/stat, with at least two bytes for each that the kernel has a number for: 128 KiB on
/// many x86 hosts.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// How much of a line a fault quotes.
const EXCERPT_BYTES: usize = 60;

/// The lines of `raw` with their numbers from 1, without their ends (`\n` or `\r\n`). Lines over
/// the cap are reported to `sink` and left out.
pub(super) fn lines<'a>(raw: &'a [u8], sink: &mut Sink) -> Vec<(usize, &'a [u8])> {
    let body = raw.strip_suffix(b"\n").unwrap_or(raw);
    let mut lines = Vec::with_capacity(raw.len() / 32);
    if body.is_empty() {
        return lines;
    }
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > MAX_LINE_BYTES {
            sink.fault(|| {
                format!("line {}: {} bytes long, expected at most {MAX_LINE_BYTES}", index + 1, line.len())
            });
        } else {
            lines.push((index + 1, line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }
    lines
}

/// Like [`lines`], for formats that are text: a line that is not UTF-8 is a fault.
pub(super) fn utf8_lines<'a>(raw: &'a [u8], sink: &mut Sink) -> Vec<(usize, &'a str)> {
    let mut texts = Vec::new();
    for (number, line) in lines(raw, sink) {
        match std::str::from_utf8(line) {
            Ok(text) => texts.push((number, text)),
            Err(_) => sink.fault(|| format!("line {number}: expected UTF-8, found {}", excerpt(line))),
        }
    }
    texts
}

/// The fields of a line, split at runs of blanks.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ' || *byte == b'\t').filter(|field| !field.is_empty())
}

/// A whole decimal number, digits only.
pub(super) fn integer(field: &[u8]) -> Option<u64> {
    radix(field, 10)
}

/// A whole hexadecimal number without a prefix.
pub(super) fn hexadecimal(field: &[u8]) -> Option<u64> {
    radix(field, 16)
}

fn radix(field: &[u8], base: u32) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0u64, |value, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        value.checked_mul(u64::from(base))?.checked_add(u64::from(digit))
    })
}

/// A finite decimal number as printf writes it. `nan`, `inf` and hexadecimal are none.
pub(super) fn decimal(field: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(field).ok()?;
    let starts = text.trim_start_matches(['+', '-']).bytes().next()?;
    if !(starts.is_ascii_digit() || starts == b'.') {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Text for a label or a name: what is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The beginning of a line, quoted and escaped, for a fault.
pub(super) fn excerpt(line: &[u8]) -> String {
    let cut = &line[..line.len().min(EXCERPT_BYTES)];
    let dots = if cut.len() < line.len() { "…" } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}

/// As the kernel writes one in /proc/sys/kernel/random/boot_id.
pub(super) fn is_boot_id(text: &[u8]) -> bool {
    text.len() == 36 && text.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(integer(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"18446744073709551616", b"-1", b"+1", b"1.0", b"0x1", b"1 "] {
            assert_eq!(integer(bad), None, "{bad:?}");
        }
        assert_eq!(hexadecimal(b"ffFF"), Some(65_535));
        assert_eq!(decimal(b"-1.5e3"), Some(-1500.0));
        for bad in [&b"nan"[..], b"inf", b"-inf", b"+Infinity", b"1e999", b"", b"-", b"1,5", b"\xff"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lines_are_numbered_and_bounded() {
        let mut raw = b"one\r\n\ntwo\n".to_vec();
        raw.extend(vec![b'x'; MAX_LINE_BYTES + 1]);
        raw.extend(b"\nlast");
        let mut sink = Sink::default();
        let found: Vec<_> = lines(&raw, &mut sink);
        assert_eq!(found, [(1, &b"one"[..]), (2, b""), (3, b"two"), (5, b"last")]);
        let faults = sink.finish().faults;
        assert_eq!(faults[0].0, "line 4: 1048577 bytes long, expected at most 1048576");
        assert_eq!(lines(b"", &mut Sink::default()), []);
    }

    #[test]
    fn an_excerpt_is_short_and_has_no_control_characters() {
        assert_eq!(excerpt(b"a\x1b[31m\xff"), "\"a\\u{1b}[31m\u{fffd}\"");
        assert!(excerpt(&[b'x'; 500]).chars().count() < 70);
    }
}
