//! A disk that takes nothing any more: that is when somebody should hear of it, and once.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::collect::Stop;
use dropsonde::model::{CollectorTime, OwnAlert};
use dropsonde::watch::{Courier, Trouble, Unkept, raise};
use serde_json::json;

use super::Fleet;
use crate::support::patience::wait_until;
use crate::support::receiver::{Answer, Place, Request};
use crate::unattended::process::Daemon;

const TAKES: Answer = Answer::Say("204 No Content");

/// A small file system in the place of the state directory, gone with the value.
struct Disk(PathBuf);

impl Disk {
    fn new(fleet: &Fleet) -> Self {
        let at = fleet.program.state();
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"]).arg(&at);
        assert!(mount.status().unwrap().success(), "these tests need root");
        Self(at)
    }

    /// As some other program would.
    fn fill(&self) {
        let file = File::create(self.0.join("of-others")).unwrap();
        let (mut at, nothing) = (0, rustix::fs::FallocateFlags::empty());
        for piece in [1 << 20, 1 << 16, 1 << 12] {
            while rustix::fs::fallocate(&file, nothing, at, piece).is_ok() {
                at += piece;
            }
        }
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    fn free(&self) {
        fs::remove_file(self.0.join("of-others")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn fleet(place: &Place) -> (Fleet, Disk) {
    let mut fleet = Fleet::new(&["a"]);
    fleet.program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nprobes = [\"load\"]\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\nonly = [\"collector_sweep_failed\"]\n\
         [alerts]\nretry_first = \"50ms\"\nretry_longest = \"100ms\"\n\
         [retention]\nlow_space = \"0B\"\nreserve = \"0B\"",
        place.url("/hook")
    ));
    let disk = Disk::new(&fleet);
    fleet.program.run(&["sweep", "often"]).expect(0, &[]);
    disk.fill();
    (fleet, disk)
}

fn states(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|it| it.json()["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_daemon_on_a_full_disk_tells_it_once_and_that_it_is_over() {
    let place = Place::reserve();
    let (fleet, disk) = fleet(&place);
    let daemon = Daemon::start(&fleet.program, &[]);
    let failed = || daemon.log().matches("alerts cannot be kept").count();
    // Nobody listens at first: what was not told is neither forgotten nor kept.
    wait_until("a sweep failed and its message, too", || {
        failed() >= 2 && daemon.log().contains("the receiver hook did not take a message")
    });
    let server = place.open(TAKES);
    wait_until("somebody heard of it", || !place.taken().is_empty());
    let before = failed();
    wait_until("more sweeps failed", || failed() >= before + 3);
    assert_eq!(states(&place.taken()), ["firing"], "{}", daemon.log());
    disk.free();
    wait_until("it is over", || place.taken().len() >= 2);
    daemon.stop();
    let taken = place.taken();
    assert_eq!(states(&taken), ["firing", "resolved"]);
    assert_eq!(taken[0].json()["incident"], taken[1].json()["incident"]);
    assert_eq!(taken[0].json()["rule"], "collector_sweep_failed");
    assert_eq!(fleet.program.run(&["alerts", "--json"]).json()["queue"], json!([]));
    drop(server);
}

/// A verb gives room back when it closes what it had open, so that its book often has a place.
#[test]
fn a_timers_sweep_on_a_full_disk_tells_it() {
    let place = Place::reserve();
    let (fleet, disk) = fleet(&place);
    let _server = place.open(TAKES);
    let failed = || {
        let ran = fleet.program.run(&["sweep", "often"]);
        ran.expect(1, &["the disk is full"]);
        usize::from(ran.err.contains("alerts cannot be kept"))
    };
    let unkept = failed();
    assert_eq!(states(&place.taken()), ["firing"]);
    failed();
    assert_eq!(place.taken().len(), 1 + unkept);
    disk.free();
    // A sweep that somebody else ran would have said so; this one ends what is open.
    let open = fleet.program.run(&["alerts", "--json"]).json();
    let is_it = |it: &&serde_json::Value| it["rule"] == "collector_sweep_failed";
    let open = open["incidents"].as_array().unwrap().iter().filter(is_it).count();
    fleet.program.run(&["sweep", "often"]).expect(0, &[]);
    let over = states(&place.taken()).iter().filter(|state| *state == "resolved").count();
    assert_eq!(over, open);
    fleet.program.run(&["alerts"]).expect(0, &["no incident is open and no message waits"]);
}

#[test]
fn a_timers_sweep_on_a_read_only_disk_tells_it_each_time() {
    let place = Place::reserve();
    let (fleet, disk) = fleet(&place);
    let _server = place.open(TAKES);
    disk.free();
    disk.remount("ro");
    for nth in 1..=2 {
        fleet.program.run(&["sweep", "often"]).expect(1, &["alerts cannot be kept", "Read-only file system"]);
        assert_eq!(place.taken().len(), nth);
    }
    disk.remount("rw");
    fleet.program.run(&["sweep", "often"]).expect(0, &[]);
    assert_eq!(states(&place.taken()), ["firing"; 2]);
}

/// A message that was queued while there was room: it is sent, and cannot be taken off the queue.
#[tokio::test]
async fn a_full_disk_makes_no_message_come_twice() {
    let place = Place::reserve();
    let (fleet, disk) = fleet(&place);
    disk.free();
    let settings = fleet.settings();
    let alert = OwnAlert::SweepFailed;
    let trouble = Trouble { alert, schedule: "often".to_owned(), detail: "a test".to_owned() };
    let now = CollectorTime::from_unix_s(chrono::Utc::now().timestamp());
    raise(&settings, &[trouble], now, &Unkept::default()).unwrap();
    let courier = Courier::new(&settings, None);
    // The lock's file is there from then on.
    assert_eq!(courier.deliver(Duration::ZERO).await.unwrap().waiting, 1);
    let _server = place.open(TAKES);
    disk.fill();
    for _ in 0..3 {
        let delivery = courier.deliver(Duration::from_secs(60)).await.unwrap();
        assert_eq!((delivery.waiting, place.taken().len()), (0, 1), "{delivery:?}");
    }
    assert_eq!(dropsonde::watch::alerts::book(&settings.state_dir).unwrap().queue.len(), 1);
    disk.free();
    courier.deliver(Duration::ZERO).await.unwrap();
    let stop = Stop::default();
    stop.finish();
    courier.run(&stop, Arc::default()).await.unwrap();
    let book = dropsonde::watch::alerts::book(&settings.state_dir).unwrap();
    assert_eq!((book.queue.len(), book.delivered, place.taken().len()), (0, 1, 1));
}
