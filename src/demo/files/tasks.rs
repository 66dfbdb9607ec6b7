//! What each task used and waited for.

use crate::demo::host::{Moment, Process, Thread};

use super::cpu::TICKS_PER_S;
use super::{TreeFile, whole};

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    for process in &moment.host.processes {
        let pid = process.pid;
        let all_s = process.threads.iter().map(|thread| cpu_s(moment, thread)).sum();
        files.push(TreeFile::new(format!("proc/{pid}/stat"), stat(process, pid, all_s)));
        // A process's own schedstat is that of its first thread.
        if let Some(first) = process.threads.first() {
            files.push(TreeFile::new(format!("proc/{pid}/schedstat"), schedstat(moment, first)));
        }
        for thread in &process.threads {
            let folder = format!("proc/{pid}/task/{}", thread.tid);
            let own = stat(process, thread.tid, cpu_s(moment, thread));
            files.push(TreeFile::new(format!("{folder}/stat"), own));
            files.push(TreeFile::new(format!("{folder}/schedstat"), schedstat(moment, thread)));
        }
    }
}

/// Nanoseconds on a CPU, nanoseconds waiting for one, and how often it was given one.
fn schedstat(moment: &Moment<'_>, thread: &Thread) -> String {
    let [run, wait] = [cpu_s(moment, thread), moment.wait_s(thread)].map(|seconds| whole(seconds * 1e9));
    format!("{run} {wait} {}\n", whole(moment.slices(thread)))
}

fn cpu_s(moment: &Moment<'_>, thread: &Thread) -> f64 {
    moment.task_cpu_s() * thread.share
}

/// The stat of a process or of one of its threads: 52 fields, of which those about memory and signals
/// are 0. Nothing here ever blocks.
fn stat(process: &Process, id: u32, cpu_s: f64) -> String {
    let pid = process.pid;
    let parent = u32::from(pid != 1);
    let faults = whole(cpu_s * 900.0);
    let (user, system) = (whole(cpu_s * 0.7 * TICKS_PER_S), whole(cpu_s * 0.3 * TICKS_PER_S));
    let threads = process.threads.len();
    // Fields 4 to 22, then the rest up to 52; exit_signal (38) is SIGCHLD.
    format!(
        "{id} ({}) S {parent} {pid} {pid} 0 -1 4194560 {faults} 0 0 0 {user} {system} 0 0 20 0 {threads} 0 {} \
         0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        process.comm, process.start_ticks
    )
}
