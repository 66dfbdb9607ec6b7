//! Did you mean.

/// How many names are offered: more is a list to read, not a hint.
const OFFERED: usize = 3;

/// Names at most this far apart, as a share of the longer one's length, are offered.
const FAR: f64 = 0.35;

/// The candidates that are likely meant by `word`, the closest first; ties keep their order.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let folded_word = word.to_lowercase();
    let mut close: Vec<(f64, &str)> = Vec::new();
    for candidate in candidates {
        let similarity = strsim::normalized_damerau_levenshtein(&folded_word, &candidate.to_lowercase());
        let distance = 1.0 - similarity;
        if distance <= FAR && !close.iter().any(|(_, known)| *known == candidate) {
            let place = close.partition_point(|(known, _)| *known <= distance);
            close.insert(place, (distance, candidate));
            close.truncate(OFFERED);
        }
    }
    close.into_iter().map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_offered_closest_first() {
        let check = |word: &str, names: &[&str], expected: &[&str]| {
            assert_eq!(nearest(word, names.iter().copied()), expected, "{word}");
        };
        check("wbe01", &["web01", "db01"], &["web01"]);
        check("WEB01", &["web01", "web02"], &["web01", "web02"]);
        check("edeg", &["core", "edge"], &["edge"]);
        check("role", &["kernel", "dc"], &[]);
        check("n1", &["n2", "n3", "n4", "n5"], &[]);
        check("node1", &["node5", "node4", "node3", "node2"], &["node5", "node4", "node3"]);
        check("x", &[], &[]);
    }
}
