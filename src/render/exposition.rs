//! Prometheus' text format, version 0.0.4, family by family. It never writes a time: who reads this takes
//! what it reads to be of now, and node_exporter refuses anything else.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::escape::{Lines, escape};

/// An exposition that grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposition {
    text: String,
    family: String,
}

impl Exposition {
    /// Begins a family. `kind` is `counter`, `gauge` or `histogram`; whatever cannot stand in a name becomes
    /// an underscore.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' };
        self.family = name.chars().map(plain).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {} {}", self.family, escaped(help));
        let _ = writeln!(self.text, "# TYPE {} {kind}", self.family);
        self
    }

    /// A line of the family: `suffix` is that of its name, as `_bucket`.
    pub fn line<'a>(
        &mut self,
        suffix: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
    ) -> &mut Self {
        let labels = label_text(labels);
        let _ = writeln!(self.text, "{}{suffix}{labels} {}", self.family, number(value));
        self
    }

    /// A family of one value without labels.
    pub fn single(&mut self, name: &str, (kind, help): (&str, &str), value: f64) -> &mut Self {
        self.family(name, kind, help).line("", [], value)
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

/// The names that a text's families have taken. Who reads it refuses all of it for one name that is two
/// families', and a host may name metrics as it likes.
#[derive(Debug, Clone, Default)]
pub struct Families(BTreeSet<String>);

impl Families {
    /// What the lines of a histogram end in, and so no other family's name may.
    const SUFFIXES: [&str; 4] = ["_bucket", "_sum", "_count", "_created"];

    /// Takes the name for a family; `false` where one before it has it, or has lines of that name.
    pub fn take(&mut self, name: &str, is_histogram: bool) -> bool {
        let lines = Self::SUFFIXES.iter().filter(|_| is_histogram).map(|suffix| format!("{name}{suffix}"));
        let names: Vec<String> = lines.chain([name.to_owned()]).collect();
        let free = !names.iter().any(|name| self.0.contains(name));
        if free {
            self.0.extend(names);
        }
        free
    }
}

/// Labels that a text itself gives, and the one that no text may give.
const OWN: [&str; 5] = ["host", "probe", "span", "le", "__name__"];

/// What a host's own label is called where the text has labels beside it: as Prometheus does, one that is
/// called as they are is `exported_`. So is one that is already called so, or the two would be one.
pub fn foreign_label(label: &str) -> Cow<'_, str> {
    let mut core = label;
    while let Some(rest) = core.strip_prefix("exported_") {
        core = rest;
    }
    if OWN.contains(&core) { format!("exported_{label}").into() } else { label.into() }
}

/// `{a="b",c="d"}`; nothing where there is none. A name keeps what a label may have.
pub fn label_text<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let pair = |(label, value): (&str, &str)| {
        let label: String = label.chars().map(plain).collect();
        format!("{label}=\"{}\"", escaped(value).replace('"', "\\\""))
    };
    let pairs: Vec<String> = labels.into_iter().map(pair).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// What a terminal could act on is spelled out, as everywhere.
fn escaped(text: &str) -> String {
    escape(text, Lines::Single).replace('\\', "\\\\")
}

/// As this format writes a number.
pub fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_labels_and_no_two_families_become_one() {
        let names = ["host", "exported_host", "exported_exported_host", "__name__", "exported_x", "x"];
        let expected = [
            "exported_host",
            "exported_exported_host",
            "exported_exported_exported_host",
            "exported___name__",
            "exported_x",
            "x",
        ];
        assert_eq!(names.map(foreign_label), expected);
        let mut families = Families::default();
        for (name, is_histogram, free) in [
            ("a", true, true),
            ("a", false, false),
            ("a_count", false, false),
            ("b_sum", false, true),
            ("b", true, false),
            ("b", false, true),
        ] {
            assert_eq!(families.take(name, is_histogram), free, "{name}");
        }
    }

    #[test]
    fn families_and_lines() {
        let mut text = Exposition::default();
        text.family("a-b_total", "counter", "what\nit \\ is").line("", [("x.y", "q\"\\\n"), ("z", "ä")], 1.0);
        text.family("h", "histogram", "").line("_bucket", [("le", "+Inf")], 2.5);
        text.single("up", ("gauge", "1 when up"), f64::INFINITY);
        let expected = "# HELP a_b_total what\\\\nit \\\\ is\n# TYPE a_b_total counter\n\
                        a_b_total{x_y=\"q\\\"\\\\\\\\n\",z=\"ä\"} 1.0\n\
                        # HELP h \n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2.5\n\
                        # HELP up 1 when up\n# TYPE up gauge\nup +Inf\n";
        assert_eq!(text.into_text(), expected);
        assert_eq!([f64::NAN, f64::NEG_INFINITY, 1e300].map(number), ["NaN", "-Inf", "1e300"]);
    }
}
