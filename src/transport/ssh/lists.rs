//! An ssh_config's lists of algorithms against what we have. They choose among ours; what we do not
//! have, or would not use, they cannot bring in.

use crate::model::{AlgorithmList, ListChange};

/// A list that leaves none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{directive} of the ssh_config leaves nothing to use: this program has {}", .ours.join(", "))]
pub(super) struct Unmet {
    directive: &'static str,
    ours: Vec<String>,
}

/// Those of `ours` that `list` lets through, in its order.
pub(super) fn choose<T: AsRef<str> + Clone>(
    directive: &'static str,
    ours: &[T],
    list: Option<&AlgorithmList>,
) -> Result<Vec<T>, Unmet> {
    let Some(list) = list else { return Ok(ours.to_vec()) };
    let named = |ours: &T| list.names.iter().any(|pattern| fits(pattern, ours.as_ref()));
    // In the list's order; one that several patterns fit comes where the first of them stands.
    let in_order = || {
        let rank = |name: &str| list.names.iter().position(|pattern| fits(pattern, name));
        let mut those: Vec<T> = ours.iter().filter(|name| named(name)).cloned().collect();
        those.sort_by_key(|name| rank(name.as_ref()));
        those
    };
    let chosen: Vec<T> = match list.change {
        ListChange::Replace => in_order(),
        // Ours are there already.
        ListChange::Append => ours.to_vec(),
        ListChange::Remove => ours.iter().filter(|name| !named(name)).cloned().collect(),
        ListChange::Prepend => {
            let rest = ours.iter().filter(|name| !named(name)).cloned();
            in_order().into_iter().chain(rest).collect()
        }
    };
    if chosen.is_empty() {
        let ours = ours.iter().map(|name| name.as_ref().to_owned()).collect();
        return Err(Unmet { directive, ours });
    }
    Ok(chosen)
}

/// `*` is any run of characters and `?` any one, as in ssh's lists.
fn fits(pattern: &str, name: &str) -> bool {
    crate::transport::known_hosts::matches_pattern(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_choose_among_ours() {
        let check = |change: ListChange, names: &[&str], expected: &[&str]| {
            let list = AlgorithmList { change, names: names.iter().map(|name| (*name).to_owned()).collect() };
            let chosen = choose("Ciphers", &["a1", "a2", "b"], Some(&list));
            assert_eq!(chosen.unwrap_or_default(), expected, "{change:?} {names:?}");
        };
        check(ListChange::Replace, &["b", "x", "a1"], &["b", "a1"]);
        check(ListChange::Replace, &["a*"], &["a1", "a2"]);
        check(ListChange::Replace, &["x"], &[]);
        check(ListChange::Append, &["x"], &["a1", "a2", "b"]);
        check(ListChange::Remove, &["a?"], &["b"]);
        check(ListChange::Remove, &["*"], &[]);
        check(ListChange::Prepend, &["b", "x"], &["b", "a1", "a2"]);
        assert_eq!(choose("Ciphers", &["a"], None).unwrap(), ["a"]);
    }
}
