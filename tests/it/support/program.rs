//! The built program with a configuration, probes and a state directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use dropsonde::model::{Host, SweepId};
use dropsonde::store::index::{QueryLimits, Reader};
use serde_json::Value;
use tempfile::TempDir;

use super::sshd::Sshd;

/// Prints one sample at once.
pub const HELLO: &str = "printf 'hello_value 1\\n'";

pub struct Program {
    dir: TempDir,
    config: String,
    _turn: Turn,
}

/// Sweeps of many hosts, all of them this machine, run alone: they would take the time from under the
/// deadlines that others test.
static MACHINE: RwLock<()> = RwLock::new(());

enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
    Whenever,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Program {
    /// With no host yet, and the probe `hello` beside the shipped ones.
    pub fn new() -> Self {
        Self::with(Turn::Shared { _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner) })
    }

    /// The same for a sweep of many hosts: no other test of this kind runs beside it.
    pub fn alone() -> Self {
        Self::with(Turn::Alone { _guard: MACHINE.write().unwrap_or_else(PoisonError::into_inner) })
    }

    /// The same for a test that takes long and minds nobody's load: nobody waits for its end.
    pub fn whenever() -> Self {
        Self::with(Turn::Whenever)
    }

    fn with(turn: Turn) -> Self {
        let dir = tempfile::Builder::new().prefix("dropsonde-program.").tempdir().expect("a folder");
        for folder in ["probes.d", "home"] {
            fs::create_dir(dir.path().join(folder)).expect("mkdir");
        }
        let program = Self { dir, config: String::new(), _turn: turn };
        program.probe("hello", HELLO, "format = \"openmetrics\"");
        program
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Adds a probe; `rest` are further lines of its file.
    pub fn probe(&self, name: &str, script: &str, rest: &str) {
        let metric = match rest.contains("openmetrics") {
            true => {
                "[[metric]]\nname = \"hello_value\"\nunit = \"\"\nkind = \"gauge\"\nhelp = \"a number\"\n"
            }
            false => "",
        };
        let text =
            format!("name = {name:?}\nsummary = \"a test\"\nscript = '''\n{script}\n'''\n{rest}\n{metric}");
        fs::write(self.dir.path().join(format!("probes.d/{name}.toml")), text).expect("a probe");
    }

    /// Adds lines to the configuration.
    pub fn configure(&mut self, lines: &str) -> &mut Self {
        self.config.push_str(lines);
        self.config.push('\n');
        fs::write(self.dir.path().join("config.toml"), &self.config).expect("config.toml");
        self
    }

    /// Adds hosts that one sshd plays, all at the address it listens on.
    pub fn hosts(&mut self, names: &str, sshd: &Sshd) -> &mut Self {
        let (identity, known) = (sshd.identity(), sshd.known_hosts());
        self.host_block(names, Some("127.0.0.1"), (sshd.port(), sshd.user()), (&identity, &known))
    }

    /// Adds hosts of a fleet: each name is its own address.
    pub fn fleet(&mut self, names: &str, sshd: &Sshd) -> &mut Self {
        let (identity, known) = (sshd.identity(), sshd.known_hosts());
        self.host_block(names, None, (sshd.port(), sshd.user()), (&identity, &known))
    }

    /// Adds a host that an in-process server plays.
    pub fn host(&mut self, name: &str, host: &Host) -> &mut Self {
        let files = (&*host.identity_files[0], &*host.known_hosts[0]);
        self.host_block(name, Some(&host.address), (host.port, &host.user), files)
    }

    pub fn host_block(
        &mut self,
        names: &str,
        address: Option<&str>,
        (port, user): (u16, &str),
        (identity, known): (&Path, &Path),
    ) -> &mut Self {
        let rest = format!(
            "port = {port}\nuser = {user:?}\nidentity_files = [{identity:?}]\nknown_hosts = [{known:?}]\n"
        );
        let Some(address) = address else {
            return self.configure(&format!("[[hosts]]\nnames = {names:?}\n{rest}"));
        };
        // A block is for one address, and here one address is many hosts.
        let names = dropsonde::select::expand(names).expect("a node set");
        let block = |name: &String| format!("[[hosts]]\nnames = {name:?}\naddress = {address:?}\n{rest}\n");
        self.configure(&names.iter().map(block).collect::<String>())
    }

    /// The program with `arguments`, and nothing of this process's environment but PATH.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.within(Command::new(env!("CARGO_BIN_EXE_dropsonde")), arguments)
    }

    /// The same with no more than so many bytes of memory that can be written to: beyond them the kernel
    /// gives it none, and it dies.
    pub fn command_with(&self, max_bytes: u64, arguments: &[&str]) -> Command {
        let mut command = Command::new("prlimit");
        command.arg(format!("--data={max_bytes}")).arg("--").arg(env!("CARGO_BIN_EXE_dropsonde"));
        self.within(command, arguments)
    }

    /// The same in the network of a fleet.
    pub fn command_in(&self, fleet: &Sshd, arguments: &[&str]) -> Command {
        self.within(fleet.command(env!("CARGO_BIN_EXE_dropsonde")), arguments)
    }

    fn within(&self, mut command: Command, arguments: &[&str]) -> Command {
        let path = std::env::var_os("PATH").expect("a PATH");
        command.env_clear().env("PATH", path).env("USER", "root").env("HOME", self.dir.path().join("home"));
        command.arg("--config").arg(self.dir.path().join("config.toml"));
        command.arg("--state").arg(self.state()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// Beside in-process servers, which need this thread meanwhile.
    pub async fn run_beside(&self, arguments: &[&str]) -> Ran {
        let command = self.command(arguments);
        tokio::task::spawn_blocking(|| ran(command)).await.expect("no panic")
    }

    /// `host probe outcome detail` of every reading of a sweep, as the index has it.
    pub fn ledger(&self, sweep: &SweepId) -> Vec<[String; 4]> {
        let reader = Reader::open(&self.state()).expect("an index");
        let rows = reader.ledger(sweep).expect("a ledger").into_iter();
        rows.map(|row| {
            let outcome = row.outcome.as_str().to_owned();
            [row.host.to_string(), row.probe.to_string(), outcome, row.detail.unwrap_or_default()]
        })
        .collect()
    }

    /// The sweeps in the archive, oldest first.
    pub fn sweeps(&self) -> Vec<SweepId> {
        let mut sweeps: Vec<SweepId> = self.tars().iter().map(|tar| sweep_of(tar)).collect();
        sweeps.sort();
        sweeps
    }

    pub fn tars(&self) -> Vec<PathBuf> {
        let all = files_below(&self.state().join("archive"));
        all.into_iter().filter(|path| path.extension().is_some_and(|end| end == "tar")).collect()
    }

    /// Every row that a user can see, as one text.
    pub fn rows(&self) -> String {
        let reader = Reader::open(&self.state()).expect("an index");
        let limits = QueryLimits::default();
        let ask = |view: &str, order: &str| {
            let table = reader.query(&format!("SELECT * FROM {view} ORDER BY {order}"), limits).expect(view);
            format!("{view} {:?}\n", table.rows)
        };
        [
            ask("v_sweep", "sweep"),
            ask("v_reading", "sweep, host, probe"),
            ask("v_sample", "sweep, host, probe, metric, labels, span"),
            ask("v_host_label", "host, label, since"),
        ]
        .concat()
    }

    pub fn assert_clean(&self) {
        let report = dropsonde::store::check(&self.state(), true).expect("a check");
        assert!(report.is_clean() && report.readings > 0, "{report:?}");
    }
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Ended with `code`, and said all of `parts` on stderr.
    pub fn expect(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {}", self.err);
        }
        self
    }

    /// The reading of `host` and `probe` in the JSON answer.
    pub fn reading(&self, host: &str, probe: &str) -> Value {
        let report = self.json();
        let readings = report["readings"].as_array().expect("readings");
        let mut of_both = readings.iter().filter(|one| one["host"] == host && one["probe"] == probe);
        let found = of_both.next().unwrap_or_else(|| panic!("no {probe} of {host} in {report}")).clone();
        assert!(of_both.next().is_none(), "{probe} of {host} twice");
        found
    }

    /// That reading must have ended so, with a detail that has all of `parts`.
    pub fn ended(&self, (host, probe): (&str, &str), outcome: &str, parts: &[&str]) {
        let reading = self.reading(host, probe);
        assert_eq!(reading["outcome"], outcome, "{reading}");
        let detail = reading["detail"].as_str().unwrap_or_default();
        for part in parts {
            assert!(detail.contains(part), "{part:?} is not in {host}'s {detail:?}");
        }
    }

    /// The numbers of the JSON answer fit each other.
    pub fn adds_up(&self) -> u64 {
        let report = self.json();
        let planned = report["planned"].as_u64().expect("planned");
        let outcomes = report["outcomes"].as_object().expect("outcomes").values();
        assert_eq!(outcomes.map(|count| count.as_u64().expect("a count")).sum::<u64>(), planned);
        assert_eq!(report["readings"].as_array().expect("readings").len() as u64, planned);
        planned
    }
}

pub fn ran(mut command: Command) -> Ran {
    let start = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ran::from((output, start.elapsed()))
}

/// Waits for a child that was started with its output piped.
pub fn ended(child: Child, since: Instant) -> Ran {
    let output = child.wait_with_output().expect("the program's output");
    Ran::from((output, since.elapsed()))
}

impl From<(Output, Duration)> for Ran {
    fn from((output, took): (Output, Duration)) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), took }
    }
}

pub fn sweep_of(tar: &Path) -> SweepId {
    let stem = tar.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    SweepId::new(stem).expect("a sweep's id")
}

/// All files below a folder that may not be there, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}
