//! OpenSSH's patterns: `*` and `?`, and lists of them with `!`.

/// Whether `text` fits `pattern`. `*` backs up to its last star only: a pattern of a file that others
/// may write must not cost exponential time.
pub(super) fn fits(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut at, mut star) = (0, None);
    let mut next = 0;
    while next < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == text[next] => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, next) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// Whether `text` fits a comma-separated list: one of its patterns, and none of those behind a `!`.
pub(super) fn fits_list(text: &str, list: &str) -> bool {
    let mut found = false;
    // A comma at the end is the end of the list, not an empty pattern behind it.
    for part in list.split_terminator(',') {
        let (negated, pattern) = part.strip_prefix('!').map_or((false, part), |rest| (true, rest));
        if fits(text, pattern) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// As [`fits_list`], whatever the case of the letters.
pub(super) fn fits_host_list(text: &str, list: &str) -> bool {
    fits_list(&text.to_ascii_lowercase(), &list.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |text, pattern, expected| assert_eq!(fits(text, pattern), expected, "{text} {pattern}");
        check("", "", true);
        check("", "*", true);
        check("a", "", false);
        check("web01.eu", "web*.eu", true);
        check("web01.eu", "web??.eu", true);
        check("web01.eu", "web?.eu", false);
        check("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "*a*a*a*a*a*a*a*a*a*b", false);
        check("Web", "web", false);
    }

    #[test]
    fn lists() {
        let check = |text, list, expected| assert_eq!(fits_list(text, list), expected, "{text} {list}");
        check("web1", "db*,web*", true);
        check("web1", "web*,!web1", false);
        check("web1", "!web2", false);
        check("web1", "!web2,*", true);
        check("web1", "", false);
        check("", "", false);
        check("", "a,", false);
        assert!(fits_host_list("Web1", "WEB*"));
    }
}
