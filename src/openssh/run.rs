//! Commands of `Match exec`, each once: hosts that would run the same share its answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// ssh waits for ever. A sweep must not: what takes longer is a fault of the hosts that asked.
const LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

type Ended = Arc<OnceLock<Result<bool, String>>>;

/// Runs commands in the user's shell, and remembers how they ended.
#[derive(Debug)]
pub(super) struct Runner {
    shell: PathBuf,
    ended: Mutex<HashMap<String, Ended>>,
}

impl Runner {
    pub fn new(shell: Option<&str>) -> Self {
        let shell = shell.filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh").into();
        Self { shell, ended: Mutex::default() }
    }

    /// Whether `command` ends with status 0.
    pub fn succeeds(&self, command: &str) -> Result<bool, String> {
        let slot = {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(ended.entry(command.to_owned()).or_default())
        };
        slot.get_or_init(|| self.run(command).map(|status| status.success())).clone()
    }

    /// How many commands ran.
    pub fn count(&self) -> usize {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn run(&self, command: &str) -> Result<ExitStatus, String> {
        let mut shell = Command::new(&self.shell);
        shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = shell.spawn().map_err(|error| {
            format!("Match exec {command:?}: {} cannot be started: {error}", self.shell.display())
        })?;
        wait(child, command)
    }
}

fn wait(mut child: Child, command: &str) -> Result<ExitStatus, String> {
    let until = Instant::now() + LIMIT;
    loop {
        let ended = child.try_wait().map_err(|error| format!("Match exec {command:?}: {error}"))?;
        match ended {
            // ssh ends with it, too.
            Some(status) if status.code().is_none() => {
                return Err(format!("Match exec {command:?} was ended by a signal"));
            }
            Some(status) => return Ok(status),
            None if Instant::now() >= until => {
                // It may just have ended by itself; either way it is waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("Match exec {command:?} took longer than {} s", LIMIT.as_secs()));
            }
            None => sleep(LOOK_AGAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_runs_once() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new(None);
        let command = format!("echo x >> {}/ran; false", dir.path().display());
        assert_eq!(runner.succeeds(&command), Ok(false));
        assert_eq!(runner.succeeds(&command), Ok(false));
        assert_eq!(runner.succeeds("true"), Ok(true));
        assert_eq!(std::fs::read_to_string(dir.path().join("ran")).unwrap(), "x\n");
        assert_eq!(runner.count(), 2);
    }

    #[test]
    fn what_ends_otherwise_is_a_fault() {
        assert!(Runner::new(None).succeeds("kill -9 $$").unwrap_err().contains("signal"));
        assert!(Runner::new(Some("/no/shell")).succeeds("true").unwrap_err().contains("/no/shell"));
    }
}
