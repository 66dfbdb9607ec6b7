//! How a probe behaved on a host: whether it kept to its budget and ended by itself. What never ran says
//! nothing about a probe, and counts neither for nor against it.

use std::time::Duration;

use crate::model::{Outcome, Probe, Reading, duration_text};

/// What a reading says about its probe on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// It ran and kept to what it may take.
    Good,
    /// It took more than it may, or had to be killed: what, in words.
    Offence(String),
    /// It did not run, or nobody knows how it went.
    Unseen,
}

/// SIGKILL, SIGTERM and SIGXCPU, as a shell reports a child that one of them ended: the kernel's own
/// killers, or somebody who would not wait.
const KILLED: [i32; 3] = [128 + 9, 128 + 15, 128 + 24];

/// Judges one reading. Without the definition it was taken with nothing is known.
pub fn conduct(probe: Option<&Probe>, reading: &Reading) -> Conduct {
    let Some(probe) = probe else { return Conduct::Unseen };
    if let Some(what) = over_budget(probe, reading) {
        return Conduct::Offence(what);
    }
    match reading.outcome {
        Outcome::TimedOut if ran_to_its_deadline(probe, reading) => {
            Conduct::Offence(format!("was still running at its deadline of {}", duration_text(probe.timeout)))
        }
        Outcome::Failed if reading.exit.is_some_and(|exit| KILLED.contains(&exit)) => {
            Conduct::Offence(format!("was killed by signal {}", reading.exit.unwrap_or(128) - 128))
        }
        Outcome::Ok | Outcome::Failed | Outcome::Truncated => Conduct::Good,
        _ => Conduct::Unseen,
    }
}

/// The connection has deadlines, too, and a host that hangs is not the probe's fault: here the supervisor
/// said how it ended, or had begun and sent nothing more for as long as the probe may take.
fn ran_to_its_deadline(probe: &Probe, reading: &Reading) -> bool {
    reading.exit.is_some() || (reading.bytes_raw > 0 && reading.elapsed >= probe.timeout)
}

/// That a reading used more CPU on its host than its probe may.
pub fn over_budget(probe: &Probe, reading: &Reading) -> Option<String> {
    let (used, budget) = reading.cpu.zip(probe.budget)?;
    let text = |duration: Duration| duration_text(Duration::from_millis(duration.as_millis() as u64));
    (used > budget).then(|| format!("used {} of CPU on the host, budget {}", text(used), text(budget)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::parse_probe;
    use crate::model::{CollectorTime, HostName};

    fn reading(outcome: Outcome, exit: Option<i32>, cpu_ms: u64) -> (Probe, Reading) {
        let text = "name = \"p\"\nsummary = \"a test\"\nscript = \"true\"\nformat = \"text\"\ntimeout = \"5s\"\n\
                    budget = \"200ms\"\n";
        let probe = parse_probe("p", "p.toml", text).unwrap();
        let reading = Reading {
            host: HostName::new("h").unwrap(),
            probe: probe.name.clone(),
            probe_hash: probe.hash,
            outcome,
            detail: None,
            exit,
            started: CollectorTime::from_unix_s(0),
            elapsed: Duration::from_secs(6),
            clock: None,
            cpu: Some(Duration::from_millis(cpu_ms)),
            stderr: String::new(),
            cursor: None,
            wire: Bytes::new(),
            bytes_raw: 0,
        };
        (probe, reading)
    }

    #[test]
    fn what_counts_against_a_probe() {
        let check = |outcome, exit, cpu_ms, expected: Result<&str, Conduct>| {
            let (probe, reading) = reading(outcome, exit, cpu_ms);
            let found = conduct(Some(&probe), &reading);
            let expected = expected.map_or_else(|it| it, |what| Conduct::Offence(what.to_owned()));
            assert_eq!(found, expected, "{outcome} {exit:?} {cpu_ms}");
        };
        let budget = || Ok("used 310ms of CPU on the host, budget 200ms");
        check(Outcome::Ok, Some(0), 200, Err(Conduct::Good));
        check(Outcome::Ok, Some(0), 310, budget());
        check(Outcome::Failed, Some(1), 310, budget());
        check(Outcome::TimedOut, Some(143), 1, Ok("was still running at its deadline of 5s"));
        check(Outcome::Failed, Some(137), 1, Ok("was killed by signal 9"));
        check(Outcome::Failed, Some(1), 1, Err(Conduct::Good));
        check(Outcome::Failed, Some(139), 1, Err(Conduct::Good));
        // A deadline of the connection, before anything came.
        check(Outcome::TimedOut, None, 1, Err(Conduct::Unseen));
        for outcome in [Outcome::Unreachable, Outcome::Skipped, Outcome::Unsupported, Outcome::Incomplete] {
            check(outcome, None, 1, Err(Conduct::Unseen));
        }
        let (probe, mut reading) = reading(Outcome::TimedOut, None, 1);
        reading.bytes_raw = 1;
        assert!(matches!(conduct(Some(&probe), &reading), Conduct::Offence(_)));
        assert_eq!(conduct(None, &reading), Conduct::Unseen);
    }
}
