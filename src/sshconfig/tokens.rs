//! `%h` and its kin, and `${NAME}`.

use std::fmt::Write as _;

use sha1::{Digest, Sha1};

/// What the tokens stand for, each under its letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens(Vec<(char, String)>);

/// What an environment variable holds.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Tokens {
    pub fn new(tokens: Vec<(char, String)>) -> Self {
        Self(tokens)
    }

    /// Those of `letters` only: not every directive knows every token.
    pub fn only(&self, letters: &str) -> Self {
        Self(self.0.iter().filter(|(letter, _)| letters.contains(*letter)).cloned().collect())
    }

    fn get(&self, letter: char) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == letter).map(|(_, value)| value.as_str())
    }

    /// `text` with every token replaced, and `${NAME}` where there are `variables`.
    pub fn expand(&self, text: &str, variables: Option<Variables<'_>>) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            let found = &rest[at..];
            rest = match (variables, found.strip_prefix("${")) {
                (Some(variables), Some(after)) => {
                    let (name, after) =
                        after.split_once('}').ok_or_else(|| format!("${{ without its }} in {text:?}"))?;
                    let value = variables(name).ok_or_else(|| format!("{name} is not set"))?;
                    out.push_str(&value);
                    after
                }
                _ if found.starts_with('$') => {
                    out.push('$');
                    &found[1..]
                }
                _ => self.token(found, &mut out)?,
            };
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces the token at the start of `found`, and gives back what is behind it.
    fn token<'t>(&self, found: &'t str, out: &mut String) -> Result<&'t str, String> {
        let mut letters = found[1..].chars();
        match letters.next() {
            Some('%') => out.push('%'),
            Some(letter) => {
                out.push_str(self.get(letter).ok_or_else(|| format!("%{letter} means nothing here"))?);
            }
            None => return Err("a % at the end means nothing: write %%".to_owned()),
        }
        Ok(letters.as_str())
    }
}

/// `%C`: one connection's hash, out of our own host's name, `%h`, `%p`, `%r` and `%j`.
pub(super) fn connection_hash(parts: [&str; 5]) -> String {
    let mut sha1 = Sha1::new();
    parts.iter().for_each(|part| sha1.update(part.as_bytes()));
    sha1.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_variables() {
        let tokens = Tokens::new(vec![('h', "web1".to_owned()), ('p', "22".to_owned())]);
        let set = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let check = |text: &str, with_variables: bool, expected: Result<&str, &str>| {
            let variables: Variables<'_> = &set;
            let found = tokens.expand(text, with_variables.then_some(variables));
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("nc %h %p", true, Ok("nc web1 22"));
        check("100%%", true, Ok("100%"));
        check("${HOME}/k-%h$", true, Ok("/root/k-web1$"));
        check("${HOME}", false, Ok("${HOME}"));
        check("%x", true, Err("%x means nothing here"));
        check("50%", true, Err("a % at the end means nothing: write %%"));
        check("${NO}", true, Err("NO is not set"));
        check("${NO", true, Err("${ without its } in \"${NO\""));
        assert!(tokens.only("p").expand("%h", None).is_err());
    }

    #[test]
    fn a_connection_has_one_hash() {
        // sha1 of "herewebexample22me".
        let hash = connection_hash(["here", "webexample", "22", "me", ""]);
        assert_eq!(hash.len(), 40);
        assert_eq!(hash, connection_hash(["herewebexample22me", "", "", "", ""]));
    }
}
