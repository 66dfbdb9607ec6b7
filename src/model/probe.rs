//! Probes: what runs on a host, what it needs, what it may cost, how its output is read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ByteSize, Need, ProbeName};

/// How a probe's output is read. A closed set: a new format is a new variant and a `match` arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Openmetrics,
    Keyvalue,
    Json,
    Csv,
    /// Kept and folded; no samples.
    Text,
    ProcSnapshot,
    HostContext,
    KernelLog,
    /// The text of a tracefs instance, begins and ends paired here.
    Ftrace,
    /// perf sched latency and timehist.
    PerfSchedLatency,
    /// perf trace -s.
    PerfTrace,
    /// perf stat: CSV, with or without -A and -I, or JSON.
    PerfStat,
    PerfKwork,
    /// perf script, folded into stacks.
    PerfScript,
    /// Histograms and counts of bpftrace (JSON or text), bcc and libbpf-tools.
    BpfHistogram,
    /// cyclictest and rtla.
    TimerLatency,
    /// What sysdig's chisels print.
    Sysdig,
    /// smartctl and nvme, JSON.
    StorageHealth,
}

impl Format {
    pub const ALL: [(&'static str, Self); 18] = [
        ("openmetrics", Self::Openmetrics),
        ("keyvalue", Self::Keyvalue),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("text", Self::Text),
        ("proc_snapshot", Self::ProcSnapshot),
        ("host_context", Self::HostContext),
        ("kernel_log", Self::KernelLog),
        ("ftrace", Self::Ftrace),
        ("perf_sched_latency", Self::PerfSchedLatency),
        ("perf_trace", Self::PerfTrace),
        ("perf_stat", Self::PerfStat),
        ("perf_kwork", Self::PerfKwork),
        ("perf_script", Self::PerfScript),
        ("bpf_histogram", Self::BpfHistogram),
        ("timer_latency", Self::TimerLatency),
        ("sysdig", Self::Sysdig),
        ("storage_health", Self::StorageHealth),
    ];

    /// The word in a probe's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openmetrics => "openmetrics",
            Self::Keyvalue => "keyvalue",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
            Self::ProcSnapshot => "proc_snapshot",
            Self::HostContext => "host_context",
            Self::KernelLog => "kernel_log",
            Self::Ftrace => "ftrace",
            Self::PerfSchedLatency => "perf_sched_latency",
            Self::PerfTrace => "perf_trace",
            Self::PerfStat => "perf_stat",
            Self::PerfKwork => "perf_kwork",
            Self::PerfScript => "perf_script",
            Self::BpfHistogram => "bpf_histogram",
            Self::TimerLatency => "timer_latency",
            Self::Sysdig => "sysdig",
            Self::StorageHealth => "storage_health",
        }
    }
}

/// What a probe costs the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// For every sweep.
    Cheap,
    Moderate,
    /// Ad hoc or escalated only.
    Heavy,
}

impl Cost {
    /// The word in a probe's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cheap => "cheap",
            Self::Moderate => "moderate",
            Self::Heavy => "heavy",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    None,
    Root,
}

impl Privilege {
    /// The word in a probe's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Root => "root",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A total since boot (or the daemon's start): stored as its increase per second.
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which direction of a metric is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    Higher,
    Lower,
    Either,
}

/// What a host may be named for in a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judging {
    /// That it differs from its past, or from its peers.
    Always,
    /// That it differs from its past. Hosts of two sizes differ from each other for good, and well.
    Changed,
    /// Nothing: how long a host is up, how well a probe saw.
    Never,
}

impl Judging {
    const ALL: [Self; 3] = [Self::Always, Self::Changed, Self::Never];

    /// The word in a probe's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Changed => "changed",
            Self::Never => "never",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Of a metric that does not say: where neither direction is bad, what differs for good is a size.
    pub const fn usually(worse: Worse) -> Self {
        match worse {
            Worse::Higher | Worse::Lower => Self::Always,
            Worse::Either => Self::Changed,
        }
    }
}

/// One `[[metric]]` of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSpec {
    /// The metric's name; one `*` stands for any run of characters (`node_vmstat_*`), and a name
    /// without it wins over one with it.
    pub name: String,
    /// The unit in words or symbols: `seconds`, `bytes`, `ratio`, `jobs`. Empty for a bare count.
    pub unit: String,
    pub kind: Kind,
    pub help: String,
    pub worse: Worse,
    /// A value that is worth a look on its own.
    pub warn: Option<f64>,
    /// What makes such a value bad, and who says so.
    pub why: Option<String>,
    /// The least step between two values that its source can tell apart; of a counter, per second.
    pub resolution: Option<f64>,
    pub judged: Judging,
    /// Where the value stands in the probe's output when that is not its name: a JSON pointer, a CSV
    /// column or a key.
    pub source: Option<String>,
}

/// BLAKE3 of the probe's definition: what a reading was taken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeHash(pub [u8; 32]);

impl fmt::Display for ProbeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a probe cost a host when its makers measured it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The machine, in a few words.
    pub on: String,
    /// CPU time of the probe and its supervisor, sshd's own apart.
    pub cpu_idle: Duration,
    pub cpu_loaded: Duration,
    pub wall: Duration,
    /// Compressed, as it travels.
    pub wire: ByteSize,
    /// How many times longer `perf bench sched pipe` took beside it.
    pub slowdown: f64,
}

/// One probe, checked and with its defaults applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub name: ProbeName,
    pub summary: String,
    pub script: String,
    pub format: Format,
    pub timeout: Duration,
    pub max_output: ByteSize,
    pub cost: Cost,
    pub privilege: Privilege,
    pub needs: Vec<Need>,
    /// When to reach for it, in a sentence or two.
    pub when: Option<String>,
    /// How long it looks; `None` for a single glance.
    pub window: Option<Duration>,
    /// Two of these never run at once on a host: each would measure the other.
    pub tracer: bool,
    /// CPU time on the host that one reading may take before it is flagged.
    pub budget: Option<Duration>,
    pub measured: Option<Measured>,
    pub metrics: Vec<MetricSpec>,
    /// The TOML text it was read from: archived with each sweep, so that a reading can be read again
    /// years later with the definition it was taken with.
    pub source: Arc<str>,
    pub hash: ProbeHash,
}

impl Probe {
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
    pub const DEFAULT_MAX_OUTPUT: ByteSize = ByteSize(256 << 10);

    /// One that no file describes, with every default: cheap, unprivileged, its output kept as text.
    pub fn new(name: ProbeName, script: impl Into<String>) -> Self {
        Self {
            name,
            summary: String::new(),
            script: script.into(),
            format: Format::Text,
            timeout: Self::DEFAULT_TIMEOUT,
            max_output: Self::DEFAULT_MAX_OUTPUT,
            cost: Cost::Cheap,
            privilege: Privilege::None,
            needs: Vec::new(),
            when: None,
            window: None,
            tracer: false,
            budget: None,
            measured: None,
            metrics: Vec::new(),
            source: "".into(),
            hash: ProbeHash([0; 32]),
        }
    }

    /// The entry that describes `metric`: the exact name before a pattern, the longer pattern first.
    pub fn spec(&self, metric: &str) -> Option<&MetricSpec> {
        let exact = self.metrics.iter().find(|spec| spec.name == metric);
        exact.or_else(|| {
            let fits = |spec: &&MetricSpec| {
                spec.name.split_once('*').is_some_and(|(head, tail)| {
                    metric.len() >= head.len() + tail.len()
                        && metric.starts_with(head)
                        && metric.ends_with(tail)
                })
            };
            self.metrics.iter().filter(fits).max_by_key(|spec| spec.name.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formats_word_is_the_one_that_is_read() {
        for (word, format) in Format::ALL {
            assert_eq!(format.as_str(), word);
        }
    }
}
