//! One entry of a probe's `needs`. It refuses whatever the host could not check by itself, without
//! running the probe.

use crate::model::{Bound, Capability, Need, Versioned};

const FORMS: &str = "\"file:/path\", \"tool:name\", \"version:perf>=6.12\", \"event:sched:sched_switch\", \
                     \"tracefs:instances\", \"paranoid<=2\", \"cap:bpf\" or \"kernel-log\"";

/// Reads `text`, or says what was expected.
pub(super) fn need(text: &str) -> Result<Need, &'static str> {
    if let Some(level) = text.strip_prefix("paranoid<=") {
        let level = level.parse::<i8>().ok().filter(|level| (-1..=4).contains(level));
        return level.map(Need::Paranoid).ok_or("paranoid<= and a level from -1 to 4");
    }
    if text == "kernel-log" {
        return Ok(Need::KernelLog);
    }
    match text.split_once(':') {
        Some(("cap", name)) => capability(name),
        Some(("file", path)) => file(path),
        Some(("tool", name)) => tool(name),
        Some(("version", bound)) => version(bound),
        Some(("event", name)) => event(name),
        Some(("tracefs", "instances")) => Ok(Need::TracefsInstances),
        _ => Err(FORMS),
    }
}

fn file(path: &str) -> Result<Need, &'static str> {
    let is_rooted = |path: &str| ["/", "$PROC/", "$SYS/"].iter().any(|root| path.starts_with(root));
    if path.split('|').all(is_rooted) && path.len() <= 1024 && !path.contains(char::is_control) {
        Ok(Need::File(path.to_owned()))
    } else {
        Err("file: and an absolute path, or one below $PROC or $SYS; | before another one that would do")
    }
}

fn tool(name: &str) -> Result<Need, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    let is_name =
        |name: &str| (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(plain);
    if name.split('|').all(is_name) {
        Ok(Need::Tool(name.to_owned()))
    } else {
        Err("tool: and a command's name, without a path; | before another one that would do")
    }
}

fn capability(name: &str) -> Result<Need, &'static str> {
    let found = Capability::ALL.into_iter().find(|capability| capability.as_str() == name);
    found.map(Need::Capability).ok_or("cap:bpf or cap:perfmon")
}

fn version(text: &str) -> Result<Need, &'static str> {
    const EXPECTED: &str =
        "version: and perf, bpftrace or sysdig-libs, then >= or <, then a version such as 6.12";
    let at_least = text.split_once(">=").map(|parts| (parts, Bound::AtLeast));
    let ((tool, version), bound) =
        at_least.or_else(|| text.split_once('<').map(|parts| (parts, Bound::Below))).ok_or(EXPECTED)?;
    let tool = Versioned::ALL.into_iter().find(|(word, _)| *word == tool).ok_or(EXPECTED)?.1;
    let plain = |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if version.split('.').count() <= 3 && version.split('.').all(plain) {
        Ok(Need::Version { tool, bound, version: version.to_owned() })
    } else {
        Err(EXPECTED)
    }
}

fn event(name: &str) -> Result<Need, &'static str> {
    let plain = |part: &str| {
        let letters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (1..=64).contains(&part.len()) && letters
    };
    match name.split_once(':') {
        Some((system, event)) if plain(system) && plain(event) => Ok(Need::Event(name.to_owned())),
        _ => Err("event: and a tracepoint such as sched:sched_switch"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_written_as_it_is_read() {
        for text in [
            "file:/etc/os-release",
            "file:$PROC/schedstat",
            "tool:perf",
            "version:perf>=6.12",
            "version:sysdig-libs<0.22",
            "event:irq:softirq_entry",
            "tracefs:instances",
            "paranoid<=-1",
            "tool:smartctl|nvme",
            "file:$SYS/class/nvme|/dev/sda",
            "cap:bpf",
            "cap:perfmon",
            "kernel-log",
        ] {
            assert_eq!(need(text).map(|need| need.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_a_host_cannot_check_is_refused() {
        let bad = [
            "perf",
            "file:relative",
            "file:$HOME/x",
            "tool:",
            "tool:-x",
            "tool:/bin/sh",
            "tool:a b",
            "version:perf=6",
            "version:awk>=1",
            "version:perf>=6.x",
            "version:perf>=",
            "event:sched",
            "event:sched:*",
            "event:../x:y",
            "tracefs:",
            "paranoid<=9",
            "paranoid:2",
            "tool:a|",
            "tool:|a",
            "tool:a|/bin/b",
            "file:/a|b",
            "cap:",
            "cap:all",
            "kernel-log:",
        ];
        for text in bad {
            assert!(need(text).is_err(), "{text}");
        }
    }
}
