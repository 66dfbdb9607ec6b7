//! What each task used and waited for.

use crate::demo::host::{Moment, Process, Thread};

use super::cpu::TICKS_PER_S;
use super::{TreeFile, whole};

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    for process in &moment.host.processes {
        let pid = process.pid;
        let all_s = process.threads.iter().map(|thread| cpu_s(moment, thread)).sum();
        files.push(TreeFile::new(format!("proc/{pid}/stat"), stat(process, pid, all_s)));
        for thread in &process.threads {
            let tid = thread.tid;
            let own_s = cpu_s(moment, thread);
            files.push(TreeFile::new(format!("proc/{pid}/task/{tid}/stat"), stat(process, tid, own_s)));
            let run_ns = whole(own_s * 1e9);
            let wait_ns = whole(moment.wait_s(thread) * 1e9);
            let slices = whole(moment.slices(thread));
            files.push(TreeFile::new(
                format!("proc/{pid}/task/{tid}/schedstat"),
                format!("{run_ns} {wait_ns} {slices}\n"),
            ));
        }
    }
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
