//! Which package of which distribution has a tool. Only tools that shipped probes or the supervisor use
//! are known; another's package is taken to have its name.

use crate::render::shell_word;

/// Package managers, each with the column of [`PACKAGES`] that is its own and its command.
const MANAGERS: [(&str, usize, &str); 6] = [
    ("apt-get", 0, "apt-get update && apt-get install -y"),
    ("dnf", 1, "dnf install -y"),
    ("yum", 1, "yum install -y"),
    ("zypper", 2, "zypper --non-interactive install"),
    ("apk", 3, "apk add"),
    ("pacman", 4, "pacman -S --noconfirm"),
];

/// Tool → package on Debian and its kin, Fedora and its kin, openSUSE, Alpine, Arch.
const PACKAGES: [(&str, [&str; 5]); 14] = [
    ("awk", ["mawk", "gawk", "gawk", "gawk", "gawk"]),
    ("chronyc", ["chrony"; 5]),
    ("cyclictest", ["rt-tests", "realtime-tests", "rt-tests", "rt-tests", "rt-tests"]),
    ("dmesg", ["util-linux", "util-linux", "util-linux", "dmesg", "util-linux"]),
    ("doas", ["opendoas", "opendoas", "opendoas", "doas", "opendoas"]),
    ("flock", ["util-linux", "util-linux", "util-linux", "flock", "util-linux"]),
    ("nvme", ["nvme-cli"; 5]),
    ("perf", ["linux-perf", "perf", "perf", "perf", "perf"]),
    ("setsid", ["util-linux", "util-linux", "util-linux", "setsid", "util-linux"]),
    ("smartctl", ["smartmontools"; 5]),
    ("sysdig", ["sysdig"; 5]),
    ("timedatectl", ["systemd"; 5]),
    ("unshare", ["util-linux"; 5]),
    ("visudo", ["sudo"; 5]),
];

/// The command that installs `tool`, where the host has a package manager that we know.
pub(super) fn install(tool: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let (manager, column, command) = MANAGERS.iter().find(|(manager, ..)| has(manager))?;
    // Ubuntu has it in a package of each kernel's.
    if tool == "perf" && *manager == "apt-get" {
        return Some(format!("{command} linux-perf || apt-get install -y \"linux-tools-$(uname -r)\""));
    }
    let known = PACKAGES.iter().find(|(name, _)| *name == tool);
    Some(format!(
        "{command} {}",
        known.map_or_else(|| shell_word(tool), |(_, packages)| packages[*column].to_owned())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distribution_has_its_own_package_for_a_tool() {
        let with = |manager: &'static str, tool: &str| install(tool, |name| name == manager).unwrap();
        assert_eq!(with("apt-get", "smartctl"), "apt-get update && apt-get install -y smartmontools");
        assert_eq!(with("dnf", "cyclictest"), "dnf install -y realtime-tests");
        assert_eq!(with("apk", "doas"), "apk add doas");
        assert_eq!(with("pacman", "gzip"), "pacman -S --noconfirm gzip");
        assert!(with("apt-get", "perf").contains("linux-tools-$(uname -r)"));
        assert_eq!(install("gzip", |_| false), None);
        for (manager, ..) in MANAGERS {
            assert!(crate::collect::checkup::ASIDE.contains(&manager), "{manager} is not asked for");
        }
    }
}
