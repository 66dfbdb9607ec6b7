//! One line of a trace: who, where, when and what. It refuses lines whose clock has no unit.

use crate::parse::text::integer;

/// One event. What is behind its name is not looked at here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Event<'a> {
    pub comm: &'a [u8],
    pub pid: u64,
    pub cpu: u64,
    pub at_ns: u64,
    pub name: &'a [u8],
    pub fields: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line<'a> {
    Event(Event<'a>),
    /// `CPU:3 [LOST 12 EVENTS]`; older kernels do not say how many.
    Lost {
        cpu: u64,
        events: u64,
    },
    /// `# entries-in-buffer/entries-written: 7510/7510   #P:2`
    Entries {
        kept: u64,
        written: u64,
    },
    /// Headings, stacks and what a shell's `time` prints.
    Nothing,
}

/// Where the kernel ends the command's column, in the usual format and in `latency-format`.
const COLUMNS: [usize; 2] = [16, 8];

/// How far a command can reach when blanks in front of it were lost on the way.
const FARTHEST_DASH: usize = 48;

/// Reads a line; `None` for what is none of a trace's.
pub(super) fn read(line: &[u8]) -> Option<Line<'_>> {
    if let Some(comment) = line.strip_prefix(b"#") {
        return Some(entries(comment).unwrap_or(Line::Nothing));
    }
    if let Some(lost) = lost(line) {
        return Some(lost);
    }
    let first = line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty());
    // A command may hold anything, also what looks like all that follows it; its column tells.
    if let Some(event) = COLUMNS.iter().find_map(|column| event(line, *column)) {
        return Some(event);
    }
    let near = line.get(..FARTHEST_DASH).unwrap_or(line);
    let mut dashes = near.iter().enumerate().filter(|(_, byte)| **byte == b'-');
    let nothing =
        || matches!(first, None | Some(b"=>" | b"real" | b"user" | b"sys")).then_some(Line::Nothing);
    dashes.find_map(|(at, _)| event(line, at)).or_else(nothing)
}

/// `comm-pid (tgid) [cpu] flags seconds: name: fields`, with the dash at `dash`. The group and the flags
/// may be missing; in `latency-format` CPU and flags are one word and the time is `123us!`.
fn event(line: &[u8], dash: usize) -> Option<Line<'_>> {
    let (comm, rest) = (line.get(..dash)?, line.get(dash..)?.strip_prefix(b"-")?);
    let (pid, rest) = number(rest)?;
    let mut rest = rest.trim_ascii_start();
    if rest.first() == Some(&b'(') {
        rest = after(rest, b')')?.trim_ascii_start();
    }
    let (cpu, rest) = match rest.strip_prefix(b"[") {
        Some(inner) => {
            number(inner.trim_ascii_start()).and_then(|(cpu, rest)| Some((cpu, rest.strip_prefix(b"]")?)))
        }
        None => number(rest),
    }?;
    let (first, rest) = word(rest)?;
    let (at_ns, rest) = match stamp(first) {
        Some(at_ns) => (at_ns, rest),
        None => word(rest).and_then(|(second, rest)| Some((stamp(second)?, rest)))?,
    };
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b":").map_or(rest, <[u8]>::trim_ascii_start);
    let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))?;
    let (name, fields) = rest.split_at(end);
    let Some(fields) = fields.strip_prefix(b":") else { return Some(Line::Nothing) };
    let (comm, fields) = (comm.trim_ascii(), fields.trim_ascii());
    Some(Line::Event(Event { comm, pid, cpu, at_ns, name, fields }))
}

/// The digits in front.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((integer(digits)?, rest))
}

/// The first word, and what is behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|byte| *byte == b' ')?;
    Some(text.split_at(end))
}

fn after(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.get(text.iter().position(|other| *other == byte)? + 1..)
}

/// `1494.056008:`, or `123us+:` and `123us` (its colon apart), in nanoseconds. A bare number is ticks of
/// some clock.
fn stamp(word: &[u8]) -> Option<u64> {
    let (whole, rest) = number(word.strip_suffix(b":").unwrap_or(word))?;
    if let Some(mark) = rest.strip_prefix(b"us") {
        return if mark.len() <= 1 { whole.checked_mul(1_000) } else { None };
    }
    let digits = rest.strip_prefix(b".")?;
    let scale = 10_u64.checked_pow(9_u32.checked_sub(u32::try_from(digits.len()).ok()?)?)?;
    let part_ns = integer(digits)?.checked_mul(scale)?;
    whole.checked_mul(1_000_000_000)?.checked_add(part_ns)
}

fn lost(line: &[u8]) -> Option<Line<'_>> {
    let (cpu, rest) = number(line.strip_prefix(b"CPU:")?)?;
    let inner = rest.trim_ascii().strip_prefix(b"[LOST ")?.strip_suffix(b"EVENTS]")?.trim_ascii();
    Some(Line::Lost { cpu, events: if inner.is_empty() { 1 } else { integer(inner)? } })
}

fn entries(comment: &[u8]) -> Option<Line<'_>> {
    let (kept, rest) = number(comment.trim_ascii().strip_prefix(b"entries-in-buffer/entries-written: ")?)?;
    let (written, _) = number(rest.strip_prefix(b"/")?)?;
    Some(Line::Entries { kept, written })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, comm: &str, (pid, cpu, at_ns): (u64, u64, u64), name: &str, fields: &str) {
        let Some(Line::Event(event)) = read(line.as_bytes()) else { panic!("no event: {line}") };
        assert_eq!((event.pid, event.cpu, event.at_ns), (pid, cpu, at_ns), "{line}");
        assert_eq!(event.comm, comm.as_bytes(), "{line}");
        assert_eq!((event.name, event.fields), (name.as_bytes(), fields.as_bytes()), "{line}");
    }

    #[test]
    fn every_kernels_columns_are_read() {
        let who = (4258, 0, 1_494_056_008_000);
        let (event, fields) = ("softirq_raise", "vec=9 [action=RCU]");
        for line in [
            "        chromium-4258    [000] d.h..  1494.056008: softirq_raise: vec=9 [action=RCU]",
            "        chromium-4258    [000] d.h.  1494.056008: softirq_raise: vec=9 [action=RCU]",
            "        chromium-4258  [000]  1494.056008: softirq_raise: vec=9 [action=RCU]",
            "        chromium-4258    (   4258) [000] d.h1.  1494.056008: softirq_raise: vec=9 [action=RCU]",
            "        chromium-4258    (-------) [000] d.h1.  1494.056008: softirq_raise: vec=9 [action=RCU]",
            "        chromium-4258    [000] d.h..  1494.056008000: softirq_raise:        vec=9 [action=RCU]",
            "chromium-4258 [000] d.h.. 1494.056008: softirq_raise: vec=9 [action=RCU]",
            "chromium-4258       0d.h1. 1494056008us+: softirq_raise: vec=9 [action=RCU]",
            "chromium-4258       0d.h1. 1494056008us : softirq_raise: vec=9 [action=RCU]",
        ] {
            check(line, "chromium", who, event, fields);
        }
    }

    #[test]
    fn a_command_may_hold_anything() {
        let rest = "-77      [001] ..s..  1.000002: softirq_entry: vec=1 [action=TIMER]";
        for comm in
            ["kworker/0:1H [x]", "a-1 [000] d..1.", "a b  c", "<...>", "Web Content", "x: y", "é\u{1b}[m"]
        {
            let padded = format!("{}{comm}", " ".repeat(16 - comm.len()));
            check(
                &format!("{padded}{rest}"),
                comm,
                (77, 1, 1_000_002_000),
                "softirq_entry",
                "vec=1 [action=TIMER]",
            );
        }
    }

    #[test]
    fn marks_and_headings() {
        let check =
            |line: &str, expected: Option<Line<'_>>| assert_eq!(read(line.as_bytes()), expected, "{line}");
        check("CPU:3 [LOST 1234 EVENTS]", Some(Line::Lost { cpu: 3, events: 1234 }));
        check("CPU:0 [LOST EVENTS]", Some(Line::Lost { cpu: 0, events: 1 }));
        let header = "# entries-in-buffer/entries-written: 7510/8000   #P:2";
        check(header, Some(Line::Entries { kept: 7510, written: 8000 }));
        for nothing in
            ["", "# tracer: nop", "#", "##### CPU 1 buffer started ####", " => do_idle", "real 0.01"]
        {
            check(nothing, Some(Line::Nothing));
        }
        for bad in [
            "garbage",
            "          comm-1     [000] d.h..  1494: irq_handler_exit: irq=1",
            "          comm-x     [000] d.h..  1494.1: irq_handler_exit: irq=1",
            "          comm-1     [000] d.h..  1494.0000000001: e: f",
            "          comm-1     [000] d.h..  99999999999999.1: e: f",
        ] {
            check(bad, None);
        }
    }
}
