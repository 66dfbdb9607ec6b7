//! The words of an INI inventory's host line, as a POSIX shell splits them and Python's `shlex` does: `#`
//! starts a comment, also in the middle of a word.

/// `None` if a quote is not closed or the line ends in a backslash.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' => quoted(&mut chars, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut chars, '"', word.get_or_insert_default())?,
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            c if c == quote => return Some(()),
            '\\' if quote == '"' => {
                let c = chars.next()?;
                if !matches!(c, '"' | '\\') {
                    word.push('\\');
                }
                word.push(c);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_blanks_and_comments() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(words(line), expected, "{line}");
        };
        check("web1 a=1 b='x y'", Some(&["web1", "a=1", "b=x y"]));
        check("web1 pw=ab#cd e=f", Some(&["web1", "pw=ab"]));
        check("web1 a=\"x # y\" # no", Some(&["web1", "a=x # y"]));
        check("a=\"\\d \\\" \\\\\"", Some(&["a=\\d \" \\"]));
        check("a='\\d'", Some(&["a=\\d"]));
        check("a\\ b ''", Some(&["a b", ""]));
        check("a='x", None);
        check("a\\", None);
    }
}
