//! What a synthetic host would have answered in the past: the output that a probe's script prints over the
//! host's tree, through the collector's own end of the remote contract. It runs no script; the tests
//! compare it with what the scripts print.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{ByteSize, CollectorTime, Host, Probe, Reach, Reading, RootBy};
use crate::wire::{Decoder, ExecEnd, Limits, Nonce, Request, RunTag};

use super::HostModel;
use super::drive::Seeded;
use super::host::Moment;

/// What the script of `proc` sleeps.
const WINDOW: Duration = Duration::from_secs(2);

/// What starting a shell and reading some files takes.
const START: Duration = Duration::from_millis(40);

/// The files in the order in which the script of `proc` prints them.
const SNAPSHOT: [&str; 27] = [
    "uptime",
    "stat",
    "schedstat",
    "loadavg",
    "vmstat",
    "meminfo",
    "buddyinfo",
    "interrupts",
    "softirqs",
    "diskstats",
    "net/softnet_stat",
    "net/snmp",
    "net/netstat",
    "net/dev",
    "pressure/cpu",
    "pressure/io",
    "pressure/memory",
    "pressure/irq",
    "net/stat/nf_conntrack",
    "sys/net/netfilter/nf_conntrack_count",
    "sys/net/netfilter/nf_conntrack_max",
    "sys/net/core/netdev_budget",
    "sys/net/core/netdev_budget_usecs",
    "sys/net/core/netdev_max_backlog",
    "sys/net/core/somaxconn",
    "sys/net/ipv4/tcp_max_syn_backlog",
    "sys/kernel/random/boot_id",
];

/// The only group with a quota.
const GROUP: &str = "sys/fs/cgroup/system.slice/app.service/cpu.stat";

/// What a script printed, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub output: String,
    pub took: Duration,
}

impl HostModel {
    /// What `probe` would have printed, if it had been started at `time`; `None` of a probe that a synthetic
    /// host cannot answer.
    pub fn answer(&self, probe: &str, time: CollectorTime, cursor: Option<&str>) -> Option<Answer> {
        match probe {
            "proc" => Some(Answer { output: self.snapshots(time), took: START + WINDOW }),
            "host_context" => Some(Answer { output: self.facts(time), took: START }),
            "kernel_log" => Some(Answer { output: self.log(time, cursor), took: START }),
            _ => None,
        }
    }

    /// The reading of it, and the output by itself.
    pub fn reading(
        &self,
        probe: &Probe,
        started: CollectorTime,
        cursor: Option<&str>,
    ) -> Option<(Reading, Vec<u8>)> {
        let answer = self.answer(probe.name.as_str(), started, cursor)?;
        let mut seeded = Seeded::new(started.unix_ns().cast_unsigned(), self.chatter);
        let token =
            |seeded: &mut Seeded| (u128::from(seeded.bits()) << 64 | u128::from(seeded.bits())).to_be_bytes();
        let request = Request {
            probe,
            host: &self.unreachable(),
            tag: RunTag::new(token(&mut seeded)),
            nonce: Nonce::new(token(&mut seeded)),
            limits: Limits {
                heartbeat: Duration::from_secs(30),
                grace: Duration::from_secs(1),
                max_wire: ByteSize(4 << 20),
                max_ratio: 1_000,
                max_stderr: ByteSize(4 << 10),
            },
            cursor,
            become_root: false,
            only_check: false,
        };
        let mut decoder = Decoder::new(&request);
        let _ = decoder.stdout(self.stream(&request, started, &answer).as_bytes());
        let decoded = decoder.finish(ExecEnd::Exited(0));
        let reading = Reading {
            host: self.name.clone(),
            probe: probe.name.clone(),
            probe_hash: probe.hash,
            outcome: decoded.outcome,
            detail: decoded.detail,
            exit: decoded.exit,
            started,
            elapsed: answer.took,
            clock: decoded.clock,
            cpu: decoded.cpu,
            stderr: decoded.stderr,
            cursor: cursor.map(str::to_owned),
            bytes_raw: decoded.raw.len() as u64,
            wire: decoded.wire,
        };
        Some((reading, decoded.raw))
    }

    /// What a host without gzip sends.
    fn stream(&self, request: &Request<'_>, started: CollectorTime, answer: &Answer) -> String {
        let (began, ended) = (self.at(started), self.at(later(started, answer.took)));
        let (from_s, to_s, wall_s) = (began.uptime_s, ended.uptime_s, ended.unix_s);
        let (boot, nonce) = (&ended.boot.id, request.nonce);
        format!(
            "\ndropsonde/1 {} raw\n{}\ndropsonde/1 {nonce} {from_s:.2} {to_s:.2} 0 14000 0m0.010s 0m0.004s {boot} - \
             {to_s:.2} {wall_s:.6}\n",
            request.tag, answer.output
        )
    }

    /// Nobody connects to the past.
    fn unreachable(&self) -> Host {
        Host {
            name: self.name.clone(),
            address: String::new(),
            port: 0,
            user: String::new(),
            labels: self.labels.clone(),
            reach: Reach::Ssh,
            identity_files: Vec::<PathBuf>::new(),
            known_hosts: Vec::new(),
            ssh: std::sync::Arc::default(),
            consult: None,
            root_by: RootBy::default(),
            proc_root: None,
            sys_root: None,
        }
    }

    fn snapshots(&self, time: CollectorTime) -> String {
        let mut text = String::with_capacity(48 << 10);
        self.snapshot(time, &mut text);
        text.push_str("@@@ blocked threads\n");
        self.snapshot(later(time, WINDOW), &mut text);
        text
    }

    fn snapshot(&self, time: CollectorTime, text: &mut String) {
        let files = self.tree(time);
        text.push_str("@@@ snapshot\n");
        for name in SNAPSHOT {
            if let Some(file) = files.get(&format!("proc/{name}")) {
                print(text, name, file);
            }
        }
        if let Some(group) = files.get(GROUP) {
            print(text, &format!("/{GROUP}"), group);
        }
        // Where the kernel keeps no account of waiting per CPU, each task's own stands in.
        if !files.contains_key("proc/schedstat") {
            for (path, file) in &files {
                let below = path.strip_prefix("proc/");
                if let Some(name) =
                    below.filter(|name| name.contains("/task/") && name.ends_with("/schedstat"))
                {
                    print(text, name, file);
                }
            }
        }
    }

    fn log(&self, time: CollectorTime, cursor: Option<&str>) -> String {
        let Moment { uptime_s, boot, .. } = self.at(time);
        let log = self.kernel_log(time);
        let since_s = cursor.and_then(|cursor| cursor.strip_prefix(&format!("{} ", boot.id)));
        let since_s = since_s.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(-1.0);
        let mut text = format!("@@@ now {uptime_s:.2} {}\n", boot.id);
        for (nth, line) in log.lines().enumerate() {
            let at =
                line.strip_prefix('[').and_then(|line| line.split(']').next()).unwrap_or_default().trim();
            if nth == 0 {
                text.push_str(&format!("@@@ first {at}\n"));
            }
            if at.parse::<f64>().is_ok_and(|at_s| at_s > since_s) {
                text.push_str(&format!("{line}\n"));
            }
        }
        text
    }

    fn facts(&self, time: CollectorTime) -> String {
        let files = self.tree(time);
        let one = |path: &str| files.get(path).and_then(|text| text.lines().next()).unwrap_or_default();
        let sysctl = |name: &str| one(&format!("proc/sys/{name}"));
        let platform = self.platform;
        let driver = [platform.nic_driver, platform.nic_driver_version.unwrap_or_default()].join(" ");
        let facts = [
            ("kernel", sysctl("kernel/osrelease")),
            ("kernel_build", sysctl("kernel/version")),
            ("boot_id", sysctl("kernel/random/boot_id")),
            ("arch", sysctl("kernel/arch")),
            ("distro", &[platform.distro_id, platform.distro_version].join(" ")),
            ("cpu_model", platform.cpu_model),
            ("microcode", platform.microcode),
            ("cpus_online", one("sys/devices/system/cpu/online")),
            ("numa_nodes", one("sys/devices/system/node/online")),
            ("smt", one("sys/devices/system/cpu/smt/control")),
            ("clocksource", platform.clocksource),
            ("hardware", &platform.hardware.join(" ")),
            // Every platform's hardware names QEMU, KVM or OpenStack.
            ("virtualisation", "kvm"),
            ("cgroup", "v2"),
            ("transparent_hugepage", "madvise"),
            ("tcp_congestion_control", sysctl("net/ipv4/tcp_congestion_control")),
            ("nic", "eth0"),
            ("nic_driver", driver.trim_end()),
            ("nic_mtu", one("sys/class/net/eth0/mtu")),
            ("psi", "yes"),
            ("schedstat", if platform.schedstat_version.is_some() { "cpu" } else { "task" }),
            ("swappiness", sysctl("vm/swappiness")),
            ("sched_schedstats", sysctl("kernel/sched_schedstats")),
            ("task_delayacct", sysctl("kernel/task_delayacct")),
            ("perf_event_paranoid", sysctl("kernel/perf_event_paranoid")),
            ("dmesg_restrict", sysctl("kernel/dmesg_restrict")),
            ("tracefs", "no"),
            ("btf", "no"),
        ];
        facts.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
    }

    /// Every file of the host at `time`, by path.
    fn tree(&self, time: CollectorTime) -> BTreeMap<String, String> {
        let files = self.fixed_files(time).into_iter().chain(self.moving_files(time));
        files.map(|file| (file.path, file.text)).collect()
    }
}

fn later(time: CollectorTime, by: Duration) -> CollectorTime {
    let by_ns = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    CollectorTime::from_unix_ns(time.unix_ns().saturating_add(by_ns))
}

/// As `grep -H ''` prints a file.
fn print(text: &mut String, name: &str, file: &str) {
    for line in file.lines() {
        text.push_str(name);
        text.push(':');
        text.push_str(line);
        text.push('\n');
    }
}
