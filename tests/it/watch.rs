//! What follows a sweep: the built program, a real sshd, real receivers.

mod alerts;
mod changes;
mod escalation;
mod full;
mod metrics;
mod room;

use std::fs;
use std::path::{Path, PathBuf};

use dropsonde::config::{Settings, Sources, load};

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

/// Hosts that one sshd plays. Each has a folder of its own as its /proc: what the probe `load` finds there
/// is the host's `hello_value`, and the probe `heavy` leaves a line there.
struct Fleet {
    program: Program,
    sshd: Sshd,
}

impl Fleet {
    fn new(names: &[&str]) -> Self {
        let sshd = Sshd::start(Setup::default());
        let mut program = Program::new();
        let script = "read -r value <\"$PROC/load\" || exit\nprintf 'hello_value %s\\n' \"$value\"";
        program.probe("load", script, "format = \"openmetrics\"");
        let script = "echo visited >>\"$PROC/visits\"\nprintf 'hello_value 1000\\n'";
        program.probe("heavy", script, "format = \"openmetrics\"\ncost = \"heavy\"");
        for name in names {
            let folder = program.dir().join("hosts").join(name);
            fs::create_dir_all(&folder).unwrap();
            program.configure(&format!(
                "[[hosts]]\nnames = {name:?}\naddress = \"127.0.0.1\"\nport = {}\nuser = {:?}\n\
                 identity_files = [{:?}]\nknown_hosts = [{:?}]\nproc_root = {folder:?}",
                sshd.port(),
                sshd.user(),
                sshd.identity(),
                sshd.known_hosts(),
            ));
        }
        program.configure("[[schedule]]\nname = \"hourly\"\ncron = \"@hourly\"\nprobes = [\"load\"]");
        let fleet = Self { program, sshd };
        names.iter().for_each(|name| fleet.load(name, "1"));
        fleet
    }

    /// The configuration, for what only the scheduler asks of the library.
    fn settings(&self) -> Settings {
        let sources = Sources {
            config: Some(self.program.dir().join("config.toml")),
            state: Some(self.program.state()),
            environment: [("USER".to_owned(), "root".to_owned())].into(),
            ..Sources::default()
        };
        load(&sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn folder(&self, host: &str) -> PathBuf {
        self.program.dir().join("hosts").join(host)
    }

    fn load(&self, host: &str, value: &str) {
        fs::write(self.folder(host).join("load"), format!("{value}\n")).unwrap();
    }

    /// Whether the hosts refuse our key.
    fn lock_out(&self, out: bool) {
        let (keys, hidden) = (self.sshd.dir().join("authorized_keys"), self.sshd.dir().join("hidden"));
        let (from, to) = if out { (keys, hidden) } else { (hidden, keys) };
        fs::rename(from, to).unwrap();
    }

    /// How often the heavy probe was there.
    fn visits(&self, host: &str) -> usize {
        lines(&self.folder(host).join("visits"))
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}
