//! The arguments that Ansible would give `ssh` → the same in the words of an ssh_config, where every option
//! is obeyed or refused by name. An argument that has no such words is refused here.

use super::words::words;
use crate::model::FirstLines;

/// Options without a value that change nothing about where we connect and whom we trust: compression, noise,
/// terminals, multiplexing.
const FLAGS: &str = "CqvnNTtxXYkKaAfgGM";

/// Options with a value that are about ssh itself: its log, its socket, its escape character.
const IDLE: &str = "ESe";

const REASON: &str = "this option is not supported; take it away, or use an ssh_config";

/// What the arguments say, line by line. As with ssh, the first of two equals wins.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where they stand, for messages.
    pub name: String,
    lines: Vec<String>,
}

impl Lines {
    pub fn done(self) -> Option<FirstLines> {
        let text = self.lines.join("\n");
        (!text.is_empty()).then(|| FirstLines { name: self.name.into(), text })
    }

    /// Adds arguments, and returns those that are refused, with the reason.
    pub fn add(&mut self, text: &str) -> Vec<(String, String)> {
        let refuse = |argument: String, reason: &str| (argument, reason.to_owned());
        let Some(words) = words(text) else {
            return vec![refuse(text.to_owned(), "a quote is not closed")];
        };
        let mut refused = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                refused.push(refuse(word, "this is no option"));
                continue;
            };
            let mut rest = letters;
            while let Some(letter) = rest.chars().next() {
                rest = &rest[letter.len_utf8()..];
                match letter {
                    _ if FLAGS.contains(letter) => continue,
                    '4' => self.lines.push("AddressFamily inet".to_owned()),
                    '6' => self.lines.push("AddressFamily inet6".to_owned()),
                    _ => {
                        let value = if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
                        match value.as_deref().map(|value| self.option(letter, value)) {
                            Some(true) => {}
                            Some(false) => {
                                let value = value.unwrap_or_default();
                                refused.push(refuse(format!("-{letter} {value}"), REASON));
                            }
                            None => refused.push(refuse(word.clone(), "its value is missing")),
                        }
                        break;
                    }
                }
            }
        }
        refused
    }

    fn option(&mut self, letter: char, value: &str) -> bool {
        let keyword = match letter {
            'o' => "",
            'J' => "ProxyJump ",
            'p' => "Port ",
            'l' => "User ",
            'i' => "IdentityFile ",
            'c' => "Ciphers ",
            'm' => "MACs ",
            'b' => "BindAddress ",
            'B' => "BindInterface ",
            _ => return IDLE.contains(letter),
        };
        // A further line would be a further option, which nobody gave.
        if value.contains(['\n', '\r']) || value.trim().is_empty() {
            return false;
        }
        match letter {
            'i' => self.lines.push(format!("{keyword}\"{value}\"")),
            _ => self.lines.push(format!("{keyword}{value}")),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_lines_or_are_refused() {
        let check = |text: &str, expected: &str, refused: &[&str]| {
            let mut lines = Lines::default();
            let found = lines.add(text);
            assert_eq!(lines.done().map_or(String::new(), |first| first.text), expected, "{text}");
            assert_eq!(found.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), refused, "{text}");
        };
        check("-J bastion", "ProxyJump bastion", &[]);
        check(
            "-C4 -o ControlMaster=auto -oControlPersist=60s",
            "AddressFamily inet\nControlMaster=auto\nControlPersist=60s",
            &[],
        );
        check("-o ProxyCommand=\"ssh -W %h:%p -q gate\"", "ProxyCommand=ssh -W %h:%p -q gate", &[]);
        check("-i '~/a key' -p 2222 -l ann", "IdentityFile \"~/a key\"\nPort 2222\nUser ann", &[]);
        check("-F /etc/ssh/other", "", &["-F /etc/ssh/other"]);
        check("-S none -E log", "", &[]);
        check("-o", "", &["-o"]);
        check("word", "", &["word"]);
        check("-o 'x", "", &["-o 'x"]);
        check("-o 'User x\nHostName y'", "", &["-o User x\nHostName y"]);
    }
}
