//! An [`Answer`] in the words of `ssh -G`, so that the two can be held against each other.

use std::collections::BTreeMap;

use super::evaluate::{Answer, Setting};
use super::options::{Reading, algorithms};
use super::{Here, Query, World, apply, jump, time};

/// What `ssh -G` prints, or would: a keyword in lower case → its values, one for each line.
pub type Dump = BTreeMap<String, Vec<String>>;

/// The keywords that are compared: all that say where to connect and whom to trust.
pub const COMPARED: &[&str] = &[
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "canonicalizehostname",
    "casignaturealgorithms",
    "certificatefile",
    "checkhostip",
    "ciphers",
    "connectionattempts",
    "connecttimeout",
    "globalknownhostsfile",
    "hostkeyalgorithms",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kexalgorithms",
    "knownhostscommand",
    "macs",
    "nohostauthenticationforlocalhost",
    "pkcs11provider",
    "port",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "pubkeyauthentication",
    "requiredrsasize",
    "revokedhostkeys",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
    "verifyhostkeydns",
];

/// The answer over what ssh says with no file at all. Of `usual` only the compared keywords stay.
pub fn dump(answer: &Answer, query: &Query<'_>, usual: &Dump, (here, world): (&Here, &dyn World)) -> Dump {
    let usual = |key: &str| usual.get(key).cloned().unwrap_or_default();
    let mut reading = Reading { answer, here, world, refused: Vec::new() };
    let mut dump = Dump::new();
    for key in COMPARED {
        let settings = super::directive(key).map_or(&[][..], |directive| answer.all(directive.name));
        let values = match *key {
            "hostname" => vec![answer.hostname.clone()],
            "port" => query.port.map(|port| vec![port.to_string()]).unwrap_or_else(|| plain(settings)),
            "user" => query.user.map(|user| vec![user.to_owned()]).unwrap_or_else(|| user(answer, settings)),
            "userknownhostsfile" | "globalknownhostsfile" => known_hosts(key, settings, &mut reading),
            "identityagent" => identity_agent(settings, &reading),
            "proxyjump" => proxy_jump(settings),
            _ => plain(settings),
        };
        let values = values.into_iter().filter_map(|value| in_ssh_words(key, &value, &usual(key))).collect();
        dump.insert((*key).to_owned(), values);
    }
    for key in COMPARED {
        let jumps = dump.get("proxyjump").is_some_and(|hops| !hops.is_empty());
        if let Some(values) = dump.get_mut(*key)
            && values.is_empty()
            && (*key != "proxycommand" || !jumps)
        {
            *values = usual(key);
        }
    }
    dump
}

fn plain(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(|setting| setting.values.join(" ")).collect()
}

fn user(answer: &Answer, settings: &[Setting]) -> Vec<String> {
    let name = plain(settings);
    name.into_iter()
        .map(|name| answer.tokens.only("Ldhijklnpu").expand(&name, None).unwrap_or(name))
        .collect()
}

/// ssh has put in the tokens of the user's files already, and leaves `~` in the machine's.
fn known_hosts(key: &str, settings: &[Setting], reading: &mut Reading<'_>) -> Vec<String> {
    let is_none = settings.iter().any(|it| it.values.iter().any(|value| value.eq_ignore_ascii_case("none")));
    if settings.is_empty() || is_none || key == "globalknownhostsfile" {
        return plain(settings);
    }
    let files = reading.paths("UserKnownHostsFile").unwrap_or_default();
    vec![files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")]
}

fn identity_agent(settings: &[Setting], reading: &Reading<'_>) -> Vec<String> {
    let path = |value: String| reading.path(&value).map_or(value, |path| path.display().to_string());
    plain(settings).into_iter().map(path).collect()
}

/// As ssh puts it together again: the last hop's address in brackets where it is a number.
fn proxy_jump(settings: &[Setting]) -> Vec<String> {
    let Some(written) = settings.first().and_then(|setting| setting.values.first()) else {
        return Vec::new();
    };
    let Ok(Some(hops)) = jump::parse(written) else { return Vec::new() };
    let Some(last) = hops.last() else { return Vec::new() };
    let extra = written.rsplit_once(',').map(|(extra, _)| format!("{extra},")).unwrap_or_default();
    let user = last.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let numeric = last.host.contains(':') || last.host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let host = if numeric { format!("[{}]", last.host) } else { last.host.clone() };
    let port = last.port.map(|port| format!(":{port}")).unwrap_or_default();
    vec![format!("{extra}{user}{host}{port}")]
}

/// `None` where ssh prints nothing for it.
fn in_ssh_words(key: &str, value: &str, usual: &[String]) -> Option<String> {
    Some(match key {
        "connecttimeout" | "serveraliveinterval" => time::parse(value)?.as_secs().to_string(),
        "ciphers"
        | "macs"
        | "kexalgorithms"
        | "hostkeyalgorithms"
        | "pubkeyacceptedalgorithms"
        | "casignaturealgorithms" => {
            let usual: Vec<String> =
                usual.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
            apply(&algorithms(value), &usual, &usual).join(",")
        }
        "hostkeyalias" => value.to_ascii_lowercase(),
        "proxycommand" | "knownhostscommand" | "revokedhostkeys" | "pkcs11provider"
            if value.eq_ignore_ascii_case("none") =>
        {
            return None;
        }
        _ => word(key, value),
    })
}

/// Flags as ssh spells them; each keyword in its own way.
fn word(key: &str, value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    let (yes, no) = match key {
        "stricthostkeychecking" | "canonicalizehostname" | "pubkeyauthentication" | "verifyhostkeydns" => {
            ("true", "false")
        }
        "checkhostip" | "identitiesonly" | "nohostauthenticationforlocalhost" | "proxyusefdpass" => {
            ("yes", "no")
        }
        "addressfamily" => return lower,
        _ => return value.to_owned(),
    };
    match lower.as_str() {
        "yes" | "true" => yes.to_owned(),
        "no" | "false" | "off" => no.to_owned(),
        _ => lower,
    }
}
