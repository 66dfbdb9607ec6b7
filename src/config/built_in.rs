//! The shipped probes, inside the binary: it runs with no file at all. A new one is one line here.

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/probes.d/", $name, ".toml")))),*]
    };
}

/// Name and TOML text of each.
#[rustfmt::skip] // one line a probe
pub const BUILT_IN: &[(&str, &str)] = built_in![
    "block_rq_latency",
    "bpf_biolatency",
    "bpf_hardirq",
    "bpf_reclaim",
    "bpf_runq",
    "bpf_softirq",
    "bpf_syscall",
    "cpu_profile",
    "direct_reclaim_latency",
    "edac_thermal",
    "host_context",
    "irq_softirq_latency",
    "kernel_log",
    "kwork",
    "perf_counters",
    "proc",
    "runqueue_latency",
    "skb_drop",
    "smi",
    "storage_health",
    "syscall_capture",
    "syscall_latency",
    "tcp_retransmit",
    "timer_latency",
    "uptime",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_probe;

    #[test]
    fn every_shipped_file_is_built_in_and_loads() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/probes.d");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| format!("{name}.toml")).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
        for (name, text) in BUILT_IN {
            let probe = parse_probe(name, "built in", text).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(probe.name.as_str(), *name);
        }
    }
}
