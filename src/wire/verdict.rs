//! From what arrived to one outcome and its reason. The trailer decides wherever there is one; the
//! channel's own end only explains why there is none.

use super::decode::Stopped;
use super::inflate::Broken;
use super::trailer::Trailer;
use super::{Decoder, Denial, ExecEnd, denial, lack};
use crate::model::{Outcome, duration_text};

/// How much of a host's own words goes into a detail.
const MAX_QUOTE_CHARS: usize = 200;

/// EX_UNAVAILABLE: a script's own word for a host that lacks what it needs, found out while it ran.
const UNAVAILABLE: i32 = 69;

/// How sshd ends a session that it does not get as far as the login shell.
const SSHD_NO_SESSION: u32 = 254;

/// What a login that is not meant for commands says.
const LOGIN_REFUSALS: [(&str, &str); 2] = [
    (
        "exec: restricted",
        "login shell is a restricted one and does not start /bin/sh: give this user another",
    ),
    ("sftp connections only", "sshd lets this user do nothing but SFTP: take its ForceCommand off for it"),
];

pub(super) struct Evidence<'a> {
    pub trailer: Option<&'a Trailer>,
    /// What came instead of the supervisor's first line.
    pub preamble: Option<&'a [u8]>,
    pub bytes_raw: u64,
    /// What is on stderr and not the script's.
    pub chatter: &'a str,
    pub stderr: &'a str,
    pub end: &'a ExecEnd,
}

type Verdict = (Outcome, Option<String>);

fn because(outcome: Outcome, detail: impl Into<String>) -> Verdict {
    (outcome, Some(detail.into()))
}

impl Decoder {
    pub(super) fn judge(&self, evidence: &Evidence<'_>) -> Verdict {
        if let Some(stopped) = self.stopped {
            return self.judge_stop(stopped);
        }
        match (evidence.trailer, evidence.preamble) {
            (Some(trailer), _) => self.judge_trailer(trailer, evidence),
            (None, Some(preamble)) => self.judge_silence(preamble, evidence),
            (None, None) if !self.only_check && evidence.bytes_raw > self.max_output.0 => self.too_much(),
            (None, None) => self.judge_stump(evidence),
        }
    }

    fn too_much(&self) -> Verdict {
        because(Outcome::Truncated, format!("output passed max_output of {}", self.max_output))
    }

    fn judge_stop(&self, stopped: Stopped) -> Verdict {
        let truncated = |detail: String| because(Outcome::Truncated, detail);
        match stopped {
            Stopped::Stderr => truncated(format!("stderr passed {} on the wire", self.limits.max_wire)),
            Stopped::Wire => truncated(format!("stream passed {} on the wire", self.limits.max_wire)),
            Stopped::Stream(Broken::Memory) => truncated(format!(
                "no room for it in limits.max_memory{}: raise it, or lower limits.concurrency",
                self.share.as_ref().map(|share| format!(" of {}", share.all())).unwrap_or_default()
            )),
            Stopped::Stream(Broken::Output) => self.too_much(),
            Stopped::Stream(Broken::Ratio) => {
                truncated(format!("stream inflates to more than {} times its size", self.limits.max_ratio))
            }
            Stopped::Stream(Broken::Corrupt) => {
                because(Outcome::Incomplete, "stream is not gzip, or its checksum is wrong")
            }
            Stopped::Stream(Broken::Trailing) => {
                because(Outcome::Incomplete, "something followed the end of the stream")
            }
            Stopped::Preamble => because(
                Outcome::Incomplete,
                "login shell printed more than 64KiB before the supervisor started: make its profile silent",
            ),
        }
    }

    fn judge_trailer(&self, trailer: &Trailer, evidence: &Evidence<'_>) -> Verdict {
        if trailer.missing.iter().any(|lack| lack.need >= self.needs.len()) {
            return because(Outcome::Incomplete, "supervisor says that a need is missing which is none");
        }
        // A tool that was asked for its version and hung: what is missing is not known.
        if trailer.exit.is_none() && self.ran_out_of_time(trailer) {
            return because(
                Outcome::TimedOut,
                format!(
                    "host was still looking for what the probe needs at its deadline of {}",
                    self.limit()
                ),
            );
        }
        if self.only_check {
            return (Outcome::Ok, None);
        }
        if !trailer.missing.is_empty() {
            return because(Outcome::Unsupported, lack::sentence(&trailer.missing, &self.needs));
        }
        if let Some(busy) = &trailer.busy {
            return because(Outcome::Skipped, lack::busy_sentence(busy));
        }
        if evidence.bytes_raw > self.max_output.0 {
            return self.too_much();
        }
        if self.ran_out_of_time(trailer) {
            return because(
                Outcome::TimedOut,
                format!("script was still running at its deadline of {}", self.limit()),
            );
        }
        match trailer.exit {
            Some(0) => (Outcome::Ok, None),
            Some(UNAVAILABLE) => because(Outcome::Unsupported, unsupported(evidence.stderr)),
            Some(status) => because(Outcome::Failed, failure(status, evidence.stderr)),
            None => because(Outcome::Incomplete, "supervisor did not start the script"),
        }
    }

    fn limit(&self) -> String {
        duration_text(self.deadline)
    }

    /// A script that was told to end is said by the supervisor to have taken all its time, however late it
    /// began and whatever its status.
    fn ran_out_of_time(&self, trailer: &Trailer) -> bool {
        trailer.elapsed_s >= self.deadline.as_secs_f64()
    }

    /// No word from the supervisor: the login shell, sudo or a gate answered instead, or nobody.
    fn judge_silence(&self, preamble: &[u8], evidence: &Evidence<'_>) -> Verdict {
        let printed = String::from_utf8_lossy(preamble);
        let words = [evidence.stderr, &printed];
        match evidence.end {
            ExecEnd::Exited(status) => self.judge_refusal(*status, &words),
            ExecEnd::NoStatus | ExecEnd::DecoderStopped => {
                because(Outcome::Incomplete, "channel was closed before the supervisor started")
            }
            ExecEnd::TimedOut(phase) => because(Outcome::TimedOut, self.waiting(phase)),
            end => judge_cut(end),
        }
    }

    /// That nothing was heard of the supervisor, and whom it waited for.
    fn waiting(&self, phase: &str) -> String {
        match self.root_by.as_ref().and_then(denial::program) {
            Some(by) => {
                format!("{phase} deadline passed, and {by} had not started /bin/sh: it waits for something")
            }
            None => format!("{phase} deadline passed"),
        }
    }

    /// The supervisor began, and its stream stopped short of its trailer.
    fn judge_stump(&self, evidence: &Evidence<'_>) -> Verdict {
        let words = [evidence.stderr, evidence.chatter];
        if !starts_nothing(&words) {
            let (outcome, detail) = judge_cut(evidence.end);
            // Nothing else tells why.
            let is_quiet = matches!(evidence.end, ExecEnd::Exited(_) | ExecEnd::NoStatus);
            return (outcome, detail.map(|what| if is_quiet { with_words(&what, &words) } else { what }));
        }
        match self.root_by.as_ref().and_then(denial::confined) {
            Some((_, detail)) => because(Outcome::Denied, detail),
            None => because(Outcome::Incomplete, "/bin/sh may start no other program there"),
        }
    }

    /// What kept the host from giving root, if that is what `words` are about.
    fn denial(&self, status: u32, words: &[&str; 2]) -> Option<(Denial, String)> {
        let by = self.root_by.as_ref()?;
        denial::read(by, status, words)
    }

    /// The kind of a refusal to give root; `None` where the script ran, or nobody answered.
    pub(super) fn denied(&self, evidence: &Evidence<'_>) -> Option<Denial> {
        let Some(preamble) = evidence.preamble else {
            let confined = self.root_by.as_ref().and_then(denial::confined);
            return confined.map(|(denial, _)| denial);
        };
        let printed = String::from_utf8_lossy(preamble);
        let ExecEnd::Exited(status) = evidence.end else { return None };
        self.denial(*status, &[evidence.stderr, &printed]).map(|(denial, _)| denial)
    }

    fn judge_refusal(&self, status: u32, words: &[&str; 2]) -> Verdict {
        let says = |text: &str| words.iter().any(|word| word.contains(text));
        if let Some((_, detail)) = self.denial(status, words) {
            return because(Outcome::Denied, detail);
        }
        if says("REFUSED") || says("account is currently not available") {
            return because(Outcome::Denied, with_words("host refused to run it", words));
        }
        if let Some((_, advice)) = LOGIN_REFUSALS.iter().find(|(text, _)| says(text)) {
            return because(Outcome::Denied, *advice);
        }
        if status == SSHD_NO_SESSION {
            let what =
                "sshd opened no session (status 254: PAM, or a limit of the account), and its log says why";
            // It may be the message of the day, and then it is no reason.
            let is_silent = words.iter().all(|word| word.trim().is_empty());
            let lead = if is_silent { what.to_owned() } else { format!("{what}; the last line it showed") };
            return because(Outcome::Incomplete, with_words(&lead, words));
        }
        let what = match status {
            0 => "something else ran in place of /bin/sh (ForceCommand, command= in authorized_keys, a profile \
                  that exits?)"
                .to_owned(),
            _ => format!("login shell ended with status {status} before the supervisor started"),
        };
        because(Outcome::Incomplete, with_words(&what, words))
    }
}

/// What the supervisor says where its shell may run builtins only.
fn starts_nothing(words: &[&str; 2]) -> bool {
    words.iter().any(|word| word.contains("dropsonde: nothing can be started"))
}

/// The stream stopped short of its trailer.
fn judge_cut(end: &ExecEnd) -> Verdict {
    match end {
        // The transport's word for a command's own limit.
        ExecEnd::TimedOut("deadline") => {
            because(Outcome::TimedOut, "host did not end the probe at its deadline")
        }
        ExecEnd::TimedOut("first byte") => because(
            Outcome::TimedOut,
            "first byte deadline passed: nothing was started there (a profile of the login that waits for something, or \
             starts something else?)",
        ),
        ExecEnd::TimedOut(phase) => because(Outcome::TimedOut, format!("{phase} deadline passed")),
        ExecEnd::Lost(why) => because(Outcome::Incomplete, format!("connection was lost: {}", clip(why))),
        ExecEnd::Signalled(name) => {
            because(Outcome::Incomplete, format!("supervisor was killed by SIG{}", clip(name)))
        }
        ExecEnd::Exited(_) | ExecEnd::NoStatus | ExecEnd::DecoderStopped => {
            because(Outcome::Incomplete, "stream ended before its trailer")
        }
    }
}

/// The reason is the first line, because a shell's complaints about the way out may follow it.
fn unsupported(stderr: &str) -> String {
    match stderr.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => clip(line),
        None => format!("script ended with {UNAVAILABLE} (unsupported) and gave no reason"),
    }
}

fn failure(status: i32, stderr: &str) -> String {
    let what = match status {
        // What a shell says of a child that a signal ended.
        129..=192 => format!("script was killed by signal {}", status - 128),
        _ => format!("script ended with status {status}"),
    };
    with_words(&what, &[stderr, ""])
}

/// `what`, with the last line that the host said about it.
pub(super) fn with_words(what: &str, words: &[&str; 2]) -> String {
    let last = words.iter().find_map(|text| text.lines().rev().map(str::trim).find(|line| !line.is_empty()));
    match last {
        Some(line) => format!("{what}: {}", clip(line)),
        None => what.to_owned(),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_QUOTE_CHARS).collect()
}
