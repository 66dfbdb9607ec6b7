//! An [`Answer`] → [`SshOptions`], with every directive that is not obeyed among its refusals.

use std::path::PathBuf;
use std::time::Duration;

use super::directives::{Standing, directive};
use super::evaluate::{Answer, Setting};
use super::offered::{self, OFFERED};
use super::{Here, World, time};
use crate::model::{
    AddressFamily, Agent, AlgorithmList, Algorithms, FROM, ListChange, Proxy, Refusal, SshOptions,
};

/// Reads values out of an answer, and keeps what is wrong with them.
pub(super) struct Reading<'a> {
    pub answer: &'a Answer,
    pub here: &'a Here,
    pub world: &'a dyn World,
    pub refused: Vec<Refusal>,
}

impl Reading<'_> {
    /// All but the proxy, which may need more answers than this one.
    pub fn options(&mut self) -> SshOptions {
        let seconds = |text: &str| time::parse(text).filter(|limit| !limit.is_zero());
        let text = |name: &str| Some(self.answer.get(name)?.values.first()?.clone());
        let limit = |name: &str| -> Option<Duration> { seconds(&text(name)?) };
        let count = |name: &str| -> Option<u32> { text(name)?.parse().ok() };
        let mut options = SshOptions {
            proxy: Proxy::Direct,
            identities_only: text("IdentitiesOnly").is_some_and(|word| is_yes(&word)),
            host_key_alias: text("HostKeyAlias").map(|alias| alias.to_ascii_lowercase()),
            algorithms: self.algorithms(),
            address_family: match text("AddressFamily").map(|word| word.to_ascii_lowercase()).as_deref() {
                Some("inet") => AddressFamily::Inet,
                Some("inet6") => AddressFamily::Inet6,
                _ => AddressFamily::Any,
            },
            bind_address: text("BindAddress"),
            bind_interface: text("BindInterface"),
            connect_timeout: limit("ConnectTimeout"),
            connection_attempts: count("ConnectionAttempts").unwrap_or(1),
            server_alive_interval: limit("ServerAliveInterval"),
            server_alive_count: count("ServerAliveCountMax").unwrap_or(3),
            known_hosts_command: text("KnownHostsCommand").filter(|word| !is_none(word)),
            written: FROM
                .iter()
                .filter_map(|name| Some((*name, self.answer.get(name)?.at.clone())))
                .collect(),
            ..SshOptions::default()
        };
        if options.connection_attempts == 0 {
            self.refuse("ConnectionAttempts", "0 attempts reach nobody: say 1 or more");
        }
        options.agent = self.agent();
        options.certificate_files = self.paths("CertificateFile").unwrap_or_default();
        self.judge(&mut options);
        options
    }

    /// What is refused, and what is asked for less strictly than we have it.
    fn judge(&mut self, options: &mut SshOptions) {
        let answer = self.answer;
        for (name, settings) in answer.settings() {
            let Some(directive) = directive(name) else { continue };
            for setting in settings {
                let value = setting.values.join(" ");
                let asks = |unless: &[&str]| !unless.iter().any(|word| word.eq_ignore_ascii_case(&value));
                match directive.standing {
                    Standing::Refused { unless, advice } if asks(unless) => {
                        self.refused.push(refusal(name, setting, &format!("not supported: {advice}")));
                    }
                    Standing::Stricter { unless } if asks(unless) => {
                        options.lax_host_keys.get_or_insert_with(|| setting.at.clone());
                    }
                    _ => {}
                }
            }
        }
        let word = |name: &str| Some(answer.get(name)?.values.first()?.to_ascii_lowercase());
        if word("PubkeyAuthentication").is_some_and(|word| matches!(word.as_str(), "no" | "false")) {
            self.refuse("PubkeyAuthentication", "this program logs in with keys only");
        }
        if word("PreferredAuthentications").is_some_and(|list| !list.split(',').any(|it| it == "publickey")) {
            self.refuse("PreferredAuthentications", "this program logs in with keys only: add publickey");
        }
        for (name, _) in OFFERED {
            let list = answer.get(name).and_then(|setting| setting.values.first());
            if let Some(fault) = list.and_then(|list| offered::fault(name, &algorithms(list))) {
                self.refuse(name, &fault);
            }
        }
    }

    /// A refusal of a directive that applies, with `reason`.
    pub fn refuse(&mut self, name: &str, reason: &str) {
        if let Some(setting) = self.answer.get(name) {
            self.refused.push(refusal(name, setting, reason));
        }
    }

    fn algorithms(&self) -> Algorithms {
        let list = |name: &str| Some(algorithms(self.answer.get(name)?.values.first()?));
        Algorithms {
            key_exchange: list("KexAlgorithms"),
            ciphers: list("Ciphers"),
            macs: list("MACs"),
            host_key: list("HostKeyAlgorithms"),
            pubkey: list("PubkeyAcceptedAlgorithms"),
            ca_signature: list("CASignatureAlgorithms"),
            min_rsa_bits: self.answer.get("RequiredRSASize").and_then(|it| it.values.first()?.parse().ok()),
        }
    }

    fn agent(&mut self) -> Agent {
        let Some(setting) = self.answer.get("IdentityAgent") else { return Agent::Usual };
        let value = setting.values.first().map_or("", String::as_str);
        match value {
            "SSH_AUTH_SOCK" => return Agent::Usual,
            none if is_none(none) => return Agent::Off,
            _ => {}
        }
        if let Some(name) = value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            let socket = self.world.variable(name).filter(|path| !path.is_empty());
            return socket.map_or(Agent::Off, |path| Agent::Socket(path.into()));
        }
        match self.path(value) {
            Ok(path) => Agent::Socket(path),
            Err(why) => {
                self.refuse("IdentityAgent", &why);
                Agent::Off
            }
        }
    }

    /// The files that a directive names, `none` left out; `None` where it is not there.
    pub fn paths(&mut self, name: &str) -> Option<Vec<PathBuf>> {
        let answer = self.answer;
        let settings = answer.all(name);
        let mut paths = Vec::new();
        for setting in settings {
            for value in setting.values.iter().filter(|value| !is_none(value)) {
                match self.path(value) {
                    Ok(path) => paths.push(path),
                    Err(why) => self.refused.push(refusal(name, setting, &why)),
                }
            }
        }
        (!settings.is_empty()).then_some(paths)
    }

    /// The same for a directive that ssh takes as it is written: no tokens, no variables, no `~`.
    pub fn literal_paths(&self, name: &str) -> Option<Vec<PathBuf>> {
        let settings = self.answer.all(name);
        let words = settings.iter().flat_map(|setting| &setting.values).filter(|value| !is_none(value));
        (!settings.is_empty()).then(|| words.map(PathBuf::from).collect())
    }

    /// A path with `~`, tokens and variables replaced. A relative one starts where ssh's would: at the
    /// working directory.
    pub fn path(&self, written: &str) -> Result<PathBuf, String> {
        let variables = |name: &str| self.world.variable(name);
        let path = self.without_tilde(written)?;
        self.answer.tokens.expand(&path, Some(&variables)).map(PathBuf::from)
    }

    fn without_tilde(&self, written: &str) -> Result<String, String> {
        let Some(rest) = written.strip_prefix('~') else { return Ok(written.to_owned()) };
        let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
        let home = match user {
            "" => self.here.home.clone(),
            user => self.world.home_of(user).ok_or_else(|| format!("there is no user {user}"))?,
        };
        Ok(format!("{}/{}", home.trim_end_matches('/'), below.trim_start_matches('/')))
    }

    /// Whether `UserKnownHostsFile` is there and says `none`.
    pub fn has_no_own_known_hosts(&self) -> bool {
        let settings = self.answer.all("UserKnownHostsFile");
        !settings.is_empty() && settings.iter().flat_map(|it| &it.values).all(|value| is_none(value))
    }
}

pub(super) fn refusal(name: &str, setting: &Setting, reason: &str) -> Refusal {
    Refusal {
        at: setting.at.clone(),
        directive: format!("{name} {}", setting.values.join(" ")),
        reason: reason.to_owned(),
    }
}

pub(super) fn is_none(word: &str) -> bool {
    word.eq_ignore_ascii_case("none")
}

fn is_yes(word: &str) -> bool {
    word.eq_ignore_ascii_case("yes") || word.eq_ignore_ascii_case("true")
}

pub(super) fn algorithms(written: &str) -> AlgorithmList {
    let (change, names) = match written.split_at_checked(1) {
        Some(("+", names)) => (ListChange::Append, names),
        Some(("-", names)) => (ListChange::Remove, names),
        Some(("^", names)) => (ListChange::Prepend, names),
        _ => (ListChange::Replace, written),
    };
    let names = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
    AlgorithmList { change, names: names.collect() }
}
