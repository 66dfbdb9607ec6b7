//! The unit files: systemd itself takes them, and what they call exists.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::{ROOT, Source, sources};

fn units() -> Vec<Source> {
    let mut units = sources("systemd", "service");
    units.extend(sources("systemd", "timer"));
    units
}

fn value<'a>(unit: &'a Source, key: &str) -> &'a str {
    let found = unit.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{} has no {key}", unit.path))
}

fn unit(name: &str) -> Source {
    units().into_iter().find(|unit| unit.path.ends_with(name)).unwrap()
}

/// What the program is called with.
fn called(unit: &Source) -> Vec<String> {
    let line = value(unit, "ExecStart").replace("%i", "hourly");
    line.split(' ').map(str::to_owned).collect()
}

/// The lines from the first restriction on.
fn hardening(unit: &Source) -> Vec<&str> {
    let lines = unit.text.lines().skip_while(|line| *line != "NoNewPrivileges=yes");
    lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect()
}

/// How exposed systemd finds a service, from 0 to 10, with the drop-ins beside it.
fn exposure(name: &str, drop_in: Option<&str>) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(Path::new(ROOT).join("systemd").join(name), dir.path().join(name)).unwrap();
    if let Some(drop_in) = drop_in {
        let folder = dir.path().join(format!("{name}.d"));
        fs::create_dir(&folder).unwrap();
        fs::copy(Path::new(ROOT).join("systemd").join(drop_in), folder.join(drop_in)).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(dir.path().join(name))
        .output()
        .expect("systemd-analyze (package systemd) is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let level = text.split("Overall exposure level for ").nth(1).and_then(|rest| rest.split(": ").nth(1));
    let level = level.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{text}"));
    level.parse().unwrap()
}

/// Where each drop-in may be put.
const DROP_INS: &[(&str, &[&str])] = &[
    ("metrics.conf", &["dropsonde.service", "dropsonde-sweep@.service"]),
    ("probe-itself.conf", &["dropsonde.service"]),
];

#[test]
fn every_drop_in_is_verified() {
    let there: Vec<String> = sources("systemd", "conf")
        .into_iter()
        .map(|it| it.path)
        .filter(|path| !path.contains(".d/"))
        .collect();
    let known: Vec<String> = DROP_INS.iter().map(|(name, _)| format!("systemd/{name}")).collect();
    assert_eq!(there, known);
}

#[test]
fn systemd_takes_the_units_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for unit in units() {
        // An instance, so that %i is resolved; and a program that is there.
        let name = unit.path.rsplit('/').next().unwrap().replace("@.", "@hourly.");
        let text = unit.text.replace("/usr/bin/dropsonde", env!("CARGO_BIN_EXE_dropsonde"));
        fs::write(dir.path().join(&name), text).unwrap();
        names.push(dir.path().join(name));
    }
    assert_eq!(names.len(), 3);
    for (drop_in, services) in DROP_INS {
        for service in *services {
            let folder = dir.path().join(format!("{}.d", service.replace("@.", "@hourly.")));
            fs::create_dir_all(&folder).unwrap();
            fs::copy(Path::new(ROOT).join("systemd").join(drop_in), folder.join(drop_in)).unwrap();
        }
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&names)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()))
        .output()
        .expect("systemd-analyze (package systemd) is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_service_runs_a_sweep_that_the_program_takes() {
    let service = unit("dropsonde-sweep@.service");
    let words = called(&service);
    assert!(Path::new(&words[0]).is_absolute());
    dropsonde::cli::command().try_get_matches_from(&words).unwrap();
    assert_eq!(value(&service, "Type"), "oneshot");
    // A host that is down is in the ledger; it is no reason for an alarm about the collector.
    assert_eq!(value(&service, "SuccessExitStatus"), dropsonde::cli::Exit::Partial.code().to_string());
    assert_eq!(value(&service, "StateDirectory"), "dropsonde");
    assert_eq!(value(&service, "NoNewPrivileges"), "yes");
}

#[test]
fn the_daemon_is_called_as_it_expects_and_watched() {
    let service = unit("dropsonde.service");
    dropsonde::cli::command().try_get_matches_from(called(&service)).unwrap();
    assert_eq!((value(&service, "Type"), value(&service, "NotifyAccess")), ("notify", "main"));
    assert_eq!((value(&service, "WatchdogSec"), value(&service, "Restart")), ("60s", "always"));
    let usage = dropsonde::cli::Exit::Usage.code().to_string();
    assert_eq!(value(&service, "RestartPreventExitStatus"), usage);
    // More than what is in flight may take.
    let grace = dropsonde::config::Limits::default().signal_grace;
    assert!(value(&service, "TimeoutStopSec") == "60s" && grace.as_secs() < 60);
}

#[test]
fn services_are_closed_alike_and_a_drop_in_opens_little() {
    let (daemon, sweep) = (unit("dropsonde.service"), unit("dropsonde-sweep@.service"));
    assert_eq!(hardening(&daemon), hardening(&sweep));
    assert!(hardening(&daemon).len() > 25);
    for name in ["dropsonde.service", "dropsonde-sweep@.service"] {
        let exposure = exposure(name, None);
        assert!(exposure <= 1.5, "{name}: {exposure}");
    }
    let opened = exposure("dropsonde.service", Some("probe-itself.conf"));
    assert!(opened <= 2.0, "{opened}");
    let writes = exposure("dropsonde.service", Some("metrics.conf"));
    assert!(writes <= 1.5, "{writes}");
}

/// In an empty root: nothing of this machine is changed, and nothing of it helps.
#[test]
fn the_user_and_the_folders_are_made() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| Path::new(ROOT).join("systemd").join(name);
    let make = |program: &str, arguments: &[&str], file: &Path| {
        let mut command = Command::new(program);
        command.arg(format!("--root={}", root.path().display())).args(arguments).arg(file);
        let output = command.output().unwrap_or_else(|error| panic!("{program} (package systemd): {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for folder in ["etc", "etc/dropsonde"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    for file in ["config.toml", "ssh_key"] {
        fs::write(root.path().join("etc/dropsonde").join(file), "").unwrap();
    }
    make("systemd-sysusers", &[], &folder("sysusers.d/dropsonde.conf"));
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let line = passwd.lines().find(|line| line.starts_with("dropsonde:")).expect("the user");
    assert!(line.ends_with(":/var/lib/dropsonde:/usr/sbin/nologin"), "{line}");
    let gid: u32 = line.split(':').nth(3).unwrap().parse().unwrap();
    make("systemd-tmpfiles", &["--create"], &folder("tmpfiles.d/dropsonde.conf"));
    let seen = |path: &str| {
        let metadata = fs::metadata(root.path().join("etc").join(path)).unwrap();
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
    };
    assert_eq!(seen("dropsonde"), (0o750, 0, gid));
    assert_eq!(seen("dropsonde/config.toml"), (0o640, 0, gid));
    assert_eq!(seen("dropsonde/ssh_key"), (0o600, 0, 0));
    assert_eq!(seen("dropsonde/probes.d"), (0o750, 0, gid));
}

#[test]
fn the_timer_catches_up_and_spreads_its_load() {
    let timer = unit("dropsonde-sweep@.timer");
    assert_eq!(value(&timer, "Persistent"), "true");
    assert!(
        value(&timer, "RandomizedDelaySec").ends_with('s')
            || value(&timer, "RandomizedDelaySec").ends_with("min")
    );
    let calendar = value(&timer, "OnCalendar");
    let checked = Command::new("systemd-analyze").args(["calendar", calendar]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
