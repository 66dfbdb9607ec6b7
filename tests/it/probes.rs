//! The shipped probes' scripts as they are, run on this machine under dash, bash and busybox ash.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use dropsonde::config::Library;
use dropsonde::model::{Kind, Parsed, Probe, Span};
use dropsonde::parse::{Context, parse};

/// A shell, and whether its tools are busybox's too.
const SHELLS: [(&str, bool); 3] = [("dash", false), ("bash", false), ("busybox", true)];

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

fn probe(name: &str) -> Arc<Probe> {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    Arc::clone(library.get(name).unwrap())
}

/// A script's run, with `tools` before everything else on the PATH.
struct Run<'a> {
    shell: (&'a str, bool),
    env: Vec<(&'a str, String)>,
    tools: Option<&'a Path>,
    /// As a user without any right.
    nobody: bool,
}

impl<'a> Run<'a> {
    fn under(shell: (&'a str, bool)) -> Self {
        Self { shell, env: Vec::new(), tools: None, nobody: false }
    }

    fn of(self, probe: &Probe) -> Output {
        let applets = tempfile::tempdir().unwrap();
        let mut path = PATH.to_owned();
        if self.shell.1 {
            std::fs::set_permissions(applets.path(), PermissionsExt::from_mode(0o755)).unwrap();
            for applet in ["awk", "dmesg", "grep", "sleep", "uname"] {
                symlink("/bin/busybox", applets.path().join(applet)).unwrap();
            }
            path = format!("{}:{path}", applets.path().display());
        }
        if let Some(tools) = self.tools {
            path = format!("{}:{path}", tools.display());
        }
        let mut words = vec![self.shell.0];
        if self.nobody {
            words.splice(..0, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        if self.shell.1 {
            words.push("sh");
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("-c").arg(&probe.script).env_clear();
        command.env("PATH", path).env("LC_ALL", "C").envs(self.env);
        command.output().unwrap()
    }
}

fn read(probe: &Probe, output: &Output, cursor: Option<&str>) -> Parsed {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", probe.name);
    parse(probe, &output.stdout, &Context { clock: None, cursor })
}

fn value(parsed: &Parsed, metric: &str) -> Option<f64> {
    let mut all = parsed.samples.iter().filter(|sample| sample.metric == metric && sample.labels.is_empty());
    all.next().map(|sample| sample.value)
}

fn labelled(parsed: &Parsed, metric: &str, label: &str) -> Option<f64> {
    let is_it = |values: &[(std::borrow::Cow<str>, String)]| values.iter().any(|(_, value)| value == label);
    let found = parsed.samples.iter().find(|sample| sample.metric == metric && is_it(&sample.labels));
    found.map(|sample| sample.value)
}

#[test]
fn proc_under_each_shell() {
    let probe = probe("proc");
    std::thread::scope(|scope| {
        for shell in SHELLS {
            let probe = &probe;
            scope.spawn(move || check_proc(probe, shell));
        }
    });
}

fn check_proc(probe: &Probe, shell: (&str, bool)) {
    let output = Run::under(shell).of(probe);
    let parsed = read(probe, &output, None);
    assert_eq!(parsed.faults, [], "{shell:?}");
    assert!(parsed.samples.len() > 150, "{shell:?}: {}", parsed.samples.len());
    for sample in &parsed.samples {
        let spec = probe.spec(&sample.metric).unwrap_or_else(|| panic!("no entry for {}", sample.metric));
        assert_eq!(spec.kind, sample.kind, "{}", sample.metric);
        assert!(sample.value.is_finite() && sample.value >= 0.0, "{sample:?}");
    }
    let modes: f64 = parsed
        .samples
        .iter()
        .filter(|sample| sample.metric == "cpu_mean_seconds_total" && sample.span == Span::Window)
        .map(|sample| sample.value)
        .sum();
    // A CPU has a second in each second; ticks of 10 ms and a busy machine blur it.
    assert!((0.8..=1.2).contains(&modes), "{shell:?}: {modes}");
    let online = std::thread::available_parallelism().unwrap().get() as f64;
    assert!(value(&parsed, "cpu_online").unwrap() >= online, "{shell:?}");
    // This test itself makes processes within the window.
    assert!(value(&parsed, "node_forks_total").unwrap() > 0.0, "{shell:?}");
    let total = value(&parsed, "node_memory_MemTotal_bytes").unwrap();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib: f64 = meminfo.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(total, kib * 1024.0);
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let now_s: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let read_s = parsed.totals_uptime_s.unwrap();
    assert!(read_s <= now_s && read_s > now_s - 60.0, "{read_s} {now_s}");
}

/// A host as files: what the script picks out of them does not depend on this machine.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        let root = self.0.path();
        vec![
            ("PROC", root.join("proc").display().to_string()),
            ("SYS", root.join("sys").display().to_string()),
        ]
    }
}

/// Names that a user chooses, with what a shell would expand in them.
const GROUP: &str = "sys/fs/cgroup/my.slice/a *$(id)`id` b:c/cpu.stat";

#[test]
fn proc_over_files() {
    let stuck = format!("7 (x) D) D 1{} 55 0\n", " 1".repeat(17));
    let tree = Tree::new(&[
        ("proc/uptime", "100.00 50.00\n"),
        ("proc/loadavg", "0.00 0.00 0.00 1/3 9\n"),
        ("proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\nctxt 5\n"),
        // Reading a folder fails as reading PSI does where it is switched off: the others are not lost.
        ("proc/pressure/cpu/folder", ""),
        ("proc/pressure/io", "some avg10=1.00 avg60=0.00 avg300=0.00 total=5000000\n"),
        ("proc/7/task/7/stat", &stuck),
        ("proc/7/task/7/wchan", "io_schedule"),
        ("proc/7/task/7/schedstat", "1 2 3\n"),
        ("proc/8/task/8/stat", &stuck.replace(") D 1", ") S 1")),
        ("proc/8/task/8/schedstat", "4 5 6\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
        (GROUP, "usage_usec 5\nnr_periods 4\nnr_throttled 1\nthrottled_usec 2000000\n"),
        (
            "sys/fs/cgroup/my.slice/free/cpu.stat",
            "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
        ),
    ]);
    let probe = probe("proc");
    std::thread::scope(|scope| {
        for shell in SHELLS {
            let (probe, tree) = (&probe, &tree);
            scope.spawn(move || {
                let run = Run { env: tree.env(), ..Run::under(shell) };
                let parsed = read(probe, &run.of(probe), None);
                // Files that stand still have no time between the snapshots.
                assert_eq!(parsed.faults.len(), 1, "{:?}", parsed.faults);
                assert!(parsed.faults[0].0.starts_with("expected snapshots at least"));
                assert_eq!(value(&parsed, "blocked_tasks"), Some(1.0), "{shell:?}");
                let throttled = |group: &str| {
                    let is_it = |total: &&dropsonde::model::Total| {
                        total.metric == "cgroup_cpu_throttled_seconds_total" && total.labels[0].1 == group
                    };
                    parsed.totals.iter().find(is_it).map(|total| total.value)
                };
                let group = GROUP.trim_start_matches("sys/fs/cgroup/").trim_end_matches("/cpu.stat");
                assert_eq!(throttled(group), Some(2.0), "{shell:?}: {:?}", parsed.totals);
                assert_eq!(throttled("/"), Some(2.0));
                assert_eq!(throttled("my.slice/free"), None);
                // What is not among the files is not there, as opposed to 0.
                assert_eq!(value(&parsed, "memory_used_ratio"), None);
                let pressure = |total: &&dropsonde::model::Total| total.metric.starts_with("node_pressure");
                let found: Vec<_> = parsed.totals.iter().filter(pressure).map(|total| total.value).collect();
                assert_eq!(found, [5.0], "{shell:?}");
            });
        }
    });
}

#[test]
fn a_proc_that_is_not_there_is_a_failure_not_zeros() {
    for shell in SHELLS {
        let run = Run { env: vec![("PROC", "/nonexistent".into())], ..Run::under(shell) };
        let output = run.of(&probe("proc"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn host_context_is_the_same_under_each_shell() {
    let probe = probe("host_context");
    let facts: Vec<_> = SHELLS
        .iter()
        .map(|shell| {
            let parsed = read(&probe, &Run::under(*shell).of(&probe), None);
            assert_eq!(parsed.faults, [], "{shell:?}");
            parsed.facts
        })
        .collect();
    assert_eq!(facts[0], facts[1]);
    assert_eq!(facts[0], facts[2]);
    let fact = |key: &str| facts[0].get(key).map(String::as_str);
    let line = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    assert_eq!(fact("kernel"), Some(line("/proc/sys/kernel/osrelease").as_str()));
    assert_eq!(fact("boot_id"), Some(line("/proc/sys/kernel/random/boot_id").as_str()));
    assert_eq!(fact("swappiness"), Some(line("/proc/sys/vm/swappiness").as_str()));
    assert_eq!(fact("cpus_online"), Some(line("/sys/devices/system/cpu/online").as_str()));
    let arch = Command::new("uname").arg("-m").output().unwrap().stdout;
    assert_eq!(fact("arch"), Some(String::from_utf8(arch).unwrap().trim()));
    for key in ["distro", "cpu_model", "psi", "schedstat", "btf", "tracefs", "tool_gzip"] {
        assert!(fact(key).is_some(), "{key}: {facts:?}");
    }
}

#[test]
fn host_context_over_files() {
    let tree = Tree::new(&[
        ("proc/sys/kernel/osrelease", "6.8.0-52-generic\n"),
        ("proc/sys/kernel/arch", "aarch64\n"),
        ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
        ("proc/1/root/etc/os-release", "NAME=\"Ubuntu\"\nID=ubuntu\nVERSION_ID=\"24.04\"\n"),
        (
            "proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Xeon(R) Gold: a * [b]\nmicrocode\t: 0xd0003f5\nflags\t\t: fpu hypervisor sse\n\n\
             processor\t: 1\nmodel name\t: Another\n",
        ),
        ("proc/net/route", "Iface\tDestination\tGateway\nvlan7\t0000000A\t0\nbond0\t00000000\t0102000A\n"),
        ("proc/schedstat", "version 15\n"),
        ("sys/class/net/bond0/lower_eth1/keep", ""),
        ("sys/class/net/eth1/device/keep", ""),
        ("sys/class/net/eth1/mtu", "9000\n"),
        ("sys/class/net/eth1/speed", "25000\n"),
        ("sys/bus/drivers/ena/module/version", "2.13.0g\n"),
        ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n"),
        ("sys/class/dmi/id/product_name", "m5.large\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
    ]);
    let driver = tree.0.path().join("sys/class/net/eth1/device/driver");
    symlink(tree.0.path().join("sys/bus/drivers/ena"), driver).unwrap();
    for shell in SHELLS {
        let run = Run { env: tree.env(), ..Run::under(shell) };
        let parsed = read(&probe("host_context"), &run.of(&probe("host_context")), None);
        assert_eq!(parsed.faults, []);
        for (key, expected) in [
            ("kernel", "6.8.0-52-generic"),
            ("arch", "aarch64"),
            ("distro", "ubuntu 24.04"),
            ("cpu_model", "Xeon(R) Gold: a * [b]"),
            ("microcode", "0xd0003f5"),
            ("hardware", "Amazon EC2 m5.large"),
            ("virtualisation", "amazon"),
            ("cgroup", "v2"),
            ("transparent_hugepage", "madvise"),
            ("nic", "bond0"),
            ("nic_driver", "ena 2.13.0g"),
            ("nic_mtu", "9000"),
            ("nic_speed", "25000"),
            ("schedstat", "cpu"),
            ("psi", "no"),
            ("perf_event_paranoid", "-1"),
        ] {
            assert_eq!(parsed.facts.get(key).map(String::as_str), Some(expected), "{shell:?}: {key}");
        }
    }
}

const BOOT: &str = "00000000-0000-4000-8000-000000000009";

/// A `dmesg` that prints `log` and ends with `status`.
fn dmesg(log: &str, status: i32) -> Tree {
    let script = format!("#!/bin/sh\ncat <<'END'\n{log}END\nexit {status}\n");
    let boot = format!("{BOOT}\n");
    let tree = Tree::new(&[
        ("tools/dmesg", &script),
        ("proc/uptime", "2000.00 1.00\n"),
        ("proc/sys/kernel/random/boot_id", &boot),
    ]);
    std::fs::set_permissions(tree.0.path().join("tools/dmesg"), PermissionsExt::from_mode(0o755)).unwrap();
    tree
}

fn run_dmesg(tree: &Tree, shell: (&str, bool), cursor: Option<&str>) -> Output {
    let mut env = tree.env();
    env.extend(cursor.map(|cursor| ("DROPSONDE_CURSOR", cursor.to_owned())));
    let tools = tree.0.path().join("tools");
    Run { env, tools: Some(&tools), ..Run::under(shell) }.of(&probe("kernel_log"))
}

const LOG: &str = "[    0.000000] Linux version\n[  999.999999] old: I/O error\n[ 1000.000000] seen: I/O error\n continued\n\
                   <4>[ 1000.000001] new: I/O error, dev sda\n more\n[ 1500.250000][  T9] NETDEV WATCHDOG: x\n";

#[test]
fn kernel_log_goes_on_where_it_stopped() {
    for shell in SHELLS {
        let tree = dmesg(LOG, 0);
        let first = read(&probe("kernel_log"), &run_dmesg(&tree, shell, None), None);
        assert_eq!(labelled(&first, "kernel_log_events_total", "io_error"), Some(3.0 / 2000.0), "{shell:?}");
        let cursor = first.cursor.unwrap();
        assert_eq!(cursor, format!("{BOOT} 1500.250000 2000.00"));

        let cursor = format!("{BOOT} 1000.000000 1100.00");
        let output = run_dmesg(&tree, shell, Some(&cursor));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(
            !text.contains("seen") && !text.contains("continued") && text.contains(" more"),
            "{shell:?}: {text}"
        );
        let next = read(&probe("kernel_log"), &output, Some(&cursor));
        assert_eq!(next.faults, []);
        assert_eq!(labelled(&next, "kernel_log_events_total", "io_error"), Some(1.0 / 900.0));
        assert_eq!(labelled(&next, "kernel_log_events_total", "netdev_watchdog"), Some(1.0 / 900.0));
        assert_eq!(labelled(&next, "kernel_log_events_total", "hung_task"), Some(0.0));
        assert_eq!(value(&next, "kernel_log_lines_total"), Some(2.0 / 900.0));

        for other in
            ["x'; exit 9; '", "11111111-0000-4000-8000-000000000009 1000.0 1.0", &format!("{BOOT} 1e9 1")]
        {
            assert_eq!(
                run_dmesg(&tree, shell, Some(other)).stdout,
                run_dmesg(&tree, shell, None).stdout,
                "{other}"
            );
        }
    }
}

#[test]
fn a_log_that_cannot_be_read_is_unsupported() {
    let check = |log: &str, status: i32, reason: &str| {
        for shell in SHELLS {
            let output = run_dmesg(&dmesg(log, status), shell, None);
            assert_eq!(output.status.code(), Some(69), "{shell:?} {output:?}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.starts_with(reason), "{shell:?}: {stderr}");
        }
    };
    check(
        "dmesg: read kernel buffer failed: Operation not permitted\n",
        1,
        "reading the kernel log was refused",
    );
    check("Linux version 6\nusb 1-1: new\n", 0, "the kernel log has no times");
}

#[test]
fn kernel_log_of_this_machine() {
    let readable = |nobody: bool| {
        let mut command = Command::new("setpriv");
        if nobody {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command.arg("dmesg").output().unwrap().status.success()
    };
    for nobody in [false, true] {
        let expected = if readable(nobody) { 0 } else { 69 };
        for shell in SHELLS {
            let output = Run { nobody, ..Run::under(shell) }.of(&probe("kernel_log"));
            assert_eq!(output.status.code(), Some(expected), "{shell:?} nobody={nobody}: {output:?}");
            if expected == 69 {
                continue;
            }
            let parsed = read(&probe("kernel_log"), &output, None);
            assert!(parsed.cursor.is_some());
            let first_reading =
                parsed.faults.iter().all(|fault| fault.0.starts_with("first reading of this boot"));
            assert!(first_reading, "{:?}", parsed.faults);
            assert!(value(&parsed, "kernel_log_lines_total").unwrap() > 0.0);
            assert!(parsed.samples.iter().all(|s| s.span == Span::Between || s.kind == Kind::Gauge));
        }
    }
}
