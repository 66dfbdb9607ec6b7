//! The three kinds of machine a synthetic fleet is made of: what `explain` can find shared.

/// A kind of machine: what does not change while it runs.
#[derive(Debug)]
pub(super) struct Platform {
    pub kernel: &'static str,
    pub distro_id: &'static str,
    pub distro_version: &'static str,
    pub distro_name: &'static str,
    pub cpu_vendor: &'static str,
    pub cpu_model: &'static str,
    pub microcode: &'static str,
    pub clocksource: &'static str,
    /// DMI's vendor and product.
    pub hardware: [&'static str; 2],
    pub nic_driver: &'static str,
    /// A driver that is a part of the kernel has no version of its own.
    pub nic_driver_version: Option<&'static str>,
    pub disk: &'static str,
    pub disk_major: u32,
    /// /proc/pressure/irq came with Linux 6.1, and with a build option.
    pub irq_pressure: bool,
    /// Whether nf_conntrack is loaded.
    pub conntrack: bool,
    /// The format of /proc/schedstat, where the kernel was built with it.
    pub schedstat_version: Option<u32>,
    /// kernel.perf_event_paranoid as the distribution sets it.
    pub perf_event_paranoid: u32,
    /// /proc/net/softnet_stat has grown columns over the years.
    pub softnet_columns: usize,
}

pub(super) const PLATFORMS: [Platform; 3] = [
    Platform {
        kernel: "6.1.0-28-cloud-amd64",
        distro_id: "debian",
        distro_version: "12",
        distro_name: "Debian GNU/Linux 12 (bookworm)",
        cpu_vendor: "AuthenticAMD",
        cpu_model: "AMD EPYC 7R13 Processor",
        microcode: "0xa0011d5",
        clocksource: "tsc",
        hardware: ["QEMU", "Standard PC (Q35 + ICH9, 2009)"],
        nic_driver: "virtio_net",
        nic_driver_version: None,
        disk: "vda",
        disk_major: 254,
        irq_pressure: false,
        conntrack: true,
        schedstat_version: Some(15),
        perf_event_paranoid: 3,
        softnet_columns: 13,
    },
    Platform {
        kernel: "6.8.0-52-generic",
        distro_id: "ubuntu",
        distro_version: "24.04",
        distro_name: "Ubuntu 24.04.1 LTS",
        cpu_vendor: "GenuineIntel",
        cpu_model: "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
        microcode: "0x5003801",
        clocksource: "tsc",
        hardware: ["QEMU", "KVM Virtual Machine"],
        nic_driver: "ena",
        nic_driver_version: Some("2.13.0g"),
        disk: "nvme0n1",
        disk_major: 259,
        irq_pressure: true,
        conntrack: true,
        schedstat_version: Some(16),
        perf_event_paranoid: 4,
        softnet_columns: 15,
    },
    Platform {
        kernel: "5.15.0-130-generic",
        distro_id: "ubuntu",
        distro_version: "22.04",
        distro_name: "Ubuntu 22.04.5 LTS",
        cpu_vendor: "GenuineIntel",
        cpu_model: "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz",
        microcode: "0x2007006",
        clocksource: "kvm-clock",
        hardware: ["OpenStack Foundation", "OpenStack Nova"],
        nic_driver: "virtio_net",
        nic_driver_version: None,
        disk: "vda",
        disk_major: 252,
        irq_pressure: false,
        conntrack: false,
        schedstat_version: None,
        perf_event_paranoid: 4,
        softnet_columns: 13,
    },
];

/// The platform that the slow kernel is one of.
pub(super) const SICK: usize = 1;

/// The kernel that some hosts of it were booted into.
pub(super) const SLOW_KERNEL: &str = "6.8.0-58-generic";
