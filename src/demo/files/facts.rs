//! What a host says of itself.

use crate::demo::host::{HostModel, Moment};

use super::{Lines, TreeFile, network};

/// Settings that are Linux's own defaults, below proc/sys.
const DEFAULTS: [(&str, &str); 13] = [
    ("kernel/arch", "x86_64"),
    ("kernel/ostype", "Linux"),
    ("kernel/version", "#1 SMP PREEMPT_DYNAMIC (synthetic)"),
    ("kernel/sched_schedstats", "0"),
    ("kernel/task_delayacct", "0"),
    ("kernel/dmesg_restrict", "1"),
    ("vm/swappiness", "60"),
    ("net/core/netdev_budget", "300"),
    ("net/core/netdev_budget_usecs", "8000"),
    ("net/core/netdev_max_backlog", "1000"),
    ("net/core/somaxconn", "4096"),
    ("net/ipv4/tcp_max_syn_backlog", "512"),
    ("net/ipv4/tcp_congestion_control", "cubic"),
];

const DRIVERS: &str = "bus/pci/drivers";

pub(super) fn files(moment: &Moment<'_>) -> Vec<TreeFile> {
    let host = moment.host;
    let mut files = kernel(moment);
    files.extend(hardware(host));
    for process in &host.processes {
        files.push(TreeFile::new(format!("proc/{}/wchan", process.pid), "0"));
        for thread in &process.threads {
            files.push(TreeFile::new(format!("proc/{}/task/{}/wchan", process.pid, thread.tid), "0"));
        }
    }
    files
}

/// The driver of an interface is the target of a link.
pub(super) fn links(host: &HostModel) -> Vec<(String, String)> {
    let target = format!("../../../../{DRIVERS}/{}", host.platform.nic_driver);
    vec![("sys/class/net/eth0/device/driver".to_owned(), target)]
}

fn line(path: impl Into<String>, text: &str) -> TreeFile {
    TreeFile::new(path, format!("{text}\n"))
}

fn kernel(moment: &Moment<'_>) -> Vec<TreeFile> {
    let (host, boot) = (moment.host, moment.boot);
    let platform = host.platform;
    let mut files = vec![
        line("proc/sys/kernel/random/boot_id", &boot.id),
        line("proc/sys/kernel/osrelease", boot.kernel),
        line("proc/sys/kernel/hostname", host.name.as_str()),
        line("proc/sys/kernel/perf_event_paranoid", &platform.perf_event_paranoid.to_string()),
        line("proc/version", &format!("Linux version {} (synthetic) #1 SMP", boot.kernel)),
        TreeFile::new("proc/1/root/etc/os-release", os_release(host)),
        TreeFile::new("proc/net/route", ROUTE),
        line("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
        line("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids"),
        line("sys/fs/cgroup/system.slice/cpu.max", "max 100000"),
        line("sys/fs/cgroup/system.slice/app.service/cpu.max", &format!("{} 100000", 80_000 * host.cpus)),
    ];
    files.extend(DEFAULTS.map(|(name, value)| line(format!("proc/sys/{name}"), value)));
    if platform.conntrack {
        let limit = network::conntrack_limit();
        files.push(TreeFile::new("proc/sys/net/netfilter/nf_conntrack_max", limit));
    }
    files
}

/// The default route, by eth0 through 10.0.0.1, in the kernel's little-endian hexadecimal.
const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";

fn hardware(host: &HostModel) -> Vec<TreeFile> {
    let platform = host.platform;
    let [vendor, product] = platform.hardware;
    let driver = format!("sys/{DRIVERS}/{}", platform.nic_driver);
    let mut files = vec![
        TreeFile::new("proc/cpuinfo", cpuinfo(host)),
        line("sys/devices/system/cpu/online", &format!("0-{}", host.cpus - 1)),
        line("sys/devices/system/cpu/smt/control", "notsupported"),
        line("sys/devices/system/node/online", "0"),
        line("sys/devices/system/clocksource/clocksource0/current_clocksource", platform.clocksource),
        line("sys/class/dmi/id/sys_vendor", vendor),
        line("sys/class/dmi/id/product_name", product),
        line("sys/class/net/eth0/mtu", "1500"),
        line("sys/class/net/eth0/speed", "-1"),
        TreeFile::new(format!("{driver}/uevent"), ""),
    ];
    if let Some(version) = platform.nic_driver_version {
        files.push(line(format!("{driver}/module/version"), version));
    }
    files
}

fn cpuinfo(host: &HostModel) -> String {
    let platform = host.platform;
    let mut lines = Lines::default();
    for cpu in 0..host.cpus {
        lines.line(format_args!("processor\t: {cpu}"));
        lines.line(format_args!("vendor_id\t: {}", platform.cpu_vendor));
        lines.line(format_args!("model name\t: {}", platform.cpu_model));
        lines.line(format_args!("microcode\t: {}", platform.microcode));
        lines.line(format_args!("cpu MHz\t\t: 2500.000"));
        lines.line(format_args!("cpu cores\t: {}", host.cpus));
        lines.line(format_args!("flags\t\t: fpu tsc msr constant_tsc nonstop_tsc hypervisor"));
        lines.line(format_args!(""));
    }
    lines.0
}

fn os_release(host: &HostModel) -> String {
    let platform = host.platform;
    let mut lines = Lines::default();
    lines.line(format_args!("PRETTY_NAME=\"{}\"", platform.distro_name));
    lines.line(format_args!("ID={}", platform.distro_id));
    lines.line(format_args!("VERSION_ID=\"{}\"", platform.distro_version));
    lines.0
}
