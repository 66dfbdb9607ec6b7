//! The text of one ssh_config → its lines, read once however many hosts are asked about. A line that
//! cannot be read keeps its place: ssh refuses the whole file for it, in whatever block it stands.

use std::sync::Arc;

use super::criterion::{self, About, Criterion};
use super::directives::{Directive, Keyword, Takes, keyword};
use super::jump;
use super::lexer::{Words, split_arguments, split_keyword};
use super::time;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, for messages.
    pub name: Arc<str>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1; 0 is the file as a whole.
    pub number: u32,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Host(Vec<Pattern>),
    Match(Vec<Criterion>),
    Include(Vec<String>),
    Set(Set),
    /// A keyword that nobody knows, in lower case: a fault, unless `IgnoreUnknown` names it.
    Unknown(String),
    Fault(String),
}

/// A directive with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub directive: &'static Directive,
    /// Its arguments; the whole rest of the line for a command.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub negated: bool,
    pub text: String,
}

impl File {
    /// A file that cannot be read, which is a fault like one of its lines.
    pub fn broken(name: Arc<str>, fault: impl Into<String>) -> Self {
        Self { name, lines: vec![Line { number: 0, what: What::Fault(fault.into()) }] }
    }

    /// Whether an answer may depend on a command.
    pub fn runs_commands(&self) -> bool {
        let runs = |criterion: &Criterion| matches!(criterion.about, About::Exec(_));
        self.lines.iter().any(|line| match &line.what {
            What::Match(criteria) => criteria.iter().any(runs),
            What::Include(_) => true,
            _ => false,
        })
    }

    pub fn parse(name: Arc<str>, text: &[u8]) -> Self {
        let lines = (1..).zip(text.split(|byte| *byte == b'\n')).filter_map(|(number, bytes)| {
            let read = match std::str::from_utf8(bytes) {
                Ok(line) => what(line),
                Err(_) if bytes.trim_ascii_start().starts_with(b"#") => Ok(None),
                Err(_) => Err("it is not UTF-8".to_owned()),
            };
            Some(Line { number, what: read.unwrap_or_else(|fault| Some(What::Fault(fault)))? })
        });
        Self { name, lines: lines.collect() }
    }
}

fn what(line: &str) -> Result<Option<What>, String> {
    let Some(words) = split_keyword(line)? else { return Ok(None) };
    let arguments = split_arguments(words.rest).map_err(|fault| format!("{}: {fault}", words.keyword))?;
    let what = match keyword(words.keyword) {
        Keyword::Past => return Ok(None),
        Keyword::Unknown => What::Unknown(words.keyword.to_ascii_lowercase()),
        Keyword::Host => What::Host(patterns(arguments)?),
        Keyword::Match => What::Match(criterion::parse(arguments)?),
        Keyword::Include if arguments.iter().any(String::is_empty) => {
            return Err("Include has an empty argument".to_owned());
        }
        Keyword::Include => What::Include(arguments),
        Keyword::Directive(directive) => What::Set(set(directive, &words, arguments)?),
    };
    Ok(Some(what))
}

fn patterns(arguments: Vec<String>) -> Result<Vec<Pattern>, String> {
    let pattern = |argument: String| match argument.strip_prefix('!') {
        _ if argument.is_empty() => Err("Host has an empty pattern".to_owned()),
        Some(text) => Ok(Pattern { negated: true, text: text.to_owned() }),
        None => Ok(Pattern { negated: false, text: argument }),
    };
    arguments.into_iter().map(pattern).collect()
}

fn set(directive: &'static Directive, words: &Words<'_>, arguments: Vec<String>) -> Result<Set, String> {
    let bad = |expected: &str| {
        let value = arguments.join(" ");
        Err(format!("{} cannot be {value:?}: expected {expected}", directive.name))
    };
    let first = arguments.first().map_or("", String::as_str);
    let fits = match directive.takes {
        Takes::Anything => return Ok(Set { directive, values: arguments }),
        Takes::Command => {
            let value = words.rest.trim_start_matches([' ', '\t', '=']).to_owned();
            if directive.name == "ProxyJump" {
                jump::parse(&value)?;
            }
            return Ok(Set { directive, values: vec![value] });
        }
        Takes::Many => {
            let alone = arguments.len() == 1 || !arguments.iter().any(|it| it.eq_ignore_ascii_case("none"));
            if first.is_empty() || arguments.iter().any(String::is_empty) || !alone {
                return bad("one or more values, or none alone");
            }
            return Ok(Set { directive, values: arguments });
        }
        Takes::One => (!first.is_empty(), "a value".to_owned()),
        Takes::Flag(allowed) => {
            (allowed.iter().any(|word| word.eq_ignore_ascii_case(first)), allowed.join(", "))
        }
        Takes::Count => (is_count(first), "a whole number".to_owned()),
        Takes::Port => (is_port(first), "a port from 1 to 65535".to_owned()),
        Takes::Time => (first == "none" || time::parse(first).is_some(), "a time, as in 30 or 2m".to_owned()),
        Takes::Algorithms => (is_list(first), "names of algorithms, separated by commas".to_owned()),
    };
    match (fits, arguments.len()) {
        ((true, _), 1) => Ok(Set { directive, values: arguments }),
        ((true, expected), _) => bad(&format!("{expected}, and nothing behind it")),
        ((false, expected), _) => bad(&expected),
    }
}

fn is_count(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i32>().is_ok()
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_list(text: &str) -> bool {
    let names = text.strip_prefix(['+', '-', '^']).unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-*?!,".contains(&byte);
    !names.is_empty() && names.bytes().all(plain)
}
