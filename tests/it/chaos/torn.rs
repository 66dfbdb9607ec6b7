//! A power cut: of what was never synced anything may be on the disk, or nothing. A sweep is killed, and
//! then what its last syncs do not vouch for is torn, lost or turned into noise.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use dropsonde::model::{HostName, ProbeName, SweepId};
use dropsonde::store::StateDir;
use dropsonde::store::archive::{Entry, TarFile};
use dropsonde::store::index::Reader;

use super::field::{Field, SWEEP, tar_of};
use super::rounds::Rounds;
use super::verify::verify;

const BLOCK: u64 = 512;

#[test]
fn whatever_was_not_synced_may_be_torn_or_lost() {
    let mut rounds = Rounds::new("torn writes", 20);
    let mut field = Field::new();
    field.program.configure("[retention]\nreserve = \"0B\"\nlow_space = \"0B\"\n");
    while rounds.next() {
        if rounds.round() % 5 == 1 {
            field.fresh(None);
        }
        let before = field.program.sweeps();
        let mut command = field.program.command(&SWEEP);
        let points = ["tar.made", "tar.appended", "tar.appended", "tar.appended", "record.acknowledged"];
        let point = rounds.pick(&points);
        command.env("DROPSONDE_CRASH_AT", format!("{point}:{}", 1 + rounds.below(8)));
        let run = field.run(command, None);
        assert!(run.killed || run.code == Some(0), "{run:#?}");
        if run.killed {
            let sweeps = field.program.sweeps();
            let new = sweeps.iter().find(|sweep| !before.contains(sweep)).expect("its tar was made");
            // What the index knows was synced before it was told; what was acknowledged, too.
            let floor = vouched_for(&field, new);
            tear_tar(&tar_of(&field.program, new), floor, &mut rounds);
            tear_caches(&field.state(), &mut rounds);
        }
        verify(&field);
    }
}

/// Where the last member ends that was acknowledged, or that the index has.
fn vouched_for(field: &Field, sweep: &SweepId) -> u64 {
    let state = StateDir::at(&field.state());
    let tar = TarFile::open(&state, sweep).expect("its tar");
    let is_acknowledged = |host: &HostName, probe: &ProbeName| {
        field.acknowledged.contains_key(&(sweep.clone(), host.to_string(), probe.to_string()))
    };
    let mut floor = 0;
    for step in tar.walk(0, tar.size().expect("a size")) {
        let Ok(member) = step.expect("a readable file") else { continue };
        if matches!(&member.entry, Entry::Reading(host, probe) if is_acknowledged(host, probe)) {
            floor = member.end;
        }
    }
    let indexed = Reader::open(&field.state()).and_then(|reader| reader.sweep(sweep));
    floor.max(indexed.ok().flatten().map_or(0, |row| row.archived))
}

/// What a file system makes of appended bytes that it was never asked to keep.
fn tear_tar(path: &Path, floor: u64, rounds: &mut Rounds) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("its tar");
    let len = file.metadata().expect("metadata").len();
    assert!(floor <= len, "{floor} of {len} are vouched for");
    let tail = len - floor;
    if tail == 0 {
        // A length that was kept, of blocks that were not.
        if rounds.one_in(2) {
            file.set_len(len + rounds.below(20_000)).expect("a longer file");
        }
        return;
    }
    match rounds.below(4) {
        // Cut anywhere.
        0 => {}
        // Some of its blocks never came to the disk.
        1 => {
            for block in 0..tail / BLOCK {
                if rounds.one_in(2) {
                    file.write_all_at(&[0; BLOCK as usize], floor + block * BLOCK).expect("a write");
                }
            }
            return;
        }
        // Some are another file's.
        2 => {
            for _ in 0..1 + rounds.below(4) {
                let noise: Vec<u8> = (0..BLOCK).map(|_| rounds.below(256) as u8).collect();
                let at = floor + rounds.below(tail.div_ceil(BLOCK)) * BLOCK;
                file.write_all_at(&noise, at).expect("a write");
            }
            return;
        }
        // A bit of it is another one.
        _ => {
            let at = floor + rounds.below(tail);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("a byte");
            file.write_all_at(&[byte[0] ^ 1 << rounds.below(8)], at).expect("a write");
        }
    }
    file.set_len(floor + rounds.below(tail + 1)).expect("a shorter file");
}

/// The index and the sequence are caches: they are synced now and then, or never.
fn tear_caches(root: &Path, rounds: &mut Rounds) {
    match rounds.below(5) {
        0 => {
            // Of SQLite's log whatever stands behind some point is gone.
            let path = root.join("index.sqlite-wal");
            if let Ok(file) = OpenOptions::new().write(true).open(path) {
                let len = file.metadata().expect("metadata").len();
                file.set_len(rounds.below(len + 1)).expect("a shorter file");
                // It is never synced, and never believed after a power cut.
                let _ = fs::remove_file(root.join("index.sqlite-shm"));
            }
        }
        1 => {
            for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
                let _ = fs::remove_file(root.join(name));
            }
        }
        _ => {}
    }
    match rounds.below(4) {
        0 => {
            let _ = fs::remove_file(root.join("seq"));
        }
        1 => fs::write(root.join("seq"), [0; 29]).expect("seq"),
        2 => fs::write(root.join("seq"), "00000000000000000001 settled\n").expect("seq"),
        _ => {}
    }
}
