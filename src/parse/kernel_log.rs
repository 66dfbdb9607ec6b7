//! `kernel_log`: the kernel's messages since the last reading, counted by what they mean.
//!
//! A kind of message that did not come while the log could be read is a true 0; a log that cannot
//! be read never gets this far (the script ends with 69, unsupported). It guesses no time for a
//! message without a timestamp: such a line continues the one before it.

use std::borrow::Cow;

use crate::model::{Kind, LabelPairs, Sample, Span};

use super::dispatch::Context;
use super::sink::Sink;
use super::text::{decimal, excerpt, is_boot_id, lines};

/// What is looked for: (event, any of these, and all of these).
const EVENTS: [(&str, &[&str], &[&str]); 17] = [
    ("hung_task", &["blocked for more than"], &["task "]),
    ("soft_lockup", &["soft lockup - CPU"], &[]),
    ("hard_lockup", &["hard LOCKUP", "hard lockup"], &[]),
    ("rcu_stall", &["self-detected stall", "detected stalls on", "detected expedited stalls"], &[]),
    ("hrtimer_interrupt", &["hrtimer: interrupt took"], &[]),
    ("netdev_watchdog", &["NETDEV WATCHDOG"], &[]),
    ("link_down", &["Link is Down", "Link is down", "link down", "link becomes not ready"], &[]),
    ("nvme_timeout", &["timeout, ", " timeout"], &["nvme"]),
    ("io_error", &["I/O error", "critical medium error", "critical target error"], &[]),
    ("filesystem_error", &["EXT4-fs error", "Metadata corruption", "BTRFS error", "BTRFS critical"], &[]),
    ("machine_check", &["Machine check events logged", "Machine Check Exception", "[Hardware Error]"], &[]),
    ("thermal_throttle", &["temperature above threshold"], &[]),
    ("clocksource_unstable", &["as unstable because", "as unstable due to"], &[]),
    ("oom_kill", &["Killed process"], &["ut of memory"]),
    ("segfault", &["segfault at ", " general protection fault ip:", " trap divide error ip:"], &[]),
    ("warning", &["WARNING: CPU:"], &[]),
    ("bug", &["BUG: ", "Oops: ", "kernel BUG at"], &[]),
];

const HRTIMER: &str = "hrtimer: interrupt took ";

pub(super) fn parse(raw: &[u8], context: &Context, sink: &mut Sink) {
    let log = Log::read(raw, sink);
    let (Some(boot_id), Some(now_s)) = (&log.boot_id, log.now_s) else {
        return sink.fault(|| "expected a line \"@@@ now UPTIME BOOT_ID\" first, found none".into());
    };
    let cursor = context.cursor.and_then(Cursor::read).filter(|cursor| cursor.boot_id == *boot_id);
    let last_s = log.last_s.or(cursor.as_ref().map(|cursor| cursor.last_s)).unwrap_or(0.0);
    sink.cursor(Cursor { boot_id: boot_id.clone(), last_s, read_s: now_s }.text());

    if let (Some(cursor), Some(first_s)) = (&cursor, log.first_s)
        && first_s > cursor.last_s
    {
        let last_s = cursor.last_s;
        sink.fault(|| {
            format!(
                "the log now begins at {first_s:.6} s and was read up to {last_s:.6} s: lines in between were \
                 overwritten or cleared, so the counts are too low"
            )
        });
    }
    let since_s = cursor.as_ref().map(|cursor| cursor.read_s).or(log.first_s).unwrap_or(now_s);
    let span_s = now_s - since_s;
    if cursor.is_none() {
        sink.fault(|| {
            format!("first reading of this boot: the rates are over the {span_s:.0} s that the log covers")
        });
    }
    // A log that was cleared, or a reading right after the last, covers no time to divide by.
    if span_s < 1.0 {
        return sink.fault(|| {
            format!("expected at least 1 s since {since_s:.6} s of uptime, found {span_s:.2} s: no rates")
        });
    }
    for ((event, ..), count) in EVENTS.iter().zip(log.counts) {
        let labels = vec![(Cow::Borrowed("event"), (*event).to_owned())];
        sink.sample(rate("kernel_log_events_total", labels, count, span_s));
    }
    sink.sample(rate("kernel_log_lines_total", vec![], log.lines, span_s));
    if let Some(longest_ns) = log.longest_hrtimer_ns {
        sink.gauge("kernel_log_hrtimer_interrupt_max_seconds", vec![], longest_ns / 1e9);
    }
}

fn rate(metric: &'static str, labels: LabelPairs, count: u64, span_s: f64) -> Sample {
    Sample {
        metric: metric.into(),
        labels,
        kind: Kind::Counter,
        span: Span::Between,
        value: count as f64 / span_s,
    }
}

/// Where a reading stopped: `BOOT_ID LAST_LINE UPTIME`, both in seconds since boot. The script
/// takes the last line's time from it, this parser the moment that the rates start at.
#[derive(Debug, PartialEq)]
struct Cursor {
    boot_id: String,
    last_s: f64,
    read_s: f64,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (boot_id, last_s, read_s) = (words.next()?, words.next()?, words.next()?);
        let cursor = Self {
            boot_id: boot_id.to_owned(),
            last_s: decimal(last_s.as_bytes())?,
            read_s: decimal(read_s.as_bytes())?,
        };
        (is_boot_id(boot_id.as_bytes()) && words.next().is_none()).then_some(cursor)
    }

    fn text(&self) -> String {
        format!("{} {:.6} {:.2}", self.boot_id, self.last_s, self.read_s)
    }
}

#[derive(Debug, Default)]
struct Log {
    boot_id: Option<String>,
    now_s: Option<f64>,
    /// Of the whole ring, also where the script left older lines out.
    first_s: Option<f64>,
    last_s: Option<f64>,
    lines: u64,
    counts: [u64; EVENTS.len()],
    longest_hrtimer_ns: Option<f64>,
}

impl Log {
    fn read(raw: &[u8], sink: &mut Sink) -> Self {
        let mut log = Self::default();
        for (number, line) in lines(raw, sink) {
            if let Some(mark) = line.strip_prefix(b"@@@ ") {
                if log.mark(mark).is_none() {
                    sink.fault(|| {
                        format!(
                            "line {number}: expected \"@@@ now UPTIME BOOT_ID\" or \"@@@ first SECONDS\", found {}",
                            excerpt(line)
                        )
                    });
                }
            } else if let Some((at_s, message)) = timed(line) {
                log.last_s = Some(log.last_s.unwrap_or(at_s).max(at_s));
                log.lines += 1;
                log.count(&String::from_utf8_lossy(message));
            } else {
                log.count(&String::from_utf8_lossy(line));
            }
        }
        log
    }

    fn mark(&mut self, mark: &[u8]) -> Option<()> {
        let mut words = mark.split(|byte| *byte == b' ');
        match (words.next()?, words.next(), words.next()) {
            (b"now", Some(uptime), Some(boot_id)) if is_boot_id(boot_id) => {
                self.now_s = Some(decimal(uptime)?);
                self.boot_id = Some(String::from_utf8_lossy(boot_id).into_owned());
            }
            (b"first", Some(first), None) => self.first_s = Some(decimal(first)?),
            _ => return None,
        }
        Some(())
    }

    fn count(&mut self, message: &str) {
        for (what, count) in EVENTS.iter().zip(&mut self.counts) {
            *count += u64::from(means(message, what));
        }
        if let Some((_, rest)) = message.split_once(HRTIMER) {
            let took_ns = rest.split(' ').next().and_then(|number| decimal(number.as_bytes()));
            self.longest_hrtimer_ns = took_ns.into_iter().chain(self.longest_hrtimer_ns).reduce(f64::max);
        }
    }
}

fn means(message: &str, (_, any, all): &(&str, &[&str], &[&str])) -> bool {
    any.iter().any(|word| message.contains(word)) && all.iter().all(|word| message.contains(word))
}

/// What a message means, where that is known.
pub(super) fn event(message: &str) -> Option<&'static str> {
    EVENTS.iter().find(|what| means(message, what)).map(|what| what.0)
}

/// `[  123.456789] message`, also behind a `<6>` and with `[ T12]`, the caller, in front of the
/// message.
pub(super) fn timed(line: &[u8]) -> Option<(f64, &[u8])> {
    let line = match line.first() {
        Some(b'<') => &line[line.iter().take(6).position(|byte| *byte == b'>')? + 1..],
        _ => line,
    };
    let inner = line.strip_prefix(b"[")?;
    let end = inner.iter().take(32).position(|byte| *byte == b']')?;
    let at_s = decimal(inner[..end].trim_ascii())?;
    Some((at_s, inner[end + 1..].trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "9ff2e626-5e60-40e5-ae57-72ffe13b58d9";

    fn read(body: &str, cursor: Option<&str>) -> crate::model::Parsed {
        let raw = format!("@@@ now 5000.00 {BOOT}\n{body}");
        let mut sink = Sink::default();
        parse(raw.as_bytes(), &Context { clock: None, cursor }, &mut sink);
        sink.finish()
    }

    fn event(parsed: &crate::model::Parsed, event: &str) -> Option<f64> {
        parsed.samples.iter().find(|s| s.labels.iter().any(|(_, v)| v == event)).map(|s| s.value)
    }

    #[test]
    fn messages_are_told_apart() {
        let check = |expected: &str, message: &str| {
            let parsed = read(&format!("@@@ first 0.0\n[ 4000.000001] {message}\n"), None);
            for (name, ..) in EVENTS {
                let rate = event(&parsed, name).unwrap();
                let wanted = if name == expected { 1.0 / 5000.0 } else { 0.0 };
                assert_eq!(rate, wanted, "{message}: {name}");
            }
        };
        check("hung_task", "INFO: task jbd2/vda1-8:312 blocked for more than 120 seconds.");
        check(
            "soft_lockup",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/1:1:44]"
                .trim_start_matches("watchdog: BUG: "),
        );
        check("hard_lockup", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3");
        check("rcu_stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:");
        check("rcu_stall", "rcu: INFO: rcu_sched self-detected stall on CPU");
        check("netdev_watchdog", "NETDEV WATCHDOG: eth0 (ena): transmit queue 3 timed out");
        check("nvme_timeout", "nvme nvme0: I/O 23 QID 4 timeout, aborting");
        check("io_error", "blk_update_request: I/O error, dev sda, sector 2048");
        check("machine_check", "mce: [Hardware Error]: Machine check events logged");
        check("oom_kill", "Out of memory: Killed process 4242 (app) total-vm:1kB");
        check("oom_kill", "Memory cgroup out of memory: Killed process 4242 (app)");
        check("segfault", "app[77]: segfault at 0 ip 0000 sp 0000 error 4 in app");
        check("link_down", "ixgbe 0000:01:00.0 eth1: NIC Link is Down");
        check("none of them", "usb 1-1: new high-speed USB device number 2");
    }

    #[test]
    fn a_soft_lockup_is_a_bug_too() {
        let parsed =
            read("@@@ first 0.0\n[4000.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!\n", None);
        assert_eq!(
            (event(&parsed, "soft_lockup"), event(&parsed, "bug")),
            (Some(1.0 / 5000.0), Some(1.0 / 5000.0))
        );
    }

    #[test]
    fn the_span_is_since_the_last_reading() {
        let cursor = format!("{BOOT} 900.500000 1000.00");
        let parsed =
            read("@@@ first 0.1\n[ 1200.000000][   T77] hrtimer: interrupt took 12345 ns\n", Some(&cursor));
        assert_eq!(parsed.faults, []);
        assert_eq!(event(&parsed, "hrtimer_interrupt"), Some(1.0 / 4000.0));
        assert!(parsed.samples.iter().all(|s| s.span == Span::Between || s.kind == Kind::Gauge));
        let longest = parsed.samples.iter().find(|s| s.metric == "kernel_log_hrtimer_interrupt_max_seconds");
        assert_eq!(longest.map(|s| s.value), Some(12_345e-9));
        assert_eq!(parsed.cursor.as_deref(), Some(&*format!("{BOOT} 1200.000000 5000.00")));
    }

    #[test]
    fn a_quiet_log_is_a_true_zero_and_keeps_its_place() {
        let cursor = format!("{BOOT} 900.500000 1000.00");
        let parsed = read("@@@ first 0.1\n", Some(&cursor));
        assert_eq!(parsed.samples.len(), EVENTS.len() + 1);
        assert!(parsed.samples.iter().all(|s| s.value == 0.0));
        assert_eq!(parsed.cursor.as_deref(), Some(&*format!("{BOOT} 900.500000 5000.00")));
    }

    #[test]
    fn lost_lines_and_a_first_reading_are_said() {
        let cursor = format!("{BOOT} 900.500000 1000.00");
        let parsed = read("@@@ first 901.000000\n[  901.000000] x\n", Some(&cursor));
        assert!(parsed.faults[0].0.contains("overwritten or cleared"), "{:?}", parsed.faults);
        let other_boot = format!("00000000-{} 900.500000 1000.00", &BOOT[9..]);
        for cursor in [None, Some(other_boot.as_str()), Some("nonsense"), Some("")] {
            let parsed = read("@@@ first 1000.0\n[ 2000.0] x\n", cursor);
            assert!(
                parsed.faults[0].0.starts_with("first reading of this boot: the rates are over the 4000 s")
            );
            assert!(
                parsed
                    .samples
                    .iter()
                    .any(|s| s.metric == "kernel_log_lines_total" && s.value == 1.0 / 4000.0)
            );
        }
    }

    #[test]
    fn lines_without_a_time_continue_the_one_before() {
        let parsed = read("@@@ first 0.0\n<3>[    1.5] WARNING: CPU: 0 PID: 1 at x\n Call Trace:\n", None);
        let lines = parsed.samples.iter().find(|s| s.metric == "kernel_log_lines_total").unwrap();
        assert_eq!(lines.value, 1.0 / 5000.0);
        assert_eq!(event(&parsed, "warning"), Some(1.0 / 5000.0));
    }
}
