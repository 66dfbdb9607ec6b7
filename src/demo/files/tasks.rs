//! What each task used and waited for.

use crate::demo::host::{Moment, Process};

use super::cpu::TICKS_PER_S;
use super::{TreeFile, whole};

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    for process in &moment.host.processes {
        let pid = process.pid;
        files.push(TreeFile::new(format!("proc/{pid}/stat"), stat(moment, process, pid)));
        for thread in &process.threads {
            let run_ns = whole(moment.task_cpu_s() * thread.share * 1e9);
            let wait_ns = whole(moment.wait_s(thread) * 1e9);
            let slices = whole(moment.slices(thread));
            files.push(TreeFile::new(
                format!("proc/{pid}/task/{}/schedstat", thread.tid),
                format!("{run_ns} {wait_ns} {slices}\n"),
            ));
        }
    }
}

/// /proc/PID/stat: 52 fields, of which those about memory and signals are 0.
fn stat(moment: &Moment<'_>, process: &Process, pid: u32) -> String {
    let cpu_s: f64 = process.threads.iter().map(|thread| moment.task_cpu_s() * thread.share).sum();
    let parent = u32::from(pid != 1);
    let faults = whole(cpu_s * 900.0);
    let (user, system) = (whole(cpu_s * 0.7 * TICKS_PER_S), whole(cpu_s * 0.3 * TICKS_PER_S));
    let threads = process.threads.len();
    // Fields 4 to 22, then the rest up to 52; exit_signal (38) is SIGCHLD.
    format!(
        "{pid} ({}) S {parent} {pid} {pid} 0 -1 4194560 {faults} 0 0 0 {user} {system} 0 0 20 0 {threads} 0 {} \
         0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        process.comm, process.start_ticks
    )
}
