//! What a probe needs of a host, in the words of its file. Checked on the host, in one place, before
//! the script runs; a need never runs anything but the tool whose version it asks for.

use std::fmt;

/// Something that must be on the host before the script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// `file:/path`: readable by the probe's user. `$PROC` and `$SYS` may lead the path.
    File(String),
    /// `tool:perf`: on the supervisor's PATH.
    Tool(String),
    /// `version:perf>=6.12`, `version:sysdig-libs<0.22`: how a tool calls itself.
    Version { tool: Versioned, bound: Bound, version: String },
    /// `event:sched:sched_switch`: a tracepoint that tracefs lists.
    Event(String),
    /// `tracefs:instances`: tracing buffers of our own can be made.
    TracefsInstances,
    /// `paranoid<=2`: kernel.perf_event_paranoid is no higher, or the probe's user is root.
    Paranoid(i8),
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
        }
    }
}
