//! The text of the script, cut into snapshots, files and scans without copying it.
//!
//! Each line of a file comes as `path:text`, the way `grep -H` prints it; lines that start with
//! `@@@ ` stand between the parts.

use crate::parse::sink::Sink;
use crate::parse::text::{decimal, excerpt, fields, integer};

macro_rules! files {
    ($($variant:ident => $path:literal,)*) => {
        /// The files of a snapshot, relative to the root of proc.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum File { $($variant,)* }

        const FILES: &[(File, &str)] = &[$((File::$variant, $path),)*];
    };
}

files! {
    Uptime => "uptime",
    Stat => "stat",
    Schedstat => "schedstat",
    Loadavg => "loadavg",
    Vmstat => "vmstat",
    Meminfo => "meminfo",
    Buddyinfo => "buddyinfo",
    Interrupts => "interrupts",
    Softirqs => "softirqs",
    Softnet => "net/softnet_stat",
    Diskstats => "diskstats",
    Snmp => "net/snmp",
    Netstat => "net/netstat",
    Netdev => "net/dev",
    PressureCpu => "pressure/cpu",
    PressureIo => "pressure/io",
    PressureMemory => "pressure/memory",
    PressureIrq => "pressure/irq",
    Conntrack => "net/stat/nf_conntrack",
    ConntrackCount => "sys/net/netfilter/nf_conntrack_count",
    ConntrackMax => "sys/net/netfilter/nf_conntrack_max",
    NetdevBudget => "sys/net/core/netdev_budget",
    NetdevBudgetUsecs => "sys/net/core/netdev_budget_usecs",
    NetdevMaxBacklog => "sys/net/core/netdev_max_backlog",
    Somaxconn => "sys/net/core/somaxconn",
    TcpMaxSynBacklog => "sys/net/ipv4/tcp_max_syn_backlog",
    BootId => "sys/kernel/random/boot_id",
}

/// A line of the output, with its number from 1.
pub(super) type Numbered<'a> = (usize, &'a [u8]);

/// A line of one file, without the path in front of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    number: usize,
    file: File,
    pub(super) text: &'a [u8],
}

impl Line<'_> {
    /// A fault that names the line, the file and what was expected there.
    pub(super) fn fault(self, sink: &mut Sink, expected: &str) {
        let path = FILES[self.file as usize].1;
        sink.fault(|| {
            format!("line {} ({path}): expected {expected}, found {}", self.number, excerpt(self.text))
        });
    }
}

/// One thread's schedstat: time on a CPU, time waiting for one, and how often it was given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskRun {
    pub(super) pid: u64,
    pub(super) tid: u64,
    pub(super) running_ns: u64,
    pub(super) waiting_ns: u64,
    pub(super) slices: u64,
}

#[derive(Debug, Default)]
pub(super) struct Snapshot<'a> {
    /// The lines of each file, still with their path.
    regions: [&'a [Numbered<'a>]; FILES.len()],
    /// In the order of the host's listing, the same in both snapshots.
    pub(super) tasks: Vec<TaskRun>,
    /// (cgroup, line of its cpu.stat).
    pub(super) cgroups: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Snapshot<'a> {
    /// The lines of one file; none where the host does not have it.
    pub(super) fn lines(&self, file: File) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let prefix = FILES[file as usize].1.len() + 1;
        self.regions[file as usize].iter().map(move |(number, line)| Line {
            number: *number,
            file,
            text: line.get(prefix..).unwrap_or_default(),
        })
    }

    /// A file that holds one whole number.
    pub(super) fn scalar(&self, file: File, sink: &mut Sink) -> Option<u64> {
        let line = self.lines(file).next()?;
        let value = integer(line.text.trim_ascii());
        if value.is_none() {
            line.fault(sink, "a whole number");
        }
        value
    }

    pub(super) fn uptime_s(&self, sink: &mut Sink) -> Option<f64> {
        let Some(line) = self.lines(File::Uptime).next() else {
            sink.fault(|| {
                "expected the line of uptime in each snapshot, found none: nothing can be dated".into()
            });
            return None;
        };
        let seconds = fields(line.text).next().and_then(decimal).filter(|seconds| *seconds >= 0.0);
        if seconds.is_none() {
            line.fault(sink, "seconds since boot");
        }
        seconds
    }

    pub(super) fn boot_id(&self) -> Option<&'a [u8]> {
        self.lines(File::BootId).next().map(|line| line.text)
    }

    /// Takes `rest`, which starts with a line of some file, and returns how many of its lines that
    /// file has.
    fn take(&mut self, rest: &'a [Numbered<'a>], sink: &mut Sink) -> usize {
        let Some((number, line)) = rest.first() else { return 0 };
        let known = FILES.iter().find(|(_, path)| is_of(line, path));
        if let Some((file, path)) = known {
            let count = rest.iter().take_while(|(_, line)| is_of(line, path)).count();
            if self.regions[*file as usize].is_empty() {
                self.regions[*file as usize] = &rest[..count];
            } else {
                sink.fault(|| {
                    format!("line {number}: {path} comes twice in one snapshot: the first is kept")
                });
            }
            return count;
        }
        if !self.take_loose(line) {
            sink.fault(|| format!("line {number}: expected a line of a known file, found {}", excerpt(line)));
        }
        1
    }

    fn take_loose(&mut self, line: &'a [u8]) -> bool {
        let Some((path, text)) = split_path(line) else { return false };
        if let Some(group) = path.strip_suffix(b"/cpu.stat") {
            self.cgroups.push((group, text));
            return true;
        }
        let Some((pid, tid)) = path.strip_suffix(b"/schedstat").and_then(thread_of) else { return false };
        let mut values = fields(text).map(integer);
        let mut next = || values.next().flatten();
        let (Some(running_ns), Some(waiting_ns), Some(slices)) = (next(), next(), next()) else {
            return false;
        };
        self.tasks.push(TaskRun { pid, tid, running_ns, waiting_ns, slices });
        true
    }
}

fn is_of(line: &[u8], path: &str) -> bool {
    line.get(path.len()) == Some(&b':') && line.starts_with(path.as_bytes())
}

/// `path:text`. The path of a cgroup may have a colon of its own, so its end is looked for first.
fn split_path(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const CGROUP: &[u8] = b"/cpu.stat:";
    let cgroup = (line.first() == Some(&b'/'))
        .then(|| line.windows(CGROUP.len()).position(|window| window == CGROUP))
        .flatten()
        .map(|at| at + CGROUP.len() - 1);
    let colon = cgroup.or_else(|| line.iter().position(|byte| *byte == b':'))?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// `PID/task/TID`, or `PID` for its first thread.
pub(super) fn thread_of(path: &[u8]) -> Option<(u64, u64)> {
    let mut parts = path.split(|byte| *byte == b'/');
    let pid = integer(parts.next()?)?;
    match (parts.next(), parts.next(), parts.next()) {
        (None, _, _) => Some((pid, pid)),
        (Some(b"task"), Some(tid), None) => Some((pid, integer(tid)?)),
        _ => None,
    }
}

/// One look at the tasks in uninterruptible sleep.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// `threads`, `processes`, or `none` where there were too many to look.
    pub(super) scope: &'a [u8],
    /// (`PID/task/TID/stat`, wchan or schedstat, its line).
    pub(super) lines: Vec<(&'a [u8], &'a [u8])>,
}

#[derive(Debug, Default)]
pub(super) struct Recording<'a> {
    pub(super) snapshots: Vec<Snapshot<'a>>,
    pub(super) scans: Vec<Scan<'a>>,
}

impl<'a> Recording<'a> {
    pub(super) fn read(mut rest: &'a [Numbered<'a>], sink: &mut Sink) -> Self {
        let mut recording = Self::default();
        let mut in_scan = false;
        while let Some((number, line)) = rest.first() {
            let taken = if let Some(mark) = line.strip_prefix(b"@@@ ") {
                in_scan = recording.open(mark, *number, sink).unwrap_or(in_scan);
                1
            } else if in_scan {
                if let (Some(scan), Some(parts)) = (recording.scans.last_mut(), split_path(line)) {
                    scan.lines.push(parts);
                }
                1
            } else if let Some(snapshot) = recording.snapshots.last_mut() {
                snapshot.take(rest, sink)
            } else {
                sink.fault(|| {
                    format!("line {number}: expected \"@@@ snapshot\" first, found {}", excerpt(line))
                });
                1
            };
            rest = &rest[taken.max(1)..];
        }
        recording
    }

    /// A line that opens a part; says whether that is a scan.
    fn open(&mut self, mark: &'a [u8], number: usize, sink: &mut Sink) -> Option<bool> {
        let mut words = fields(mark);
        match words.next() {
            Some(b"snapshot") => {
                self.snapshots.push(Snapshot::default());
                Some(false)
            }
            Some(b"blocked") => {
                self.scans.push(Scan { scope: words.next().unwrap_or_default(), lines: Vec::new() });
                Some(true)
            }
            _ => {
                sink.fault(|| {
                    format!(
                        "line {number}: expected \"@@@ snapshot\" or \"@@@ blocked\", found {}",
                        excerpt(mark)
                    )
                });
                None
            }
        }
    }
}
