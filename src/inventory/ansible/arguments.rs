//! The arguments that Ansible would give `ssh` → the same in the words of an ssh_config, where every option
//! is obeyed or refused by name. An argument that has no such words is refused here.

use super::words::words;
use crate::model::FirstLines;

/// Options without a value that change nothing about where we connect and whom we trust: compression, noise,
/// terminals, multiplexing.
const FLAGS: &str = "CqvnNTtxXYkKaAfgGM";

/// Options with a value that are about ssh itself: its log, its socket, its escape character.
const IDLE: &str = "ESe";

/// Lines that begin a section or read another file: ssh refuses them as options, and what came after them
/// would else be another host's.
const SECTIONS: [&str; 3] = ["host", "match", "include"];

const NO_OPTION: &str = "ssh refuses this as an option, too; take it away";

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
                        match value.as_deref().map(|value| self.letter(letter, value)) {
                            Some(Ok(())) => {}
                            Some(Err(reason)) => {
                                let value = value.unwrap_or_default();
                                refused.push(refuse(format!("-{letter} {value}"), reason));
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

    fn letter(&mut self, letter: char, value: &str) -> Result<(), &'static str> {
        let keyword = match letter {
            'o' if SECTIONS.contains(&keyword(value).0.as_str()) => return Err(NO_OPTION),
            'o' => "",
            'J' => "ProxyJump",
            'p' => "Port",
            'l' => "User",
            'i' => "IdentityFile",
            'c' => "Ciphers",
            'm' => "MACs",
            'b' => "BindAddress",
            'B' => "BindInterface",
            _ if IDLE.contains(letter) => return Ok(()),
            _ => return Err(REASON),
        };
        let quoted = format!("\"{value}\"");
        let value = if letter == 'i' && !value.trim().is_empty() { &quoted } else { value };
        self.option(keyword, value).then_some(()).ok_or(REASON)
    }

    /// Adds a line; `false` where it would be none, or more than one.
    pub fn option(&mut self, keyword: &str, value: &str) -> bool {
        // A further line would be a further option, which nobody gave.
        if value.contains(['\n', '\r']) || value.trim().is_empty() {
            return false;
        }
        self.lines.push(format!("{keyword} {value}").trim_start().to_owned());
        true
    }

    /// What the lines say of a keyword, which is given in small letters: as with ssh, the first of them.
    pub fn value_of(&self, wanted: &str) -> Option<String> {
        let mut said = self.lines.iter().map(|line| keyword(line));
        said.find_map(|(keyword, value)| (keyword == wanted).then_some(value))
    }
}

/// A line's keyword in small letters, and its value without quotes around it.
fn keyword(line: &str) -> (String, String) {
    let line = line.trim().trim_start_matches('"');
    let end = line.find(|c: char| c.is_whitespace() || "=\"".contains(c)).unwrap_or(line.len());
    let value = line[end..].trim_start_matches(['"', '=', ' ', '\t']).trim_end().trim_end_matches('"');
    (line[..end].to_ascii_lowercase(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_values_counts() {
        let mut lines = Lines::default();
        assert!(lines.add("-oUser=\"ann\" -p 77 -o 'port = 78'").is_empty());
        assert_eq!(lines.value_of("port").as_deref(), Some("77"));
        assert_eq!(lines.value_of("user").as_deref(), Some("ann"));
        assert_eq!(lines.value_of("ciphers"), None);
    }

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
        check("-o Host=foo -J bastion", "ProxyJump bastion", &["-o Host=foo"]);
        check(
            "-oInclude=more -o 'Match all' -o '\"host\" x'",
            "",
            &["-o Include=more", "-o Match all", "-o \"host\" x"],
        );
        check("-F /etc/ssh/other", "", &["-F /etc/ssh/other"]);
        check("-S none -E log", "", &[]);
        check("-o", "", &["-o"]);
        check("word", "", &["word"]);
        check("-o 'x", "", &["-o 'x"]);
        check("-o 'User x\nHostName y'", "", &["-o User x\nHostName y"]);
    }
}
