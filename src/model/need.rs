//! What a probe needs of a host, in the words of its file. Checked on the host, in one place, before
//! the script runs; a need never runs anything but the tool whose version it asks for.

use std::fmt;

/// Something that must be on the host before the script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// `file:/path`, `file:/path|/other`: readable by the probe's user. `$PROC` and `$SYS` may lead a path.
    File(String),
    /// `tool:perf`, `tool:smartctl|nvme`: one of them is on the supervisor's PATH.
    Tool(String),
    /// `version:perf>=6.12`, `version:sysdig-libs<0.22`: how a tool calls itself.
    Version { tool: Versioned, bound: Bound, version: String },
    /// `event:sched:sched_switch`: a tracepoint that tracefs lists.
    Event(String),
    /// `tracefs:instances`: tracing buffers of our own can be made.
    TracefsInstances,
    /// `paranoid<=2`: kernel.perf_event_paranoid is no higher, or the probe's user has CAP_PERFMON.
    Paranoid(i8),
    /// `cap:bpf`: the probe's user has CAP_BPF, or CAP_SYS_ADMIN, which stands for all of these.
    Capability(Capability),
    /// `kernel-log`: kernel.dmesg_restrict is 0, or the probe's user has CAP_SYSLOG.
    KernelLog,
}

/// The capabilities that can be asked for: being uid 0 does not mean to have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    Bpf,
    Perfmon,
}

/// The tools whose version can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioned {
    Perf,
    Bpftrace,
    /// The falcosecurity libs inside sysdig: `sysdig --libs-version`.
    SysdigLibs,
}

/// Which side of a version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    AtLeast,
    Below,
}

impl Versioned {
    pub const ALL: [(&'static str, Self); 3] =
        [("perf", Self::Perf), ("bpftrace", Self::Bpftrace), ("sysdig-libs", Self::SysdigLibs)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Bpftrace => "bpftrace",
            Self::SysdigLibs => "sysdig-libs",
        }
    }
}

impl Capability {
    pub const ALL: [Self; 2] = [Self::Bpf, Self::Perfmon];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::Perfmon => "perfmon",
        }
    }
}

impl Bound {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Below => "<",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{path}"),
            Self::Tool(name) => write!(f, "tool:{name}"),
            Self::Version { tool, bound, version } => {
                write!(f, "version:{}{}{version}", tool.as_str(), bound.as_str())
            }
            Self::Event(name) => write!(f, "event:{name}"),
            Self::TracefsInstances => f.write_str("tracefs:instances"),
            Self::Paranoid(level) => write!(f, "paranoid<={level}"),
            Self::Capability(capability) => write!(f, "cap:{}", capability.as_str()),
            Self::KernelLog => f.write_str("kernel-log"),
        }
    }
}
