//! The alert about little room, on a real file system that is small.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use dropsonde::store::Space;
use serde_json::Value;

use super::Fleet;

/// A file system in a folder's place, gone with the value.
struct Mounted(PathBuf);

impl Mounted {
    fn at(folder: &Path, size: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let options = format!("size={size},mode=700");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).status();
        assert!(status.unwrap().success(), "mount: these tests need root");
        Self(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn told(fleet: &Fleet) -> Vec<String> {
    let list = fleet.program.run(&["alerts", "list", "--json"]).json();
    let incidents = list["incidents"].as_array().unwrap_or_else(|| panic!("{list}"));
    let rule = |it: &Value| it["rule"].as_str().unwrap_or_default().to_owned();
    incidents.iter().map(rule).filter(|rule| rule.starts_with("collector_low_space")).collect()
}

#[test]
fn a_reserve_that_was_given_up_is_no_room_that_was_gained() {
    let mut fleet = Fleet::new(&["a"]);
    let state = fleet.program.state();
    let _disk = Mounted::at(&state, "64m");
    // A full disk in the middle of a sweep makes the collector give the reserve up; here the probe does.
    let script = format!(
        "read -r value <\"$PROC/load\" || exit\n[ \"$value\" = 1 ] || rm -f {:?}\n\
         printf 'hello_value %s\\n' \"$value\"",
        state.join("reserve")
    );
    fleet.program.probe("load", &script, "format = \"openmetrics\"");
    fleet.program.configure(
        "[retention]\nreserve = \"6MiB\"\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n\
         [alerts]\nretry_first = \"50ms\"\nretry_longest = \"100ms\"\ndeliver_within = \"100ms\"\nresolve_after = 1",
    );
    let sweep = || fleet.program.run(&["sweep", "hourly", "--json"]).expect(0, &[]).code;
    sweep();
    assert!(state.join("reserve").exists());
    assert_eq!(told(&fleet), [""; 0]);
    // A tenth of it is wanted, 6.4 MiB; there are 4 MiB, and with the reserve 10.
    let others = File::create(state.join("others")).unwrap();
    let free = Space::of(&state).unwrap().free_bytes;
    rustix::fs::fallocate(&others, rustix::fs::FallocateFlags::empty(), 0, free - (4 << 20)).unwrap();
    drop(others);
    sweep();
    assert_eq!(told(&fleet), ["collector_low_space"]);
    fleet.load("a", "2");
    sweep();
    assert!(!state.join("reserve").exists());
    assert_eq!(told(&fleet), ["collector_low_space"], "resolved while there is as little room as before");
    // With real room it is over.
    fleet.load("a", "1");
    std::fs::remove_file(state.join("others")).unwrap();
    sweep();
    assert_eq!(told(&fleet), [""; 0]);
}
