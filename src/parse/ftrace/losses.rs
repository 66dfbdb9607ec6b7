//! What a trace lacks: events that were overwritten or had no room. Known before the events are read, so
//! that begins and ends on different CPUs are taken only from the time that all CPUs cover.

use std::collections::HashMap;

use super::line::{self, Line};
use crate::parse::text::integer;

/// What the buffers say of themselves.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Events that newer ones replaced: the CPU's trace begins later.
    overrun: HashMap<u64, u64>,
    /// Events that came when the buffer was full: the CPU's trace ends earlier.
    dropped: HashMap<u64, u64>,
    /// What the heading says was written and is not there.
    missing: u64,
    /// What the marks between the events say.
    marked: u64,
    /// Whether anything said how many there are; without that, 0 is not known.
    pub known: bool,
}

impl Losses {
    /// `per_cpu/cpu0/stats:dropped events: 0`, as grep prints it.
    pub fn stats(&mut self, line: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(line).ok()?;
        let (path, count) = text.split_once("/stats:")?;
        let cpu = integer(path.rsplit_once("cpu")?.1.as_bytes())?;
        let (what, count) = count.split_once(": ")?;
        let count = integer(count.as_bytes())?;
        let by_cpu = match what {
            "overrun" => &mut self.overrun,
            "dropped events" => &mut self.dropped,
            _ => return None,
        };
        self.known = true;
        if count > 0 {
            by_cpu.insert(cpu, count);
        }
        Some(())
    }

    pub fn entries(&mut self, kept: u64, written: u64) {
        self.known = true;
        self.missing = self.missing.saturating_add(written.saturating_sub(kept));
    }

    pub fn mark(&mut self, events: u64) {
        self.known = true;
        self.marked = self.marked.saturating_add(events);
    }

    /// The same loss is told in up to three places; what had no room is told in one.
    pub fn count(&self) -> u64 {
        let sum = |by_cpu: &HashMap<u64, u64>| by_cpu.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
        sum(&self.overrun).max(self.missing).max(self.marked).saturating_add(sum(&self.dropped))
    }

    /// From when to when every CPU's events are there. It costs a look at all lines, but only where
    /// something is lost.
    pub fn covered<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> (u64, u64) {
        // Where only the heading speaks of a loss, any CPU's trace may begin late.
        let any_late = self.overrun.is_empty() && self.missing > self.marked;
        if self.overrun.is_empty() && self.dropped.is_empty() && !any_late {
            return (0, u64::MAX);
        }
        let mut seen: HashMap<u64, (u64, u64)> = HashMap::new();
        for line in lines {
            if let Some(Line::Event(event)) = line::read(line) {
                seen.entry(event.cpu).or_insert((event.at_ns, event.at_ns)).1 = event.at_ns;
            }
        }
        let late = seen.iter().filter(|(cpu, _)| any_late || self.overrun.contains_key(cpu));
        let early = seen.iter().filter(|(cpu, _)| self.dropped.contains_key(cpu));
        (
            late.map(|(_, (first, _))| *first).max().unwrap_or(0),
            early.map(|(_, (_, last))| *last).min().unwrap_or(u64::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_counted_once() {
        let mut losses = Losses::default();
        assert!(!losses.known);
        assert_eq!(losses.stats(b"per_cpu/cpu1/stats:overrun: 30"), Some(()));
        assert_eq!(
            losses.stats(b"/sys/kernel/tracing/instances/x/per_cpu/cpu0/stats:dropped events: 4"),
            Some(())
        );
        assert_eq!(losses.stats(b"per_cpu/cpu0/stats:overrun: 0"), Some(()));
        for bad in [
            &b"per_cpu/cpu0/stats:entries: 7"[..],
            b"cpu0 overrun: 7",
            b"per_cpu/cpux/stats:overrun: 1",
            b"\xff",
        ] {
            assert_eq!(losses.stats(bad), None);
        }
        losses.entries(70, 100);
        losses.mark(12);
        assert_eq!((losses.known, losses.count()), (true, 34));
    }

    #[test]
    fn what_every_cpu_covers_is_between_the_late_and_the_early() {
        let text = "          a-1     [000] d.h..  1.000000: e: f\n          a-1     [001] d.h..  2.000000: e: f\n\
                    \u{20}         a-1     [000] d.h..  8.000000: e: f\n          a-1     [001] d.h..  9.000000: e: f";
        let covered = |stats: &[&str], entries: (u64, u64)| {
            let mut losses = Losses::default();
            stats.iter().for_each(|line| losses.stats(line.as_bytes()).unwrap());
            losses.entries(entries.0, entries.1);
            let (from, to) = losses.covered(text.lines().map(str::as_bytes));
            (from / 1_000_000_000, to / 1_000_000_000)
        };
        let forever = u64::MAX / 1_000_000_000;
        assert_eq!(covered(&["cpu0/stats:overrun: 0"], (4, 4)), (0, forever));
        assert_eq!(covered(&["cpu1/stats:overrun: 5"], (4, 9)), (2, forever));
        assert_eq!(covered(&["cpu0/stats:dropped events: 5"], (4, 4)), (0, 8));
        assert_eq!(covered(&[], (4, 9)), (2, forever));
    }
}
