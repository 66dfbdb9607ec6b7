//! `outliers` over a large fleet's week: 10,000 hosts × 300 metrics × 168 sweeps, or what the environment
//! says (HOSTS, METRICS, SWEEPS; STATE keeps the index for the next run). `cargo bench --bench outliers`; the
//! figure in docs/performance.md is its output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dropsonde::config::parse_probe;
use dropsonde::model::{
    CollectorTime, HostName, Kept, Kind, Outcome, Parsed, Plan, PlannedHost, Probe, Reading, Sample, Span,
    SweepEnd, SweepId, Trigger,
};
use dropsonde::store::StateDir;
use dropsonde::store::index::{Event, EventKind, Reader, Writer};
use dropsonde::survey::{Question, outliers, usual_sweep};

/// Readings in one transaction.
const GROUP: usize = 256;

struct Fleet {
    probe: Arc<Probe>,
    hosts: Vec<HostName>,
    metrics: Vec<String>,
    sweeps: usize,
}

impl Fleet {
    fn new() -> Self {
        let number = |name: &str, usual: usize| {
            std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
        };
        let toml = "name = \"bench\"\nsummary = \"numbers\"\nscript = \"true\"\nformat = \"openmetrics\"\n\
            [[metric]]\nname = \"bench_metric_*\"\nunit = \"seconds\"\nkind = \"gauge\"\nhelp = \"a number\"\nworse = \"higher\"\n";
        let name = |n| HostName::new(&format!("node{n:05}")).expect("a name");
        Self {
            probe: Arc::new(parse_probe("bench", "bench.toml", toml).expect("a probe that reads")),
            hosts: (0..number("HOSTS", 10_000)).map(name).collect(),
            metrics: (0..number("METRICS", 300)).map(|n| format!("bench_metric_{n}")).collect(),
            sweeps: number("SWEEPS", 168),
        }
    }

    /// A tenth of noise around a level of the metric and a day's tide; one host in five hundred changes in
    /// one metric of fifty. A third is as wide as a float, a third has three decimals, a third is whole.
    fn value(&self, sweep: usize, host: usize, metric: usize) -> f64 {
        let mut x = (sweep as u64) << 40 ^ (host as u64) << 16 ^ metric as u64 ^ 0x9e37_79b9_7f4a_7c15;
        for _ in 0..3 {
            x ^= x >> 30;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        let noise: f64 = (0..4).map(|part| ((x >> (part * 16)) & 0xffff) as f64 / 65_536.0 - 0.5).sum();
        let tide = 1.0 + 0.5 * (sweep as f64 / 24.0 * std::f64::consts::TAU).sin();
        let changed = metric % 50 == 7 && host % 500 == 3 && sweep + 6 > self.sweeps;
        let value = 100.0 * tide * (1.0 + 0.17 * noise) * if changed { 3.0 } else { 1.0 };
        match metric % 3 {
            0 => value,
            1 => (value * 1e3).round() / 1e3,
            _ => value.round(),
        }
    }

    fn parsed(&self, sweep: usize, host: usize) -> Parsed {
        let sample = |(n, metric): (usize, &String)| Sample {
            metric: metric.clone().into(),
            labels: Vec::new(),
            kind: Kind::Gauge,
            span: Span::Instant,
            value: self.value(sweep, host, n),
        };
        Parsed { samples: self.metrics.iter().enumerate().map(sample).collect(), ..Parsed::default() }
    }

    fn plan(&self, sweep: usize) -> Plan {
        let started = CollectorTime::from_unix_s(1_795_381_200 + sweep as i64 * 3_600);
        let planned = |name: &HostName| PlannedHost {
            name: name.clone(),
            labels: Default::default(),
            probes: vec![self.probe.name.clone()],
        };
        Plan {
            sweep: SweepId::at(started, 0),
            trigger: Trigger::Scheduled,
            schedule: None,
            cause: None,
            started,
            hosts: self.hosts.iter().map(planned).collect(),
        }
    }

    fn reading(&self, host: usize, at: CollectorTime) -> Reading {
        Reading {
            host: self.hosts[host].clone(),
            probe: self.probe.name.clone(),
            probe_hash: self.probe.hash,
            outcome: Outcome::Ok,
            detail: None,
            exit: Some(0),
            started: at,
            elapsed: Duration::from_millis(90),
            clock: None,
            cpu: None,
            stderr: String::new(),
            cursor: None,
            wire: Bytes::new(),
            bytes_raw: 0,
        }
    }

    fn fill(&self, root: &Path) {
        let state = StateDir::create(root).expect("a state directory");
        let mut index = Writer::open(&state).expect("an index");
        for sweep in 0..self.sweeps {
            let plan = Arc::new(self.plan(sweep));
            let (id, at) = (plan.sweep.clone(), plan.started);
            let event = |kind| Event { seq: 0, sweep: id.clone(), archived: 0, kind };
            let begin = EventKind::Begin { plan, probes: [Arc::clone(&self.probe)].into(), kept: Kept::Raw };
            index.ingest(&[event(begin)]).expect("the plan");
            for first in (0..self.hosts.len()).step_by(GROUP) {
                let reading = |host: usize| {
                    event(EventKind::Reading {
                        reading: Box::new(self.reading(host, at)),
                        probe: Some(Arc::clone(&self.probe)),
                        parsed: Arc::new(self.parsed(sweep, host)),
                        truncated: false,
                        offset: 0,
                        digested: None,
                    })
                };
                let events: Vec<Event> = (first..self.hosts.len().min(first + GROUP)).map(reading).collect();
                index.ingest(&events).expect("a group");
            }
            let end = SweepEnd {
                ended: at,
                elapsed: Duration::ZERO,
                outcomes: Default::default(),
                interrupted: false,
            };
            index.ingest(&[event(EventKind::End(end))]).expect("the end");
            index.pivot(&id).expect("blocks");
        }
    }
}

/// What the process had at most in memory of its own, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// From here on the peak is that of the question alone.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn main() {
    let fleet = Fleet::new();
    let kept: Option<PathBuf> = std::env::var_os("STATE").map(Into::into);
    let folder = tempfile::tempdir().expect("a folder");
    let root = kept.unwrap_or_else(|| folder.path().join("state"));
    let mut out = std::io::stdout().lock();
    let started = Instant::now();
    if !root.join("index.sqlite").exists() {
        fleet.fill(&root);
        writeln!(out, "filled in {:.0} s", started.elapsed().as_secs_f64()).expect("stdout");
    }
    let file = std::fs::metadata(StateDir::at(&root).index()).map_or(0, |file| file.len());
    forget_peak();
    let reader = Reader::open(&root).expect("the index");
    let sweep = usual_sweep(&reader).expect("the sweeps").expect("a sweep");
    drop(reader);
    let question =
        Question { root: &root, sweep, hosts: None, peers_by: None, metrics: Vec::new(), lens: None };
    for run in ["first", "again"] {
        let started = Instant::now();
        let answer = outliers(&question).expect("an answer");
        let seconds = started.elapsed().as_secs_f64();
        let named: usize = answer.findings.iter().map(|it| it.hosts.len()).sum();
        let values = (fleet.hosts.len() * fleet.metrics.len() * fleet.sweeps) as f64;
        writeln!(
            out,
            "{} hosts × {} metrics × {} sweeps, {run}: {seconds:.1} s, {:.0} M values/s, {} MiB at most, {} MiB of \
             index; {} lines, {named} hosts named, {} planted",
            fleet.hosts.len(),
            fleet.metrics.len(),
            fleet.sweeps,
            values / seconds / 1e6,
            peak_mib(),
            file >> 20,
            answer.findings.len(),
            (fleet.metrics.len().saturating_sub(7)).div_ceil(50) * fleet.hosts.len().saturating_sub(3).div_ceil(500),
        )
        .expect("stdout");
    }
}
