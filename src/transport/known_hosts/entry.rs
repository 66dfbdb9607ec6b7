//! One line of a known_hosts file, and the name that it is asked about.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::key::type_in;
use crate::model::Host;

/// A host as known_hosts names it: lower case, and `[host]:port` unless the port is 22.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostId {
    name: String,
    /// The name without its port. OpenSSH falls back on it where nothing is known about the pair.
    bare: Option<String>,
}

impl HostId {
    pub fn new(address: &str, port: u16) -> Self {
        let bare = address.to_ascii_lowercase();
        if port == 22 {
            Self { name: bare, bare: None }
        } else {
            Self { name: format!("[{bare}]:{port}"), bare: Some(bare) }
        }
    }

    /// Under the name that known_hosts files have for `host`: its `HostKeyAlias`, which has no port.
    pub fn of(host: &Host) -> Self {
        match &host.ssh.host_key_alias {
            Some(alias) => Self { name: alias.to_ascii_lowercase(), bare: None },
            None => Self::new(&host.address, host.port),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) fn bare(&self) -> Option<&str> {
        self.bare.as_deref()
    }
}

/// What a line says about the key on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the hosts' key.
    Key,
    /// It must never be accepted from these hosts.
    Revoked,
    /// It signs the hosts' certificates; it is nobody's host key.
    Authority,
}

#[derive(Debug)]
pub(super) enum Names {
    /// Names without wildcards, lower case, separated by commas.
    Plain(Box<str>),
    /// The same with `*`, `?` or `!`.
    Patterns(Box<str>),
    /// HMAC-SHA1 of one name, keyed by the salt.
    Hashed { salt: [u8; 20], hash: [u8; 20] },
}

impl Names {
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Plain(names) => names.split(',').any(|known| known == name),
            Self::Patterns(patterns) => matches_list(patterns, name),
            Self::Hashed { salt, hash } => {
                let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
                mac.update(name.as_bytes());
                mac.verify_slice(hash).is_ok()
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub marker: Marker,
    pub names: Names,
    pub key: Box<[u8]>,
}

/// Reads one line; `None` for an empty one or a comment.
pub(super) fn parse(line: &[u8]) -> Result<Option<Entry>, &'static str> {
    let mut fields = line.split(|byte| b" \t\r".contains(byte)).filter(|field| !field.is_empty());
    let Some(mut first) = fields.next().filter(|field| !field.starts_with(b"#")) else { return Ok(None) };
    let mut marker = Marker::Key;
    if first.starts_with(b"@") {
        marker = match first {
            b"@revoked" => Marker::Revoked,
            b"@cert-authority" => Marker::Authority,
            _ => return Err("its marker is neither @revoked nor @cert-authority"),
        };
        first = fields.next().ok_or("it has no host names")?;
    }
    let names = parse_names(first)?;
    let kind = fields.next().ok_or("it has no key type")?;
    let key = BASE64
        .decode(fields.next().ok_or("it has no key")?)
        .map_err(|_| "its key is not base64")?
        .into_boxed_slice();
    if type_in(&key) != Some(kind) {
        return Err("its key is not of the type that it names");
    }
    Ok(Some(Entry { marker, names, key }))
}

fn parse_names(field: &[u8]) -> Result<Names, &'static str> {
    const BAD_HASH: &str = "its hashed host name is not |1|salt|hash";
    let text = std::str::from_utf8(field).map_err(|_| "its host names are not UTF-8")?;
    if let Some(hashed) = text.strip_prefix('|') {
        let (salt, hash) = hashed.strip_prefix("1|").and_then(|rest| rest.split_once('|')).ok_or(BAD_HASH)?;
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
        return match (bytes(salt), bytes(hash)) {
            (Some(salt), Some(hash)) => Ok(Names::Hashed { salt, hash }),
            _ => Err(BAD_HASH),
        };
    }
    let names = text.to_ascii_lowercase().into_boxed_str();
    let plain = !names.contains(['*', '?', '!']);
    Ok(if plain { Names::Plain(names) } else { Names::Patterns(names) })
}

/// A negated pattern that fits overrules the others, wherever it stands.
fn matches_list(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches_pattern(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches_pattern(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `*` is any run of characters and `?` any one. Going back only to the last `*` keeps it from taking
/// exponential time, whatever the pattern.
pub(in crate::transport) fn matches_pattern(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after_star, from)) = retry else { return false };
                (at, seen) = (after_star, from + 1);
                retry = Some((after_star, from + 1));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |patterns: &str, name: &str, expected: bool| {
            assert_eq!(matches_list(patterns, name), expected, "{patterns} {name}");
        };
        check("*", "web01", true);
        check("web*", "web01.eu", true);
        check("web??", "web01", true);
        check("web??", "web1", false);
        check("*.eu,!web01.eu", "web02.eu", true);
        check("*.eu,!web01.eu", "web01.eu", false);
        check("!web01.eu,*.eu", "web01.eu", false);
        check("!web01.eu", "web02.eu", false);
        check("[*]:2222", "[web01]:2222", true);
        check("[*]:2222", "[web01]:2223", false);
        check("*a*b*c", "xxaxxbxxc", true);
        check("*a*b*c", "xxaxxbxx", false);
        check("", "web01", false);
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = "*a".repeat(2_000);
        assert!(!matches_pattern(pattern.as_bytes(), "a".repeat(1_999).as_bytes()));
    }

    #[test]
    fn a_name_carries_its_port_unless_it_is_22() {
        assert_eq!(HostId::new("Web01.EU", 22).as_str(), "web01.eu");
        assert_eq!(HostId::new("Web01", 2222).as_str(), "[web01]:2222");
        assert_eq!(HostId::new("::1", 2222).as_str(), "[::1]:2222");
    }

    #[test]
    fn lines() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIHmwYq4nBqzXFyGJnHNlbGZ0ZXN0a2V5MDEyMzQ1Njc4OTAx";
        let check = |line: &str, expected: Result<bool, &str>| {
            assert_eq!(parse(line.as_bytes()).map(|entry| entry.is_some()), expected, "{line}");
        };
        check("", Ok(false));
        check("  \t # a comment", Ok(false));
        check(&format!("web01 ssh-ed25519 {key}"), Ok(true));
        check(&format!("\tweb01,web02\tssh-ed25519\t{key}\tcomment with blanks\r"), Ok(true));
        check(&format!("@revoked * ssh-ed25519 {key}"), Ok(true));
        check(
            &format!("@trusted * ssh-ed25519 {key}"),
            Err("its marker is neither @revoked nor @cert-authority"),
        );
        check(&format!("web01 ssh-rsa {key}"), Err("its key is not of the type that it names"));
        check("web01 ssh-ed25519 AAA", Err("its key is not base64"));
        check("web01 ssh-ed25519", Err("it has no key"));
        check("web01", Err("it has no key type"));
        check("web01 1024 35 1234567", Err("its key is not base64"));
        check(&format!("|1|x|y ssh-ed25519 {key}"), Err("its hashed host name is not |1|salt|hash"));
    }
}
