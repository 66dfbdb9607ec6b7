//! Our reading of ssh_config against OpenSSH's own: `ssh -G` says what is right.

mod generate;
mod jumps;
mod many;
mod oracle;
mod reached;
mod rules;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dropsonde::openssh::{Asked, Difference, Machine, Oracle, OracleError};
use dropsonde::sshconfig::{Query, evaluate};
use tempfile::TempDir;

/// A folder of configurations, and both who are asked about them.
struct Bench {
    dir: TempDir,
    oracle: Oracle,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), oracle: Oracle::default() }
    }

    /// A file that nobody else may write, whatever the umask.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn differences(&self, files: &[PathBuf], host: &str) -> Result<Vec<Difference>, OracleError> {
        let query = Query { destination: host, hostname: None, port: None, user: None };
        self.oracle.differences(&machine(), &Asked { query, files: Some(files) })
    }

    /// Both say the same of each host.
    fn agree(&self, text: &str, hosts: &[&str]) {
        let text = text.replace("DIR", &self.dir.path().display().to_string());
        let file = self.file("config", &text);
        for host in hosts {
            let differences = self.differences(std::slice::from_ref(&file), host).unwrap();
            assert_eq!(differences, [], "{host} of:\n{text}");
        }
    }
}

impl Bench {
    /// Whether we, and ssh, have no values for a host.
    fn refused(&self, file: &Path, host: &str) -> (bool, bool) {
        let files = [file.to_owned()];
        let query = Query { destination: host, hostname: None, port: None, user: None };
        let (machine, asked) = (machine(), Asked { query, files: Some(&files) });
        let ours = evaluate(&query, &machine.sources(asked.files), (machine.here(), &machine));
        let ssh = self.oracle.ask(&machine, &asked);
        (ours.is_err(), matches!(ssh, Err(OracleError::Refused { .. })))
    }
}

/// This machine, with the home that ssh takes for it.
fn machine() -> Machine {
    let mut environment: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    environment.remove("HOME");
    Machine::new(environment)
}

/// What `ssh -G` prints for one keyword.
fn asked(file: &Path, host: &str, keyword: &str) -> Vec<String> {
    let files = [file.to_owned()];
    let query = Query { destination: host, hostname: None, port: None, user: None };
    let asked = Asked { query, files: Some(&files) };
    Oracle::default().ask(&machine(), &asked).unwrap().get(keyword).cloned().unwrap_or_default()
}
