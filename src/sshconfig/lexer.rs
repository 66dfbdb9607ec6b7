//! One line of an ssh_config → its keyword and its arguments, by OpenSSH's rules for blanks, quotes,
//! `=` and comments. What a keyword means is not known here.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words<'a> {
    /// As it is written; ssh compares it in lower case.
    pub keyword: &'a str,
    /// What follows the keyword, with its quotes and its comment.
    pub rest: &'a str,
}

/// Keyword and rest; `None` for a blank line or a comment.
pub(super) fn split_keyword(line: &str) -> Result<Option<Words<'_>>, String> {
    let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']).trim_start_matches(blank);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (keyword, after) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("the quote is not closed")?,
        None => line.split_at(line.find([' ', '\t', '\r', '"', '=']).unwrap_or(line.len())),
    };
    let after = after.trim_start_matches(blank);
    let rest = after.strip_prefix('=').unwrap_or(after).trim_start_matches(blank);
    if rest.is_empty() {
        return Err(format!("{keyword} has no argument"));
    }
    Ok(Some(Words { keyword, rest }))
}

/// The arguments of a line: parted by blanks, either quote holds them together, a backslash takes a
/// quote's or a backslash's meaning away (outside quotes a blank's, too), `#` at the start of an
/// argument ends the line.
pub(super) fn split_arguments(rest: &str) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let mut letters = rest.chars().peekable();
    loop {
        while letters.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match letters.peek() {
            None | Some('#') => return Ok(arguments),
            Some(_) => arguments.push(argument(&mut letters)?),
        }
    }
}

fn argument(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let mut argument = String::new();
    let mut quote = None;
    while let Some(&letter) = letters.peek() {
        match (letter, quote) {
            (' ' | '\t', None) => break,
            ('\\', _) => {
                letters.next();
                let escapes = |c: &char| matches!(c, '\'' | '"' | '\\') || (quote.is_none() && *c == ' ');
                argument.push(letters.next_if(escapes).unwrap_or('\\'));
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, _) => argument.push(letter),
        }
        letters.next();
    }
    if quote.is_some() { Err("the quote is not closed".to_owned()) } else { Ok(argument) }
}

fn blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let words = split_keyword(line).unwrap();
            assert_eq!(words.map(|words| (words.keyword, words.rest)), expected, "{line:?}");
        };
        check("", None);
        check("  \t# Port 1", None);
        check("Port 22", Some(("Port", "22")));
        check("\tPort=22\r\n", Some(("Port", "22")));
        check("Port = 22  ", Some(("Port", "22")));
        check("Port==22", Some(("Port", "=22")));
        check("Port\"22\"", Some(("Port", "\"22\"")));
        check("\"Port\" 22", Some(("Port", "22")));
        check("ProxyCommand nc %h %p # x", Some(("ProxyCommand", "nc %h %p # x")));
        assert!(split_keyword("Port").is_err());
        assert!(split_keyword("Port =").is_err());
        assert!(split_keyword("\"Port 22").is_err());
    }

    #[test]
    fn arguments() {
        let check = |rest: &str, expected: &[&str]| {
            assert_eq!(split_arguments(rest).unwrap(), expected, "{rest:?}");
        };
        check("a b\t c", &["a", "b", "c"]);
        check("a # b", &["a"]);
        check("a#b", &["a#b"]);
        check(r#""a b" 'c "d"' e"f g"h"#, &["a b", "c \"d\"", "ef gh"]);
        check(r#"a\ b "a\ b" \" \\ \n"#, &["a b", "a\\ b", "\"", "\\", "\\n"]);
        check(r#""""#, &[""]);
        assert!(split_arguments("\"a").is_err());
        assert!(split_arguments("it's").is_err());
    }
}
