//! Comma-separated values as RFC 4180 has them, but with a bare line feed, and with unprintable characters
//! escaped: a file that `less` or a terminal shows must not act on what a host said.

use super::escape::{Lines, escape};

/// Appends one line.
pub fn line<T: AsRef<str>>(out: &mut String, fields: impl IntoIterator<Item = T>) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let text = escape(field.as_ref(), Lines::Single);
        if text.contains([',', '"']) {
            out.push('"');
            out.push_str(&text.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let check = |fields: &[&str], expected: &str| {
            let mut out = String::new();
            line(&mut out, fields);
            assert_eq!(out, expected);
        };
        check(&["a", "", "1.5"], "a,,1.5\n");
        check(&["a,b", "say \"so\"", "two\nlines"], "\"a,b\",\"say \"\"so\"\"\",two\\nlines\n");
        check(&["\x1b[2J"], "\\x1b[2J\n");
    }
}
