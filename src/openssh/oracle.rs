//! `ssh -G`: what an installed ssh says of a host. One process for each question, so it is asked of one
//! host out of those that no line of the files tells apart.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::Machine;
use crate::sshconfig::{Dump, Query, dump, evaluate};

/// A question to both: ours and ssh's.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub query: Query<'a>,
    /// The files to start from; `None`: the two that ssh reads.
    pub files: Option<&'a [PathBuf]>,
}

/// A keyword of which the two say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub keyword: String,
    pub ours: Vec<String>,
    pub ssh: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    #[error("ssh cannot be started: {0}")]
    Start(#[from] std::io::Error),
    #[error("ssh -G refuses {destination}: {said}")]
    Refused { destination: String, said: String },
}

/// The installed ssh.
#[derive(Debug, Default)]
pub struct Oracle {
    usual: OnceLock<Dump>,
}

impl Oracle {
    /// What ssh says.
    pub fn ask(&self, machine: &Machine, asked: &Asked<'_>) -> Result<Dump, OracleError> {
        let mut command = Command::new("ssh");
        let stdin = match asked.files {
            Some([]) => {
                command.args(["-F", "none"]);
                String::new()
            }
            Some([one]) => {
                command.arg("-F").arg(one);
                String::new()
            }
            Some(files) => {
                command.args(["-F", "/dev/stdin"]);
                files.iter().map(|file| format!("Include \"{}\"\n", file.display())).collect()
            }
            None if machine.home_is_usual() => String::new(),
            None => {
                command.args(["-F", "/dev/stdin"]);
                format!("Include \"{}/.ssh/config\" /etc/ssh/ssh_config\n", machine.here().home)
            }
        };
        run(command, &asked.query, &stdin)
    }

    /// What ssh says with no file at all.
    pub fn usual(&self) -> Result<&Dump, OracleError> {
        if let Some(usual) = self.usual.get() {
            return Ok(usual);
        }
        let mut command = Command::new("ssh");
        command.args(["-F", "none"]);
        let query = Query { destination: "localhost", hostname: None, port: None, user: None };
        let usual = run(command, &query, "")?;
        Ok(self.usual.get_or_init(|| usual))
    }

    /// Where ssh and we differ about one host; none: they agree.
    pub fn differences(&self, machine: &Machine, asked: &Asked<'_>) -> Result<Vec<Difference>, OracleError> {
        let usual = self.usual()?;
        let sources = machine.sources(asked.files);
        let answer = evaluate(&asked.query, &sources, (machine.here(), machine));
        let ssh = self.ask(machine, asked);
        let (answer, ssh) = match (answer, ssh) {
            (Ok(answer), Ok(ssh)) => (answer, ssh),
            // Neither would connect: they agree, whatever words they have for it.
            (Err(_), Err(OracleError::Refused { .. })) => return Ok(Vec::new()),
            (Err(trouble), Ok(_)) => {
                let ours = vec![format!("refused: {trouble}")];
                let ssh = vec!["connects".to_owned()];
                return Ok(vec![Difference { keyword: "all".to_owned(), ours, ssh }]);
            }
            (_, Err(error)) => return Err(error),
        };
        let ours = dump(&answer, &asked.query, usual, (machine.here(), machine));
        let differ = ours.into_iter().filter_map(|(keyword, ours)| {
            let ssh = ssh.get(&keyword).cloned().unwrap_or_default();
            (ours != ssh).then_some(Difference { keyword, ours, ssh })
        });
        Ok(differ.collect())
    }
}

/// Hosts that no line of the files tells apart, and where ssh and we differ about the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Their places in what was asked about.
    pub hosts: Vec<usize>,
    pub differences: Vec<Difference>,
    /// Neither we nor ssh would connect.
    pub refused: bool,
}

impl Oracle {
    /// One question for each kind of host among `asked`, one after the other.
    pub fn compare(&self, machine: &Machine, asked: &[Asked<'_>]) -> Result<Vec<Compared>, OracleError> {
        let mut kinds: BTreeMap<(Option<u64>, String), Vec<usize>> = BTreeMap::new();
        for (place, asked) in asked.iter().enumerate() {
            let sources = machine.sources(asked.files);
            let answer = evaluate(&asked.query, &sources, (machine.here(), machine));
            let Query { destination: _, hostname, port, user } = asked.query;
            let said = format!("{:?} {:?} {port:?} {user:?}", asked.files, hostname.is_some());
            kinds.entry((answer.ok().map(|answer| answer.class), said)).or_default().push(place);
        }
        let compare = |is_refused: bool, hosts: Vec<usize>| {
            let differences = self.differences(machine, &asked[hosts[0]])?;
            Ok(Compared { hosts, refused: is_refused && differences.is_empty(), differences })
        };
        kinds.into_iter().map(|((class, _), hosts)| compare(class.is_none(), hosts)).collect()
    }
}

fn run(mut command: Command, query: &Query<'_>, stdin: &str) -> Result<Dump, OracleError> {
    command.arg("-G");
    if let Some(port) = query.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = query.user {
        command.arg("-l").arg(user);
    }
    if let Some(hostname) = query.hostname {
        command.arg("-o").arg(format!("HostName={}", hostname.replace('%', "%%")));
    }
    command.arg("--").arg(query.destination);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // An ssh that has read enough closes its end, which is no failure of the question.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr).trim().replace('\n', "; ");
        return Err(OracleError::Refused { destination: query.destination.to_owned(), said });
    }
    Ok(parse(&String::from_utf8_lossy(&stdout)))
}

fn parse(text: &str) -> Dump {
    let mut dump = Dump::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        dump.entry(keyword.to_ascii_lowercase()).or_default().push(value.trim_end().to_owned());
    }
    dump
}

/// `OpenSSH_9.2p1`, as `ssh -V` starts; `None` without an ssh.
pub(super) fn version() -> Option<String> {
    let said = Command::new("ssh").arg("-V").stdin(Stdio::null()).output().ok()?.stderr;
    let said = String::from_utf8_lossy(&said);
    let version = said.split([' ', ',']).next()?.trim();
    version.starts_with("OpenSSH_").then(|| version.to_owned())
}
