//! Disks that fill up and are freed, and a state directory that may only be read for a while.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dropsonde::model::{Fate, SweepId};
use dropsonde::store::Space;

use super::field::{Field, SWEEP};
use super::rounds::Rounds;
use super::verify::{book, every_tick_is_written_down, verify};
use crate::support::patience::wait_until;
use crate::support::receiver::{Answer, Place, Request};
use crate::unattended::process::Daemon;

const CRON: &str = "* * * * * *";

/// File systems in places of a state directory, gone with the value.
struct Disks(Vec<PathBuf>);

impl Disks {
    /// A new one, in memory.
    fn add(&mut self, at: &Path, size: &str) {
        std::fs::create_dir_all(at).expect("mkdir");
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"], at);
        self.0.push(at.to_owned());
    }

    /// The same files, to be read only: whoever has one open keeps it, as after a remount by the kernel.
    fn read_only(&mut self, at: &Path) {
        // Made beside it: in its place it would be busy before it is read-only.
        let beside = at.with_extension("read-only");
        std::fs::create_dir_all(&beside).expect("mkdir");
        mount(&["--bind", at.to_str().expect("a path")], &beside);
        self.0.push(beside.clone());
        mount(&["-o", "remount,bind,ro"], &beside);
        mount(&["--bind", beside.to_str().expect("a path")], at);
        self.0.push(at.to_owned());
    }

    fn drop_last(&mut self) {
        if let Some(last) = self.0.pop() {
            let _ = Command::new("umount").arg("-l").arg(last).status();
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            self.drop_last();
        }
    }
}

fn mount(args: &[&str], at: &Path) {
    let status = Command::new("mount").args(args).arg(at).status().expect("mount");
    assert!(status.success(), "mount {args:?}: these tests need root");
}

/// Takes all room but so much, as some other program would. What it took is given back with the file.
struct Crowd(PathBuf);

impl Crowd {
    fn take(disk: &Path, left: u64) -> Self {
        let path = disk.join("of-others");
        let file = File::create(&path).expect("a file");
        // The program takes and gives meanwhile: as much as can be had, in small pieces at the end.
        let mut at = 0;
        for piece in [1 << 20, 1 << 16, 1 << 12] {
            while Space::of(disk).expect("a disk").free_bytes >= left + piece {
                let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), at, piece);
                if taken.is_err() {
                    break;
                }
                at += piece;
            }
        }
        Self(path)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn field(retention: &str) -> Field {
    let mut field = Field::new();
    field.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = {CRON:?}\nprobes = [\"hello\", \"noise\"]\n\
         [retention]\nlow_space = \"0B\"\n{retention}\n"
    ));
    field
}

/// How many sweeps a daemon's log says could not be recorded and have no archive.
fn never_began(field: &Field, log: &str) -> usize {
    let swept = field.program.sweeps();
    let failed = log.lines().filter_map(|line| line.split_once(" of often could not be recorded: "));
    let sweeps = failed.filter_map(|(before, _)| SweepId::new(before.rsplit(' ').next()?).ok());
    sweeps.filter(|sweep| !swept.contains(sweep)).count()
}

#[test]
fn sweeps_on_a_disk_that_is_full_now_and_then() {
    let mut rounds = Rounds::new("full disk, sweeps", 6);
    while rounds.next() {
        let reserve = rounds.pick(&["reserve = \"0B\"", "reserve = \"1MiB\""]);
        let mut field = field(reserve);
        let mut disks = Disks(Vec::new());
        disks.add(&field.state(), "16m");
        if rounds.one_in(3) {
            // The tar's disk has room, the index's has none.
            disks.add(&field.state().join("archive"), "16m");
        }
        for _ in 0..2 {
            let started = field.start(field.program.command(&SWEEP));
            std::thread::sleep(Duration::from_millis(rounds.below(900)));
            let crowd = Crowd::take(&field.state(), rounds.below(40_000));
            let run = field.ended(started);
            assert!(matches!(run.code, Some(0 | 1 | 3)), "{run:#?}");
            let full = run.err.contains("full") || run.err.contains("No space");
            assert!(run.code != Some(1) || full, "{run:#?}");
            drop(crowd);
            verify(&field);
        }
        let run = field.run(field.program.command(&SWEEP), None);
        assert_eq!(run.code, Some(0), "{run:#?}");
        verify(&field);
    }
}

/// A daemon through which a full disk comes and goes.
#[test]
fn a_daemon_on_a_disk_that_is_full_now_and_then() {
    let mut rounds = Rounds::new("full disk, daemon", 2);
    while rounds.next() {
        let reserve = if rounds.round() % 2 == 1 { "reserve = \"1MiB\"" } else { "reserve = \"0B\"" };
        let mut field = field(reserve);
        let mut disks = Disks(Vec::new());
        disks.add(&field.state(), "16m");
        let daemon = Daemon::start(&field.program, &[]);
        let swept = || daemon.log().matches(" of often: 8/8 ok").count();
        let refused = || never_began(&field, &daemon.log());
        wait_until("it sweeps", || swept() >= 1);
        std::thread::sleep(Duration::from_millis(rounds.below(1_000)));
        // Refilled as long as the program itself gives something back, its reserve above all.
        let mut crowds = Vec::new();
        wait_until("two sweeps could not begin", || {
            crowds.push(Crowd::take(&field.state(), 0));
            std::thread::sleep(Duration::from_millis(100));
            refused() >= 2
        });
        drop(crowds);
        let before = swept();
        wait_until("it sweeps again", || swept() >= before + 2);
        let log = daemon.stop();
        field.note_log(&log);
        verify(&field);
        // What could not begin is in the book, by that name, and so is every other tick.
        every_tick_is_written_down(&field, CRON);
        let failed = book(&field).iter().filter(|tick| matches!(tick.fate, Fate::Failed { .. })).count();
        assert_eq!(failed, never_began(&field, &log), "{:#?}", book(&field));
        let shown = field.program.run(&["sweeps", "--json"]).json();
        let not_run = shown["not_run"].as_array().expect("a list");
        let told = not_run.iter().filter(|tick| tick["fate"] == "failed").count();
        assert_eq!(told, failed, "{shown}");
    }
}

/// The disk is full before there is anything of ours on it.
#[test]
fn a_daemon_that_starts_on_a_full_disk_says_so_and_waits() {
    let place = Place::reserve();
    let _server = place.open(Answer::Say("204 No Content"));
    let mut field = Field::new();
    field.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = {CRON:?}\nprobes = [\"hello\"]\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\n\
         [retention]\nreserve = \"0B\"",
        place.url("/hook")
    ));
    let mut disks = Disks(Vec::new());
    disks.add(&field.state(), "16m");
    let crowd = Crowd::take(&field.state(), 0);
    let daemon = Daemon::spawn(field.program.command(&["daemon"]), &field.program);
    daemon.wait_for_log("nothing runs until there is room on the disk: ");
    daemon.wait_for_notice("STATUS=waiting for room on the disk");
    let told = |state: &str| {
        let is_one = |request: &&Request| {
            let message = request.json();
            message["state"] == state && message["rule"] == "collector_low_space"
        };
        place.taken().iter().filter(is_one).count()
    };
    wait_until("somebody is told", || told("firing") == 1);
    assert!(!daemon.has_notice("READY=1"));
    drop(crowd);
    daemon.wait_for_notice("READY=1");
    wait_until("that is over", || told("resolved") == 1);
    assert_eq!(told("firing"), 1);
    field.note_log(&daemon.stop());
    verify(&field);
    // And one that is told to stop while it waits stops.
    disks.drop_last();
    disks.add(&field.state(), "16m");
    let _crowd = Crowd::take(&field.state(), 0);
    let daemon = Daemon::spawn(field.program.command(&["daemon"]), &field.program);
    daemon.wait_for_notice("STATUS=waiting for room on the disk");
    daemon.stop();
}

#[test]
fn a_state_directory_that_may_only_be_read_for_a_while() {
    let mut rounds = Rounds::new("read-only directory", 2);
    while rounds.next() {
        let mut field = field("reserve = \"0B\"");
        let mut disks = Disks(Vec::new());
        disks.add(&field.state(), "32m");
        let run = field.run(field.program.command(&SWEEP), None);
        assert_eq!(run.code, Some(0), "{run:#?}");
        // Nobody has it open: refused before any host is asked, and what is there can be read.
        let before = field.sshd.log().matches("Accepted").count();
        mount(&["-o", "remount,ro"], &field.state());
        let refused = field.run(field.program.command(&SWEEP), None);
        assert!(refused.code == Some(1) && refused.err.contains("ead-only file system"), "{refused:#?}");
        assert_eq!(field.sshd.log().matches("Accepted").count(), before);
        field.program.run(&["sweeps", "latest", "--json"]).expect(0, &[]);
        mount(&["-o", "remount,rw"], &field.state());
        // Under a daemon's feet.
        let daemon = Daemon::start(&field.program, &[]);
        let swept = || daemon.log().matches(" of often: 8/8 ok").count();
        let refused = || never_began(&field, &daemon.log());
        wait_until("it sweeps", || swept() >= 1);
        std::thread::sleep(Duration::from_millis(rounds.below(1_000)));
        disks.read_only(&field.state());
        wait_until("two sweeps could not begin", || refused() >= 2);
        disks.drop_last();
        disks.drop_last();
        let before = swept();
        wait_until("it sweeps again", || swept() >= before + 2);
        field.note_log(&daemon.stop());
        verify(&field);
        every_tick_is_written_down(&field, CRON);
    }
}
