//! `a,b`, `+a`, `-a*` and `^a` → the list that counts, given the list that counts without them.

use super::pattern::fits;
use crate::model::{AlgorithmList, ListChange};

/// `change` done to `usual`; a pattern among its names stands for those of `all` that fit it.
pub fn apply(change: &AlgorithmList, usual: &[String], all: &[String]) -> Vec<String> {
    if change.change == ListChange::Remove {
        let stays = |name: &&String| !change.names.iter().any(|pattern| fits(name, pattern));
        return usual.iter().filter(stays).cloned().collect();
    }
    let named = change.names.iter().flat_map(|pattern| meant(pattern, all));
    let chained: Vec<String> = match change.change {
        ListChange::Append => usual.iter().cloned().chain(named).collect(),
        ListChange::Prepend => named.chain(usual.iter().cloned()).collect(),
        ListChange::Replace | ListChange::Remove => named.collect(),
    };
    let mut list: Vec<String> = Vec::with_capacity(chained.len());
    for name in chained {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list
}

fn meant(pattern: &str, all: &[String]) -> Vec<String> {
    if pattern.contains(['*', '?']) {
        return all.iter().filter(|name| fits(name, pattern)).cloned().collect();
    }
    vec![pattern.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let list = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let check = |change: ListChange, names: &str, expected: &str| {
            let change = AlgorithmList { change, names: list(names) };
            assert_eq!(apply(&change, &list("a1 a2 b1"), &list("a1 a2 a3 b1 c1")), list(expected));
        };
        check(ListChange::Replace, "c1 a1", "c1 a1");
        check(ListChange::Append, "c1 a1", "a1 a2 b1 c1");
        check(ListChange::Append, "a*", "a1 a2 b1 a3");
        check(ListChange::Prepend, "c1 b1", "c1 b1 a1 a2");
        check(ListChange::Remove, "a* c1", "b1");
    }
}
