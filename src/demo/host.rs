//! One synthetic host: what it is, and where its counters stand at a moment. It has no clock of its own;
//! the moment is a parameter.

use crate::model::{BadName, CollectorTime, HostName, Labels};

use super::drive::{Drive, Seeded};
use super::platform::{PLATFORMS, Platform, SICK};

/// A host falls ill three hours before a quarter of a day begins: 3 to 9 hours ago, and the same moment
/// for every fleet of that quarter, so that a demo that is started again goes on where it was.
const ILL_BEFORE_S: f64 = 3.0 * 3_600.0;
const QUARTER_DAY_S: f64 = 6.0 * 3_600.0;
/// Hosts booted before the beginning of the week, for the same reason.
const WEEK_S: f64 = 7.0 * 86_400.0;

/// What a fleet is made from.
#[derive(Debug, Clone, Copy)]
pub struct FleetShape {
    pub hosts: usize,
    pub seed: u64,
    /// The present: the illness began a few hours before it.
    pub now: CollectorTime,
}

/// The fleet of `shape`, one of it sick: host number `seed`-drawn of them, on the second platform.
pub fn fleet(shape: FleetShape) -> Result<Vec<HostModel>, BadName> {
    let sick = Seeded::new(shape.seed, u64::MAX).below(shape.hosts);
    (0..shape.hosts).map(|index| HostModel::new(shape, index, index == sick)).collect()
}

/// A process, of one thread or more.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub pid: u32,
    pub comm: &'static str,
    pub threads: Vec<Thread>,
    pub start_ticks: u64,
}

/// A thread's share of what the host's tasks do.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub tid: u32,
    /// Of the host's CPU time in tasks; the shares of a host add up to 1.
    pub share: f64,
    /// CPU time it takes in one go.
    pub slice_s: f64,
}

/// A synthetic host: everything about it that does not depend on the moment.
#[derive(Debug, Clone)]
pub struct HostModel {
    pub name: HostName,
    pub labels: Labels,
    pub sick: bool,
    pub cpus: usize,
    pub boot_id: String,
    pub(super) platform: &'static Platform,
    pub(super) memory_kib: u64,
    pub(super) boot_s: f64,
    onset_s: f64,
    /// Fraction of a CPU that is busy on the average.
    pub(super) busy: f64,
    /// How the load falls on the CPUs; 1 on the average.
    pub(super) cpu_weight: Vec<f64>,
    pub(super) packets_per_s: f64,
    pub(super) ios_per_s: f64,
    pub(super) io_s: f64,
    pub(super) processes: Vec<Process>,
    work: Drive,
    traffic: Drive,
    io: Drive,
    illness: Drive,
}

impl HostModel {
    fn new(shape: FleetShape, index: usize, sick: bool) -> Result<Self, BadName> {
        let mut seeded = Seeded::new(shape.seed, index as u64);
        let platform_index = if sick { SICK } else { index % PLATFORMS.len() };
        let cpus = [2, 4, 4, 8][seeded.below(4)];
        let width = shape.hosts.to_string().len().max(2);
        let now_s = shape.now.unix_ns() as f64 / 1e9;
        let since = |period_s: f64| (now_s / period_s).floor() * period_s;
        // Whole seconds, as /proc/stat's btime has them.
        let boot_s = (since(WEEK_S) - seeded.between(1.0, 40.0) * 86_400.0).floor();
        Ok(Self {
            name: HostName::new(&format!("web{:0width$}", index + 1))?,
            labels: Labels::from([
                ("dc".to_owned(), "demo".to_owned()),
                ("role".to_owned(), "web".to_owned()),
                ("rack".to_owned(), format!("r{}", index % 4 + 1)),
            ]),
            sick,
            cpus,
            boot_id: boot_id(&mut Seeded::new(shape.seed ^ boot_s.to_bits(), index as u64)),
            platform: &PLATFORMS[platform_index],
            memory_kib: cpus as u64 * 4 * 1024 * 1024 - 131_072,
            boot_s,
            onset_s: if sick { since(QUARTER_DAY_S) - ILL_BEFORE_S } else { f64::INFINITY },
            busy: seeded.between(0.14, 0.22),
            cpu_weight: weights(&mut seeded, cpus),
            packets_per_s: cpus as f64 * seeded.between(700.0, 1_100.0),
            ios_per_s: seeded.between(90.0, 150.0),
            io_s: seeded.between(0.000_6, 0.000_9),
            processes: processes(&mut seeded, cpus),
            work: Drive::diurnal(&mut seeded),
            traffic: Drive::diurnal(&mut seeded),
            io: Drive::diurnal(&mut seeded),
            illness: Drive::steady(&mut seeded),
        })
    }

    pub(super) fn at(&self, time: CollectorTime) -> Moment<'_> {
        self.moment(time.unix_ns() as f64 / 1e9)
    }

    fn moment(&self, unix_s: f64) -> Moment<'_> {
        let unix_s = unix_s.max(self.boot_s);
        Moment {
            host: self,
            unix_s,
            uptime_s: unix_s - self.boot_s,
            work_s: self.work.over(self.boot_s, unix_s),
            traffic_s: self.traffic.over(self.boot_s, unix_s),
            io_s: self.io.over(self.boot_s, unix_s),
            ill_s: self.illness.over(self.onset_s.max(self.boot_s), unix_s),
        }
    }
}

/// A host at a moment. Every counter is a sum of multiples of these integrals, so that what belongs
/// together moves together; they are in seconds since boot at the mean rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub host: &'a HostModel,
    pub unix_s: f64,
    pub uptime_s: f64,
    pub work_s: f64,
    pub traffic_s: f64,
    pub io_s: f64,
    /// Seconds of illness; 0 on a healthy host.
    pub ill_s: f64,
}

impl Moment<'_> {
    /// The same host `seconds` earlier, at most back to its boot.
    pub(super) fn earlier(&self, seconds: f64) -> Self {
        let host = self.host;
        Self { host, ..host.moment(self.unix_s - seconds) }
    }

    /// How busy the host is now, 1 being its average.
    pub(super) fn work_level(&self) -> f64 {
        self.host.work.at(self.unix_s)
    }

    pub(super) fn is_ill(&self) -> bool {
        self.ill_s > 0.0
    }

    /// CPU time of every task of the host since boot.
    pub(super) fn task_cpu_s(&self) -> f64 {
        let cpus = self.host.cpus as f64;
        cpus * (self.host.busy * 0.94 * self.work_s + 0.08 * self.ill_s)
    }

    /// How often a thread was put on a CPU since boot.
    pub(super) fn slices(&self, thread: &Thread) -> f64 {
        self.task_cpu_s() * thread.share / thread.slice_s
    }

    /// What a thread waited for a CPU since boot. A wait grows with the load; while a neighbour holds the
    /// real CPUs, it is milliseconds instead of a fraction of one.
    pub(super) fn wait_s(&self, thread: &Thread) -> f64 {
        let slices_per_work_s = self.host.cpus as f64 * self.host.busy * 0.94 * thread.share / thread.slice_s;
        let slices_per_ill_s = self.host.cpus as f64 * 0.08 * thread.share / thread.slice_s;
        slices_per_work_s * (0.000_11 * self.work_s + 0.003_2 * self.ill_s)
            + slices_per_ill_s * 0.003_2 * self.ill_s
    }
}

fn boot_id(seeded: &mut Seeded) -> String {
    let (a, b) = (seeded.bits(), seeded.bits());
    // The version and variant bits of a random UUID, as the kernel sets them.
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}

fn weights(seeded: &mut Seeded, cpus: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..cpus).map(|_| seeded.between(0.92, 1.08)).collect();
    let mean = raw.iter().sum::<f64>() / cpus as f64;
    raw.into_iter().map(|weight| weight / mean).collect()
}

fn processes(seeded: &mut Seeded, cpus: usize) -> Vec<Process> {
    // Name, threads, share of the CPU time, length of a slice.
    const KINDS: [(&str, usize, f64, f64); 9] = [
        ("systemd", 1, 0.01, 0.000_6),
        ("rcu_preempt", 1, 0.01, 0.000_05),
        ("systemd-journal", 1, 0.03, 0.000_5),
        ("sshd", 1, 0.005, 0.000_5),
        ("nginx", 1, 0.15, 0.001_2),
        ("nginx", 1, 0.15, 0.001_2),
        ("app", 4, 0.5, 0.002_4),
        ("redis-server", 1, 0.1, 0.001_5),
        ("node_exporter", 2, 0.02, 0.001),
    ];
    let total: f64 = KINDS.iter().map(|kind| kind.2).sum();
    let mut pid = 1;
    let mut processes = Vec::with_capacity(KINDS.len());
    for (comm, threads, share, slice_s) in KINDS {
        // The pool of workers grows with the machine.
        let threads = if comm == "app" { cpus.max(threads) } else { threads };
        processes.push(Process {
            pid,
            comm,
            threads: (0..threads)
                .map(|i| Thread {
                    tid: pid + i as u32,
                    share: share / total / threads as f64,
                    slice_s: slice_s * seeded.between(0.9, 1.1),
                })
                .collect(),
            start_ticks: 50 + u64::from(pid) * 3,
        });
        pid += 17 * threads as u32 + seeded.below(90) as u32;
    }
    processes
}
