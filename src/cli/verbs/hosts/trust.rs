//! `hosts trust`: learn host keys on purpose. It never replaces a key and never believes one that
//! nobody looked at: without a person at the terminal it wants `--yes` or the fingerprint itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, sweeping};
use crate::collect::{contact, ssh_settings};
use crate::model::{Host, HostName, Proxy, Reach, SshOptions};
use crate::render::{Cell, Column, Ink, Table};
use crate::transport::known_hosts::{AppendError, Place, append, remain};
use crate::transport::ssh::{ConnectError, HostKey, Introduction};
use crate::transport::sshfp::{Fingerprints, RESOLV_CONF, Resolvers, SshfpError};

/// Show hosts' key fingerprints, ask, and add the keys to the first known_hosts file
#[derive(Debug, clap::Args)]
pub struct Trust {
    /// Which hosts
    #[arg(value_name = "SELECTOR", default_value = "*")]
    selector: String,
    /// Do not ask: believe whatever answers now
    #[arg(long, short)]
    yes: bool,
    /// Do not ask: believe the key with this fingerprint, and no other; may be repeated
    #[arg(long, value_name = "SHA256:…", conflicts_with = "yes", value_parser = fingerprint)]
    fingerprint: Vec<String>,
    /// Do not ask: believe the keys whose fingerprints DNS has (SSHFP), if a resolver that resolv.conf
    /// trusts (options trust-ad) has validated them (DNSSEC)
    #[arg(long, conflicts_with_all = ["yes", "fingerprint"])]
    from_dns: bool,
}

fn fingerprint(text: &str) -> Result<String, String> {
    let digest = text.strip_prefix("SHA256:").unwrap_or_default();
    let plain = digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    if digest.len() == 43 && plain {
        Ok(text.to_owned())
    } else {
        Err("expected SHA256: and 43 characters, as ssh-keygen -l prints it".to_owned())
    }
}

/// What became of a host.
enum State {
    Local,
    Known(Place),
    /// Not known yet; these of its keys may be added.
    New(Vec<HostKey>),
    Added(Vec<HostKey>, PathBuf),
    /// And why, where a person did not say so.
    Declined(Vec<HostKey>, Option<String>),
    /// They are believed, and could not be added.
    Unwritten(Vec<HostKey>, String),
    Failed(ConnectError),
}

impl State {
    const fn word(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Known(_) => "known",
            Self::New(_) => "new",
            Self::Added(..) => "added",
            Self::Declined(..) => "declined",
            Self::Unwritten(..) => "unwritten",
            Self::Failed(error) => error.outcome.as_str(),
        }
    }

    fn keys(&self) -> &[HostKey] {
        match self {
            Self::New(keys) | Self::Added(keys, _) | Self::Declined(keys, _) | Self::Unwritten(keys, _) => {
                keys
            }
            Self::Local | Self::Known(_) | Self::Failed(_) => &[],
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Local => "this machine: there is no connection and no host key".to_owned(),
            Self::Known(place) => format!("already in {place}"),
            Self::New(_) => String::new(),
            Self::Added(_, file) => format!("added to {}", file.display()),
            Self::Declined(_, why) => why.clone().unwrap_or_else(|| "not added".to_owned()),
            Self::Unwritten(_, why) => why.clone(),
            Self::Failed(error) => error.detail.clone(),
        }
    }
}

impl Trust {
    pub fn run(&self, context: &Context) -> Result<Exit> {
        let resolvers = self.resolvers()?;
        let mut states = Vec::new();
        for hosts in in_the_order_of_the_way(context.select_settled(&self.selector)?) {
            states.extend(self.learn(hosts, resolvers.as_ref(), context)?);
        }
        look_again(&mut states);
        if context.global.json {
            context.print_json(&json_of(&states))?;
        } else {
            context.print(&results(&states).render(context.out_style()))?;
        }
        let done =
            |(_, state): &(Host, State)| matches!(state, State::Local | State::Known(_) | State::Added(..));
        Ok(super::exit(states.iter().map(done)))
    }

    fn resolvers(&self) -> Result<Option<Resolvers>> {
        let resolvers = self.from_dns.then(|| Resolvers::from_file(Path::new(RESOLV_CONF))).transpose();
        resolvers.map_err(|error| Usage(error.to_string()).into())
    }

    /// Learns what is new of these hosts, if whoever is asked wants it.
    fn learn(
        &self,
        hosts: Vec<Host>,
        resolvers: Option<&Resolvers>,
        context: &Context,
    ) -> Result<Vec<(Host, State)>> {
        let mut states = scan(hosts, context)?;
        if states.iter().any(|(_, state)| matches!(state, State::New(_))) {
            let word = match resolvers {
                Some(resolvers) => Word::Dns(ask(resolvers, &states, context)?),
                None => self.word(&states, context)?,
            };
            for (host, state) in &mut states {
                if let State::New(keys) = state {
                    *state = word.on(host, std::mem::take(keys));
                }
            }
        }
        Ok(states)
    }

    /// What whoever is to say so says of the new keys.
    fn word(&self, states: &[(Host, State)], context: &Context) -> Result<Word<'_>> {
        if self.yes {
            return Ok(Word::All);
        }
        if !self.fingerprint.is_empty() {
            return Ok(Word::Named(&self.fingerprint));
        }
        // On stderr: with --json the answer to the question is not the answer of the verb.
        context.tell(&fingerprints(states).render(context.err_style()));
        if !io::stdin().is_terminal() {
            let advice = "nobody is there to look at the fingerprints: compare them with what \
                          ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub prints on the host, then give \
                          --fingerprint SHA256:…, or --yes to believe what answers now";
            return Err(Usage(advice.to_owned()).into());
        }
        let count = states.iter().filter(|(_, state)| matches!(state, State::New(_))).count();
        context.tell(&format!("Are these the hosts' own keys? Add those of {count} host(s)? [y/N] "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).context("read the answer")?;
        Ok(if matches!(answer.trim(), "y" | "Y" | "yes") { Word::All } else { Word::None })
    }
}

/// Which of the new keys are believed.
enum Word<'a> {
    All,
    None,
    Named(&'a [String]),
    /// By the name that was asked for.
    Dns(BTreeMap<String, Result<Fingerprints, SshfpError>>),
}

impl Word<'_> {
    fn on(&self, host: &Host, keys: Vec<HostKey>) -> State {
        let (believed, others): (Vec<HostKey>, Vec<HostKey>) = match self {
            Self::All => (keys, Vec::new()),
            Self::None => (Vec::new(), keys),
            Self::Named(prints) => keys.into_iter().partition(|key| prints.contains(&key.fingerprint_sha256)),
            Self::Dns(answers) => match answers.get(&host.address) {
                Some(Ok(prints)) => keys.into_iter().partition(|key| prints.have(key)),
                Some(Err(error)) => return State::Declined(keys, Some(error.to_string())),
                None => (Vec::new(), keys),
            },
        };
        if believed.is_empty() {
            let why = match self {
                Self::Dns(_) => Some(NOT_THOSE_OF_DNS.to_owned()),
                Self::Named(given) => Some(not_those(&others, given)),
                Self::All | Self::None => None,
            };
            return State::Declined(others, why);
        }
        match file_of(host).and_then(|file| add(file, &believed)) {
            Ok(file) => State::Added(believed, file),
            Err(why) => State::Unwritten(believed, why),
        }
    }
}

/// What a host showed, against the fingerprints that were given.
fn not_those(shown: &[HostKey], given: &[String]) -> String {
    let shown: Vec<String> =
        shown.iter().map(|key| format!("{} ({})", key.fingerprint_sha256, key.algorithm)).collect();
    format!("not added: it showed {}, and given was {}", shown.join(", "), given.join(", "))
}

/// The file that new keys of this host go to.
fn file_of(host: &Host) -> Result<&Path, String> {
    if host.ssh.has_no_own_known_hosts {
        let why = "an ssh_config says UserKnownHostsFile none, and what is everybody's is not written to";
        return Err(format!("{why}; {NAME_A_FILE}"));
    }
    let first = host.known_hosts.first().map(PathBuf::as_path);
    first.ok_or_else(|| format!("it has no known_hosts file to add to; {NAME_A_FILE}"))
}

fn add(file: &Path, keys: &[HostKey]) -> Result<PathBuf, String> {
    let lines: Vec<String> = keys.iter().map(|key| key.line.clone()).collect();
    append(file, &lines).map(|_| file.to_owned()).map_err(|error| unwritten(&error))
}

fn unwritten(error: &AppendError) -> String {
    match error {
        AppendError::NotAFile { .. } => format!("{error}; {NAME_A_FILE}"),
        error => error.to_string(),
    }
}

const NAME_A_FILE: &str =
    "name one: `known_hosts` of [[hosts]] or [defaults], or UserKnownHostsFile of an ssh_config";

/// Another program that read a file before we wrote to it, and puts its own in its place afterwards, takes
/// away what we added: that is added again.
fn look_again(states: &mut [(Host, State)]) {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for (_, state) in states.iter() {
        if let State::Added(keys, file) = state {
            files.entry(file.clone()).or_default().extend(keys.iter().map(|key| key.line.clone()));
        }
    }
    for (file, lines) in files {
        let Err(error) = remain(&file, &lines) else { continue };
        for (_, state) in states.iter_mut() {
            if let State::Added(keys, added) = state
                && *added == file
            {
                *state = State::Unwritten(std::mem::take(keys), unwritten(&error));
            }
        }
    }
}

const NOT_THOSE_OF_DNS: &str =
    "none of its keys is among its SSHFP records: it has new keys, or somebody else answers";

/// What DNS says of the hosts with new keys.
fn ask(
    resolvers: &Resolvers,
    states: &[(Host, State)],
    context: &Context,
) -> Result<BTreeMap<String, Result<Fingerprints, SshfpError>>> {
    let new = states.iter().filter(|(_, state)| matches!(state, State::New(_)));
    let names: BTreeSet<String> = new.map(|(host, _)| host.address.clone()).collect();
    Ok(sweeping::runtime()?.block_on(resolvers.ask(names, context.settings()?.limits.connect_timeout)))
}

/// Jump hosts before those behind them: nobody gets past one whose key is not known.
fn in_the_order_of_the_way(hosts: Vec<Host>) -> Vec<Vec<Host>> {
    let mut groups: Vec<Vec<Host>> = Vec::new();
    for host in &hosts {
        let Proxy::Jump(chain) = &host.ssh.proxy else { continue };
        for (depth, hop) in chain.iter().enumerate() {
            let mut hop = Host::clone(hop);
            if depth > 0 {
                let proxy = Proxy::Jump(chain[..depth].to_vec());
                hop.ssh = Arc::new(SshOptions { proxy, ..SshOptions::clone(&hop.ssh) });
            }
            if groups.len() == depth {
                groups.push(Vec::new());
            }
            if !groups[depth].contains(&hop) {
                groups[depth].push(hop);
            }
        }
    }
    groups.push(hosts);
    groups
}

fn scan(hosts: Vec<Host>, context: &Context) -> Result<Vec<(Host, State)>> {
    let settings = context.settings()?;
    let ssh = Arc::new(ssh_settings(&settings.limits, &settings.defaults, sweeping::agent_socket()));
    let (local, remote): (Vec<Host>, Vec<Host>) =
        hosts.into_iter().partition(|host| host.reach == Reach::Local);
    let answers = sweeping::runtime()?.block_on(contact::introduce(remote, ssh, &settings.limits));
    let state = |answer| match answer {
        Ok(Introduction::Known(place)) => State::Known(place),
        Ok(Introduction::New(keys)) => State::New(keys),
        Err(error) => State::Failed(error),
    };
    let local = local.into_iter().map(|host| (host, State::Local));
    Ok(local.chain(answers.into_iter().map(|(host, answer)| (host, state(answer)))).collect())
}

/// One row for each key, with all hosts that showed it.
fn fingerprints(states: &[(Host, State)]) -> Table {
    let mut alike: BTreeMap<(&str, &str), Vec<&HostName>> = BTreeMap::new();
    for (host, state) in states {
        for key in state.keys() {
            alike.entry((&key.fingerprint_sha256, &key.algorithm)).or_default().push(&host.name);
        }
    }
    let mut rows: Vec<_> = alike
        .into_iter()
        .map(|((print, algorithm), names)| (super::folded(names), algorithm, print))
        .collect();
    rows.sort_unstable();
    let mut table = Table::new([Column::left("HOSTS"), Column::left("TYPE"), Column::left("FINGERPRINT")]);
    for (hosts, algorithm, print) in rows {
        table.row([hosts.into(), algorithm.into(), print.into()]);
    }
    table
}

fn results(states: &[(Host, State)]) -> Table {
    let mut alike: BTreeMap<(&str, String, Vec<&str>), Vec<&HostName>> = BTreeMap::new();
    for (host, state) in states {
        let prints = state.keys().iter().map(|key| key.fingerprint_sha256.as_str()).collect();
        alike.entry((state.word(), state.detail(), prints)).or_default().push(&host.name);
    }
    let mut table = Table::new([
        Column::left("STATE"),
        Column::left("HOSTS"),
        Column::left("DETAIL"),
        Column::left("FINGERPRINT"),
    ]);
    for ((word, detail, prints), names) in alike {
        let ink = match word {
            "added" | "known" | "local" => Ink::Green,
            "declined" => Ink::Yellow,
            _ => Ink::Red,
        };
        table.row([
            Cell::from(word).ink(ink),
            super::folded(names).into(),
            detail.into(),
            prints.join(" ").into(),
        ]);
    }
    table
}

fn json_of(states: &[(Host, State)]) -> Value {
    let key = |key: &HostKey| json!({ "type": key.algorithm, "fingerprint": key.fingerprint_sha256 });
    let host = |(host, state): &(Host, State)| {
        let detail = Some(state.detail()).filter(|detail| !detail.is_empty());
        let keys: Vec<Value> = state.keys().iter().map(key).collect();
        json!({ "name": host.name, "state": state.word(), "detail": detail, "keys": keys })
    };
    let hosts: Vec<Value> = states.iter().map(host).collect();
    json!({ "schema": 1, "hosts": hosts })
}
