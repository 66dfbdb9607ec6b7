//! Where it happens: hosts that a real sshd plays, the program that knows them, and what it said.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use dropsonde::model::SweepId;

use crate::support::program::{Program, sweep_of};
use crate::support::sshd::{Setup, Sshd};

pub struct Field {
    pub sshd: Sshd,
    pub program: Program,
    /// In the environment of whatever runs on its hosts.
    mark: String,
    /// What was acknowledged to somebody and must be there ever after.
    pub acknowledged: BTreeMap<(SweepId, String, String), Said>,
    /// How many readings of a sweep were ok, by a daemon's log.
    pub logged: BTreeMap<SweepId, usize>,
}

/// What was printed of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub outcome: String,
    pub bytes_wire: u64,
    pub bytes_raw: u64,
}

/// A run, and the sweeps that were there before it.
pub struct Started {
    child: Child,
    before: Vec<SweepId>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    /// `None` when it was killed.
    pub code: Option<i32>,
    pub killed: bool,
    pub out: String,
    pub err: String,
}

pub const HOSTS: &str = "web[01-04]";

/// What a sweep of all hosts is asked for: a number, two kilobytes of noise, and one that takes its time.
pub const SWEEP: [&str; 8] = ["sweep", "--probe", "hello", "--probe", "noise", "--probe", "slow", "--ndjson"];

impl Field {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(mut setup: Setup) -> Self {
        let place = tempfile::Builder::new().prefix("chaos-").tempdir().expect("a folder");
        let mark = place.path().file_name().expect("a name").to_string_lossy().into_owned();
        // The first mention of a keyword counts, so that of the tests' sshd is repeated.
        setup.lines.push(format!("SetEnv SHLVL=1 DROPSONDE_CHAOS={mark}"));
        let fleet = setup.fleet;
        let sshd = Sshd::start(setup);
        let mut program = Program::whenever();
        if !fleet {
            program.hosts(HOSTS, &sshd);
        }
        let noise = "head -c 700 /dev/urandom | od -An -v -tx1";
        program.probe("noise", noise, "format = \"text\"");
        program.probe("slow", "sleep 0.1; echo done", "format = \"text\"");
        // A loaded machine is no failure of a host: nothing is given up before its time.
        let patience = ["connect", "key_exchange", "auth", "channel", "first_byte", "idle"];
        let patience = patience.map(|phase| format!("{phase}_timeout = \"60s\"\n")).concat();
        program.configure(&format!("[limits]\nvisit_timeout = \"2m\"\n{patience}"));
        Self { sshd, program, mark, acknowledged: BTreeMap::new(), logged: BTreeMap::new() }
    }

    pub fn state(&self) -> PathBuf {
        self.program.state()
    }

    /// Begins anew, with a copy of a state directory or with none.
    pub fn fresh(&mut self, from: Option<&Path>) {
        self.acknowledged.clear();
        self.logged.clear();
        remove(&self.state());
        if let Some(from) = from {
            copy(from, &self.state());
        }
    }

    /// Starts a run whose end is waited for with [`Field::ended`].
    pub fn start(&self, mut command: Command) -> Started {
        let before = self.program.sweeps();
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Started { child, before }
    }

    /// Waits for its end, and takes note of what it acknowledged.
    pub fn ended(&mut self, started: Started) -> Run {
        self.noted(ended(started.child), &started.before)
    }

    /// Runs it to its end, or kills it after that time.
    pub fn run(&mut self, command: Command, kill_after: Option<Duration>) -> Run {
        let mut started = self.start(command);
        if let Some(after) = kill_after {
            std::thread::sleep(after);
            // It may have ended.
            let _ = started.child.kill();
        }
        self.ended(started)
    }

    /// What a sweep printed was of the newest sweep that was not there before.
    fn noted(&mut self, run: Run, before: &[SweepId]) -> Run {
        let after = self.program.sweeps();
        let new = after.iter().rfind(|sweep| !before.contains(sweep));
        // A line that the kill cut in half was not said.
        for line in run.out.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let Some(host) = line["host"].as_str() else { continue };
            let sweep = new.unwrap_or_else(|| panic!("{host} was acknowledged, and there is no new sweep"));
            let probe = line["probe"].as_str().expect("a probe").to_owned();
            let number = |name: &str| line[name].as_u64().expect("a number");
            let said = Said {
                outcome: line["outcome"].as_str().expect("an outcome").to_owned(),
                bytes_wire: number("bytes_wire"),
                bytes_raw: number("bytes_raw"),
            };
            self.acknowledged.insert((sweep.clone(), host.to_owned(), probe), said);
        }
        run
    }

    /// Takes note of the sweeps that a daemon's log says have ended.
    pub fn note_log(&mut self, log: &str) {
        assert!(!log.contains("panicked") && !log.contains("this is a bug"), "{log}");
        for line in log.lines() {
            let Some((before, after)) = line.split_once(" of often: ") else { continue };
            let Some((ok, _)) = after.split_once('/') else { continue };
            let sweep = before.rsplit(' ').next().and_then(|name| SweepId::new(name).ok());
            let (Some(sweep), Ok(ok)) = (sweep, ok.parse()) else { continue };
            self.logged.insert(sweep, ok);
        }
    }

    /// The processes on its hosts that belong to a session.
    pub fn on_hosts(&self) -> Vec<String> {
        let wanted = format!("DROPSONDE_CHAOS={}", self.mark).into_bytes();
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_one = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == wanted)
        };
        let sessions = self.sshd.sessions();
        pids.filter(|pid| sessions.contains(pid) || is_one(pid))
            .map(crate::support::runs::command_line)
            .collect()
    }
}

fn ended(mut child: Child) -> Run {
    let mut stderr = child.stderr.take().expect("stderr");
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut out = Vec::new();
    let _ = child.stdout.take().expect("stdout").read_to_end(&mut out);
    let err = errors.join().expect("the reader of stderr");
    let status = child.wait().expect("wait");
    let out = String::from_utf8_lossy(&out).into_owned();
    // Loudly is one thing, like this another.
    assert!(!err.contains("panicked"), "{err}");
    Run { code: status.code(), killed: status.signal() == Some(9), out, err }
}

pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

pub fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// Where a sweep's tar lies.
pub fn tar_of(program: &Program, sweep: &SweepId) -> PathBuf {
    let found = program.tars().into_iter().find(|tar| sweep_of(tar) == *sweep);
    found.unwrap_or_else(|| panic!("no tar of {sweep}"))
}
