//! State directories that are full, read-only, shared or broken.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::*;
use crate::support::program::ended;

/// A small file system in the place of the state directory, gone with the value.
struct Disk<'a>(&'a Program);

impl<'a> Disk<'a> {
    fn new(program: &'a Program, size: &str) -> Self {
        fs::create_dir(program.state()).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"], &program.state());
        Self(program)
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.0.state());
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.state()).status();
    }
}

fn mount(args: &[&str], at: &Path) {
    let status = Command::new("mount").args(args).arg(at).status().unwrap();
    assert!(status.success(), "mount {args:?}: these tests need root");
}

#[test]
fn a_full_disk_is_said_and_keeps_what_was_printed() {
    let (_sshd, program) = good("web[01-30]");
    let noise = "head -c 100000 /dev/urandom | od -An -v -tx1";
    program.probe("noise", noise, "format = \"text\"\nmax_output = \"4MiB\"");
    let disk = Disk::new(&program, "2m");
    let swept = program.run(&["sweep", "--probe", "noise", "--ndjson", "--set", "limits.concurrency=4"]);
    swept.expect(1, &["full"]);
    let printed = swept.lines();
    assert!(!printed.is_empty() && printed.len() < 29, "{}", printed.len());
    // Visits that were under way are not waited for.
    disk.remount("size=64m");
    let next = program.run(&["sweep", "--probe", "hello", "--json"]);
    next.expect(0, &[]);
    assert_eq!(next.adds_up(), 30);
    let sweeps = program.sweeps();
    let first = program.ledger(&sweeps[0]);
    assert_eq!(first.len(), 30);
    for line in printed.iter().filter(|line| line["outcome"] == "ok") {
        let host = line["host"].as_str().unwrap();
        assert!(first.iter().any(|[name, _, outcome, _]| name == host && outcome == "ok"), "{host} is lost");
    }
    program.assert_clean();
}

#[test]
fn a_read_only_state_directory_is_said_before_any_host_is_called() {
    let (sshd, program) = good("web01");
    let disk = Disk::new(&program, "4m");
    disk.remount("ro");
    let path = program.state().display().to_string();
    program.run(&["sweep", "--probe", "hello"]).expect(1, &["ead-only file system", &path]);
    assert!(!sshd.log().contains("Connection from") && !sshd.log().contains("Accepted"), "{}", sshd.log());
}

#[test]
fn two_collectors_share_a_state_directory() {
    let (_sshd, program) = good("web[01-12]");
    let since = Instant::now();
    let arguments = ["sweep", "--probe", "hello", "--probe", "kernel_log", "--json"];
    let children = [(); 2].map(|()| program.command(&arguments).spawn().unwrap());
    for ran in children.map(|child| ended(child, since)) {
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
        assert_eq!(ran.adds_up(), 24);
    }
    assert_eq!(program.sweeps().len(), 2);
    let ledgers: Vec<_> = program.sweeps().iter().flat_map(|sweep| program.ledger(sweep)).collect();
    assert_eq!(ledgers.len(), 48);
    // Where both came to a host at once, one of them left its probe to the other.
    let was_left = |detail: &str| detail.starts_with("already running in sweep ");
    for [host, probe, outcome, detail] in &ledgers {
        assert!(outcome == "ok" || outcome == "skipped" && was_left(detail), "{probe} on {host}: {detail}");
    }
    let ok = |host: &str| ledgers.iter().filter(|line| line[0] == host && line[2] == "ok").count();
    assert!((1..=12).all(|number| ok(&format!("web{number:02}")) >= 2), "{ledgers:?}");
    program.assert_clean();
}

#[test]
fn a_broken_index_is_rebuilt_and_a_broken_archive_is_named() {
    let (_sshd, program) = good("web[01-04]");
    let sweep = ["sweep", "--probe", "hello", "--probe", "kernel_log", "--json"];
    program.run(&sweep).expect(0, &[]);
    let before = program.rows();

    overwrite(&program.state().join("index.sqlite"), 0, &[0xa5; 4096]);
    let again = program.run(&["sweep", "--retry-failed", "latest"]);
    again.expect(2, &["rebuilt the index from the archive (8 readings)", "nothing failed"]);
    assert!(before == program.rows());
    overwrite(&program.state().join("index.sqlite"), 0, &[0xa5; 4096]);
    program.run(&sweep).expect(0, &["rebuilt the index from the archive (8 readings)"]);
    program.assert_clean();

    // The first of the two: a byte in the middle of some member.
    let tar = program.tars()[0].clone();
    let middle = fs::metadata(&tar).unwrap().len() / 2;
    overwrite(&tar, middle & !511, &[0x5a; 512]);
    let report = dropsonde::store::check(&program.state(), true).unwrap();
    assert!(!report.is_clean(), "{report:?}");
    program.run(&sweep).expect(0, &[]);
    let rebuilt = dropsonde::collect::reindex(&program.state(), Default::default(), &mut |_| {}).unwrap();
    assert_eq!(rebuilt.sweeps, 3);
    assert!(!rebuilt.damage.is_empty() && rebuilt.readings >= 20, "{rebuilt:?}");
}

#[test]
fn a_state_directory_may_be_named_from_where_one_is() {
    let mut program = Program::new();
    program.configure("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropsonde"));
    command.current_dir(program.dir()).env("HOME", program.dir()).env("USER", "root");
    command.args(["--config", "config.toml", "--state", "here", "run", "hello", "--local"]);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(program.dir().join("here/archive").is_dir());
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}
