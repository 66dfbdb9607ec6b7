//! Two days of a fleet with three incidents: four hosts of one kernel whose run queues are slow, a dying
//! disk, and a noisy neighbour who was always there. Everything else is noise, with a day's tide.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dropsonde::collect::{Options, Recorder};
use dropsonde::config::parse_probe;
use dropsonde::model::{
    CollectorTime, HostClock, HostName, HostTime, Labels, Outcome, Plan, PlannedHost, Probe, Reading,
    SweepEnd, SweepId, Trigger,
};

use serde_json::Value;

use crate::verbs::build::HOSTILE;

/// 2026-11-22 00:00 UTC.
pub const START_S: i64 = 1_795_305_600;

pub const NODE: &str = r#"
name = "node"
summary = "a host in numbers"
script = "true"
format = "openmetrics"

[[metric]]
name = "runq_latency_seconds"
unit = "seconds"
kind = "gauge"
help = "wait for a CPU"
worse = "higher"
warn = 0.003

[[metric]]
name = "disk_await_seconds"
unit = "seconds"
kind = "gauge"
help = "how long a request takes"
worse = "higher"

[[metric]]
name = "steal_ratio"
unit = "ratio"
kind = "gauge"
help = "taken by other guests"
worse = "higher"

[[metric]]
name = "*_seconds"
unit = "seconds"
kind = "gauge"
help = "may be no number"
worse = "higher"

[[metric]]
name = "irqs_total"
unit = "interrupts"
kind = "counter"
help = "interrupts by CPU"

[[metric]]
name = "softirq_seconds_total"
unit = "seconds"
kind = "counter"
help = "time in softirqs"
worse = "higher"

[[metric]]
name = "noise_*"
unit = "bytes"
kind = "gauge"
help = "nothing to see"
worse = "either"

[[metric]]
name = "wait_seconds"
unit = "seconds"
kind = "histogram"
help = "how long requests wait"
worse = "higher"
"#;

const KERNEL: &str =
    "name = \"kernel_log\"\nsummary = \"messages\"\nscript = \"true\"\nformat = \"kernel_log\"\n";

const NOTES: &str = "name = \"notes\"\nsummary = \"settings\"\nscript = \"true\"\nformat = \"text\"\n";

/// What a fleet is like; `Default` has the three incidents.
pub struct Fleet {
    pub hosts: u32,
    pub sweeps: u32,
    pub trigger: Trigger,
    /// Hosts that a sweep has, by its number.
    pub asked: fn(u32, u32) -> bool,
    /// The definition in use at a sweep.
    pub node: fn(u32) -> Arc<Probe>,
    pub minutes: fn(u32) -> i64,
    /// How often a host has booted up to a sweep.
    pub boots: fn(u32, u32) -> u32,
    /// Hosts that say what is no number.
    pub wild: fn(u32, u32) -> bool,
    /// Lines that only some have.
    pub more: fn(u32, u32) -> String,
    /// Hosts whose other disk dies.
    pub other_disk: fn(u32, u32) -> bool,
    /// Hosts that do not answer in a sweep.
    pub silent: fn(u32, u32) -> bool,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            hosts: 48,
            sweeps: 48,
            trigger: Trigger::Scheduled,
            asked: |_, _| true,
            node: |_| probe("node", NODE),
            minutes: |sweep| i64::from(sweep) * 60,
            boots: |_, _| 0,
            wild: |_, _| false,
            more: |_, _| String::new(),
            other_disk: |_, _| false,
            silent: |_, _| false,
        }
    }
}

pub fn probe(name: &str, toml: &str) -> Arc<Probe> {
    Arc::new(parse_probe(name, "probe.toml", toml).unwrap())
}

/// Hosts whose run queues are slow since sweep 40.
pub const SLOW: [u32; 4] = [6, 18, 30, 42];
/// Its disk is dying since sweep 44.
pub const DISK: u32 = 24;
/// Its neighbour takes its time.
pub const STEAL: u32 = 12;

impl Fleet {
    /// A state directory with all of it.
    pub fn record(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        self.record_in(folder.path(), 0..self.sweeps);
        folder
    }

    pub fn record_in(&self, root: &Path, sweeps: std::ops::Range<u32>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (recorder, _) = Recorder::open(root, Options::default()).unwrap();
            for sweep in sweeps {
                self.sweep(&recorder, sweep).await;
            }
            recorder.close().await.unwrap();
        });
    }

    pub fn id(&self, sweep: u32) -> SweepId {
        SweepId::at(self.started(sweep), sweep)
    }

    fn node_text(&self, sweep: u32, host: u32, uptime_s: f64) -> String {
        let wild = (self.wild)(sweep, host);
        let tide = 1.0 + 0.5 * (TAU * f64::from(sweep) / 24.0).sin();
        let noise = |what: u32| (0.1 * chance(sweep, host, what)).exp();
        let slow = SLOW.contains(&host) && sweep >= 40;
        let times = if slow { 3.4 } else { 1.0 };
        let mut text = String::new();
        let mut line = |name: &str, value: f64| writeln!(text, "{name} {value}").unwrap();
        line("runq_latency_seconds", 0.001 * tide * noise(1) * times);
        let other = if (self.other_disk)(sweep, host) { 9.5 } else { 1.0 };
        line("disk_await_seconds{device=\"sda\"}", 0.0008 * tide * noise(2) * other);
        let dying = if host == DISK && sweep >= 44 { 9.5 } else { 1.0 };
        line("disk_await_seconds{device=\"sdb\"}", 0.0008 * tide * noise(3) * dying);
        line("odd_seconds", if wild { f64::NAN } else { 0.001 * noise(5) });
        line("endless_seconds", if wild { f64::INFINITY } else { 0.001 * noise(6) });
        line("steal_ratio", if host == STEAL { 0.078 } else { 0.004 } * noise(4));
        for cpu in 0..8 {
            line(&format!("irqs_total{{cpu=\"{cpu}\"}}"), uptime_s * 120.0 + f64::from(cpu));
        }
        line(
            "softirq_seconds_total",
            uptime_s * 0.01 + if slow { (f64::from(sweep) - 39.0) * 3_600.0 * 0.04 } else { 0.0 },
        );
        for what in 0..6 {
            line(&format!("noise_{what}"), 1e9 * tide * (0.3 * chance(sweep, host, 10 + what)).exp());
        }
        text.push_str(&(self.more)(sweep, host));
        text.push_str("# TYPE wait_seconds histogram\n");
        let counts = if slow { [0, 100, 400, 1_000] } else { [600, 900, 1_000, 1_000] };
        for (le, count) in ["0.001", "0.002", "0.004", "+Inf"].iter().zip(counts) {
            writeln!(text, "wait_seconds_bucket{{le=\"{le}\"}} {count}").unwrap();
        }
        text.push_str("wait_seconds_count 1000\n");
        text
    }

    fn started(&self, sweep: u32) -> CollectorTime {
        CollectorTime::from_unix_s(START_S + (self.minutes)(sweep) * 60)
    }

    async fn sweep(&self, recorder: &Recorder, sweep: u32) {
        let started = self.started(sweep);
        let probes = vec![(self.node)(sweep), probe("kernel_log", KERNEL), probe("notes", NOTES)];
        let hosts: Vec<u32> = (1..=self.hosts).filter(|host| (self.asked)(sweep, *host)).collect();
        let planned = |host: &u32| PlannedHost {
            name: name(*host),
            labels: labels(sweep, *host),
            probes: probes.iter().map(|probe| probe.name.clone()).collect(),
        };
        let plan = Plan {
            sweep: self.id(sweep),
            trigger: self.trigger,
            schedule: (self.trigger == Trigger::Scheduled).then(|| "hourly".to_owned()),
            cause: None,
            started,
            hosts: hosts.iter().map(planned).collect(),
        };
        let handle = recorder.begin(plan, probes.clone()).await.unwrap();
        for host in hosts {
            let boots = (self.boots)(sweep, host);
            let uptime_s = if boots > 0 { 900.0 } else { 50_000.0 + (self.minutes)(sweep) as f64 * 60.0 };
            let texts =
                [self.node_text(sweep, host, uptime_s), kernel_text(sweep, host, uptime_s), notes_text(host)];
            for (probe, text) in probes.iter().zip(texts) {
                let mut reading = reading((probe, host), started, (uptime_s, boots), &text);
                let mut text = text;
                if (self.silent)(sweep, host) {
                    text.clear();
                    (reading.outcome, reading.exit, reading.clock) = (Outcome::Unreachable, None, None);
                    (reading.wire, reading.bytes_raw) = (Vec::new().into(), 0);
                }
                handle.record(reading, text.into_bytes()).await.unwrap();
            }
        }
        let end = SweepEnd {
            ended: CollectorTime::from_unix_ns(started.unix_ns() + 2_500_000_000),
            elapsed: Duration::from_millis(2_500),
            outcomes: [].into(),
            interrupted: false,
        };
        handle.finish(end).await.unwrap();
    }
}

/// A state directory that several tests read at once; the last of them removes it.
pub struct Shared(Arc<tempfile::TempDir>);

impl std::ops::Deref for Shared {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}

/// The fleet as it is by default.
pub fn three_incidents() -> Shared {
    static STATE: Mutex<Weak<tempfile::TempDir>> = Mutex::new(Weak::new());
    let mut state = STATE.lock().unwrap();
    let shared = state.upgrade().unwrap_or_else(|| Arc::new(Fleet::default().record()));
    *state = Arc::downgrade(&shared);
    Shared(shared)
}

/// The hosts that an answer names, sorted.
pub fn hosts(answer: &Value) -> Vec<String> {
    let mut hosts: Vec<String> =
        answer["hosts"].as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned()).collect();
    hosts.sort();
    hosts
}

pub fn names(hosts: &[u32]) -> Vec<String> {
    let mut names: Vec<String> = hosts.iter().map(|host| name(*host).to_string()).collect();
    names.sort();
    names
}

pub fn name(host: u32) -> HostName {
    HostName::new(&format!("web{host:02}")).unwrap()
}

/// The slow hosts, and one more, got their kernel at sweep 39; a third of all have another network card,
/// and each has a serial number.
fn labels(sweep: u32, host: u32) -> Labels {
    let new = sweep >= 39 && (SLOW.contains(&host) || host == 34);
    let card = if SLOW.contains(&host) || host % 4 == 1 { "ena 2.13" } else { "ena 2.12" };
    let label = |label: &str, value: String| (label.to_owned(), value);
    [
        label("role", "web".to_owned()),
        label("kernel", if new { "6.8.0-52" } else { "6.8.0-51" }.to_owned()),
        label("nic_driver", card.to_owned()),
        label("rack", format!("r{}", host % 5)),
        label("serial", format!("SN{host:04}")),
        label("note", HOSTILE.to_owned()),
    ]
    .into()
}

/// Between -1 and 1, the same in each run.
fn chance(sweep: u32, host: u32, what: u32) -> f64 {
    let mut x = u64::from(sweep) << 40 ^ u64::from(host) << 16 ^ u64::from(what) ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        x ^= x >> 30;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn kernel_text(sweep: u32, host: u32, uptime_s: f64) -> String {
    let boot = "01234567-89ab-cdef-0123-456789abcdef";
    let mut text = format!("@@@ now {uptime_s:.2} {boot}\n@@@ first 1.000000\n");
    if host == DISK && sweep >= 44 {
        let at_s = uptime_s - 600.0;
        writeln!(text, "<3>[{at_s:.6}] I/O error, dev sdb, sector {sweep} op 0x0:(READ){HOSTILE}").unwrap();
    }
    text
}

fn notes_text(host: u32) -> String {
    let scheduler = if SLOW.contains(&host) { "none" } else { "mq-deadline" };
    let extra = if host == 3 { format!("tuned {HOSTILE}\n") } else { String::new() };
    format!(
        "vm.swappiness = 10\nscheduler = {scheduler}\nasset: AT-{host:04}\nnet.core.somaxconn = 4096\n{extra}"
    )
}

fn reading(
    (probe, host): (&Probe, u32),
    started: CollectorTime,
    (uptime_s, boots): (f64, u32),
    text: &str,
) -> Reading {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    Reading {
        host: name(host),
        probe: probe.name.clone(),
        probe_hash: probe.hash,
        outcome: Outcome::Ok,
        detail: None,
        exit: Some(0),
        started,
        elapsed: Duration::from_millis(1_250),
        clock: Some(HostClock {
            boot_id: format!("boot{boots}"),
            start: HostTime::from_unix_s(started.unix_s()),
            end: HostTime::from_unix_s(started.unix_s() + 1),
            uptime_start_s: uptime_s - 1.0,
            uptime_end_s: uptime_s,
        }),
        cpu: None,
        stderr: String::new(),
        cursor: None,
        wire: encoder.finish().unwrap().into(),
        bytes_raw: text.len() as u64,
    }
}
