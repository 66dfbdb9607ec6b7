//! perf trace -s: the system calls of each thread, how often, how long.
//!
//! It refuses to call a wait slow: a thread in futex or epoll_wait is there by design, so every number
//! carries a class. Threads of one name are one task here, as their numbers are new with each start.

use std::collections::BTreeMap;

use super::lines::{count, each_line, ms, number};
use super::tally::{OTHERS, Tally, worst};
use crate::model::LabelPairs;
use crate::parse::sink::Sink;

/// System calls that are shown by themselves, and pairs of task and call.
const MAX_CALLS: usize = 128;
const MAX_PAIRS: usize = 128;

/// Calls whose purpose is to wait for something else.
const WAITS: [&str; 39] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "flock",
    "futex",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "io_getevents",
    "io_pgetevents",
    "io_uring_enter",
    "mq_timedreceive",
    "mq_timedsend",
    "msgrcv",
    "msgsnd",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "select",
    "_newselect",
    "semop",
    "semtimedop",
    "sched_yield",
    "sigsuspend",
    "sigtimedwait",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
];

/// Calls that wait where the other end is a pipe, a terminal or a socket, and work where it is a file.
const MAY_WAIT: [&str; 17] = [
    "connect", "ioctl", "read", "readv", "recv", "recvfrom", "recvmmsg", "recvmsg", "send", "sendfile",
    "sendmmsg", "sendmsg", "sendto", "splice", "tee", "write", "writev",
];

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader::default();
    each_line(raw, sink, |line, sink| reader.line(line, sink));
    reader.finish(sink);
}

fn class(call: &str) -> &'static str {
    if WAITS.contains(&call) {
        "waits"
    } else if MAY_WAIT.contains(&call) {
        "may_wait"
    } else {
        "works"
    }
}

#[derive(Debug, Default)]
struct Call {
    time: Tally,
    /// `None` where perf is too old to count them.
    errors: Option<u64>,
    min_s: Option<f64>,
}

impl Call {
    fn add(&mut self, other: &Self) {
        self.time.add(other.time);
        self.errors = self.errors.into_iter().chain(other.errors).reduce(u64::saturating_add);
        self.min_s = self.min_s.into_iter().chain(other.min_s).reduce(f64::min);
    }
}

#[derive(Debug, Default)]
struct Reader {
    task: Option<String>,
    has_errors: bool,
    in_table: bool,
    calls: BTreeMap<String, Call>,
    pairs: BTreeMap<(String, String), Call>,
    events: u64,
    headed: bool,
}

impl Reader {
    /// The words of a fault, if the line is one.
    fn line(&mut self, line: &str, sink: &mut Sink) -> Option<String> {
        let text = line.trim();
        if text.is_empty() || text.starts_with("---") {
            self.in_table |= !text.is_empty();
            return None;
        }
        if text.starts_with("Summary of events") {
            self.headed = true;
            return None;
        }
        if text.starts_with("syscall ") && text.contains(" calls") {
            (self.headed, self.has_errors) = (true, text.contains("errors"));
            return None;
        }
        if text.starts_with('(') || text.starts_with("msec") {
            return None;
        }
        if text.starts_with("LOST ") || text.contains("lost events") || text.contains("LOST") {
            sink.fault(|| format!("perf lost events, so calls are missing: {text:?}"));
            return None;
        }
        if let Some((task, events)) = thread(text) {
            (self.task, self.in_table) = (Some(task), false);
            self.events = self.events.saturating_add(events);
            return None;
        }
        // What -S --errno-summary adds below a call: the error's name and how often it came.
        if is_errno(text) {
            return None;
        }
        let row = if self.in_table { row(text, self.has_errors) } else { None };
        match row {
            Some((name, call)) => {
                self.calls.entry(name.clone()).or_default().add(&call);
                let task = self.task.clone().unwrap_or_default();
                self.pairs.entry((task, name)).or_default().add(&call);
                None
            }
            None => Some("expected a thread, or a call with its counts and times".to_owned()),
        }
    }

    fn finish(self, sink: &mut Sink) {
        if !self.headed {
            return sink.fault(|| "expected the summary of perf trace -s, found none".to_owned());
        }
        sink.gauge("syscall_events", vec![], self.events as f64);
        classes(&self.calls, sink);
        let (kept, rest) = worst(self.calls, MAX_CALLS, |call| call.time.sum_s);
        for (name, call) in &kept {
            give(
                CALL,
                call,
                vec![("class".into(), class(name).into()), ("syscall".into(), name.clone())],
                sink,
            );
        }
        others(CALL, rest.iter().map(|(_, call)| call), &["class", "syscall"], sink);
        let (kept, rest) = worst(self.pairs, MAX_PAIRS, |call| call.time.max_s);
        for ((task, name), call) in &kept {
            let labels = vec![
                ("class".into(), class(name).into()),
                ("syscall".into(), name.clone()),
                ("task".into(), task.clone()),
            ];
            give(TASK, call, labels, sink);
        }
        others(TASK, rest.iter().map(|(_, call)| call), &["class", "syscall", "task"], sink);
    }
}

/// Metrics of a call: how many, errors, all time, mean, shortest, longest.
type Names = [&'static str; 6];
const CALL: Names = [
    "syscall_calls",
    "syscall_errors",
    "syscall_time_seconds",
    "syscall_avg_seconds",
    "syscall_min_seconds",
    "syscall_max_seconds",
];
const TASK: Names = [
    "syscall_task_calls",
    "syscall_task_errors",
    "syscall_task_seconds",
    "syscall_task_avg_seconds",
    "syscall_task_min_seconds",
    "syscall_task_max_seconds",
];

fn give(names: Names, call: &Call, labels: LabelPairs, sink: &mut Sink) {
    let [calls, errors, sum, avg, min, max] = names;
    sink.gauge(calls, labels.clone(), call.time.count as f64);
    if let Some(count) = call.errors {
        sink.gauge(errors, labels.clone(), count as f64);
    }
    sink.gauge(sum, labels.clone(), call.time.sum_s);
    if let Some(avg_s) = call.time.avg_s() {
        sink.gauge(avg, labels.clone(), avg_s);
    }
    if let Some(min_s) = call.min_s {
        sink.gauge(min, labels.clone(), min_s);
    }
    sink.gauge(max, labels, call.time.max_s);
}

/// What is not shown by itself, as one.
fn others<'a>(names: Names, calls: impl Iterator<Item = &'a Call>, labels: &[&'static str], sink: &mut Sink) {
    let sum = calls.fold(None::<Call>, |sum, call| {
        let mut sum = sum.unwrap_or_default();
        sum.add(call);
        Some(sum)
    });
    if let Some(sum) = sum {
        give(names, &sum, labels.iter().map(|label| ((*label).into(), OTHERS.to_owned())).collect(), sink);
    }
}

/// How the time in system calls divides into work and waiting.
fn classes(calls: &BTreeMap<String, Call>, sink: &mut Sink) {
    for class_name in ["may_wait", "waits", "works"] {
        let mut sum = Call::default();
        calls.iter().filter(|(name, _)| class(name) == class_name).for_each(|(_, call)| sum.add(call));
        if sum.time.count > 0 {
            let labels = || vec![("class".into(), class_name.to_owned())];
            sink.gauge("syscall_class_seconds", labels(), sum.time.sum_s);
            sink.gauge("syscall_class_max_seconds", labels(), sum.time.max_s);
        }
    }
}

/// `comm (tid), 336 events, 0.7%`, and newer ones' `total, 336 events`.
fn thread(text: &str) -> Option<(String, u64)> {
    let (head, rest) = text.rsplit_once(" events")?;
    let share = rest.strip_prefix(',').map_or(Some(""), |rest| rest.trim().strip_suffix('%'));
    number(share.filter(|share| !share.is_empty()).unwrap_or("0"))?;
    let (who, events) = head.rsplit_once(", ")?;
    let comm = match who.rsplit_once(" (") {
        Some((comm, tid)) if tid.strip_suffix(')').and_then(count).is_some() => comm,
        _ => who,
    };
    Some((comm.to_owned(), count(events)?))
}

fn is_errno(text: &str) -> bool {
    let name = text.split_once(": ").map(|(name, times)| (name, count(times)));
    name.is_some_and(|(name, times)| times.is_some() && name.starts_with('E') && !name.contains(' '))
}

/// `poll  4  0  77.799  0.000  19.450  70.338  87.68%`
fn row(text: &str, has_errors: bool) -> Option<(String, Call)> {
    let mut words = text.split_whitespace();
    let name = words.next()?.to_owned();
    let calls = count(words.next()?)?;
    let errors = if has_errors { Some(count(words.next()?)?) } else { None };
    let (sum_s, min_s, _avg, max_s) =
        (ms(words.next()?)?, ms(words.next()?)?, ms(words.next()?)?, ms(words.next()?)?);
    number(words.next()?.strip_suffix('%')?)?;
    let time = Tally { count: calls, sum_s, max_s };
    words.next().is_none().then_some((name, Call { time, errors, min_s: Some(min_s) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{faults, series};

    fn read(text: &str) -> crate::model::Parsed {
        let mut sink = Sink::default();
        parse(text.as_bytes(), &mut sink);
        sink.finish()
    }

    const TABLE: &str = "\
 Summary of events:

 my, app (odd) (12), 30 events, 99.0%

   syscall            calls  errors  total       min       avg       max       stddev
                                     (msec)    (msec)    (msec)    (msec)        (%)
   --------------- --------  ------ -------- --------- --------- ---------     ------
   poll                   4      1    80.000     1.000    20.000    70.000     87.68%
                                EAGAIN: 1
   openat                 2      0     0.500     0.100     0.250     0.400      1.00%

 my, app (odd) (13), 10 events, 1.0%

   syscall            calls  errors  total       min       avg       max       stddev
   --------------- --------  ------ -------- --------- --------- ---------     ------
   openat                 2      2     1.500     0.050     0.750     1.400      1.00%
";

    #[test]
    fn threads_of_one_name_are_one_and_waits_are_apart() {
        let parsed = read(TABLE);
        assert_eq!(parsed.faults, []);
        let series = series(&parsed);
        for expected in [
            "syscall_events 40",
            "syscall_class_max_seconds{class=waits} 0.07",
            "syscall_class_seconds{class=works} 0.002",
            "syscall_errors{class=works,syscall=openat} 2",
            "syscall_min_seconds{class=works,syscall=openat} 0.00005",
            "syscall_task_calls{class=works,syscall=openat,task=my, app (odd)} 4",
            "syscall_task_avg_seconds{class=works,syscall=openat,task=my, app (odd)} 0.0005",
        ] {
            assert!(series.iter().any(|line| line == expected), "{expected} is not in {series:#?}");
        }
    }

    #[test]
    fn a_perf_without_errors_has_none_and_a_cut_row_is_a_fault() {
        let old = TABLE.replace(" errors", "").replace("4      1 ", "4 ").replace("2      0 ", "2 ");
        let parsed = read(&old);
        assert!(!series(&parsed).iter().any(|line| line.contains("errors{") && line.contains("poll")));
        assert_eq!(parsed.faults.len(), 1, "the last row still has its errors: {:?}", parsed.faults);
        let parsed = read(&TABLE[..TABLE.len() - 7]);
        assert_eq!(faults(&parsed).len(), 1);
        assert!(faults(&parsed)[0].contains("expected a thread, or a call"), "{:?}", parsed.faults);
        assert!(faults(&read("nonsense\n")).iter().any(|fault| fault.contains("summary of perf trace")));
    }

    #[test]
    fn what_is_too_much_is_summed_up() {
        let head = TABLE.split("   poll").next().unwrap();
        let rows: String = (0..MAX_CALLS + 2)
            .map(|n| format!("   call{n:03} 1 0 {0}.000 {0}.000 {0}.000 {0}.000 0.00%\n", n + 1))
            .collect();
        let parsed = read(&format!("{head}{rows}"));
        let sum = "syscall_time_seconds{class=(others),syscall=(others)} 0.003";
        assert!(series(&parsed).iter().any(|line| line == sum));
    }
}
