//! What hosts could run: each is asked once which needs of the probes it lacks, and once more as root where
//! that takes sudo. No probe is run and nothing is recorded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock;
use super::contact::each;
use super::dial::patiently;
use super::errand::is_root_already;
use super::sweep::wire_limits;
use super::visit::{patience, tokens};
use crate::config::Limits;
use crate::model::{
    ByteSize, CollectorTime, Host, HostTime, Need, Outcome, Privilege, Probe, ProbeName, Reach, RootBy,
};
use crate::transport::ssh::{self, ConnectError, Settings};
use crate::transport::{Exec, Transport, local};
use crate::wire::{self, Decoded, Decoder, Denial, ExecEnd, Lack, Request, asking, refused};

/// How long a host may take to look for everything.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What an answer may take on the wire: a login's chatter, and a line that is some 2 KB at most.
const MAX_ANSWER: ByteSize = ByteSize(256 << 10);

/// Tools that no probe asks for: what the supervisor is glad of, and what a remedy can be made of.
pub const ASIDE: [&str; 11] =
    ["gzip", "sudo", "doas", "timedatectl", "chronyc", "apt-get", "dnf", "yum", "zypper", "apk", "pacman"];

/// A process of root's: where it cannot be seen, /proc hides those of others.
fn others() -> Need {
    Need::File("$PROC/1/stat".to_owned())
}

/// What one host said.
#[derive(Debug, Clone)]
pub struct Checkup {
    pub host: Host,
    /// `ok`, or why there is no answer at all.
    pub outcome: Outcome,
    pub detail: Option<String>,
    pub elapsed: Duration,
    /// Why there is no session, where that is so.
    pub error: Option<ConnectError>,
    pub root: Root,
    /// How far its clock is ahead of ours, beyond what the time that its answer took explains.
    pub skew_s: Option<f64>,
    /// As the connection's own user, and as root.
    plain: Option<Answer>,
    as_root: Option<Answer>,
}

/// How root is had on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The connection's user is root.
    Direct,
    /// `sudo -n` gives it.
    Sudo,
    /// `doas -n` gives it.
    Doas,
    /// Nothing does; why, in words and, where it is known, by its kind.
    Denied(String, Option<Denial>),
    /// No probe wants it, or the host did not answer.
    Unknown,
}

/// The needs that were asked for, and those that are not met.
#[derive(Debug, Clone)]
struct Answer {
    needs: Vec<Need>,
    missing: Vec<Lack>,
}

/// Whether a probe would run on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    Ok,
    /// What is not met, each in words.
    Unsupported(Vec<String>),
    /// It needs root, which is not to be had; why.
    Denied(String),
    Unknown,
}

impl Checkup {
    pub fn fitness(&self, probe: &Probe) -> Fitness {
        if let (Privilege::Root, Root::Denied(why, _)) = (probe.privilege, &self.root) {
            return Fitness::Denied(why.clone());
        }
        let Some(answer) = self.answer(probe) else { return Fitness::Unknown };
        let words: Vec<String> =
            probe.needs.iter().filter_map(|need| answer.lack(need).map(|lack| lack.words(need))).collect();
        if words.is_empty() { Fitness::Ok } else { Fitness::Unsupported(words) }
    }

    /// What the host lacks of one need; the outer `None` where it was not asked or did not answer.
    pub fn lack(&self, probe: &Probe, need: &Need) -> Option<Option<&Lack>> {
        self.answer(probe).map(|answer| answer.lack(need))
    }

    /// Whether one of [`ASIDE`] is there, for whoever connects; `None` where the host was not asked.
    pub fn has(&self, tool: &str) -> Option<bool> {
        let answer = self.plain.as_ref()?;
        let at = answer.needs.iter().position(|need| matches!(need, Need::Tool(name) if name == tool))?;
        Some(!answer.missing.iter().any(|lack| lack.need == at))
    }

    /// Whether whoever connects sees the processes of others; `None` where the host was not asked.
    pub fn sees_others(&self) -> Option<bool> {
        self.plain.as_ref().map(|answer| answer.lack(&others()).is_none())
    }

    fn answer(&self, probe: &Probe) -> Option<&Answer> {
        match probe.privilege {
            Privilege::Root if self.root != Root::Direct => self.as_root.as_ref(),
            _ => self.plain.as_ref(),
        }
    }
}

impl Answer {
    fn lack(&self, need: &Need) -> Option<&Lack> {
        self.missing.iter().find(|lack| self.needs.get(lack.need) == Some(need))
    }
}

/// What is asked of one host.
struct Question {
    plain: Vec<Need>,
    /// `None` where root is had without asking, or not wanted.
    as_root: Option<Vec<Need>>,
    wants_root: bool,
    /// Whether the connection is root's.
    direct: bool,
}

impl Question {
    fn new(host: &Host, probes: &[Arc<Probe>]) -> Self {
        let direct = is_root_already(host);
        let is_plain = |probe: &Arc<Probe>| direct || probe.privilege == Privilege::None;
        let (plain, root): (Vec<_>, Vec<_>) = probes.iter().cloned().partition(is_plain);
        let wants_root = probes.iter().any(|probe| probe.privilege == Privilege::Root);
        let refused = matches!(host.root_by, RootBy::Refused(_));
        let as_root = (wants_root && !direct && !refused).then(|| union(&root));
        let aside = ASIDE.map(|tool| Need::Tool(tool.to_owned())).into_iter().chain([others()]);
        let mut plain = union(&plain);
        plain.extend(aside.filter(|need| !plain.contains(need)).collect::<Vec<_>>());
        Self { plain, as_root, wants_root, direct }
    }
}

/// Every need once.
fn union(probes: &[Arc<Probe>]) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for need in probes.iter().flat_map(|probe| &probe.needs) {
        if !needs.contains(need) {
            needs.push(need.clone());
        }
    }
    needs
}

/// What is heard of one host.
struct Heard {
    plain: Decoded,
    /// Our clock before and after that.
    between: (CollectorTime, CollectorTime),
    as_root: Option<Decoded>,
}

/// Asks `hosts` for the needs of `probes`. The answers stand in the order of `hosts`.
pub async fn check(
    hosts: Vec<Host>,
    probes: &[Arc<Probe>],
    settings: Arc<Settings>,
    limits: &Limits,
) -> Vec<Checkup> {
    let shared = Arc::clone(&settings);
    let visit = |host: Host| {
        let (settings, limits) = (Arc::clone(&shared), limits.clone());
        let question = Question::new(&host, probes);
        async move {
            match host.reach {
                Reach::Local => ask_both(&local::Machine, &host, &question, &limits).await,
                Reach::Ssh => {
                    let session = patiently(&host.name, || true, || ssh::connect(&host, &settings)).await?;
                    let heard = ask_both(&session, &host, &question, &limits).await;
                    session.close().await;
                    heard
                }
            }
        }
    };
    let answers = each(hosts, (&settings, limits), visit).await;
    settings.close().await;
    answers.into_iter().map(|(host, heard, elapsed)| checkup(host, heard, elapsed, probes)).collect()
}

async fn ask_both<T: Transport>(
    transport: &T,
    host: &Host,
    question: &Question,
    limits: &Limits,
) -> Result<Heard, ConnectError> {
    let sent = clock::now();
    let plain = ask(transport, (host, false), question.plain.clone(), limits).await?;
    let between = (sent, clock::now());
    let as_root = match &question.as_root {
        // Whom nobody answers at all would not answer as root either, only later.
        Some(needs) if plain.outcome == Outcome::Ok => {
            Some(ask(transport, (host, true), needs.clone(), limits).await?)
        }
        Some(_) | None => None,
    };
    Ok(Heard { plain, between, as_root })
}

async fn ask<T: Transport>(
    transport: &T,
    (host, become_root): (&Host, bool),
    needs: Vec<Need>,
    limits: &Limits,
) -> Result<Decoded, ConnectError> {
    let failed = |detail: String| ConnectError::new(Outcome::Skipped, detail);
    let name = ProbeName::new("needs").map_err(|error| failed(error.to_string()))?;
    let probe = asking(needs, name, TIMEOUT);
    let (tag, nonce) =
        tokens().map_err(|error| failed(format!("no randomness for the run's tag: {error}")))?;
    let request = Request {
        probe: &probe,
        host,
        tag,
        nonce,
        limits: wire::Limits {
            max_wire: wire_limits(limits).max_wire.min(MAX_ANSWER),
            ..wire_limits(limits)
        },
        cursor: None,
        become_root,
        only_check: true,
    };
    let exec = Exec {
        command: request.command(),
        in_english: request.become_root,
        stdin: request.stdin(),
        heartbeat: limits.heartbeat_interval,
        first_byte: limits.first_byte_timeout,
        idle: probe.timeout + limits.idle_timeout,
        deadline: Instant::now() + patience(limits, &probe),
    };
    let mut decoder = Decoder::new(&request);
    let end: ExecEnd = transport.exec(exec, &mut decoder).await;
    Ok(decoder.finish(end))
}

fn checkup(
    host: Host,
    heard: Result<Heard, ConnectError>,
    elapsed: Duration,
    probes: &[Arc<Probe>],
) -> Checkup {
    let mut checkup = Checkup {
        host,
        outcome: Outcome::Ok,
        detail: None,
        elapsed,
        error: None,
        root: Root::Unknown,
        skew_s: None,
        plain: None,
        as_root: None,
    };
    let heard = match heard {
        Ok(heard) => heard,
        Err(error) => {
            (checkup.outcome, checkup.detail) = (error.outcome, Some(error.detail.clone()));
            checkup.error = Some(error);
            return checkup;
        }
    };
    let question = Question::new(&checkup.host, probes);
    checkup.skew_s = heard.plain.clock.as_ref().map(|host| skew_s(host.end, heard.between));
    if heard.plain.outcome == Outcome::Ok {
        checkup.plain = Some(Answer { needs: question.plain, missing: heard.plain.missing });
    } else {
        (checkup.outcome, checkup.detail) = (heard.plain.outcome, heard.plain.detail);
    }
    checkup.root = match (heard.as_root, question.as_root) {
        _ if !question.wants_root || checkup.plain.is_none() => Root::Unknown,
        _ if question.direct => Root::Direct,
        (Some(decoded), Some(needs)) if decoded.outcome == Outcome::Ok => {
            checkup.as_root = Some(Answer { needs, missing: decoded.missing });
            match checkup.host.root_by {
                RootBy::Doas => Root::Doas,
                RootBy::Sudo | RootBy::Refused(_) => Root::Sudo,
            }
        }
        (Some(decoded), _) => {
            let why = decoded.detail.unwrap_or_else(|| decoded.outcome.as_str().to_owned());
            Root::Denied(why, decoded.denial)
        }
        (None, _) => match &checkup.host.root_by {
            RootBy::Refused(refusal) => Root::Denied(refused(refusal), None),
            RootBy::Sudo | RootBy::Doas => Root::Unknown,
        },
    };
    checkup
}

/// 0 where the host's moment may have been between ours.
fn skew_s(host: HostTime, (sent, received): (CollectorTime, CollectorTime)) -> f64 {
    let ahead_ns = match host.unix_ns() {
        at if at < sent.unix_ns() => at.saturating_sub(sent.unix_ns()),
        at if at > received.unix_ns() => at.saturating_sub(received.unix_ns()),
        _ => 0,
    };
    ahead_ns as f64 / 1e9
}
