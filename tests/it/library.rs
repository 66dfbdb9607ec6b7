//! Each shipped probe through a real sshd, as whoever is allowed what: numbers, or a true word about what
//! is missing; never a failure. A probe that is new is among them by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use dropsonde::config::Library;
use dropsonde::model::{Privilege, Probe};
use dropsonde::parse::{Context, parse};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, Userland};
use crate::support::tracer::alone;

/// May become root without a password, by the rule that the advice of a denial names.
const WILLING: &str = "sweeper";
/// Has sudo, and no rule.
const REFUSED: &str = "guest";

/// A host with these two users beside root, who are there for its sshd alone.
struct Machine {
    sshd: Sshd,
    _files: TempDir,
}

impl Machine {
    fn start() -> Self {
        let files = tempfile::Builder::new().prefix("dropsonde-users.").tempdir().expect("a folder");
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let user = |name: &str, id: u32| format!("{name}:*:{id}:65534::/:/bin/sh\n");
        let passwd = passwd + &user(WILLING, 64_001) + &user(REFUSED, 64_002);
        write(&files.path().join("passwd"), &passwd, 0o644);
        let rules = format!("root ALL=(ALL:ALL) ALL\n{WILLING} ALL=(root) NOPASSWD: /bin/sh\n");
        write(&files.path().join("sudoers"), &rules, 0o440);
        let prepare = format!(
            "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
             mount --bind '{0}/passwd' /etc/passwd
             mount --bind '{0}/sudoers' /etc/sudoers",
            files.path().display()
        );
        let sshd = Sshd::start(Setup { prepare, userland: Some(Userland::default()), ..Setup::default() });
        Self { sshd, _files: files }
    }

    /// Runs all shipped probes as `user`, and again those that stood back for somebody else's tracer:
    /// each reading, and its output.
    fn readings(&self, user: &str) -> Vec<(Probe, Value, String)> {
        let mut program = Program::new();
        let files = (&*self.sshd.identity(), &*self.sshd.known_hosts());
        program.host_block("web01", Some("127.0.0.1"), (self.sshd.port(), user), files);
        let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
        let mut left: Vec<&Probe> = library.probes.values().map(|shelved| &*shelved.probe).collect();
        let mut readings = Vec::new();
        let until = Instant::now() + Duration::from_secs(180);
        while !left.is_empty() {
            let names = left.iter().map(|probe| probe.name.as_str());
            let arguments: Vec<&str> = ["run", "-H", "web01", "--json"].into_iter().chain(names).collect();
            let ran = program.run(&arguments);
            let mut busy = Vec::new();
            for probe in left {
                let name = probe.name.as_str();
                let reading = ran.reading("web01", name);
                if reading["outcome"] == "skipped" && Instant::now() < until {
                    busy.push(probe);
                } else {
                    let raw = program.run(&["show", "web01", name, "--raw"]).out;
                    readings.push((probe.clone(), reading, raw));
                }
            }
            left = busy;
        }
        readings
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Ended well with something to show for it, or lacks something that this machine truly has not.
fn assert_answered(user: &str, probe: &Probe, reading: &Value, raw: &str) {
    let name = &probe.name;
    let detail = reading["detail"].as_str().unwrap_or_default();
    match reading["outcome"].as_str() {
        Some("ok") => {
            let parsed = parse(probe, raw.as_bytes(), &Context { clock: None, cursor: None });
            let found =
                parsed.samples.len() + parsed.totals.len() + parsed.histograms.len() + parsed.facts.len();
            assert!(found > 0, "{name} as {user}: nothing in {raw:?}");
            let told = reading["samples"].as_u64();
            assert!(told > Some(0) || parsed.samples.is_empty(), "{name} as {user}: {reading}");
        }
        Some("unsupported") => assert_lacking(&format!("{name} as {user}: {detail}"), probe, detail),
        _ => panic!("{name} as {user}: {reading}"),
    }
}

/// `host lacks …` names needs that are not met here; a script's own word is one line that says what.
fn assert_lacking(what: &str, probe: &Probe, detail: &str) {
    let Some(lacking) = detail.strip_prefix("host lacks ") else {
        let is_sentence = detail.lines().count() == 1 && detail.split_whitespace().count() >= 4;
        assert!(is_sentence && !detail.contains("gave no reason"), "{what}");
        return;
    };
    let needs = probe.needs.iter().map(ToString::to_string);
    let named: Vec<String> = needs
        .filter(|need| match need.strip_prefix("version:") {
            // With what is there instead.
            Some(version) => {
                let tool = version.split(['<', '>']).next().unwrap_or_default();
                lacking.contains(&tool.replace('-', " "))
            }
            None => lacking.contains(need.as_str()),
        })
        .collect();
    assert!(!named.is_empty(), "{what}: it names none of the needs");
    for need in named {
        let path = std::env::var_os("PATH").expect("a PATH");
        let is_there = match need.split_once(':') {
            Some(("tool", tool)) => {
                std::env::split_paths(&path).any(|folder| folder.join(tool).exists())
                    || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(tool).exists())
            }
            Some(("file", file)) => {
                Path::new(&file.replace("$PROC", "/proc").replace("$SYS", "/sys")).exists()
            }
            Some(("event", event)) => {
                Path::new("/sys/kernel/tracing/events").join(event.replace(':', "/")).exists()
            }
            _ => false,
        };
        assert!(!is_there, "{what}: {need} is there");
    }
}

#[test]
fn each_probe_answers_as_root() {
    let _alone = alone();
    for (probe, reading, raw) in Machine::start().readings("root") {
        assert_answered("root", &probe, &reading, &raw);
    }
}

#[test]
fn each_probe_answers_as_a_user_with_sudo() {
    let _alone = alone();
    for (probe, reading, raw) in Machine::start().readings(WILLING) {
        assert_answered(WILLING, &probe, &reading, &raw);
    }
}

/// What needs root is denied, and says by whom and what to do; everything else works.
#[test]
fn each_probe_answers_as_a_user_without_sudo() {
    for (probe, reading, raw) in Machine::start().readings(REFUSED) {
        if probe.privilege == Privilege::Root {
            let detail = reading["detail"].as_str().unwrap_or_default();
            assert_eq!(reading["outcome"], "denied", "{}: {reading}", probe.name);
            assert!(detail.contains("sudo") && detail.contains("sudoers"), "{}: {detail}", probe.name);
        } else {
            assert_answered(REFUSED, &probe, &reading, &raw);
        }
    }
}
