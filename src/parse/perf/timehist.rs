//! perf sched timehist, a line for each time that a task had a CPU, into one histogram of how long
//! it had waited for it. It refuses to count what is no wait: `sch delay` alone leaves out the waits
//! of tasks that were preempted, which perf files under `wait time` together with sleep; the state that
//! a task was switched out in tells the two apart.

use std::collections::HashMap;

use super::lines::{count, number};
use crate::model::Histogram;
use crate::parse::log2::Log2;
use crate::parse::sink::Sink;

/// Tasks whose state is remembered; one that is beyond is taken for new.
const MAX_TASKS: usize = 200_000;

/// States of a task that would have run on. perf before 6.8 takes the kernel's mark of a preempted
/// task for `W`, which no kernel since 4.14 has.
const RUNNABLE: [char; 2] = ['R', 'W'];

#[derive(Debug, Default)]
pub(super) struct Timehist {
    has_state: bool,
    opened: bool,
    /// Whether each task was still runnable when it was last switched out.
    runnable: HashMap<u64, bool>,
    delays: Log2,
    /// Switches whose wait has no known beginning.
    unseen: u64,
}

impl Timehist {
    pub(super) fn opens(&mut self, has_state: bool) {
        self.has_state |= has_state;
        self.opened = true;
    }

    /// `time [cpu]  comm[tid/pid]  wait  delay  run  state`; the words of a fault, if it is none.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        // The second line of the heading, idle CPUs, and the lines that -w, -M and -n add.
        let extra = ["(msec)", "<idle>", "awakened: ", "migrated: ", "switched to: "];
        if extra.iter().any(|word| line.contains(word)) {
            return None;
        }
        match Switch::read(line) {
            Some(switch) => {
                self.switch(&switch);
                None
            }
            None => Some("expected a task with its wait time, sch delay and run time".to_owned()),
        }
    }

    fn switch(&mut self, switch: &Switch) {
        let known = self.runnable.len() < MAX_TASKS || self.runnable.contains_key(&switch.tid);
        let before = if known { self.runnable.insert(switch.tid, switch.runnable) } else { None };
        match before {
            Some(true) => self.delays.add(switch.wait_us * 1000),
            // perf writes 0 where it saw no wakeup, and nothing is woken and runs within half a
            // microsecond: this wait is not known.
            _ if switch.delay_us > 0 => self.delays.add(switch.delay_us * 1000),
            Some(false) => self.unseen += 1,
            // Of a task that is seen for the first time only a wakeup tells when its wait began.
            None => {}
        }
    }

    /// `milliseconds count`, as the probe's script sums the lines up.
    pub(super) fn counted(&mut self, text: &str) -> Option<String> {
        self.opened = true;
        if let Some(unseen) = text.strip_prefix("unseen ").and_then(count) {
            self.unseen = self.unseen.saturating_add(unseen);
            return None;
        }
        let parts = text.split_once(' ').and_then(|(delay, times)| Some((us(delay)?, count(times)?)));
        match parts {
            Some((delay_us, times)) => {
                self.delays.add_times(delay_us * 1000, times);
                None
            }
            None => Some("expected a delay in milliseconds and how often it came".to_owned()),
        }
    }

    pub(super) fn finish(&self, sink: &mut Sink) {
        if !self.opened {
            return;
        }
        let all = self.delays.count().saturating_add(self.unseen);
        if self.unseen > all / 100 {
            let (unseen, why) =
                (self.unseen, if self.has_state { "" } else { " (timehist --state tells preempted tasks)" });
            sink.fault(|| format!("no wakeup was seen for {unseen} of {all} waits: they are left out{why}"));
        }
        let metric = "scheduler_runqueue_latency_seconds";
        // No wait at all is a distribution as well.
        sink.histogram(self.delays.histogram(metric, vec![]).unwrap_or_else(|| Histogram {
            metric: metric.into(),
            labels: vec![],
            count: 0,
            sum: Some(0.0),
            max: None,
            buckets: vec![],
        }));
    }
}

/// One line: a task that had a CPU and gave it up.
#[derive(Debug, PartialEq)]
struct Switch {
    tid: u64,
    wait_us: u64,
    delay_us: u64,
    runnable: bool,
}

impl Switch {
    /// A command's name may hold brackets and blanks, so each `[tid` or `[tid/pid` that three numbers
    /// follow is tried, the last first.
    fn read(line: &str) -> Option<Self> {
        let (time, rest) = line.trim_start().split_once(' ')?;
        number(time)?;
        rest.trim_start().strip_prefix('[')?;
        let mut end = rest.len();
        for _ in 0..8 {
            let at = rest[..end].rfind('[')?;
            if let Some(switch) = Self::after_name(&rest[at + 1..]) {
                return Some(switch);
            }
            end = at;
        }
        None
    }

    fn after_name(text: &str) -> Option<Self> {
        let (ids, numbers) = text.split_once(']')?;
        let tid = count(ids.split('/').next()?)?;
        let mut words = numbers.split_whitespace();
        let (wait_us, delay_us, _run_us) = (us(words.next()?)?, us(words.next()?)?, us(words.next()?)?);
        let runnable = words.next().is_some_and(|state| state.starts_with(RUNNABLE));
        Some(Self { tid, wait_us, delay_us, runnable })
    }
}

/// Milliseconds with three decimals, in microseconds.
fn us(text: &str) -> Option<u64> {
    let us = (number(text)? * 1e3).round();
    (us < 1e15).then_some(us as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], state: bool) -> Histogram {
        let mut timehist = Timehist::default();
        timehist.opens(state);
        for line in lines {
            assert_eq!(timehist.line(line), None, "{line}");
        }
        let mut sink = Sink::default();
        timehist.finish(&mut sink);
        sink.finish().histograms.remove(0)
    }

    const LINES: [&str; 6] = [
        "   10.000001 [0000]  a[1]      0.000      0.000      5.000      R ",
        "   10.000002 [0001]  Web [2] x[7/6]      9.000      0.003      0.100      S ",
        "   10.000003 [0000]  a[1]      4.000      0.000      1.000      W ",
        "   10.000004 [0000]  a[1]      0.500      0.000      1.000      S ",
        "   10.000004 [0000]  a[1]      7.000      0.001      1.000      S ",
        "   10.000005 [0000]  <idle>      0.000      0.000      1.000        ",
    ];

    #[test]
    fn a_preempted_task_waited_and_a_sleeping_one_did_not() {
        let histogram = read(&LINES, true);
        let buckets: Vec<_> = histogram.buckets.iter().map(|b| (b.lo, b.hi, b.count)).collect();
        let filled: Vec<_> = buckets.into_iter().filter(|bucket| bucket.2 > 0).collect();
        assert_eq!(filled, [(1e-6, 2e-6, 1), (2e-6, 4e-6, 1), (256e-6, 512e-6, 1), (2_048e-6, 4_096e-6, 1)]);
        assert_eq!((histogram.count, histogram.max), (4, Some(0.004)));
        assert!((histogram.sum.unwrap() - 0.004_504).abs() < 1e-12);
    }

    #[test]
    fn without_the_state_only_sch_delay_is_known() {
        let without = LINES.map(|line| line.trim_end_matches(['R', 'S', 'W', ' ']));
        assert_eq!(read(&without, false).count, 2);
        assert_eq!(read(&without, false).max, Some(3e-6));
    }

    #[test]
    fn a_wait_without_a_wakeup_is_unknown_not_zero() {
        let mut timehist = Timehist::default();
        timehist.opens(true);
        for _ in 0..3 {
            timehist.line("1.0 [0000]  a[1]  5.000  0.000  1.000  S ");
        }
        timehist.counted("unseen 4");
        timehist.counted("0.002 2");
        let mut sink = Sink::default();
        timehist.finish(&mut sink);
        let parsed = sink.finish();
        assert_eq!(parsed.histograms[0].count, 2);
        assert_eq!(parsed.faults[0].0, "no wakeup was seen for 6 of 8 waits: they are left out");
    }

    #[test]
    fn a_line_that_is_none_is_a_fault() {
        let mut timehist = Timehist::default();
        for bad in [
            "x",
            "1.0 [0000] a 1 2 3",
            "1.0 [0000] a[1] 1 2",
            "1.0 [0000] a[x] 1 2 3",
            "1.0 [0000] a[1] -1 2 3",
        ] {
            assert!(timehist.line(bad).is_some(), "{bad}");
        }
        for bad in ["0.001", "x 1", "0.001 -1", "1e30 1"] {
            assert!(timehist.counted(bad).is_some(), "{bad}");
        }
    }
}
