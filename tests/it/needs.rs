//! What a probe needs, looked for on real hosts under every shell, with tools that call themselves what
//! real ones do.

use std::time::Duration;

use dropsonde::config::parse_probe;
use dropsonde::model::{Need, Outcome, Probe, ProbeName};
use dropsonde::wire::{Decoded, asking};

use crate::support::runs::{Job, probe};
use crate::support::sshd::{Setup, Sshd, Userland};

/// What each tool says of itself: (tool, words, status).
type Tools = [(&'static str, &'static str, i32)];

const DEBIAN_12: &Tools =
    &[("perf", "perf version 6.1.192", 0), ("bpftrace", "bpftrace v0.17.0", 0), ("sysdig", "0.22.0", 0)];

/// A build of one's own, the newest, and libs that had no version of three numbers.
const ODD: &Tools = &[
    ("perf", "perf version 6.12.g0123abcd", 0),
    ("bpftrace", "bpftrace v0.25.0-rc1", 0),
    ("sysdig", "0.9", 0),
];

/// Ubuntu's wrapper, a crash, and a sysdig from before the libs.
const BROKEN: &Tools = &[
    ("perf", "WARNING: perf not found for kernel 6.8.0-31", 2),
    ("bpftrace", "", 139),
    ("sysdig", "sysdig: unrecognized option '--libs-version'", 1),
];

/// Asks as a user without rights, which [`host`]'s `sudo` makes of whoever asks.
const AS_NOBODY: &str = "exec sudo -n /bin/sh -s";

/// A host with `tools`, whose `sudo` makes a user without rights of whoever asks.
fn host(shell: &str, tools: &Tools) -> Sshd {
    let mut scripts: Vec<_> = tools
        .iter()
        .map(|(tool, words, status)| (*tool, format!("#!/bin/sh\necho \"{words}\"\nexit {status}\n")))
        .collect();
    let nobody = "#!/bin/sh\nshift\nexec setpriv --reuid=65534 --regid=65534 --clear-groups \
                  --bounding-set=-all --inh-caps=-all \"$@\"\n";
    scripts.push(("sudo", nobody.to_owned()));
    let userland = Userland { shell: Some(shell.into()), scripts, ..Userland::default() };
    let prepare =
        "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing".to_owned();
    let lines = vec!["AcceptEnv CELL".to_owned()];
    Sshd::start(Setup { lines, prepare, userland: Some(userland), ..Setup::default() })
}

/// Needs as a probe's file has them.
fn needs(words: &[&str]) -> Vec<Need> {
    let list: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    let toml = format!(
        "name = \"a\"\nsummary = \"a\"\nscript = \":\"\nformat = \"text\"\nneeds = [{}]\n",
        list.join(",")
    );
    parse_probe("a", "test", &toml).unwrap_or_else(|faults| panic!("{faults}")).needs.clone()
}

fn ask(sshd: &Sshd, words: &[&str], change: impl FnOnce(&mut Job)) -> Decoded {
    let name = ProbeName::new("needs").expect("a name");
    let mut job = Job::new(asking(needs(words), name, Duration::from_secs(10)));
    job.only_check = true;
    change(&mut job);
    let decoded = job.over(sshd);
    job.assert_gone("a check");
    decoded
}

/// Which of `words` are missing, and what is there instead.
fn lacks(sshd: &Sshd, words: &[&str], change: impl FnOnce(&mut Job)) -> Vec<String> {
    let decoded = ask(sshd, words, change);
    assert_eq!(decoded.outcome, Outcome::Ok, "{:?} {}", decoded.detail, decoded.stderr);
    assert!(decoded.raw.is_empty() && decoded.exit.is_none());
    let place = |need: usize| words.get(need).copied().unwrap_or("none that was asked for");
    decoded
        .missing
        .iter()
        .map(|lack| match &lack.seen {
            Some(seen) => format!("{} = {seen}", place(lack.need)),
            None => place(lack.need).to_owned(),
        })
        .collect()
}

fn versions(shell: &str) {
    let sshd = host(shell, DEBIAN_12);
    let check = |sshd: &Sshd, words: &[&str], expected: &[&str]| {
        assert_eq!(lacks(sshd, words, |_| {}), expected, "{shell}");
    };
    let met = [
        "version:perf>=6.1",
        "version:perf>=6.1.192",
        "version:perf>=5.99.999",
        "version:perf<6.2",
        "version:perf<6.10",
        "version:perf>=06.01",
        "version:bpftrace<0.25",
        "version:bpftrace>=0.9",
        "version:sysdig-libs<0.23",
        "tool:perf",
    ];
    check(&sshd, &met, &[]);
    let unmet = [
        "version:perf>=6.12",
        "version:perf>=6.1.193",
        "version:perf<6.1",
        "version:perf<6.1.192",
        "version:bpftrace>=0.17.1",
        "version:sysdig-libs<0.22",
        "tool:no-such-tool",
    ];
    let instead = [
        "version:perf>=6.12 = 6.1.192",
        "version:perf>=6.1.193 = 6.1.192",
        "version:perf<6.1 = 6.1.192",
        "version:perf<6.1.192 = 6.1.192",
        "version:bpftrace>=0.17.1 = 0.17.0",
        "version:sysdig-libs<0.22 = 0.22.0",
        "tool:no-such-tool",
    ];
    check(&sshd, &unmet, &instead);
    let sshd = host(shell, ODD);
    check(&sshd, &["version:perf>=6.12", "version:bpftrace>=0.25", "version:sysdig-libs<0.22"], &[]);
    let all = ["version:perf>=6.13", "version:bpftrace<0.25", "version:sysdig-libs<0.9"];
    let instead =
        ["version:perf>=6.13 = 6.12.", "version:bpftrace<0.25 = 0.25.0", "version:sysdig-libs<0.9 = 0.9"];
    check(&sshd, &all, &instead);
    let sshd = host(shell, BROKEN);
    let all = ["version:perf>=1", "version:perf<99", "version:bpftrace<9", "version:sysdig-libs<0.22"];
    check(&sshd, &all, &all);
}

fn kernel(shell: &str) {
    let sshd = host(shell, DEBIAN_12);
    let real = ["event:irq:softirq_entry", "event:block:block_rq_issue", "tracefs:instances", "paranoid<=-1"];
    assert_eq!(lacks(&sshd, &real, |_| {}), [""; 0], "{shell}");
    assert_eq!(lacks(&sshd, &["event:irq:softirq_enter"], |_| {}), ["event:irq:softirq_enter"]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("chmod");
    std::fs::create_dir_all(folder.path().join("sys/kernel")).expect("folders");
    let paranoid = |level: &str, is_nobody: bool, words: &[&str]| {
        let path = folder.path().join("sys/kernel/perf_event_paranoid");
        std::fs::write(&path, format!("{level}\n")).expect("a level");
        lacks(&sshd, words, |job| {
            job.command = is_nobody.then_some(AS_NOBODY);
            job.host.proc_root = Some(folder.path().display().to_string());
        })
    };
    // Root has CAP_SYS_ADMIN, so no level is too high; this "sudo" takes all of that away.
    assert_eq!(paranoid("4", false, &["paranoid<=2"]), [""; 0]);
    assert_eq!(paranoid("4", true, &["paranoid<=4", "paranoid<=2"]), ["paranoid<=2 = 4"], "{shell}");
    assert_eq!(paranoid("-1", true, &["paranoid<=-1", "paranoid<=0"]), [""; 0], "{shell}");
    assert_eq!(paranoid("0", true, &["paranoid<=-1"]), ["paranoid<=-1 = 0"], "{shell}");
    assert_eq!(paranoid("x\u{1b}[31m", true, &["paranoid<=2"]), ["paranoid<=2 = x"], "{shell}");
    assert_eq!(paranoid("", true, &["paranoid<=2"]), ["paranoid<=2"], "{shell}");
    let log = |level: &str, is_nobody: bool| {
        std::fs::write(folder.path().join("sys/kernel/dmesg_restrict"), format!("{level}\n"))
            .expect("a level");
        lacks(&sshd, &["kernel-log"], |job| {
            job.command = is_nobody.then_some(AS_NOBODY);
            job.host.proc_root = Some(folder.path().display().to_string());
        })
    };
    assert_eq!((log("1", false), log("0", true)), (vec![], vec![]), "{shell}");
    assert_eq!(log("1", true), ["kernel-log = 1"], "{shell}");
    let able = ["cap:bpf", "cap:perfmon", "tool:no-such|cat", "file:/no|$PROC/stat", "tool:no-such|neither"];
    assert_eq!(lacks(&sshd, &able, |_| {}), [able[4]], "{shell}");
    let unable = lacks(&sshd, &able, |job| job.command = Some(AS_NOBODY));
    assert_eq!(unable, [able[0], able[1], able[4]], "{shell}");
    let blind = ["event:irq:softirq_entry", "tracefs:instances"];
    let found = lacks(&sshd, &blind, |job| job.command = Some(AS_NOBODY));
    assert_eq!(found, ["event:irq:softirq_entry = root", "tracefs:instances = root"], "{shell}");
}

/// The script is never run, and the reading says what is there and what is needed.
fn unsupported(shell: &str) {
    let sshd = host(shell, DEBIAN_12);
    let words = ["tool:perf", "version:perf>=6.12", "tool:nothing-such", "version:sysdig-libs<0.22"];
    let job = Job::new(Probe { needs: needs(&words), ..probe("echo ran") });
    let decoded = job.over(&sshd);
    let expected = "host lacks tool:nothing-such; perf 6.1.192, needs ≥ 6.12; \
                    sysdig libs 0.22.0 cannot measure latency, needs < 0.22";
    assert_eq!(
        (decoded.outcome, decoded.detail.as_deref()),
        (Outcome::Unsupported, Some(expected)),
        "{shell}"
    );
    assert_eq!(decoded.raw, b"");
    let met = Job::new(Probe {
        needs: needs(&["version:perf>=6.1", "version:bpftrace<0.25"]),
        ..probe("echo ran")
    });
    let decoded = met.over(&sshd);
    assert_eq!(
        (decoded.outcome, &*decoded.raw),
        (Outcome::Ok, &b"ran\n"[..]),
        "{shell} {:?}",
        decoded.detail
    );
}

/// A tool that hangs when it is asked for its version is ended at the deadline, with all it started.
fn hanging(shell: &str) {
    let tools = &[("perf", "\"; trap '' TERM; (setsid sleep 300 &); sleep 300; echo \"", 0)];
    let sshd = host(shell, tools);
    let words = ["version:perf>=6.12"];
    let mut job =
        Job::new(asking(needs(&words), ProbeName::new("needs").expect("a name"), Duration::from_secs(2)));
    job.only_check = true;
    let decoded = job.over(&sshd);
    assert_eq!(decoded.outcome, Outcome::TimedOut, "{shell}: {:?}", decoded.detail);
    job.assert_gone("a tool that hangs");
}

/// The deadline is the supervisor's: a script that began late, and says when it is told to end that all is
/// well, has measured less than it was to measure.
fn late(shell: &str) {
    let sshd = host(shell, &[("perf", "perf version 6.12.0\"; sleep 4; echo \"", 0)]);
    let job = Job::new(Probe {
        needs: needs(&["version:perf>=6.12"]),
        timeout: Duration::from_secs(8),
        ..probe("sleep 300 & trap 'echo told; exit 0' TERM; wait")
    });
    let decoded = job.over(&sshd);
    assert_eq!(
        (decoded.outcome, &*decoded.raw),
        (Outcome::TimedOut, &b"told\n"[..]),
        "{shell}: {:?}",
        decoded.detail
    );
}

fn all(shell: &str) {
    std::thread::scope(|scope| {
        for check in [versions, kernel, unsupported, hanging, late] {
            scope.spawn(move || check(shell));
        }
    });
}

#[test]
fn needs_are_looked_for_under_dash() {
    all("/usr/bin/dash");
}

#[test]
fn needs_are_looked_for_under_bash() {
    all("/usr/bin/bash");
}

#[test]
fn needs_are_looked_for_under_busybox_ash() {
    all("/usr/bin/busybox");
}
