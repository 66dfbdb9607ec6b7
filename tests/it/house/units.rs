//! The unit files: systemd itself takes them, and what they call exists.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Source, sources};

fn units() -> Vec<Source> {
    let mut units = sources("systemd", "service");
    units.extend(sources("systemd", "timer"));
    units
}

fn value<'a>(unit: &'a Source, key: &str) -> &'a str {
    let found = unit.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{} has no {key}", unit.path))
}

fn unit(extension: &str) -> Source {
    units().into_iter().find(|unit| unit.path.ends_with(extension)).unwrap()
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
    assert_eq!(names.len(), 2);
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
    let service = unit(".service");
    let line = value(&service, "ExecStart").replace("%i", "hourly");
    let words: Vec<&str> = line.split(' ').collect();
    assert!(Path::new(words[0]).is_absolute());
    dropsonde::cli::command().try_get_matches_from(&words).unwrap();
    assert_eq!(value(&service, "Type"), "oneshot");
    // A host that is down is in the ledger; it is no reason for an alarm about the collector.
    assert_eq!(value(&service, "SuccessExitStatus"), dropsonde::cli::Exit::Partial.code().to_string());
    assert_eq!(value(&service, "StateDirectory"), "dropsonde");
    assert_eq!(value(&service, "NoNewPrivileges"), "yes");
}

#[test]
fn the_timer_catches_up_and_spreads_its_load() {
    let timer = unit(".timer");
    assert_eq!(value(&timer, "Persistent"), "true");
    assert!(
        value(&timer, "RandomizedDelaySec").ends_with('s')
            || value(&timer, "RandomizedDelaySec").ends_with("min")
    );
    let calendar = value(&timer, "OnCalendar");
    let checked = Command::new("systemd-analyze").args(["calendar", calendar]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
