//! As much Rust as the floors need: tokens without comments and tests, and the paths they spell. It
//! does not expand macros: a path inside one counts as it is written.

/// A token. Literals' contents never look like code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// A string literal, as it stands between its quotes.
    Text(String),
    Mark(char),
    /// `::`
    Colons,
}

use Token::{Colons, Mark, Text, Word};

pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let taken = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => text(rest, 1, &mut out),
            ['b' | 'c', '"', ..] => text(rest, 2, &mut out),
            ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if raw_hashes(rest).is_some() => {
                raw(rest, &mut out)
            }
            ['\'', ..] => quote(rest),
            [':', ':', ..] => {
                out.push(Colons);
                2
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let end = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len());
                out.push(Word(rest[..end].iter().collect()));
                end
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    out.push(Mark(*c));
                }
                1
            }
            [] => 1,
        };
        at += taken.max(1);
    }
    out
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn text(rest: &[char], start: usize, out: &mut Vec<Token>) -> usize {
    let mut at = start;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    out.push(Text(rest.get(start..at).unwrap_or_default().iter().collect()));
    at + 1
}

/// Where a raw string's opening quote stands, and how many `#` precede it.
fn raw_hashes(rest: &[char]) -> Option<(usize, usize)> {
    let prefix = rest.iter().position(|c| *c == 'r')? + 1;
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    (rest.get(prefix + hashes) == Some(&'"')).then_some((prefix + hashes, hashes))
}

fn raw(rest: &[char], out: &mut Vec<Token>) -> usize {
    let Some((open, hashes)) = raw_hashes(rest) else { return 1 };
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    out.push(Text(body[..end].iter().collect()));
    open + 1 + end + close.len()
}

/// A character literal is skipped; a lifetime leaves its name as a word.
fn quote(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => rest.iter().skip(3).position(|c| *c == '\'').map_or(rest.len(), |end| end + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// The code without what `#[cfg(test)]` stands before, and the files of test modules it names.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let cfg_test: Vec<Token> = self::tokens("#[cfg(test)]");
    let (mut kept, mut test_files) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&cfg_test) {
            let item = item_end(&tokens[at..]);
            test_files.extend(module_file(&tokens[at + cfg_test.len()..at + item]));
            at += item;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, test_files)
}

/// The length of an item with its attributes: up to its `;` or its closing brace.
fn item_end(tokens: &[Token]) -> usize {
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Mark('{' | '(' | '[') => depth += 1,
            Mark(close @ ('}' | ')' | ']')) => {
                depth -= 1;
                if depth == 0 && *close == '}' {
                    return at + 1;
                }
            }
            Mark(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// `mod x;` is x.rs unless `#[path]` says otherwise.
fn module_file(item: &[Token]) -> Option<String> {
    let named = item.iter().find_map(|token| match token {
        Text(path) => Some(path.clone()),
        _ => None,
    });
    let module = item.windows(3).find_map(|window| match window {
        [Word(keyword), Word(name), Mark(';')] if keyword == "mod" => Some(format!("{name}.rs")),
        _ => None,
    })?;
    Some(named.unwrap_or(module))
}

/// Every path that the code spells, `use` trees spread out: `a::{b, c::d}` is `a::b` and `a::c::d`. A
/// macro's name ends in `!`.
pub fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inside = at > 0 && tokens[at - 1] == Colons;
        match &tokens[at] {
            Word(_) if !inside => at += tree(&tokens[at..], &[], &mut out),
            _ => at += 1,
        }
    }
    out
}

fn tree(tokens: &[Token], prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match (tokens.get(at), tokens.get(at + 1)) {
            (Some(Word(word)), Some(Mark('!'))) if tokens.get(at + 2) != Some(&Mark('=')) => {
                path.push(format!("{word}!"));
                at += 2;
                break;
            }
            (Some(Word(word)), Some(Colons)) => {
                path.push(word.clone());
                at += 2;
            }
            (Some(Word(word)), _) => {
                path.push(word.clone());
                at += 1;
                break;
            }
            (Some(Mark('{')), _) => return at + group(&tokens[at..], &path, out),
            _ => break,
        }
    }
    out.push(path);
    at
}

fn group(tokens: &[Token], prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut at = 1;
    while at < tokens.len() {
        match &tokens[at] {
            Mark('}') => return at + 1,
            Word(word) if word == "as" => at += 2,
            Word(_) => at += tree(&tokens[at..], prefix, out),
            _ => at += 1,
        }
    }
    at
}
