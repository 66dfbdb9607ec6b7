//! `*`, `?` and `[…]` in an `Include`'s path, as glob(3) has them: sorted, and no star stands for the
//! dot at the start of a name.

use std::fs;
use std::path::{Path, PathBuf};

/// The files that an absolute pattern means. A folder that cannot be read holds none.
pub(super) fn glob(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = if is_plain(part) {
            let name = part.replace('\\', "");
            found.into_iter().map(|folder| folder.join(&name)).filter(|path| path.exists()).collect()
        } else {
            found.iter().flat_map(|folder| children(folder, part)).collect()
        };
    }
    found
}

fn is_plain(part: &str) -> bool {
    !part.contains(['*', '?', '['])
}

fn children(folder: &Path, part: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let hidden = name.starts_with('.') && !part.starts_with('.');
        (!hidden && fits(name.as_bytes(), part.as_bytes())).then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// Whether a name fits a part of a pattern. Stars back up to the last of them only.
fn fits(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut next, mut star) = (0, 0, None);
    while next < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, next));
            at += 1;
            continue;
        }
        match one(name[next], &pattern[at..]) {
            Some(length) => {
                at += length;
                next += 1;
            }
            None => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, next) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// How many bytes of `pattern` a letter that fits uses up.
fn one(letter: u8, pattern: &[u8]) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match class(letter, rest) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            // Without its other end a bracket is a letter.
            None => (letter == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => (letter == *escaped).then_some(2),
        [plain, ..] => (letter == *plain).then_some(1),
        [] => None,
    }
}

/// Whether a letter is of a class, and how long the class is up to its `]`.
fn class(letter: u8, rest: &[u8]) -> Option<(bool, usize)> {
    let negated = matches!(rest, [b'!' | b'^', ..]);
    let start = usize::from(negated);
    // A bracket that comes first is one of the letters.
    let end = start + 1 + rest.get(start + 1..)?.iter().position(|byte| *byte == b']')?;
    let mut members = &rest[start..end];
    let mut found = false;
    while let [first, after @ ..] = members {
        members = match after {
            [b'-', last, further @ ..] => {
                found |= (*first..=*last).contains(&letter);
                further
            }
            _ => {
                found |= *first == letter;
                after
            }
        };
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, pattern: &str, expected| {
            assert_eq!(fits(name.as_bytes(), pattern.as_bytes()), expected, "{name} {pattern}");
        };
        check("a.conf", "*.conf", true);
        check("a.conf~", "*.conf", false);
        check("a1", "a[0-9]", true);
        check("ab", "a[!0-9]", true);
        check("a1", "a[^0-9]", false);
        check("a]", "a[]x]", true);
        check("a-", "a[x-]", true);
        check("a[", "a[", true);
        check("a*", "a\\*", true);
        check("ab", "a\\*", false);
        check("abcabd", "*ab?", true);
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let paths = glob(&format!("{}/{pattern}", dir.path().display()));
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(found("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(found(".*.conf"), [".c.conf"]);
        assert_eq!(found("d.txt"), ["d.txt"]);
        assert!(found("e.txt").is_empty());
        assert!(found("none/*.conf").is_empty());
    }
}
