//! Node sets on their own, without an inventory: what `[[hosts]] names` holds.

use std::collections::HashMap;

use super::SelectError;
use super::pattern::{Alphabet, MAX_NAMES, Pattern};
use super::scan::{Op, Operand, operands};

/// The names that a node set stands for, each once, in the order given. Groups, labels and
/// wildcards have no meaning without an inventory and are refused.
pub fn expand(text: &str) -> Result<Vec<String>, SelectError> {
    let mut budget = MAX_NAMES;
    let mut names = Names::default();
    for Operand { op, span } in operands(text)? {
        let pattern = Pattern::read(text, span, Alphabet::Name, &mut budget)?;
        names.apply(op, &pattern);
    }
    Ok(names.in_order())
}

/// A set that remembers when each name came. Every operation but `&` costs what its right side has,
/// so that a list of ten thousand single names is not ten thousand copies of a list.
#[derive(Default)]
struct Names {
    arrivals: HashMap<String, usize>,
    next: usize,
}

impl Names {
    fn apply(&mut self, op: Op, pattern: &Pattern) {
        match op {
            Op::Union => pattern.for_each(|name| self.add(name)),
            Op::Difference => pattern.for_each(|name| {
                self.arrivals.remove(name);
            }),
            Op::SymmetricDifference => pattern.for_each(|name| {
                if self.arrivals.remove(name).is_none() {
                    self.add(name);
                }
            }),
            Op::Intersection => {
                let mut both = HashMap::new();
                pattern.for_each(|name| both.extend(self.arrivals.remove_entry(name)));
                self.arrivals = both;
            }
        }
    }

    fn add(&mut self, name: &str) {
        if !self.arrivals.contains_key(name) {
            self.arrivals.insert(name.to_owned(), self.next);
            self.next += 1;
        }
    }

    fn in_order(self) -> Vec<String> {
        let mut names: Vec<(usize, String)> =
            self.arrivals.into_iter().map(|(name, arrival)| (arrival, name)).collect();
        names.sort_unstable_by_key(|(arrival, _)| *arrival);
        names.into_iter().map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_go_from_left_to_right_and_keep_the_order() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expand(text).unwrap().join(" "), expected, "{text}");
        };
        check("web[01-03],db1", "web01 web02 web03 db1");
        check("c,b,a,b", "c b a");
        check("a[1-4]!a[2-3]", "a1 a4");
        check("a[1-4]&a[3-9]", "a3 a4");
        check("a[1-3]^a[2-4]", "a1 a4");
        check("a[1-3]!a2,a2", "a1 a3 a2");
        check("a1,b1&b1,c1", "b1 c1");
        check("a1!a1", "");
        check("a1!a1,b1", "b1");
        check(" a[1-2] , b ", "a1 a2 b");
    }

    #[test]
    fn what_needs_an_inventory_is_refused() {
        for text in ["@edge", "role=web", "*", "web?", ""] {
            assert!(matches!(expand(text), Err(SelectError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn the_limit_is_for_the_whole_expression() {
        let fault = expand("a[1-600000],b[1-600000]").unwrap_err();
        assert_eq!(fault.to_string(), "expected at most 1000000 names, found 1200000");
        assert_eq!(fault.span(), 12..23);
    }
}
