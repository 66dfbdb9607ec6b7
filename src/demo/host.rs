//! One synthetic host: what it is, and where its counters stand at a moment. It has no clock of its own;
//! the moment is a parameter.

use crate::model::{BadName, CollectorTime, HostName, Labels};

use super::drive::{Drive, Seeded};
use super::platform::{PLATFORMS, Platform, SLOW_KERNEL};
use super::story::{self, Incident, Part};

/// Hosts were booted at least a week before the beginning of this one, for the demo that is started again.
const WEEK_S: f64 = 7.0 * 86_400.0;

/// How long a task waits each time before it is given a CPU, and how many times that in addition where the
/// kernel is slow.
const WAIT_S: f64 = 0.000_25;
const SLOW_TIMES: f64 = 11.0;

/// Where the noisy neighbour is.
pub(super) const NOISY_HYPERVISOR: &str = "hv-00";

/// What a fleet is made from.
#[derive(Debug, Clone, Copy)]
pub struct FleetShape {
    pub hosts: usize,
    pub seed: u64,
    /// The present when the fleet was first made: its incidents began a few hours before it.
    pub now: CollectorTime,
}

/// The fleet of `shape`. The same seed gives every host the same part.
pub fn fleet(shape: FleetShape) -> Result<Vec<HostModel>, BadName> {
    let parts = story::cast(shape).into_iter().enumerate();
    parts.map(|(index, part)| HostModel::new(shape, index, part)).collect()
}

/// From one boot to the next.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub at_s: f64,
    pub id: String,
    pub kernel: &'static str,
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
    pub incident: Option<Incident>,
    /// The one to look at first.
    pub sick: bool,
    pub cpus: usize,
    pub(super) platform: &'static Platform,
    pub(super) memory_kib: u64,
    /// Fraction of the memory that tasks hold.
    pub(super) anon: f64,
    /// The first is older than anything that is asked for.
    boots: Vec<Boot>,
    part: Part,
    /// Fraction of a CPU that is busy on the average.
    pub(super) busy: f64,
    /// How the load falls on the CPUs; 1 on the average.
    pub(super) cpu_weight: Vec<f64>,
    pub(super) packets_per_s: f64,
    pub(super) ios_per_s: f64,
    /// Fraction of a CPU that takes packets from the network.
    pub(super) softirq: f64,
    pub(super) io_s: f64,
    pub(super) processes: Vec<Process>,
    pub(super) chatter: u64,
    work: Drive,
    contention: Drive,
    traffic: Drive,
    io: Drive,
    service: Drive,
    illness: Drive,
}

impl HostModel {
    fn new(shape: FleetShape, index: usize, part: Part) -> Result<Self, BadName> {
        let mut seeded = Seeded::new(shape.seed, index as u64);
        let mut levels = Levels::new(shape, index);
        // Half and half: neither size is odd.
        let cpus = if index.is_multiple_of(2) { 4 } else { 8 };
        let width = shape.hosts.to_string().len().max(2);
        let platform = &PLATFORMS[story::platform_of(index, shape)];
        Ok(Self {
            name: HostName::new(&format!("web{:0width$}", index + 1))?,
            labels: labels(index, &part),
            incident: part.incident,
            sick: part.incident == Some(Incident::SlowKernel) && part.severity == 1.0,
            cpus,
            platform,
            memory_kib: cpus as u64 * 4 * 1024 * 1024 - 131_072,
            anon: levels.between(0.26, 0.34),
            boots: boots((shape, index), &mut seeded, &part, platform),
            part,
            busy: levels.between(0.12, 0.24) + 0.08 * part.burden,
            cpu_weight: weights(&mut seeded, cpus),
            packets_per_s: cpus as f64 * (levels.between(600.0, 1_200.0) + 500.0 * part.burden),
            ios_per_s: levels.between(55.0, 130.0) + 20.0 * part.burden,
            softirq: levels.between(0.04, 0.05),
            io_s: levels.between(0.000_6, 0.000_9),
            processes: processes(&mut seeded, cpus),
            chatter: seeded.bits(),
            work: Drive::diurnal(&mut seeded),
            contention: Drive::diurnal(&mut seeded),
            traffic: Drive::diurnal(&mut seeded),
            io: Drive::diurnal(&mut seeded),
            service: Drive::diurnal(&mut seeded),
            illness: Drive::steady(&mut seeded),
        })
    }

    /// Whether it always has more to do than its peers.
    pub fn is_odd(&self) -> bool {
        self.part.burden > 0.0
    }

    /// The boot that `time` lies in.
    pub fn boot_id(&self, time: CollectorTime) -> &str {
        &self.at(time).boot.id
    }

    pub(super) fn at(&self, time: CollectorTime) -> Moment<'_> {
        self.moment(time.unix_ns() as f64 / 1e9)
    }

    fn moment(&self, unix_s: f64) -> Moment<'_> {
        let boot = self.boots.iter().rfind(|boot| boot.at_s <= unix_s).unwrap_or(&self.boots[0]);
        self.moment_of(boot, unix_s)
    }

    fn moment_of<'a>(&'a self, boot: &'a Boot, unix_s: f64) -> Moment<'a> {
        let unix_s = unix_s.max(boot.at_s);
        let ill_from_s = self.part.onset_s.max(boot.at_s);
        // How much tasks are in each other's way, and how long a disk takes, comes mostly with the load.
        let mixed = |load: &Drive, own: &Drive, from_s| {
            0.7 * load.over(from_s, unix_s) + 0.3 * own.over(from_s, unix_s)
        };
        let contention = |from_s| mixed(&self.work, &self.contention, from_s);
        let service = |from_s| mixed(&self.io, &self.service, from_s);
        let ill = |incident: Incident, over: &dyn Fn(f64) -> f64| {
            if self.incident == Some(incident) { self.part.severity * over(ill_from_s) } else { 0.0 }
        };
        Moment {
            host: self,
            boot,
            unix_s,
            uptime_s: unix_s - boot.at_s,
            work_s: self.work.over(boot.at_s, unix_s),
            contention_s: contention(boot.at_s),
            traffic_s: self.traffic.over(boot.at_s, unix_s),
            io_s: self.io.over(boot.at_s, unix_s),
            service_s: service(boot.at_s),
            slow_s: ill(Incident::SlowKernel, &contention),
            stolen_s: ill(Incident::NoisyNeighbour, &|from_s| self.illness.over(from_s, unix_s)),
            dying_s: ill(Incident::DyingDisk, &service),
        }
    }
}

/// A host at a moment. Every counter is a sum of multiples of these integrals, so that what belongs
/// together moves together; they are in seconds since boot at the mean rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub host: &'a HostModel,
    pub boot: &'a Boot,
    pub unix_s: f64,
    pub uptime_s: f64,
    pub work_s: f64,
    /// How much tasks are in each other's way.
    pub contention_s: f64,
    pub traffic_s: f64,
    pub io_s: f64,
    /// How long the disk takes.
    pub service_s: f64,
    /// Seconds of each incident, weighted with how bad it is; 0 on a host that has no part in it.
    pub slow_s: f64,
    pub stolen_s: f64,
    pub dying_s: f64,
}

impl Moment<'_> {
    /// The same host `seconds` earlier, at most back to its boot.
    pub(super) fn earlier(&self, seconds: f64) -> Self {
        self.host.moment_of(self.boot, self.unix_s - seconds)
    }

    /// How busy the host is now, 1 being its average.
    pub(super) fn work_level(&self) -> f64 {
        self.host.work.at(self.unix_s)
    }

    /// How many tasks wait for a CPU now, on the average.
    pub(super) fn waiting(&self) -> f64 {
        let slow = if self.slow_s > 0.0 { self.host.part.severity } else { 0.0 };
        let threads = self.host.processes.iter().flat_map(|process| &process.threads);
        let slices_per_s: f64 = threads.map(|thread| self.slices_per_s(thread)).sum();
        slices_per_s * WAIT_S * (1.0 + SLOW_TIMES * slow) * self.work_level()
    }

    pub(super) fn onset_s(&self) -> f64 {
        self.host.part.onset_s
    }

    /// CPU time of every task of the host since boot.
    pub(super) fn task_cpu_s(&self) -> f64 {
        self.host.cpus as f64 * self.host.busy * 0.94 * self.work_s
    }

    /// How often a thread was put on a CPU since boot.
    pub(super) fn slices(&self, thread: &Thread) -> f64 {
        self.slices_per_s(thread) * self.work_s
    }

    /// How often it is in a second of the mean load.
    pub(super) fn slices_per_s(&self, thread: &Thread) -> f64 {
        self.host.cpus as f64 * self.host.busy * 0.94 * thread.share / thread.slice_s
    }

    /// What a thread waited for a CPU since boot. A neighbour that takes the CPU away leaves nobody waiting in this host's own
    /// queue.
    pub(super) fn wait_s(&self, thread: &Thread) -> f64 {
        self.slices_per_s(thread) * WAIT_S * (self.contention_s + SLOW_TIMES * self.slow_s)
    }
}

/// Evenly spread over the fleet and over every part of it, so that no few hosts are alike by chance and the
/// next one odd: multiples of the golden ratio leave no gaps and no heaps.
struct Levels {
    index: usize,
    seeded: Seeded,
}

impl Levels {
    fn new(shape: FleetShape, index: usize) -> Self {
        Self { index, seeded: Seeded::new(shape.seed, u64::MAX - 1) }
    }

    /// Each call is another quantity.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_895;
        low + (high - low) * (self.index as f64 * GOLDEN + self.seeded.between(0.0, 1.0)).fract()
    }
}

/// What an inventory would say.
fn labels(index: usize, part: &Part) -> Labels {
    let hypervisor = match part.incident {
        Some(Incident::NoisyNeighbour) => NOISY_HYPERVISOR.to_owned(),
        _ => format!("hv-{:02}", index / 3 + 1),
    };
    Labels::from([
        ("dc".to_owned(), "demo".to_owned()),
        ("hypervisor".to_owned(), hypervisor),
        ("role".to_owned(), "web".to_owned()),
        ("rack".to_owned(), format!("r{}", index % 4 + 1)),
    ])
}

fn boots(
    (shape, index): (FleetShape, usize),
    seeded: &mut Seeded,
    part: &Part,
    platform: &'static Platform,
) -> Vec<Boot> {
    let now_s = shape.now.unix_ns() as f64 / 1e9;
    let week_s = (now_s / WEEK_S).floor() * WEEK_S;
    let boot = |at_s: f64, kernel| {
        let id = boot_id(&mut Seeded::new(shape.seed ^ at_s.to_bits(), index as u64));
        Boot { at_s, id, kernel }
    };
    // Whole seconds, as /proc/stat's btime has them.
    let first = boot((week_s - seeded.between(8.0, 48.0) * 86_400.0).floor(), platform.kernel);
    let slow = part.incident == Some(Incident::SlowKernel);
    let again = part.reboot_s.map(|at_s| boot(at_s, if slow { SLOW_KERNEL } else { platform.kernel }));
    std::iter::once(first).chain(again).collect()
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
