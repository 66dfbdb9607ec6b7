//! Incidents that are really made, on one of several hosts that are all this machine. They share its kernel
//! and so its counters, so each has a view of its own: `sys_root` is a folder with its cgroup, `proc_root`
//! one with the network and the workload of a network namespace.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::patience::PATIENCE;
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, kill};

const HOSTS: usize = 7;

/// One more than the lenses want, because the first reading of a counter has no rate, and one for luck.
const BASELINE: usize = 26;

/// A workload that hardly does anything, and writes to the disk for as long as there is the file $1.
const WORKLOAD: &str = r#"
ip link set lo up
while :; do
  i=0
  while [ $i -lt 200 ]; do i=$((i + 1)); done
  if [ -e "$1" ]; then dd if=/dev/zero of="$1" bs=256k count=8 conv=notrunc,fdatasync 2>/dev/null; fi
  sleep 0.05
done
"#;

/// Nobody ever reads what this socket is sent.
const OVERFLOW: &str = "
import socket, time
deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
deaf.bind(('127.0.0.1', 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(20):
        sender.sendto(b'x' * 512, deaf.getsockname())
    time.sleep(0.005)
";

const PROBE: &str = r#"
while read -r key value _; do
  case $key in
  nr_throttled) printf 'cgroup_cpu_throttled_periods_total: %s\n' "$value" ;;
  throttled_time) value=$((value / 1000)) key=throttled_usec ;;
  esac
  case $key in throttled_usec)
    printf 'cgroup_cpu_throttled_seconds_total: %d.%06d\n' $((value / 1000000)) $((value % 1000000)) ;;
  esac
done <"$SYS/cgroup/cpu.stat"
while read -r key received _ _ _ overflows _; do
  case $key$received in Udp:[0-9]*) printf 'udp_receive_buffer_errors_total: %s\n' "$overflows" ;; esac
done <"$PROC/net/snmp"
while read -r key value; do
  case $key in write_bytes:) printf 'workload_written_bytes_total: %s\n' "$value" ;; esac
done <"$PROC/workload/io"
"#;

const METRICS: &str = r#"format = "keyvalue"
[[metric]]
name = "cgroup_cpu_throttled_periods_total"
kind = "counter"
help = "periods in which the group used up its quota"
worse = "higher"
[[metric]]
name = "cgroup_cpu_throttled_seconds_total"
unit = "seconds"
kind = "counter"
help = "time for which the group was kept from running"
worse = "higher"
[[metric]]
name = "udp_receive_buffer_errors_total"
kind = "counter"
help = "datagrams for which a socket's queue had no room"
worse = "higher"
[[metric]]
name = "workload_written_bytes_total"
unit = "bytes"
kind = "counter"
help = "what the workload sent to the disk"
worse = "higher"
"#;

/// A cgroup, its workload and the folders through which a probe sees them. Dropping it ends all of them.
struct View {
    hog: PathBuf,
    group: PathBuf,
    workload: Child,
}

impl View {
    /// As version 1 or 2 of cgroups has it: 10 of each 50 ms.
    fn new(dir: PathBuf, name: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let second = root.join("cgroup.controllers").exists();
        let group = root.join(if second { "" } else { "cpu" }).join(name);
        if second {
            // Refused where it is on already and there are processes: then the group has `cpu.max`.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
        }
        fs::create_dir(&group).expect("a cgroup: these tests run as root");
        let limits = if second {
            vec![("cpu.max", "10000 50000")]
        } else {
            vec![("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "10000")]
        };
        for (file, value) in limits {
            fs::write(group.join(file), value).expect("the kernel has the cpu controller");
        }
        for folder in ["proc", "sys"] {
            fs::create_dir_all(dir.join(folder)).expect("mkdir");
        }
        let mut command = Command::new("unshare");
        // Not below `dir`: in memory, where the other files of the tests may be, nothing is written to a disk.
        let hog = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.hog"));
        command.args(["--net", "--", "sh", "-c", WORKLOAD, "sh"]).arg(&hog);
        let workload = within(&group, command);
        let process = PathBuf::from(format!("/proc/{}", workload.id()));
        symlink(&group, dir.join("sys/cgroup")).expect("symlink");
        symlink(&process, dir.join("proc/workload")).expect("symlink");
        symlink(process.join("net"), dir.join("proc/net")).expect("symlink");
        let view = Self { hog, group, workload };
        let limit = Instant::now() + PATIENCE;
        while fs::read_link(process.join("ns/net")).ok() == fs::read_link("/proc/self/ns/net").ok() {
            assert!(Instant::now() < limit, "no network namespace");
            sleep(Duration::from_millis(5));
        }
        view
    }

    fn start(&self, command: Command) -> Incident {
        Incident::Process(within(&self.group, command))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // A process may have forked between the look and the kill, and a dead one leaves a moment later.
        for _ in 0..400 {
            let pids = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
            pids.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| kill(pid, "KILL"));
            let _ = self.workload.try_wait();
            match fs::remove_dir(&self.group) {
                Err(error) if error.kind() != ErrorKind::NotFound => sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        assert!(std::thread::panicking(), "{} stays", self.group.display());
    }
}

/// What goes on until it is dropped.
enum Incident {
    Process(Child),
    Flag(PathBuf),
}

impl Drop for Incident {
    fn drop(&mut self) {
        // Gone already is as good.
        match self {
            Self::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Flag(path) => {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// `command` as a process of `group` from its first moment on.
fn within(group: &Path, command: Command) -> Child {
    let mut moved = Command::new("sh");
    moved.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
    moved.arg(command.get_program()).args(command.get_args());
    moved.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    moved.spawn().expect("sh")
}

fn sweep(program: &Program, times: usize) {
    for _ in 0..times {
        program.run(&["sweep", "often"]).expect(0, &[]);
    }
}

/// The metric of the first finding, the hosts of that, and those of all findings.
fn told(answer: &Value) -> (String, Vec<String>, Vec<String>) {
    let findings = answer["findings"].as_array().expect("findings");
    let hosts = |finding: &Value| -> Vec<String> {
        let names = finding["hosts"].as_array().expect("hosts").iter();
        names.map(|it| it["host"].as_str().or(it.as_str()).expect("a host").to_owned()).collect()
    };
    let metric = |it: &Value| it["metric"].as_str().expect("a metric").to_owned();
    let mut all: Vec<String> = findings.iter().flat_map(hosts).collect();
    all.sort();
    all.dedup();
    (findings.first().map(metric).unwrap_or_default(), findings.first().map(hosts).unwrap_or_default(), all)
}

/// While the incident goes on, it is told, with the right family first and no other host beside it. A busy
/// machine may take the time from a hog: then it is measured again, in a few more sweeps.
fn assert_found(program: &Program, host: &str, family: &str) {
    let mut answer = Value::Null;
    for _ in 0..8 {
        sweep(program, 2);
        answer = program.run(&["outliers", "--json"]).json();
        let (metric, first, all) = told(&answer);
        if metric.starts_with(family) && first == [host] && all == [host] {
            return;
        }
    }
    panic!("{host}'s {family} is not first, or not alone: {answer:#}");
}

#[test]
fn a_real_incident_is_found_on_its_host_by_its_metric() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::alone();
    program.probe("view", PROBE, METRICS);
    let mut views = Vec::new();
    let (identity, known) = (sshd.identity(), sshd.known_hosts());
    for number in 1..=HOSTS {
        let name = format!("node{number}");
        let dir = program.dir().join(&name);
        let (proc, sys) = (dir.join("proc"), dir.join("sys"));
        views.push(View::new(dir, &format!("dropsonde-incident.{}.{number}", std::process::id())));
        program.host_block(&name, Some("127.0.0.1"), (sshd.port(), sshd.user()), (&identity, &known));
        program.configure(&format!("proc_root = {proc:?}\nsys_root = {sys:?}\n"));
    }
    program.configure("[[schedule]]\nname = \"often\"\ncron = \"@hourly\"\nprobes = [\"view\"]\n");

    sweep(&program, BASELINE);
    let before = program.run(&["outliers", "--json"]).json();
    assert_eq!(before["findings"], Value::Array(Vec::new()), "nothing has happened yet: {before:#}");
    let baseline = program.dir().join("baseline");
    copy(&program.state(), &baseline);
    let afresh = || {
        fs::remove_dir_all(program.state()).expect("the state");
        copy(&baseline, &program.state());
        // The rates of the next sweep are of the time since the baseline, with the incident before in it.
        sweep(&program, 1);
    };

    {
        let mut hog = Command::new("sh");
        hog.args(["-c", "while :; do :; done"]);
        let _hog = views[2].start(hog);
        assert_found(&program, "node3", "cgroup_cpu_throttled_");
    }
    afresh();
    {
        let mut overflow = Command::new("nsenter");
        let network = format!("--net=/proc/{}/ns/net", views[4].workload.id());
        overflow.args([&network, "--", "python3", "-c", OVERFLOW]);
        let _overflow = views[4].start(overflow);
        assert_found(&program, "node5", "udp_receive_buffer_errors_");
    }
    afresh();
    fs::write(&views[1].hog, "").expect("a flag");
    let _hog = Incident::Flag(views[1].hog.clone());
    assert_found(&program, "node2", "workload_written_bytes_");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(status.success(), "cp -a {from:?} {to:?}");
}
