//! What sets two texts apart, as `diff -u` writes it. It compares lines and shows them as they came: to be
//! escaped by whoever prints.

use similar::TextDiff;

/// Lines around a difference.
const CONTEXT: usize = 2;

/// From `old` to `new`, under their names; empty when they are the same.
pub fn unified(old: (&str, &str), new: (&str, &str)) -> String {
    let diff = TextDiff::from_lines(old.1, new.1);
    diff.unified_diff().context_radius(CONTEXT).header(old.0, new.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_changed() {
        let text = unified(("web[01-03]", "a\nb\nc\n"), ("web04", "a\nB\nc\n"));
        assert_eq!(text, "--- web[01-03]\n+++ web04\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(unified(("a", "x\n"), ("b", "x\n")), "");
    }
}
