//! What a value of an INI inventory means: a literal of Python's if it is one, else the text as it stands.
//! `80` is a number, `80,443` a list, `True` a truth value, `yes` and `0644` are texts.

use serde_json::{Map, Value};

/// Lists in lists; what is deeper stays a text.
const MAX_DEPTH: usize = 64;

pub(super) fn value(text: &str) -> Value {
    literal(text).unwrap_or_else(|| text.into())
}

fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader { text: text.trim_start_matches([' ', '\t']), depth: 0 };
    let value = reader.items()?;
    reader.blank();
    reader.text.is_empty().then_some(value)
}

struct Reader<'t> {
    text: &'t str,
    depth: usize,
}

impl Reader<'_> {
    /// Blanks and a comment.
    fn blank(&mut self) {
        self.text = self.text.trim_start();
        if self.text.starts_with('#') {
            self.text = "";
        }
    }

    fn eat(&mut self, token: char) -> bool {
        self.blank();
        match self.text.strip_prefix(token) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn ends(&mut self, close: Option<char>) -> bool {
        self.blank();
        match close {
            Some(close) => self.text.starts_with(close),
            None => self.text.is_empty(),
        }
    }

    /// One value, or several with commas between them, which are a list.
    fn items(&mut self) -> Option<Value> {
        let first = self.one()?;
        if !self.eat(',') {
            return Some(first);
        }
        self.rest(vec![first], None)
    }

    /// The further items up to the bracket that closes them.
    fn rest(&mut self, mut items: Vec<Value>, close: Option<char>) -> Option<Value> {
        while !self.ends(close) {
            items.push(self.one()?);
            if !self.eat(',') {
                break;
            }
        }
        match close {
            Some(close) => self.eat(close).then_some(Value::Array(items)),
            None => Some(Value::Array(items)),
        }
    }

    fn one(&mut self) -> Option<Value> {
        self.blank();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let first = self.text.chars().next()?;
        let value = match first {
            '[' => self.eat('[').then(|| self.rest(Vec::new(), Some(']')))?,
            '(' => self.parenthesis(),
            '{' => self.brace(),
            '+' | '-' => self.signed(first),
            '0'..='9' | '.' => self.number(),
            _ => self.string().or_else(|| self.word()),
        };
        self.depth -= 1;
        value
    }

    fn parenthesis(&mut self) -> Option<Value> {
        self.eat('(');
        if self.eat(')') {
            return Some(Value::Array(Vec::new()));
        }
        let first = self.one()?;
        match self.eat(',') {
            true => self.rest(vec![first], Some(')')),
            false => self.eat(')').then_some(first),
        }
    }

    /// A mapping or a set.
    fn brace(&mut self) -> Option<Value> {
        self.eat('{');
        if self.eat('}') {
            return Some(Value::Object(Map::new()));
        }
        let first = self.one()?;
        if !self.eat(':') {
            return match self.eat(',') {
                true => self.rest(vec![first], Some('}')),
                false => self.eat('}').then(|| Value::Array(vec![first])),
            };
        }
        let mut map = Map::new();
        map.insert(key(&first), self.one()?);
        while self.eat(',') {
            if self.ends(Some('}')) {
                break;
            }
            let key = key(&self.one()?);
            if !self.eat(':') {
                return None;
            }
            map.insert(key, self.one()?);
        }
        self.eat('}').then_some(Value::Object(map))
    }

    fn signed(&mut self, sign: char) -> Option<Value> {
        self.text = &self.text[1..];
        self.blank();
        let number = match self.text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            true => self.number()?,
            false => return None,
        };
        match (sign, number.as_i64()) {
            ('+', _) => Some(number),
            (_, Some(whole)) => Some((-whole).into()),
            (_, None) => Some((-number.as_f64()?).into()),
        }
    }

    fn number(&mut self) -> Option<Value> {
        let bytes = self.text.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let in_exponent = b"+-".contains(byte)
                && matches!(bytes.get(end.wrapping_sub(1)), Some(b'e' | b'E'))
                && !self.text.starts_with("0x");
            if !(byte.is_ascii_alphanumeric() || b"._".contains(byte) || in_exponent) {
                break;
            }
            end += 1;
        }
        let (text, rest) = self.text.split_at(end);
        self.text = rest;
        number(text)
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        match word {
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            "None" => Some(Value::Null),
            _ => None,
        }
    }

    /// A quoted text, and those that follow it with nothing between.
    fn string(&mut self) -> Option<Value> {
        let mut all = String::new();
        let mut some = false;
        loop {
            self.blank();
            let prefix = self.text.find(['\'', '"']).filter(|at| *at <= 2);
            let Some(at) = prefix else { break };
            let raw = match self.text[..at].to_ascii_lowercase().as_str() {
                "" | "u" | "b" => false,
                "r" | "br" | "rb" => true,
                _ => break,
            };
            self.text = &self.text[at..];
            all.push_str(&self.quoted(raw)?);
            some = true;
        }
        some.then(|| all.into())
    }

    fn quoted(&mut self, raw: bool) -> Option<String> {
        let quote = self.text.chars().next()?;
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let close = if self.text.starts_with(&triple) { triple } else { quote.to_string() };
        let mut rest = &self.text[close.len()..];
        let mut out = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(close.as_str()) {
                self.text = after;
                return Some(out);
            }
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            if c != '\\' {
                out.push(c);
                continue;
            }
            let escaped = rest.chars().next()?;
            if raw {
                out.push('\\');
                out.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            } else {
                rest = escape(rest, &mut out)?;
            }
        }
    }
}

/// Reads what follows a backslash; what has no meaning there keeps it.
fn escape<'t>(rest: &'t str, out: &mut String) -> Option<&'t str> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let coded = |digits: usize, radix: u32, from: &'t str| {
        let code = u32::from_str_radix(from.get(..digits)?, radix).ok()?;
        Some((char::from_u32(code)?, &from[digits..]))
    };
    let plain = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '\\' | '\'' | '"' => c,
        'x' | 'u' | 'U' => {
            let digits = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let (decoded, after) = coded(digits, 16, after)?;
            out.push(decoded);
            return Some(after);
        }
        '0'..='7' => {
            let digits = rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let (decoded, after) = coded(digits, 8, rest)?;
            out.push(decoded);
            return Some(after);
        }
        // A name of Unicode's; nobody writes one in an inventory.
        'N' => return None,
        _ => {
            out.push('\\');
            c
        }
    };
    out.push(plain);
    Some(after)
}

/// A key as Python's JSON writes it.
fn key(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn number(text: &str) -> Option<Value> {
    // An underscore stands between two digits.
    let stray = |text: &str| text.starts_with('_') || text.ends_with('_') || text.contains("__");
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let digits = digits.strip_prefix('_').unwrap_or(digits);
            let plain = digits.replace('_', "");
            return (!stray(digits))
                .then(|| i64::from_str_radix(&plain, radix).ok())
                .flatten()
                .map(Value::from);
        }
    }
    if lower.split(['.', 'e', '+', '-']).any(stray) {
        return None;
    }
    let plain = lower.replace('_', "");
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        let zero = plain.bytes().all(|byte| byte == b'0');
        // A leading zero is a mistake to Python.
        if plain.starts_with('0') && !zero {
            return None;
        }
        let whole = plain.parse::<u64>().map(Value::from).ok();
        return whole.or_else(|| plain.parse::<f64>().ok().map(Value::from));
    }
    let numeric = plain.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let float = plain.parse::<f64>().ok().filter(|number| numeric && number.is_finite())?;
    (plain != ".").then(|| float.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_pythons_literals_or_texts() {
        let check = |text: &str, expected: &str| assert_eq!(value(text).to_string(), expected, "{text}");
        check("22", "22");
        check("-5", "-5");
        check("0644", "\"0644\"");
        check("0o644", "420");
        check("1_000", "1000");
        check("1.5", "1.5");
        check("1e3", "1000.0");
        check("00", "0");
        check("10.0.0.1", "\"10.0.0.1\"");
        check("yes", "\"yes\"");
        check("true", "\"true\"");
        check("True", "true");
        check("None", "null");
        check("80,443", "[80,443]");
        check("a,b", "\"a,b\"");
        check("['a', \"b\"]", "[\"a\",\"b\"]");
        check("{'a': 1, 'b': [True]}", "{\"a\":1,\"b\":[true]}");
        check("(1)", "1");
        check("(1,)", "[1]");
        check("()", "[]");
        check("{}", "{}");
        check("\"a b\"", "\"a b\"");
        check("'a' 'b'", "\"ab\"");
        check("r'\\d'", "\"\\\\d\"");
        check("'\\x41\\n'", "\"A\\n\"");
        check("5 # five", "5");
        check("x # y", "\"x # y\"");
        check("[1,2", "\"[1,2\"");
        check("\"a\" b", "\"\\\"a\\\" b\"");
        check("{{ x }}", "\"{{ x }}\"");
        check("", "\"\"");
        check("1 2", "\"1 2\"");
        check(".", "\".\"");
        check("1.", "1.0");
        check(&"[".repeat(5_000), &format!("\"{}\"", "[".repeat(5_000)));
    }
}
