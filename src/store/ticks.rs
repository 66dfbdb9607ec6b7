//! The book of ticks: what became of every moment at which a schedule was due. Lines of JSON, oldest first,
//! in two files of a bounded size. It is no part of the archive: losing it costs what was never run its
//! record, and a schedule its catch-up, but no reading.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::dir::{self, Mode};
use super::{StateDir, StoreError, crash};
use crate::model::{Fate, Tick};

/// A file of this size becomes the older one of the two: half a year of a schedule every ten minutes.
const FULL: u64 = 4 << 20;

const NEWER: &str = "ticks.jsonl";
const OLDER: &str = "ticks.1.jsonl";

/// How often a file that another process has just put away is opened again.
const TRIES: usize = 100;

/// Adds ticks. They are on the disk when this returns.
pub fn append(state: &StateDir, ticks: &[Tick]) -> Result<(), StoreError> {
    let path = state.root().join(NEWER);
    let mut lines = Vec::new();
    for tick in ticks {
        // Plain data, which JSON has a form for.
        lines.extend(serde_json::to_vec(tick).unwrap_or_default());
        lines.push(b'\n');
    }
    let (file, whole) = open(state, &path)?;
    let added = add(state, (&file, &path), &lines, whole);
    if added.is_err() {
        // Half a line would hide the next one, and what is not known to be on the disk is written again.
        let _ = file.set_len(whole);
    }
    added
}

fn add(state: &StateDir, (file, path): (&File, &Path), lines: &[u8], whole: u64) -> Result<(), StoreError> {
    let failed = |action| move |error| StoreError::io(action, path, error);
    let written = file.write_all_at(lines, whole).and_then(|()| file.set_len(whole + lines.len() as u64));
    written.map_err(failed("write"))?;
    crash::point("ticks.written");
    file.sync_data().map_err(failed("sync"))?;
    crash::point("ticks.synced");
    if whole == 0 { dir::sync_folder(state.root()) } else { Ok(()) }
}

/// All that is known, oldest first. A line that cannot be read is left out.
pub fn read(root: &Path) -> Result<Vec<Tick>, StoreError> {
    let mut ticks = Vec::new();
    for name in [OLDER, NEWER] {
        let path = root.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let lines = text.split(|byte| *byte == b'\n');
        ticks.extend(lines.filter_map(|line| serde_json::from_slice::<Tick>(line).ok()));
    }
    Ok(settled(ticks))
}

/// A sweep is written down before it begins: of one that then could not, the later word counts, in the place
/// of the first.
fn settled(ticks: Vec<Tick>) -> Vec<Tick> {
    let mut settled: Vec<Tick> = Vec::with_capacity(ticks.len());
    for tick in ticks {
        let began = match &tick.fate {
            Fate::Failed { sweep, .. } => settled
                .iter_mut()
                .rev()
                .find(|earlier| matches!(&earlier.fate, Fate::Ran { sweep: began, .. } if began == sweep)),
            _ => None,
        };
        match began {
            Some(earlier) => *earlier = tick,
            None => settled.push(tick),
        }
    }
    settled
}

/// The newer file, locked, and where its last whole line ends.
fn open(state: &StateDir, path: &Path) -> Result<(File, u64), StoreError> {
    for _ in 0..TRIES {
        let file = dir::open(path, Mode::Ensure).map_err(|error| StoreError::io("open", path, error))?;
        file.lock().map_err(|error| StoreError::io("lock", path, error))?;
        if !dir::is_still(path, &file) {
            continue;
        }
        let len = file.metadata().map_err(|error| StoreError::io("look at", path, error))?.len();
        if len < FULL {
            let whole = whole(&file, len).map_err(|error| StoreError::io("read", path, error))?;
            return Ok((file, whole));
        }
        let older = state.root().join(OLDER);
        fs::rename(path, &older).map_err(|error| StoreError::io("rename", path, error))?;
    }
    Err(StoreError::io("open", path, io::ErrorKind::ResourceBusy.into()))
}

/// Where the last line break ends: a process that was killed may have left half a line.
fn whole(file: &File, len: u64) -> io::Result<u64> {
    let mut at = len;
    let mut byte = [0];
    while at > 0 {
        file.read_exact_at(&mut byte, at - 1)?;
        if byte[0] == b'\n' {
            break;
        }
        at -= 1;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::{CollectorTime, SweepId};

    fn tick(second: i64) -> Tick {
        let due = CollectorTime::from_unix_s(second);
        let fate = Fate::Skipped { why: "a sweep\nwas still running".to_owned() };
        Tick { schedule: "hourly".to_owned(), timetable: "0 * * * * UTC".to_owned(), due, decided: due, fate }
    }

    fn seconds(root: &Path) -> Vec<i64> {
        read(root).unwrap().iter().map(|tick| tick.due.unix_s()).collect()
    }

    #[test]
    fn what_was_added_is_read_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        assert_eq!(seconds(folder.path()), [0; 0]);
        append(&state, &[tick(1), tick(2)]).unwrap();
        append(&state, &[tick(3)]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [tick(1), tick(2), tick(3)]);
    }

    #[test]
    fn a_sweep_that_could_not_begin_did_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let sweep = SweepId::at(CollectorTime::from_unix_s(2), 7);
        let began = |second| Tick { fate: Fate::Ran { sweep: sweep.clone(), late: false }, ..tick(second) };
        let why = "the disk is full".to_owned();
        let failed = Tick { fate: Fate::Failed { sweep: sweep.clone(), why }, ..tick(2) };
        append(&state, &[tick(1), began(2), tick(3)]).unwrap();
        append(&state, std::slice::from_ref(&failed)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [tick(1), failed, tick(3)]);
    }

    #[test]
    fn half_a_line_costs_nothing_but_itself() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        append(&state, &[tick(1)]).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(folder.path().join(NEWER)).unwrap();
        file.write_all(b"{\"schedule\":\"hou").unwrap();
        assert_eq!(seconds(folder.path()), [1]);
        append(&state, &[tick(2)]).unwrap();
        file.write_all(b"no line of ours\n").unwrap();
        append(&state, &[tick(3)]).unwrap();
        assert_eq!(seconds(folder.path()), [1, 2, 3]);
    }

    #[test]
    fn a_full_file_makes_room_and_the_latest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let many: Vec<Tick> = (0..10_000).map(tick).collect();
        for part in 0..6 {
            append(&state, &many).unwrap();
            append(&state, &[tick(20_000 + part)]).unwrap();
        }
        let found = seconds(folder.path());
        assert_eq!(found.last(), Some(&20_005));
        assert!(found.contains(&20_004) && found.len() < 60_000, "{}", found.len());
        let size = |name| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size(OLDER) < 2 * FULL && size(NEWER) < 2 * FULL);
    }

    #[test]
    fn several_processes_lose_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let state = &state;
                scope.spawn(move || (0..50).for_each(|n| append(state, &[tick(writer * 100 + n)]).unwrap()));
            }
        });
        let mut found = seconds(folder.path());
        found.sort_unstable();
        assert_eq!(found, (0..4).flat_map(|writer| writer * 100..writer * 100 + 50).collect::<Vec<_>>());
    }
}
