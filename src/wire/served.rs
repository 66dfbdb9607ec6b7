//! The far end: reads what a collector sent, for a server that runs nothing but what it knows. It
//! accepts exactly what [`Request::stdin`](super::Request::stdin) writes and nothing near it.

use super::request::{SUPERVISOR, first_line};
use super::{Nonce, RunTag};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub tag: RunTag,
    pub nonce: Nonce,
    pub name: String,
    pub script: String,
    pub cursor: String,
    /// Nothing is to be run; the host only says what it lacks.
    pub only_check: bool,
    /// How many bytes of stdin it took; what follows are heartbeats.
    pub length: usize,
}

/// Why a text is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More bytes may make it one.
    #[error("request is not complete")]
    Partial,
    #[error("request is not one of this version's: {0}")]
    Foreign(&'static str),
}

/// The values' names, in the order that they are sent in.
const NAMES: [&str; 19] = [
    "tag", "nonce", "name", "secs", "grace", "beat", "cap", "ecap", "size", "heavy", "tracer", "only",
    "become", "needs", "proc", "sys", "cursor", "contract", "script",
];

impl Payload {
    /// Reads one request from the front of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let line_end = bytes.iter().position(|b| *b == b'\n');
        let Some(line_end) = line_end else {
            return Err(if bytes.len() < 256 { Refused::Partial } else { Refused::Foreign("no first line") });
        };
        let first = bytes.get(..line_end).and_then(|line| std::str::from_utf8(line).ok());
        let length = first.and_then(body_length).ok_or(Refused::Foreign("its first line is another"))?;
        let length = line_end + 1 + length;
        let body = bytes.get(line_end + 1..length).ok_or(Refused::Partial)?;
        let body = std::str::from_utf8(body).map_err(|_| Refused::Foreign("it is not UTF-8"))?;
        Self::read_body(body, length)
    }

    fn read_body(body: &str, length: usize) -> Result<Self, Refused> {
        let mut rest = body.strip_prefix("{\n").ok_or(Refused::Foreign("it is not one command"))?;
        let mut values: [String; NAMES.len()] = Default::default();
        for (name, value) in NAMES.iter().zip(&mut values) {
            let quoted = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            (*value, rest) = quoted.and_then(unquote).ok_or(Refused::Foreign("a value is missing"))?;
        }
        let supervisor = rest.strip_suffix("exit 0\n}\n");
        if supervisor != Some(SUPERVISOR.as_str()) {
            return Err(Refused::Foreign("its supervisor is another"));
        }
        let [tag, nonce, name, _, _, _, _, _, size, _, _, only, _, _, _, _, cursor, _, script] = values;
        let token = Refused::Foreign("its tag or nonce is not 32 hex digits");
        if size != script.len().to_string() {
            return Err(Refused::Foreign("its script has another size than it says"));
        }
        let tag = RunTag::from_hex(&tag).ok_or(token)?;
        let nonce = Nonce::from_hex(&nonce).ok_or(token)?;
        Ok(Self { tag, nonce, name, script, cursor, only_check: !only.is_empty(), length })
    }
}

fn body_length(line: &str) -> Option<usize> {
    let digits: String = line.chars().skip_while(|c| *c != '-').filter(char::is_ascii_digit).collect();
    let length = digits.parse().ok()?;
    // Only the number may differ from what we would have written.
    (first_line(length) == format!("{line}\n")).then_some(length)
}

/// A single-quoted word and the newline behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('\'')?;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix("\\''") {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return after.strip_prefix('\n').map(|rest| (value, rest)),
        }
    }
}
