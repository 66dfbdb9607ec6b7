//! The arguments that Ansible would give `ssh`: those that say where to connect or whom to trust are obeyed
//! or refused, those that are about `ssh` itself mean nothing here.

use std::path::{Path, PathBuf};

use super::words::words;
use crate::inventory::Place;
use crate::inventory::found::{FoundHost, Way, written};

/// Options without a value that change nothing for us: compression, noise, multiplexing, terminals.
const FLAGS: &str = "CqvnNTtxXYkKaAfgGMs";

/// Options of `-o` that change nothing for us.
const IDLE: [&str; 23] = [
    "addkeystoagent",
    "batchmode",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "escapechar",
    "forwardagent",
    "forwardx11",
    "gssapiauthentication",
    "ipqos",
    "kbdinteractiveauthentication",
    "loglevel",
    "numberofpasswordprompts",
    "passwordauthentication",
    "preferredauthentications",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
    "updatehostkeys",
];

/// Puts into `host` what the arguments say, and returns those that cannot be obeyed, with the reason.
pub(super) fn obey(
    text: &str,
    place: &Place,
    home: Option<&Path>,
    host: &mut FoundHost,
) -> Vec<(String, String)> {
    let Some(words) = words(text) else {
        return vec![(text.to_owned(), "a quote is not closed".to_owned())];
    };
    let mut refused = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            refused.push((word, "this is no option".to_owned()));
            continue;
        };
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            if FLAGS.contains(letter) {
                continue;
            }
            let value = if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
            let Some(value) = value else {
                refused.push((word.clone(), "its value is missing".to_owned()));
                break;
            };
            let option = (letter, value.as_str());
            if let Err(reason) = one(option, (place, home), host) {
                refused.push((format!("-{letter} {value}"), reason));
            }
            break;
        }
    }
    refused
}

fn one(
    (letter, value): (char, &str),
    (place, home): (&Place, Option<&Path>),
    host: &mut FoundHost,
) -> Result<(), String> {
    match letter {
        'J' => jump(host, value),
        'o' => {
            let at = value.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(value.len());
            let (name, rest) = value.split_at(at);
            let rest = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim();
            option(&name.to_ascii_lowercase(), rest, (place, home), host)
        }
        'p' => option("port", value, (place, home), host),
        'l' => option("user", value, (place, home), host),
        'i' => option("identityfile", value, (place, home), host),
        // Where its own log and its own socket are.
        'E' | 'S' | 'e' => Ok(()),
        _ => Err("this option is not supported; take it away, or use an ssh_config".to_owned()),
    }
}

fn jump(host: &mut FoundHost, value: &str) -> Result<(), String> {
    if value.contains('%') {
        return Err("tokens are not supported here; write the jump host out".to_owned());
    }
    // As with ssh, the first one wins.
    if host.way.is_none() && !value.eq_ignore_ascii_case("none") {
        host.way = Some(Way::Jump(value.to_owned()));
    }
    Ok(())
}

fn option(
    name: &str,
    value: &str,
    (place, home): (&Place, Option<&Path>),
    host: &mut FoundHost,
) -> Result<(), String> {
    match name {
        "proxyjump" => jump(host, value)?,
        "proxycommand" => {
            if host.way.is_none() && !value.eq_ignore_ascii_case("none") {
                host.way = Some(Way::Command(value.to_owned()));
            }
        }
        "stricthostkeychecking" => {
            if !["yes", "ask", "true"].contains(&value.to_ascii_lowercase().as_str()) {
                host.lax_host_keys = Some(written(place));
            }
        }
        "userknownhostsfile" if value == "/dev/null" => host.lax_host_keys = Some(written(place)),
        "globalknownhostsfile" if value == "/dev/null" => {}
        "userknownhostsfile" => {
            let paths: Option<Vec<PathBuf>> = value.split_whitespace().map(|path| at(path, home)).collect();
            host.known_hosts = Some(paths.ok_or("only absolute paths and ~/ are supported")?);
        }
        "identitiesonly" => host.identities_only = ["yes", "true"].contains(&value),
        "hostkeyalias" => host.host_key_alias = Some(value.to_owned()),
        "port" => {
            let port: u16 = value.parse().map_err(|_| "this is no port".to_owned())?;
            host.port.get_or_insert(port);
        }
        "user" => {
            host.user.get_or_insert_with(|| value.to_owned());
        }
        "identityfile" => {
            let path = at(value, home).ok_or("only absolute paths and ~/ are supported")?;
            host.identity_files.get_or_insert_default().push(path);
        }
        name if IDLE.contains(&name) => {}
        _ => return Err("this option is not supported; take it away, or use an ssh_config".to_owned()),
    }
    Ok(())
}

fn at(path: &str, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(below) => Some(home?.join(below)),
        None => path.starts_with('/').then(|| PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostName;

    #[test]
    fn arguments_are_obeyed_or_refused() {
        let check = |text: &str, way: Option<Way>, refused: &[&str]| {
            let place = Place::whole("hosts");
            let mut host = FoundHost::new(HostName::new("a").unwrap(), place.clone());
            let found = obey(text, &place, Some(Path::new("/home/ann")), &mut host);
            assert_eq!(host.way, way, "{text}");
            assert_eq!(found.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), refused, "{text}");
            host
        };
        let jump = |to: &str| Some(Way::Jump(to.to_owned()));
        check("-J bastion", jump("bastion"), &[]);
        check("-o ProxyJump=me@bastion:2222 -J other", jump("me@bastion:2222"), &[]);
        check("-C -o ControlMaster=auto -oControlPersist=60s", None, &[]);
        let command = Way::Command("ssh -W %h:%p -q gate".to_owned());
        check("-o ProxyCommand=\"ssh -W %h:%p -q gate\"", Some(command), &[]);
        check("-F /etc/ssh/other", None, &["-F /etc/ssh/other"]);
        check("-o KexAlgorithms=x -o", None, &["-o KexAlgorithms=x", "-o"]);
        check("word", None, &["word"]);
        check("-o 'x", None, &["-o 'x"]);
        let host = check("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", None, &[]);
        assert!(host.lax_host_keys.is_some() && host.known_hosts.is_none());
        let host = check("-i ~/k -p 2222 -l ann -o \"IdentitiesOnly yes\"", None, &[]);
        assert_eq!(host.identity_files, Some(vec![PathBuf::from("/home/ann/k")]));
        assert_eq!((host.port, host.user.as_deref(), host.identities_only), (Some(2222), Some("ann"), true));
    }
}
