//! Which parser reads which format.

use crate::model::{Format, HostClock, Parsed, Probe};

use super::sink::Sink;
use super::{
    bpf, csv, ftrace, host_context, json, kernel_log, keyvalue, openmetrics, perf, proc, storage_health,
    sysdig, timer_latency,
};

/// What is known about a reading besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The host's clocks from the trailer; `None` where there was none (a saved output, a torn one).
    pub clock: Option<&'a HostClock>,
    /// What the probe was told about its last reading on this host.
    pub cursor: Option<&'a str>,
}

/// Reads `raw`, the output of `probe`. Linear in `raw`, and it never panics: whatever cannot be
/// read is a fault beside what could.
pub fn parse(probe: &Probe, raw: &[u8], context: &Context) -> Parsed {
    let mut sink = Sink::default();
    match probe.format {
        Format::Openmetrics => openmetrics::parse(probe, raw, &mut sink),
        Format::Keyvalue => keyvalue::parse(probe, raw, &mut sink),
        Format::Json => json::parse(probe, raw, &mut sink),
        Format::Csv => csv::parse(probe, raw, &mut sink),
        Format::Text => {}
        Format::ProcSnapshot => proc::parse(raw, &mut sink),
        Format::HostContext => host_context::parse(raw, &mut sink),
        Format::KernelLog => kernel_log::parse(raw, context, &mut sink),
        Format::Ftrace => ftrace::parse(raw, &mut sink),
        Format::PerfSchedLatency => perf::sched::parse(raw, &mut sink),
        Format::PerfTrace => perf::trace::parse(raw, &mut sink),
        Format::PerfStat => perf::stat::parse(probe, raw, &mut sink),
        Format::PerfKwork => perf::kwork::parse(raw, &mut sink),
        Format::PerfScript => perf::script::parse(raw, &mut sink),
        Format::BpfHistogram => bpf::parse(probe, raw, &mut sink),
        Format::TimerLatency => timer_latency::parse(raw, &mut sink),
        Format::Sysdig => sysdig::parse(raw, &mut sink),
        Format::StorageHealth => storage_health::parse(raw, &mut sink),
    }
    sink.finish()
}
