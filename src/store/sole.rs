//! One daemon to a state directory: two would run each schedule twice. Timers and people may sweep
//! beside it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;

use super::dir::{self, Mode};
use super::{StateDir, StoreError};

/// The right to be the daemon here, until it is dropped. The kernel ends it with the process.
#[derive(Debug)]
pub struct Sole {
    _file: File,
}

impl Sole {
    pub fn take(state: &StateDir) -> Result<Self, StoreError> {
        dir::make_folders(&state.run())?;
        let path = state.run().join("daemon.lock");
        let file = dir::open(&path, Mode::Ensure).map_err(|error| StoreError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = [0; 32];
                let len = file.read_at(&mut text, 0).unwrap_or(0);
                let pid = String::from_utf8_lossy(&text[..len]).trim().parse().unwrap_or(0);
                return Err(StoreError::DaemonRuns { path: state.root().to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path, error)),
        }
        // Only for the words of the next one; it stays here, for a daemon's lock is never removed.
        let pid = format!("{}\n", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0));
        Ok(Self { _file: file })
    }
}
