//! Files and one destination → the values that apply, by OpenSSH's rules: the first value of a
//! directive counts, keys and certificates add up, and `Match final` has everything read once more
//! under the host's final name. It reads nothing itself: files, commands and networks are a [`World`]'s.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::criterion::{About, Criterion};
use super::file::{File, Pattern, Set, What};
use super::pattern::{fits, fits_host_list, fits_list};
use super::tokens::{Tokens, connection_hash};
use super::{Here, Query, Source, Trouble, World, directives, jump};
use crate::model::Written;

/// As deep as ssh follows `Include`.
const MAX_DEPTH: u32 = 16;

/// As many keys, or certificates, as ssh takes.
const MAX_KEYS: usize = 100;

/// A value that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub values: Vec<String>,
    pub at: Written,
    /// From a file of the user's: of the two keys of one name, ssh keeps the user's apart.
    is_user: bool,
}

/// What all files say of one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to connect to.
    pub hostname: String,
    /// The same for two destinations that no `Host` or `Match` line tells apart.
    pub class: u64,
    settings: BTreeMap<&'static str, Vec<Setting>>,
    pub(super) tokens: Tokens,
}

impl Answer {
    /// The value of a directive that has one.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.all(name).first()
    }

    /// The values of one that has several.
    pub fn all(&self, name: &str) -> &[Setting] {
        self.settings.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every directive with its values, in the order of the alphabet.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &[Setting])> {
        self.settings.iter().map(|(name, settings)| (*name, settings.as_slice()))
    }
}

/// Asks `sources`, in their order, about one destination.
pub fn evaluate(
    query: &Query<'_>,
    sources: &[Source],
    (here, world): (&Here, &dyn World),
) -> Result<Answer, Trouble> {
    let host = query.destination.to_owned();
    let mut run = Run {
        query,
        here,
        world,
        settings: BTreeMap::new(),
        host,
        second: false,
        course: DefaultHasher::new(),
        wants_final: false,
    };
    run.read_all(sources)?;
    let named = run.hostname().map_err(|what| run.trouble_of("HostName", what))?;
    run.host = run.canonical(&named);
    if run.wants_final {
        run.second = true;
        run.read_all(sources)?;
    }
    run.refuse_loop()?;
    let tokens = run.tokens();
    Ok(Answer { hostname: run.host, class: run.course.finish(), settings: run.settings, tokens })
}

struct Run<'a> {
    query: &'a Query<'a>,
    here: &'a Here,
    world: &'a dyn World,
    settings: BTreeMap<&'static str, Vec<Setting>>,
    /// The destination at the first reading, the host's final name at the second.
    host: String,
    second: bool,
    wants_final: bool,
    /// What every `Host` and `Match` line came to.
    course: DefaultHasher,
}

/// Where a file stands among the others.
#[derive(Clone, Copy)]
struct Level {
    is_user: bool,
    depth: u32,
    /// Included by a block that does not apply: read for its faults only.
    never: bool,
}

impl Run<'_> {
    fn read_all(&mut self, sources: &[Source]) -> Result<(), Trouble> {
        for source in sources {
            let level = Level { is_user: source.is_user, depth: 0, never: false };
            self.read(&source.file, true, level)?;
        }
        Ok(())
    }

    fn read(&mut self, file: &File, mut active: bool, level: Level) -> Result<(), Trouble> {
        file.name.hash(&mut self.course);
        for line in &file.lines {
            let at = || Written { file: Arc::clone(&file.name), line: line.number };
            let trouble = |what: String| Trouble { at: at(), what };
            match &line.what {
                What::Host(patterns) => {
                    active = !level.never && self.applies(patterns);
                    (line.number, active).hash(&mut self.course);
                }
                What::Match(criteria) => {
                    active = self.holds(criteria, level.never).map_err(trouble)?;
                    (line.number, active).hash(&mut self.course);
                }
                What::Include(paths) => self.include(paths, (active, level), &at())?,
                What::Set(set) if active => self.apply(set, level.is_user, at())?,
                What::Set(_) => {}
                What::Unknown(keyword) if self.ignores(keyword) => {}
                What::Unknown(keyword) => return Err(trouble(unknown(keyword))),
                What::Fault(fault) => return Err(trouble(fault.clone())),
            }
        }
        Ok(())
    }

    fn ignores(&self, keyword: &str) -> bool {
        self.one("IgnoreUnknown").is_some_and(|list| fits_host_list(keyword, list))
    }

    fn one(&self, name: &str) -> Option<&str> {
        Some(self.settings.get(name)?.first()?.values.first()?.as_str())
    }

    fn applies(&self, patterns: &[Pattern]) -> bool {
        let mut applies = false;
        for pattern in patterns {
            if fits(&self.host, &pattern.text) {
                if pattern.negated {
                    return false;
                }
                applies = true;
            }
        }
        applies
    }

    fn include(
        &mut self,
        paths: &[String],
        (active, level): (bool, Level),
        at: &Written,
    ) -> Result<(), Trouble> {
        let trouble = |what: String| Trouble { at: at.clone(), what };
        for path in paths {
            let variables = |name: &str| self.world.variable(name);
            // As ssh: an Include that cannot be expanded is passed over, and no fault.
            let Ok(path) = self.tokens().expand(path, Some(&variables)) else { continue };
            if path.starts_with('~') && !level.is_user {
                return Err(trouble(format!("Include {path}: the system's file cannot name a home")));
            }
            let files = self.world.include(&path, level.is_user).map_err(trouble)?;
            let depth = level.depth + 1;
            if depth > MAX_DEPTH && !files.is_empty() {
                return Err(trouble(format!("Include goes deeper than {MAX_DEPTH} files")));
            }
            for file in files {
                let inner = Level { depth, never: level.never || !active, ..level };
                self.read(&file, active, inner)?;
            }
        }
        Ok(())
    }

    fn holds(&mut self, criteria: &[Criterion], never: bool) -> Result<bool, String> {
        let mut all = true;
        for criterion in criteria {
            // `final` counts wherever it stands, whatever else the line asks.
            self.wants_final |= criterion.about == About::Final && !criterion.negated;
            // A command runs only where the answer depends on it.
            if all && !never {
                all = self.is_so(&criterion.about)? != criterion.negated;
            }
        }
        Ok(all && !never)
    }

    fn is_so(&self, about: &About) -> Result<bool, String> {
        Ok(match about {
            About::All => true,
            About::Canonical | About::Final => self.second,
            About::Host(list) => fits_host_list(&self.hostname()?, list),
            About::OriginalHost(list) => fits_host_list(self.query.destination, list),
            About::User(list) => fits_list(self.user(), list),
            About::LocalUser(list) => fits_list(&self.here.user, list),
            About::Exec(command) => {
                let command = self.tokens().expand(command, None)?;
                self.world.succeeds(&command)?
            }
            About::LocalNetwork(list) => self.world.is_in_networks(list)?,
            About::Tagged(list) => is_or_empty(self.one("Tag").unwrap_or_default(), list),
            About::Version(list) => match self.world.version() {
                Some(version) => fits_list(&version, list),
                None => {
                    return Err("Match version: there is no ssh here whose version it could be".to_owned());
                }
            },
            // A probe is a command: there is never another kind of session.
            About::SessionType(list) => fits_list("exec", list),
            About::Command(_) => {
                return Err("Match command cannot hold for probes: they are no command of yours".to_owned());
            }
        })
    }

    /// The user so far.
    fn user(&self) -> &str {
        self.query.user.or_else(|| self.one("User")).unwrap_or(&self.here.user)
    }

    fn port(&self) -> u16 {
        self.query.port.or_else(|| self.one("Port")?.parse().ok()).unwrap_or(22)
    }

    /// The host's name so far.
    fn hostname(&self) -> Result<String, String> {
        if self.second {
            return Ok(self.host.clone());
        }
        if let Some(outright) = self.query.hostname {
            return Ok(outright.to_owned());
        }
        let Some(name) = self.one("HostName") else { return Ok(self.host.clone()) };
        let token = Tokens::new(vec![('h', self.host.clone())]);
        token.expand(name, None).map_err(|why| format!("HostName {name}: {why}"))
    }

    /// An address as it is usually written, a name in lower case. An address of the family that is not
    /// asked for stays as it is: ssh has no use for it either.
    fn canonical(&self, named: &str) -> String {
        let Some(address) = self.world.canonical_address(named) else { return named.to_ascii_lowercase() };
        let family = self.one("AddressFamily").unwrap_or("any");
        let other = if address.contains(':') { "inet" } else { "inet6" };
        if family.eq_ignore_ascii_case(other) { named.to_owned() } else { address }
    }

    /// A jump host that is the host itself would be reached through itself.
    fn refuse_loop(&self) -> Result<(), Trouble> {
        let hops = self.one("ProxyJump").and_then(|value| jump::parse(value).ok()?);
        let Some(last) = hops.as_ref().and_then(|hops| hops.last()) else { return Ok(()) };
        if last.is(&self.host, self.port(), self.user()) {
            let what = format!("ProxyJump {}: the host cannot be reached through itself", last.host);
            return Err(self.trouble_of("ProxyJump", what));
        }
        Ok(())
    }

    fn trouble_of(&self, name: &str, what: String) -> Trouble {
        let at =
            self.settings.get(name).and_then(|settings| settings.first()).map(|setting| setting.at.clone());
        let at = at.unwrap_or_else(|| Written { file: "the configuration".into(), line: 0 });
        Trouble { at, what }
    }

    fn tokens(&self) -> Tokens {
        let here = self.here;
        let host = self.hostname().unwrap_or_else(|_| self.host.clone());
        let (port, user) = (self.port().to_string(), self.user().to_owned());
        let jump = self.jump_host().unwrap_or_default();
        let hash = connection_hash([&here.host_name, &host, &port, &user, &jump]);
        let short = here.host_name.split('.').next().unwrap_or_default().to_owned();
        let alias = self.one("HostKeyAlias").map(str::to_ascii_lowercase);
        Tokens::new(vec![
            ('C', hash),
            ('L', short),
            ('d', here.home.clone()),
            ('h', host.clone()),
            ('i', here.uid.to_string()),
            ('j', jump),
            ('k', alias.unwrap_or_else(|| self.query.destination.to_owned())),
            ('l', here.host_name.clone()),
            ('n', self.query.destination.to_owned()),
            ('p', port),
            ('r', user),
            ('u', here.user.clone()),
        ])
    }

    /// The jump host that the connection goes through last.
    fn jump_host(&self) -> Option<String> {
        let hops = jump::parse(self.one("ProxyJump")?).ok()??;
        hops.last().map(|hop| hop.host.clone())
    }

    fn apply(&mut self, set: &Set, is_user: bool, at: Written) -> Result<(), Trouble> {
        let name = set.directive.name;
        let first = set.values.first().map_or("", String::as_str);
        if name == "RefuseConnection" {
            return Err(Trouble { what: format!("RefuseConnection: {first}"), at });
        }
        let setting = Setting { values: set.values.clone(), at: at.clone(), is_user };
        if matches!(name, "IdentityFile" | "CertificateFile") {
            let known = self.settings.entry(name).or_default();
            if known.iter().any(|it| it.is_user == is_user && it.values == setting.values) {
                return Ok(());
            }
            known.push(setting);
            if known.len() > MAX_KEYS {
                return Err(Trouble { at, what: format!("more than {MAX_KEYS} of {name}") });
            }
            return Ok(());
        }
        let jumps = |name: &str| self.one(name).is_some_and(|it| !it.eq_ignore_ascii_case("none"));
        let taken = match name {
            // Whichever of the two comes first counts; `ProxyJump none` leaves room for a command.
            "ProxyCommand" => jumps("ProxyJump"),
            "ProxyJump" => !first.eq_ignore_ascii_case("none") && self.settings.contains_key("ProxyCommand"),
            // No time at all is as if it were not there.
            "ConnectTimeout" | "ServerAliveInterval" => first == "none",
            _ => false,
        };
        if !taken {
            self.settings.entry(name).or_insert_with(|| vec![setting]);
        }
        Ok(())
    }
}

fn is_or_empty(text: &str, list: &str) -> bool {
    if text.is_empty() { list.is_empty() } else { fits_list(text, list) }
}

fn unknown(keyword: &str) -> String {
    let near = directives::DIRECTIVES.iter().map(|it| it.name);
    let near = near.min_by_key(|name| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), keyword));
    let near = near.filter(|name| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), keyword) <= 2);
    match near {
        Some(name) => format!("unknown directive {keyword}: did you mean {name}?"),
        None => format!("unknown directive {keyword}: IgnoreUnknown {keyword} above it has it passed over"),
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
