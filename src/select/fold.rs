//! Names back into the shortest node set: what `nodeset -f` prints.

use std::collections::HashMap;

use super::fold_nd::fold_vectors;
use super::index::{Index, write_runs};

/// The names as one node set, sorted as ClusterShell sorts it. Any text is taken, duplicates too;
/// a run of more than 18 digits stays as it is.
pub fn fold<I>(names: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut families: HashMap<String, Family> = HashMap::new();
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    for name in names {
        split(name.as_ref(), &mut shape, &mut numbers);
        match families.get_mut(&shape) {
            Some(family) => family.numbers.extend_from_slice(&numbers),
            None => {
                let family = Family { dimensions: numbers.len(), numbers: numbers.clone() };
                families.insert(shape.clone(), family);
            }
        }
    }
    let mut families: Vec<(String, Family)> = families.into_iter().collect();
    families.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    for (shape, family) in families {
        family.write(&mut out, &shape);
    }
    out
}

/// Stands for a number in a name's shape. The order of the shapes is the order of the output, and
/// ClusterShell's has this text there.
const NUMBER: &str = "%s";

/// `rack1node02` into `rack%snode%s` and 1, 02.
fn split(name: &str, shape: &mut String, numbers: &mut Vec<Index>) {
    shape.clear();
    numbers.clear();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        for c in rest[..text_end].chars() {
            shape.push(c);
            if c == '%' {
                shape.push(c);
            }
        }
        rest = &rest[text_end..];
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = &rest[..digits_end];
        match Index::read(digits) {
            Some(number) => {
                shape.push_str(NUMBER);
                numbers.push(number);
            }
            None => shape.push_str(digits),
        }
        rest = &rest[digits_end..];
    }
}

/// Names of one shape: `dimensions` numbers for each, in a row.
struct Family {
    dimensions: usize,
    numbers: Vec<Index>,
}

impl Family {
    fn write(mut self, out: &mut String, shape: &str) {
        match self.dimensions {
            0 => write_shape(out, shape, &[]),
            1 => {
                self.numbers.sort_unstable();
                self.numbers.dedup();
                write_shape(out, shape, &[self.numbers]);
            }
            dimensions => {
                for vector in fold_vectors(&self.numbers, dimensions) {
                    write_shape(out, shape, &vector);
                }
            }
        }
    }
}

/// Writes one node set, with the sorted numbers of each dimension in its place.
fn write_shape(out: &mut String, shape: &str, dimensions: &[Vec<Index>]) {
    if !out.is_empty() {
        out.push(',');
    }
    let mut dimensions = dimensions.iter();
    let mut chars = shape.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(numbers) = chars.next().filter(|c| *c == 's').and_then(|_| dimensions.next()) else {
            out.push('%');
            continue;
        };
        match numbers.as_slice() {
            [only] => out.push_str(&only.to_string()),
            many => {
                out.push('[');
                write_runs(out, many);
                out.push(']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold() {
        let check = |names: &str, expected: &str| {
            assert_eq!(fold(names.split(' ').filter(|name| !name.is_empty())), expected, "{names}");
        };
        check("", "");
        check("web1", "web1");
        check("web01 web03 web02", "web[01-03]");
        check("web1 web1 web2", "web[1-2]");
        check("web01.eu web02.eu db1", "db1,web[01-02].eu");
        check("a9 a10 a010", "a[9-10,010]");
        check("b a c", "a,b,c");
        check("1 2 3", "[1-3]");
        check("r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]");
        check("r1n1 r1n2 r2n1", "r1n[1-2],r2n1");
        check("10.0.0.1 10.0.0.2", "10.0.0.[1-2]");
        check(
            "i-12345678901234567890 i-12345678901234567891",
            "i-12345678901234567890,i-12345678901234567891",
        );
        check("50%s 51%s 5%%", "5%%,[50-51]%s");
        check("ä1 ä2", "ä[1-2]");
    }

    proptest::proptest! {
        #[test]
        fn what_was_folded_expands_to_the_same_names(
            names in proptest::collection::btree_set("[a-c]{0,1}[0-9]{1,3}(-[0-9]{1,2}){0,2}(\\.eu)?", 0..60)
        ) {
            let folded = fold(&names);
            let expanded = if names.is_empty() { Vec::new() } else { crate::select::expand(&folded).unwrap() };
            let expanded: std::collections::BTreeSet<String> = expanded.into_iter().collect();
            proptest::prop_assert_eq!(expanded, names, "{}", folded);
        }
    }

    /// Addresses without a pattern are the worst case: quadratic work on 20,000 of them would take
    /// minutes in a debug build.
    #[test]
    fn many_names_without_a_pattern_fold_and_expand_back() {
        let names: std::collections::BTreeSet<String> = (0..20_000u64)
            .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .map(|n| format!("10.{}.{}.{}", n >> 56, (n >> 40) & 0xff, (n >> 24) & 0xff))
            .collect();
        let expanded = crate::select::expand(&fold(&names)).unwrap();
        assert_eq!(expanded.into_iter().collect::<std::collections::BTreeSet<_>>(), names);
    }
}
