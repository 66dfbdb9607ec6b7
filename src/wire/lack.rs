//! What a host said it lacks, and in which words that is told. It refuses whatever the supervisor would
//! not have written: these few bytes are shown to people and come from a host.

use std::time::Duration;

use crate::model::{Bound, ByteSize, Need, Probe, ProbeName, Versioned};

/// What a host may show of what it saw instead; the supervisor cuts it at the same length.
const MAX_SEEN: usize = 40;

/// More needs than all shipped probes have together.
const MAX_NEEDS: usize = 512;

/// One need that the host does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Its place among the needs that were asked for, from 0.
    pub need: usize,
    /// What the host has instead, one plain word: a version, a level, or why it cannot look (`root`: only
    /// root may; `none`: there is no tracefs to be read).
    pub seen: Option<String>,
}

impl Lack {
    /// Why `need`, which this is about, is not met: `perf 6.1.192, needs ≥ 6.12`.
    pub fn words(&self, need: &Need) -> String {
        self.thing(need).map_or_else(|reason| reason, |thing| format!("host lacks {thing}"))
    }

    /// What the host has nothing of (`Ok`), or what is the matter with what it has (`Err`).
    fn thing(&self, need: &Need) -> Result<String, String> {
        match (need, self.seen.as_deref()) {
            (Need::Version { tool: Versioned::SysdigLibs, bound: Bound::Below, version }, Some(seen)) => {
                Err(format!("sysdig libs {seen} cannot measure latency, needs < {version}"))
            }
            (Need::Version { tool, bound, version }, Some(seen)) => {
                Err(format!("{} {seen}, needs {} {version}", tool_name(*tool), sign(*bound)))
            }
            (Need::Version { tool, bound, version }, None) => {
                Ok(format!("{} {} {version}", tool_name(*tool), sign(*bound)))
            }
            (Need::Paranoid(level), Some(seen)) => {
                Err(format!("perf_event_paranoid={seen}, needs ≤ {level} or CAP_PERFMON"))
            }
            (Need::Paranoid(_), None) => Ok("perf events (no kernel.perf_event_paranoid)".to_owned()),
            (need, Some("root")) => Err(format!("only root can look for {need}")),
            (need, Some("none")) => Err(format!("tracefs is not mounted or not readable, needs {need}")),
            (need, _) => Ok(need.to_string()),
        }
    }
}

const fn tool_name(tool: Versioned) -> &'static str {
    match tool {
        Versioned::SysdigLibs => "sysdig libs",
        tool => tool.as_str(),
    }
}

const fn sign(bound: Bound) -> &'static str {
    match bound {
        Bound::AtLeast => "≥",
        Bound::Below => "<",
    }
}

/// All that is missing in one line: `host lacks tool:perf, tool:awk; perf_event_paranoid=4, needs …`.
pub(super) fn sentence(missing: &[Lack], needs: &[Need]) -> String {
    let (mut things, mut reasons) = (Vec::new(), Vec::new());
    for lack in missing {
        match needs.get(lack.need).map(|need| lack.thing(need)) {
            Some(Ok(thing)) => things.push(thing),
            // Two events that only root can look for are one reason each, and each is named.
            Some(Err(reason)) => reasons.push(reason),
            None => {}
        }
    }
    if !things.is_empty() {
        reasons.insert(0, format!("host lacks {}", things.join(", ")));
    }
    reasons.join("; ")
}

/// Why a tracer was not started.
pub(super) fn busy_sentence(busy: &str) -> String {
    let who = match busy.split_once(':') {
        Some(("tracer", name)) => format!("its tracer {name} is switched on"),
        Some(("event", name)) => format!("event {name} is enabled in its global buffer"),
        _ => "another run traces it".to_owned(),
    };
    format!("host is being traced already: {who}")
}

/// Reads the trailer's field: `-`, or `,1,3=4` for the first need and the third, or `,0=run`.
pub(super) fn read(field: &str) -> Option<(Vec<Lack>, Option<String>)> {
    let (mut missing, mut busy) = (Vec::new(), None);
    if field == "-" {
        return Some((missing, busy));
    }
    for part in field.strip_prefix(',')?.split(',') {
        let (number, seen) = match part.split_once('=') {
            Some((number, seen)) => (number, Some(word(seen)?)),
            None => (part, None),
        };
        let plain = (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse::<usize>().ok().filter(|number| plain && *number <= MAX_NEEDS)?.checked_sub(1) {
            Some(need) if missing.last().is_none_or(|last: &Lack| last.need < need) => {
                missing.push(Lack { need, seen });
            }
            None if busy.is_none() => busy = Some(seen?),
            _ => return None,
        }
    }
    Some((missing, busy))
}

fn word(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte);
    ((1..=MAX_SEEN).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// What to send with [`Request::only_check`](super::Request::only_check) to ask a host which of `needs` it
/// lacks, in one channel; `timeout` is for all of them together.
pub fn asking(needs: Vec<Need>, name: ProbeName, timeout: Duration) -> Probe {
    Probe { timeout, max_output: ByteSize(0), needs, ..Probe::new(name, "") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(tool: Versioned, bound: Bound, version: &str) -> Need {
        Need::Version { tool, bound, version: version.to_owned() }
    }

    #[test]
    fn each_lack_says_what_is_there_and_what_is_needed() {
        let check = |need: Need, seen: Option<&str>, words: &str| {
            assert_eq!(Lack { need: 0, seen: seen.map(str::to_owned) }.words(&need), words);
        };
        let perf = || need(Versioned::Perf, Bound::AtLeast, "6.12");
        let libs = || need(Versioned::SysdigLibs, Bound::Below, "0.22");
        let event = || Need::Event("irq:softirq_entry".to_owned());
        check(perf(), Some("6.1.192"), "perf 6.1.192, needs ≥ 6.12");
        check(perf(), None, "host lacks perf ≥ 6.12");
        check(libs(), Some("0.22.0"), "sysdig libs 0.22.0 cannot measure latency, needs < 0.22");
        check(libs(), None, "host lacks sysdig libs < 0.22");
        check(Need::Paranoid(2), Some("4"), "perf_event_paranoid=4, needs ≤ 2 or CAP_PERFMON");
        check(event(), None, "host lacks event:irq:softirq_entry");
        check(event(), Some("root"), "only root can look for event:irq:softirq_entry");
        check(
            Need::TracefsInstances,
            Some("none"),
            "tracefs is not mounted or not readable, needs tracefs:instances",
        );
        check(Need::Tool("perf".to_owned()), None, "host lacks tool:perf");
    }

    #[test]
    fn what_is_missing_is_one_line() {
        let needs = [Need::Tool("perf".to_owned()), Need::Paranoid(2), Need::File("/x".to_owned())];
        let (missing, busy) = read(",1,2=4,3").unwrap();
        assert_eq!(
            sentence(&missing, &needs),
            "host lacks tool:perf, file:/x; perf_event_paranoid=4, needs ≤ 2 or CAP_PERFMON"
        );
        assert_eq!(busy, None);
    }

    #[test]
    fn who_traces_already_is_named() {
        let check = |field: &str, words: &str| {
            let (missing, busy) = read(field).unwrap();
            assert!(missing.is_empty());
            let expected = format!("host is being traced already: {words}");
            assert_eq!(busy_sentence(&busy.unwrap()), expected);
        };
        check(",0=run", "another run traces it");
        check(",0=tracer:function", "its tracer function is switched on");
        check(",0=event:irq:softirq_entry", "event irq:softirq_entry is enabled in its global buffer");
    }

    #[test]
    fn what_a_supervisor_would_not_write_is_refused() {
        let long = format!(",1={}", "9".repeat(MAX_SEEN + 1));
        let bad = [
            "",
            ",",
            "1",
            ",x",
            ",-1",
            ",+1",
            ",00001",
            ",513",
            ",1=",
            ",1=a b",
            ",1=\u{1b}[m",
            ",1=ü",
            ",1=a=b",
            ",2,1",
            ",1,1",
            ",0",
            ",0=run,0=run",
            ",1,",
            &long,
        ];
        for field in bad {
            assert_eq!(read(field), None, "{field:?}");
        }
        assert_eq!(read("-"), Some((Vec::new(), None)));
    }
}
