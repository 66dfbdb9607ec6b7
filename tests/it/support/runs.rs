//! One supervised run, its client, and what of it is still alive on the machine.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dropsonde::model::{ByteSize, Host, HostName, Probe, ProbeName};
use dropsonde::wire::{Decoded, Decoder, ExecEnd, Flow, HEARTBEAT, Limits, Nonce, Request, RunTag};

use super::patience::{PATIENCE, wait_for};
use super::sshd::{Sshd, parent_of};

/// A probe whose own time limit ends nothing that a test waits to see ended by something else.
pub fn probe(script: &str) -> Probe {
    let probe = Probe::new(ProbeName::new("probe").expect("a name"), script);
    Probe { max_output: ByteSize(1 << 20), timeout: PATIENCE * 4, ..probe }
}

pub fn host() -> Host {
    Host { address: "127.0.0.1".to_owned(), ..Host::new(HostName::new("host").expect("a name"), "root") }
}

pub const LIMITS: Limits = Limits {
    heartbeat: Duration::from_secs(3),
    grace: Duration::from_secs(1),
    max_wire: ByteSize(8 << 20),
    max_ratio: 200,
    max_stderr: ByteSize(16 << 10),
};

/// One probe's identity and limits, owned; [`Job::request`] borrows it.
pub struct Job {
    pub probe: Probe,
    pub host: Host,
    pub tag: RunTag,
    pub nonce: Nonce,
    pub limits: Limits,
    pub cursor: Option<String>,
    pub become_root: bool,
    pub only_check: bool,
    /// What the login shell is asked for in place of the request's own command.
    pub command: Option<&'static str>,
}

impl Job {
    pub fn new(probe: Probe) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Unique among the runs of this machine: the process, a count, and the clock.
        let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let number = since_1970.as_nanos() << 48 ^ u128::from(std::process::id()) << 16 ^ count;
        let tag = RunTag::new(number.to_be_bytes());
        let nonce = Nonce::new((!number).to_be_bytes());
        Self {
            probe,
            host: host(),
            tag,
            nonce,
            limits: LIMITS,
            cursor: None,
            become_root: false,
            only_check: false,
            command: None,
        }
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            probe: &self.probe,
            host: &self.host,
            tag: self.tag,
            nonce: self.nonce,
            limits: self.limits,
            cursor: self.cursor.as_deref(),
            become_root: self.become_root,
            only_check: self.only_check,
        }
    }

    /// The run's processes: the probe's and the supervisor's.
    pub fn alive(&self) -> Vec<u32> {
        let tag = self.tag.to_string();
        let of_run = |seen: &&Seen| seen.run.as_ref() == Some(&tag) || seen.cell.as_ref() == Some(&tag);
        marked().1.iter().filter(of_run).map(|seen| seen.pid).collect()
    }

    /// Those of the probe alone.
    pub fn probes(&self) -> Vec<u32> {
        let tag = self.tag.to_string();
        marked().1.iter().filter(|seen| seen.run.as_ref() == Some(&tag)).map(|seen| seen.pid).collect()
    }

    /// Waits until nothing of the run is alive; fails with what is left.
    pub fn assert_gone(&self, what: &str) {
        let limit = Instant::now() + PATIENCE;
        let (mut empty, mut last_look) = (0, 0);
        // A process in the middle of its exec shows no environment: three looks must find nothing.
        while empty < 3 {
            let (look, _) = *marked();
            if look == last_look {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            last_look = look;
            let left = self.alive();
            empty = if left.is_empty() { empty + 1 } else { 0 };
            if Instant::now() > limit {
                let names: Vec<String> = left.iter().map(|pid| command_line(*pid)).collect();
                panic!("{what}: left after {PATIENCE:?}: {names:?}");
            }
        }
    }

    /// Runs it through the OpenSSH client to its end, with heartbeats.
    pub fn over(&self, sshd: &Sshd) -> Decoded {
        let mut client = self.connect(sshd);
        let _line = Line::open(client.stdin.take().expect("stdin"), &self.request().stdin());
        self.decode(&mut client)
    }

    /// The client, about to be fed. sshd is to have `AcceptEnv CELL`.
    pub fn connect(&self, sshd: &Sshd) -> Child {
        let mut ssh = sshd.ssh("127.0.0.1");
        let command = self.command.unwrap_or_else(|| self.request().command());
        ssh.arg("-o").arg(format!("SetEnv=CELL={}", self.tag)).arg(command);
        spawn(&mut ssh)
    }

    /// Drains a client into a decoder until its outputs close.
    pub fn decode(&self, client: &mut Child) -> Decoded {
        let mut decoder = Decoder::new(&self.request());
        let mut stderr = client.stderr.take().expect("stderr");
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            bytes
        });
        let mut stdout = client.stdout.take().expect("stdout");
        let mut piece = vec![0; 1 << 15];
        let mut stopped = false;
        while let Ok(n @ 1..) = stdout.read(&mut piece) {
            if decoder.stdout(&piece[..n]) == Flow::Stop {
                stopped = true;
                let _ = client.kill();
            }
        }
        let _ = decoder.stderr(&errors.join().expect("the reader of stderr"));
        let status = client.wait().expect("wait");
        let end = status.code().map_or(ExecEnd::NoStatus, |code| ExecEnd::Exited(code as u32));
        decoder.finish(if stopped { ExecEnd::DecoderStopped } else { end })
    }
}

pub fn spawn(command: &mut Command) -> Child {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A channel's stdin, kept open, with a heartbeat four times a second, until it is dropped.
pub struct Line {
    said: Arc<Mutex<Said>>,
    feeder: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Said {
    Heartbeats,
    Nothing,
    Goodbye,
}

impl Line {
    pub fn open(mut stdin: ChildStdin, request: &[u8]) -> Self {
        let said = Arc::new(Mutex::new(Said::Heartbeats));
        let (request, now) = (request.to_vec(), Arc::clone(&said));
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(&request);
            loop {
                std::thread::sleep(Duration::from_millis(250));
                match *now.lock().expect("the lock") {
                    Said::Heartbeats if stdin.write_all(HEARTBEAT).is_err() => break,
                    Said::Heartbeats | Said::Nothing => {}
                    Said::Goodbye => break,
                }
            }
        });
        Self { said, feeder: Some(feeder) }
    }

    /// From now on there is no heartbeat, and no end of the line either.
    pub fn fall_silent(&self) {
        *self.said.lock().expect("the lock") = Said::Nothing;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        *self.said.lock().expect("the lock") = Said::Goodbye;
        self.feeder.take().map(std::thread::JoinHandle::join);
    }
}

/// The run's first process on the host: its parent is no part of the run. Between two looks at /proc a
/// process may come or go, so it is looked for until it is found.
pub fn supervisor_of(job: &Job) -> u32 {
    let mut found = None;
    wait_for(|| {
        let alive = job.alive();
        let first = |pid: &&u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let is_probe = environ.windows(14).any(|window| window == b"DROPSONDE_RUN=");
            !is_probe && parent_of(**pid).is_some_and(|parent| !alive.contains(&parent))
        };
        found = alive.iter().find(first).copied();
        found.is_some()
    });
    found.expect("a supervisor")
}

/// A process with one of our marks in its environment.
struct Seen {
    pid: u32,
    /// The supervisor's mark on the probe.
    run: Option<String>,
    /// The client's mark on everything in the channel.
    cell: Option<String>,
}

type Look = (u64, Vec<Seen>);

/// All marked processes and the number of the look, at most 100 ms old: hundreds of runs ask at once,
/// and each look reads all of /proc.
fn marked() -> Arc<Look> {
    static LAST: Mutex<Option<(Instant, Arc<Look>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((at, look)) = &*last
        && at.elapsed() < Duration::from_millis(100)
    {
        return Arc::clone(look);
    }
    let number = last.as_ref().map_or(1, |(_, look)| look.0 + 1);
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let look = Arc::new((number, pids.filter_map(look_at).collect()));
    *last = Some((Instant::now(), Arc::clone(&look)));
    look
}

fn look_at(pid: u32) -> Option<Seen> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        let mut variables = environ.split(|b| *b == 0);
        let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes()))?;
        String::from_utf8(value.to_vec()).ok()
    };
    let (run, cell) = (value("DROPSONDE_RUN="), value("CELL="));
    (run.is_some() || cell.is_some()).then_some(Seen { pid, run, cell })
}

pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!(
        "{pid}: {}",
        String::from_utf8_lossy(&bytes).replace('\0', " ").chars().take(120).collect::<String>()
    )
}
