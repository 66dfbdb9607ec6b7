//! The collector's end, going out: one text that any POSIX shell runs as a whole or not at all.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Nonce, RunTag};
use crate::model::{ByteSize, Cost, Host, Probe, RootBy};

/// What goes out on stdin, again and again, for as long as the run is wanted.
pub const HEARTBEAT: &[u8] = b"\n";

/// The longest script that is sent: it becomes one argument of the probe's shell, and Linux allows
/// 128 KiB for one.
pub const MAX_SCRIPT: ByteSize = ByteSize(120 * 1024);

/// What a run may take, beside the probe's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A host that has heard nothing for this long ends the run. Send a byte at least three times as
    /// often: [`Limits::heartbeat_interval`].
    pub heartbeat: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Everything that arrives on stdout.
    pub max_wire: ByteSize,
    /// Bytes of output for a byte on the wire.
    pub max_ratio: u32,
    /// What is kept of stderr; the host sends no more than this either.
    pub max_stderr: ByteSize,
}

impl Limits {
    /// How often to send [`HEARTBEAT`], so that a byte or two may come late.
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat / 3
    }
}

/// Why a probe cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    #[error("script has a NUL byte at offset {0}, which no shell can take: remove it")]
    Nul(usize),
    #[error("script has {0}, more than the {MAX_SCRIPT} that fit in one argument of a shell: shorten it")]
    TooLong(ByteSize),
    #[error("need {0:?} has a space, a quote or a wildcard: name one plain file or tool")]
    Need(String),
}

/// Checks once, when a probe is read, that it can be sent at all.
pub fn check(probe: &Probe) -> Result<(), Unsendable> {
    if let Some(at) = probe.script.bytes().position(|b| b == 0) {
        return Err(Unsendable::Nul(at));
    }
    if probe.script.len() as u64 > MAX_SCRIPT.0 {
        return Err(Unsendable::TooLong(ByteSize(probe.script.len() as u64)));
    }
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@,$%=~<>|".contains(c);
    match probe.needs.iter().map(ToString::to_string).find(|need| !need.chars().all(plain)) {
        Some(need) => Err(Unsendable::Need(need)),
        None => Ok(()),
    }
}

/// One probe for one host.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub probe: &'a Probe,
    pub host: &'a Host,
    pub tag: RunTag,
    pub nonce: Nonce,
    pub limits: Limits,
    /// Where this probe's last reading on this host ended, in its own words.
    pub cursor: Option<&'a str>,
    /// The probe needs root and the connection is another user's.
    pub become_root: bool,
    /// Whether the host is only asked which of the probe's needs it lacks; no script is run.
    pub only_check: bool,
}

impl Request<'_> {
    /// What the login shell is asked to run: the same words in any shell, with nothing spliced in.
    pub fn command(&self) -> &'static str {
        match (self.become_root, &self.host.root_by) {
            (false, _) => "exec /bin/sh -s",
            (true, RootBy::Sudo) => "exec sudo -n /bin/sh -s",
            (true, RootBy::Doas) => "exec doas -n /bin/sh -s",
            // Whoever plans a run looks first; if not, nothing is run.
            (true, RootBy::Refused(_)) => "exec false",
        }
    }

    /// What goes out on stdin first.
    ///
    /// bash reads its input byte by byte while that is a pipe, which costs a host some 2 ms for each
    /// 8 KiB; so there the first line fetches the rest with one `head`. It also saves stdin on fd 3,
    /// which bash cannot do later without a crash (5.2, in `eval`). Everything else is one compound
    /// command: a text that was cut on its way does not parse, so nothing of it runs.
    pub fn stdin(&self) -> Vec<u8> {
        let mut body = String::with_capacity(SUPERVISOR.len() + self.probe.script.len() + 1024);
        body.push_str("{\n");
        self.assign(&mut body);
        body.push_str(&SUPERVISOR);
        body.push_str("exit 0\n}\n");
        let mut text = first_line(body.len());
        text.push_str(&body);
        text.into_bytes()
    }

    /// The values that the supervisor takes, as data: nothing is special between single quotes but
    /// the quote itself.
    fn assign(&self, text: &mut String) {
        let Self { probe, host, limits, .. } = self;
        let needs: Vec<String> = probe.needs.iter().map(ToString::to_string).collect();
        let values: [(&str, &str); 19] = [
            ("tag", &self.tag.to_string()),
            ("nonce", &self.nonce.to_string()),
            ("name", probe.name.as_str()),
            ("secs", &whole_seconds(probe.timeout).to_string()),
            ("grace", &whole_seconds(limits.grace).to_string()),
            ("beat", &whole_seconds(limits.heartbeat).to_string()),
            ("cap", &probe.max_output.0.saturating_add(1).to_string()),
            ("ecap", &limits.max_stderr.0.to_string()),
            ("size", &probe.script.len().to_string()),
            ("heavy", flag(probe.cost > Cost::Cheap && !self.only_check)),
            ("tracer", flag(probe.tracer && !self.only_check)),
            ("only", flag(self.only_check)),
            ("become", flag(self.become_root)),
            ("needs", &needs.join(" ")),
            ("proc", host.proc_root.as_deref().unwrap_or_default()),
            ("sys", host.sys_root.as_deref().unwrap_or_default()),
            ("cursor", self.cursor.unwrap_or_default()),
            ("contract", "1"),
            ("script", &probe.script),
        ];
        for (name, value) in values {
            text.push_str(name);
            text.push('=');
            quote(text, value);
            text.push('\n');
        }
    }
}

/// A truth value for the shell's `[ -n … ]`.
fn flag(set: bool) -> &'static str {
    if set { "1" } else { "" }
}

/// See [`Request::stdin`]; `body_bytes` is the length of all that follows.
pub(super) fn first_line(body_bytes: usize) -> String {
    format!(
        "exec 3<&0; case $BASH_VERSION in ?*) ! command -v head >/dev/null || \
         {{ eval \"$(LC_ALL=C head -c {body_bytes})\"; exit; }};; esac\n"
    )
}

/// The shells' own timers take whole seconds everywhere, and never less than one.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(up).max(1)
}

fn quote(text: &mut String, value: &str) {
    text.push('\'');
    for (i, part) in value.split('\'').enumerate() {
        if i > 0 {
            text.push_str("'\\''");
        }
        text.push_str(part);
    }
    text.push('\'');
}

/// The supervisor as it is sent: comments are for its readers, not for every host on every sweep.
pub(super) static SUPERVISOR: LazyLock<String> = LazyLock::new(|| {
    let lines =
        include_str!("supervisor.sh").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quote_ends_a_quoted_value() {
        let check = |value: &str, expected: &str| {
            let mut text = String::new();
            quote(&mut text, value);
            assert_eq!(text, expected);
        };
        check("", "''");
        check("a b $c `d` \\ \n}", "'a b $c `d` \\ \n}'");
        check("it's", "'it'\\''s'");
        check("'", "''\\'''");
    }

    #[test]
    fn parts_of_a_second_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1_500)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(5)), 5);
    }
}
