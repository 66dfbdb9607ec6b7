//! perf sched latency, timehist and timehist's summary: how long tasks waited for a CPU.
//!
//! It refuses perf sched replay, which re-enacts a recording on another machine and says nothing
//! about the delays of the recorded one.

use std::collections::BTreeMap;

use super::lines::{count, each_line, ms, ms_cell};
use super::tally::{OTHERS, Tally, worst};
use super::timehist::Timehist;
use crate::model::LabelPairs;
use crate::parse::sink::Sink;

/// Commands that are shown by themselves.
const MAX_TASKS: usize = 64;

/// What the script writes before its own lines: `@@@ delays` opens lines of `milliseconds count` (and
/// `unseen count`),
/// `@@@ cut` says that the recording was stopped at its size limit.
const MARK: &str = "@@@ ";

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader::default();
    each_line(raw, sink, |line, sink| reader.line(line, sink));
    reader.finish(sink);
}

/// Which table the next line belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Table {
    #[default]
    None,
    Latency,
    Timehist,
    Delays,
    Summary,
    Replay,
}

/// One command, over all its tasks: perf's own name for it, without its process.
#[derive(Debug, Default)]
struct Task {
    run_s: f64,
    delay: Tally,
    /// From timehist's summary, which knows no delay.
    longest_run_s: Option<f64>,
    migrations: Option<u64>,
    switches: u64,
    has_delay: bool,
}

#[derive(Debug, Default)]
struct Reader {
    table: Table,
    tasks: BTreeMap<String, Task>,
    timehist: Timehist,
    /// In the recording, as perf counted them.
    switches: Option<u64>,
    wakeups: Option<u64>,
    replay: bool,
}

impl Reader {
    /// The words of a fault, if the line is one.
    fn line(&mut self, line: &str, sink: &mut Sink) -> Option<String> {
        let text = line.trim();
        if self.opens(text, sink) || text.is_empty() || text.starts_with("---") {
            return None;
        }
        match self.table {
            Table::Latency if text.starts_with("TOTAL:") => {
                self.switches = text.split('|').nth(2).and_then(count);
                None
            }
            Table::Latency => {
                self.latency(line).is_none().then(|| "expected a task of perf sched latency".into())
            }
            Table::Timehist => self.timehist.line(line),
            Table::Delays => self.timehist.counted(text),
            Table::Summary => {
                self.summary(text, sink).is_none().then(|| "expected a task's run times".into())
            }
            Table::Replay => None,
            Table::None => Some("expected the output of perf sched latency or timehist".into()),
        }
    }

    /// Whether the line is a heading or a remark of perf's; sets the table.
    fn opens(&mut self, text: &str, sink: &mut Sink) -> bool {
        if let Some(mark) = text.strip_prefix(MARK) {
            match mark {
                "delays" => self.table = Table::Delays,
                "cut" => sink.fault(|| {
                    "the recording reached its size limit before its time was over: it is of the first part only"
                        .to_owned()
                }),
                _ => return false,
            }
        } else if text.starts_with("Task ") && text.contains("Runtime ms") {
            self.table = Table::Latency;
        } else if text.starts_with("time ") && text.contains("sch delay") {
            self.table = Table::Timehist;
            self.timehist.opens(text.contains("state"));
        } else if text == "Runtime summary" || text == "Terminated tasks:" || text == "Idle stats:" {
            self.table = Table::Summary;
        } else if text.starts_with("run measurement overhead:") {
            (self.table, self.replay) = (Table::Replay, true);
        } else if let Some(info) = text.strip_prefix("INFO: ") {
            self.info(info, sink);
        } else {
            return text.starts_with("Samples do not have callchains")
                || text.starts_with("Samples of sched_switch event do not have callchains")
                || text.starts_with("comm ")
                || text.starts_with("[tid/pid]")
                || text.starts_with("(count) ")
                || text.starts_with("sched-in ");
        }
        true
    }

    /// `1.234% lost events (3 out of 250, in 2 chunks)`, `… context switch bugs (199 out of 11)`.
    fn info(&mut self, info: &str, sink: &mut Sink) {
        let out_of = info.split_once(" out of ").map(|(_, rest)| rest);
        let digits = out_of.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        if info.contains(" bugs ") {
            self.wakeups = digits.and_then(count);
        } else if info.contains("lost events") {
            sink.fault(|| format!("perf lost events, so delays are missing: {info:?}"));
        }
    }

    /// `comm:pid | 1.0 ms | 12 | avg: … | max: … | max start: … | max end: …`; older ones end in
    /// `max at:`. A command's name may hold anything, so columns count from `avg:`.
    fn latency(&mut self, line: &str) -> Option<()> {
        let cells: Vec<&str> = line.split('|').collect();
        let avg = cells.iter().rposition(|cell| cell.trim_start().starts_with("avg:"))?;
        let head = cells.get(..avg.checked_sub(2)?)?.join("|");
        let avg_s = ms_cell(cells[avg].trim().strip_prefix("avg:")?)?;
        let max_s = ms_cell(cells.get(avg + 1)?.trim().strip_prefix("max:")?)?;
        let (run_s, switches) = (ms_cell(cells[avg - 2])?, count(cells[avg - 1])?);
        let (comm, _) = head.trim().rsplit_once(':')?;
        let task = self.tasks.entry(comm.to_owned()).or_default();
        task.run_s += run_s;
        task.switches = task.switches.saturating_add(switches);
        task.delay.add(Tally::of(switches, avg_s, max_s));
        task.has_delay = true;
        Some(())
    }

    /// `comm[tid/pid]  parent  sched-in  run-time  min  avg  max  stddev  migrations`, then idle
    /// times and totals.
    fn summary(&mut self, text: &str, sink: &mut Sink) -> Option<()> {
        if let Some((_, number)) = text.split_once("Total number of context switches:") {
            self.switches = Some(count(number)?);
            return Some(());
        }
        if text.starts_with("Total ") {
            return Some(());
        }
        if let Some(rest) = text.strip_prefix("CPU ").filter(|rest| rest.contains(" idle ")) {
            let cpu = rest.split_whitespace().next()?.to_owned();
            if let Some((_, share)) = rest.split_once('(') {
                let share = super::lines::number(share.trim_end().strip_suffix("%)")?)? / 100.0;
                sink.gauge("scheduler_idle_ratio", vec![("cpu".into(), cpu)], share.min(1.0));
            }
            return Some(());
        }
        let mut fields: Vec<&str> = text.split_whitespace().rev().take(8).collect();
        fields.reverse();
        let [_parent, switches, run, _min, _avg, max, _stddev, migrations] = fields.as_slice() else {
            return None;
        };
        let (switches, run_s, max_s) = (count(switches)?, ms(run)?, ms(max)?);
        let comm = text[..text.rfind('[')?].trim();
        let task = self.tasks.entry(comm.to_owned()).or_default();
        task.switches = task.switches.saturating_add(switches);
        task.run_s += run_s;
        task.longest_run_s = Some(task.longest_run_s.unwrap_or(0.0).max(max_s));
        task.migrations = Some(task.migrations.unwrap_or(0).saturating_add(count(migrations)?));
        Some(())
    }

    fn finish(self, sink: &mut Sink) {
        if self.replay {
            sink.fault(|| {
                "this is perf sched replay, which re-enacts a recording and times this machine, not the recorded \
                 one: read it with perf sched latency or perf sched timehist"
                    .to_owned()
            });
        }
        self.say_missing_wakeups(sink);
        self.timehist.finish(sink);
        let switches = self.switches.or_else(|| {
            let sum = self.tasks.values().fold(0u64, |sum, task| sum.saturating_add(task.switches));
            (!self.tasks.is_empty()).then_some(sum)
        });
        if let Some(switches) = switches {
            sink.gauge("scheduler_switches", vec![], switches as f64);
        }
        tasks(self.tasks, sink);
    }

    /// perf before 6.12 records other wakeup events than its reports read, unless they are named.
    fn say_missing_wakeups(&self, sink: &mut Sink) {
        if let (Some(wakeups), Some(switches)) = (self.wakeups, self.switches)
            && wakeups < switches / 100
        {
            sink.fault(|| {
                format!(
                    "{wakeups} wakeups for {switches} switches: this recording lacks sched:sched_wakeup, so most \
                     delays are missing"
                )
            });
        }
    }
}

fn tasks(all: BTreeMap<String, Task>, sink: &mut Sink) {
    let mut overall = Tally::default();
    for task in all.values().filter(|task| task.has_delay) {
        overall.add(task.delay);
    }
    if let Some(avg_s) = overall.avg_s() {
        sink.gauge("scheduler_runqueue_delay_max_seconds", vec![], overall.max_s);
        sink.gauge("scheduler_runqueue_delay_avg_seconds", vec![], avg_s);
    }
    let rank = |task: &Task| task.delay.max_s.max(task.longest_run_s.unwrap_or(0.0));
    let (kept, rest) = worst(all, MAX_TASKS, rank);
    for (comm, task) in kept {
        task.give(&comm, sink);
    }
    if !rest.is_empty() {
        let mut sum = Task::default();
        rest.iter().for_each(|(_, task)| sum.add(task));
        sum.give(OTHERS, sink);
    }
}

impl Task {
    fn add(&mut self, other: &Self) {
        self.run_s += other.run_s;
        self.delay.add(other.delay);
        self.switches = self.switches.saturating_add(other.switches);
        self.has_delay |= other.has_delay;
        self.longest_run_s = self.longest_run_s.into_iter().chain(other.longest_run_s).reduce(f64::max);
        self.migrations = self.migrations.into_iter().chain(other.migrations).reduce(u64::saturating_add);
    }

    fn give(&self, comm: &str, sink: &mut Sink) {
        let labels = || -> LabelPairs { vec![("task".into(), comm.to_owned())] };
        sink.gauge("scheduler_task_switches", labels(), self.switches as f64);
        sink.gauge("scheduler_task_run_seconds", labels(), self.run_s);
        if let Some(avg_s) = self.delay.avg_s().filter(|_| self.has_delay) {
            sink.gauge("scheduler_task_delay_max_seconds", labels(), self.delay.max_s);
            sink.gauge("scheduler_task_delay_avg_seconds", labels(), avg_s);
        }
        if let Some(longest_s) = self.longest_run_s {
            sink.gauge("scheduler_task_longest_run_seconds", labels(), longest_s);
        }
        if let Some(migrations) = self.migrations {
            sink.gauge("scheduler_task_migrations", labels(), migrations as f64);
        }
    }
}
