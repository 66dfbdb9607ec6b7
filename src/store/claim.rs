//! One (host, probe) runs once at a time, whoever asks for it: daemon, timer or a person, in one process
//! or several. The kernel ends a claim with the process that holds it; a file that is left is nobody's.
//! This says who may run, never how.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::dir::{self, Mode};
use super::{StateDir, StoreError, crash};
use crate::model::{HostName, ProbeName, SweepId};

/// What asking for a claim came to.
#[derive(Debug)]
pub enum Claimed {
    Ours(Claim),
    /// Somebody else runs it; in which sweep, if that was written already.
    Theirs(Option<SweepId>),
}

/// The right to run a probe on a host, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Locked; closing it gives the claim back.
    _file: File,
}

/// How often a file that others remove under our hands is opened again.
const TRIES: usize = 100;

const SUFFIX: &str = ".claim";

impl Claim {
    /// Never waits.
    pub fn take(
        state: &StateDir,
        (host, probe): (&HostName, &ProbeName),
        sweep: &SweepId,
    ) -> Result<Claimed, StoreError> {
        let path = state.run().join(file_name(host, probe));
        for _ in 0..TRIES {
            let file = open(state, &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(Claimed::Theirs(holder(&file))),
                Err(fs::TryLockError::Error(error)) => return Err(StoreError::io("lock", &path, error)),
            }
            if !dir::is_still(&path, &file) {
                // Whoever had it removed it between our two steps: ours is a file without a name.
                continue;
            }
            // Only for the words of whoever is refused; on a full disk they have to do without.
            let _ = file.set_len(0).and_then(|()| file.write_all_at(sweep.as_str().as_bytes(), 0));
            crash::point("claim.taken");
            return Ok(Claimed::Ours(Self { path, _file: file }));
        }
        Ok(Claimed::Theirs(None))
    }

    /// Removes what collectors have left that were killed.
    pub(crate) fn tidy(state: &StateDir) -> Result<(), StoreError> {
        let folder = state.run();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("list", &folder, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::io("list", &folder, error))?;
            if !entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                continue;
            }
            let path = entry.path();
            // One that cannot be opened or locked has an owner, or is gone by now.
            let Ok(file) = dir::open(&path, Mode::ReadWrite) else { continue };
            if file.try_lock().is_ok() && dir::is_still(&path, &file) {
                drop(Self { path, _file: file });
            }
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock goes with the file: afterwards the name may be another one's claim already.
        let _ = fs::remove_file(&self.path);
    }
}

fn open(state: &StateDir, path: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::io("open", path, error);
    match dir::open(path, Mode::Ensure) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            dir::make_folders(&state.run())?;
            dir::open(path, Mode::Ensure).map_err(failed)
        }
        opened => opened.map_err(failed),
    }
}

/// No name becomes a path: it is a hash of both, with a byte between them that neither can hold.
fn file_name(host: &HostName, probe: &ProbeName) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(host.as_str().as_bytes()).update(&[0]).update(probe.as_str().as_bytes());
    format!("{}{SUFFIX}", &hasher.finalize().to_hex()[..32])
}

fn holder(file: &File) -> Option<SweepId> {
    let mut text = [0; 25];
    file.read_exact_at(&mut text, 0).ok()?;
    SweepId::new(std::str::from_utf8(&text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::model::CollectorTime;

    fn names() -> (HostName, ProbeName) {
        (HostName::new("web01").unwrap(), ProbeName::new("proc").unwrap())
    }

    fn sweep(salt: u32) -> SweepId {
        SweepId::at(CollectorTime::from_unix_s(1_795_381_601), salt)
    }

    fn take(state: &StateDir, salt: u32) -> Claimed {
        let (host, probe) = names();
        Claim::take(state, (&host, &probe), &sweep(salt)).unwrap()
    }

    fn files(state: &StateDir) -> usize {
        fs::read_dir(state.run()).map_or(0, Iterator::count)
    }

    #[test]
    fn a_claim_is_one_holders_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let Claimed::Ours(first) = take(&state, 1) else { panic!("nobody has it") };
        match take(&state, 2) {
            Claimed::Theirs(holder) => assert_eq!(holder, Some(sweep(1))),
            Claimed::Ours(_) => panic!("two have it"),
        }
        // Another probe on the host, and the probe on another host, are free.
        let (host, probe) = names();
        let (other_host, other_probe) = (HostName::new("web02").unwrap(), ProbeName::new("uptime").unwrap());
        let free =
            |host, probe| matches!(Claim::take(&state, (host, probe), &sweep(3)), Ok(Claimed::Ours(_)));
        assert!(free(&host, &other_probe) && free(&other_host, &probe));
        drop(first);
        assert_eq!(files(&state), 0);
        assert!(matches!(take(&state, 2), Claimed::Ours(_)));
    }

    #[test]
    fn what_a_killed_collector_left_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let Claimed::Ours(claim) = take(&state, 1) else { panic!("nobody has it") };
        let (path, other) = (claim.path.clone(), state.run().join("daemon.lock"));
        drop(claim);
        for path in [&path, &other] {
            fs::write(path, "20200101T000000Z-00000000").unwrap();
        }
        let Claimed::Ours(claim) = take(&state, 2) else { panic!("its process is dead") };
        Claim::tidy(&state).unwrap();
        assert!(path.exists(), "a claim that is held was removed");
        drop(claim);
        fs::write(&path, "").unwrap();
        Claim::tidy(&state).unwrap();
        assert!(!path.exists() && other.exists());
    }

    #[test]
    fn however_many_ask_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for salt in 0..8 {
                let (state, inside, taken) = (&state, &inside, &taken);
                scope.spawn(move || {
                    // Most ask in vain, and how many do is the scheduler's to say.
                    for _ in 0..1_000_000 {
                        if taken.load(Ordering::Relaxed) > 400 {
                            break;
                        }
                        let Claimed::Ours(claim) = take(state, salt) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 400);
        assert_eq!(files(&state), 0);
    }
}
