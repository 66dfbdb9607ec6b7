//! What a host says of itself.

use crate::demo::host::HostModel;

use super::{Lines, TreeFile, network};

/// Linux's own defaults.
const NETWORK_LIMITS: [(&str, &str); 5] = [
    ("core/netdev_budget", "300"),
    ("core/netdev_budget_usecs", "8000"),
    ("core/netdev_max_backlog", "1000"),
    ("core/somaxconn", "4096"),
    ("ipv4/tcp_max_syn_backlog", "512"),
];

pub(super) fn files(host: &HostModel) -> Vec<TreeFile> {
    let platform = host.platform;
    let line = |path: &str, text: &str| TreeFile::new(path, format!("{text}\n"));
    let nic = format!("sys/module/{}/version", platform.nic_driver);
    let mut files = vec![
        line("proc/sys/kernel/random/boot_id", &host.boot_id),
        line("proc/sys/kernel/osrelease", platform.kernel),
        line("proc/sys/kernel/hostname", host.name.as_str()),
        line("proc/sys/kernel/ostype", "Linux"),
        line("proc/version", &format!("Linux version {} (synthetic) #1 SMP", platform.kernel)),
        TreeFile::new("proc/cpuinfo", cpuinfo(host)),
        TreeFile::new("proc/1/root/etc/os-release", os_release(host)),
        line("sys/devices/system/cpu/online", &format!("0-{}", host.cpus - 1)),
        line("sys/devices/system/clocksource/clocksource0/current_clocksource", platform.clocksource),
        line("sys/devices/virtual/dmi/id/product_name", platform.product),
        line("sys/hypervisor/type", "kvm"),
        line("sys/class/net/eth0/address", "02:00:00:00:00:01"),
        line(&nic, platform.nic_driver_version),
        line("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids"),
        line("sys/fs/cgroup/system.slice/cpu.max", "max 100000"),
        line("sys/fs/cgroup/system.slice/app.service/cpu.max", &format!("{}0000 100000", 8 * host.cpus)),
    ];
    for (name, value) in NETWORK_LIMITS {
        files.push(line(&format!("proc/sys/net/{name}"), value));
    }
    if platform.conntrack {
        let limit = network::conntrack_limit();
        files.push(TreeFile::new("proc/sys/net/netfilter/nf_conntrack_max", limit));
    }
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
    let driver = host.platform.nic_driver;
    vec![("sys/class/net/eth0/device/driver".to_owned(), format!("../../../../bus/pci/drivers/{driver}"))]
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
    lines.line(format_args!("PRETTY_NAME=\"{}\"", platform.distro_pretty));
    lines.line(format_args!("ID={}", platform.distro_id));
    lines.line(format_args!("VERSION_ID=\"{}\"", platform.distro_version));
    lines.0
}
