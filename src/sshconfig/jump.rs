//! `ProxyJump`: `[user@]host[:port]` or `ssh://[user@]host[:port]`, several separated by commas.

use std::fmt;
use std::sync::Arc;

use super::file::File;
use super::{Query, Source};

/// One jump host as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

/// The hops, the one nearest to us first; `None` for `none`.
pub(super) fn parse(value: &str) -> Result<Option<Vec<Hop>>, String> {
    let value = value.split('#').next().unwrap_or_default().trim();
    if value.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    value.split(',').map(hop).collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| {
        format!("ProxyJump cannot be {value:?}: expected [user@]host[:port], several separated by commas")
    })
}

/// What ssh is told when it is to reach a jump host through `others`: its `-J`, which counts before every
/// file. It names no file of its own.
pub(super) fn source(others: &[Hop]) -> Source {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let text = format!("ProxyJump {}\n", others.join(","));
    Source {
        file: Arc::new(File::parse("ProxyJump".into(), text.as_bytes())),
        is_user: true,
        is_arguments: true,
    }
}

/// What is wrong with jump hosts as they are written, if anything.
pub fn jump_fault(value: &str) -> Option<String> {
    parse(value).err()
}

fn hop(text: &str) -> Option<Hop> {
    let (uri, text) = match text.strip_prefix("ssh://") {
        Some(rest) => (true, rest.strip_suffix('/').unwrap_or(rest)),
        None => (false, text),
    };
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return None,
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            match after.strip_prefix(':') {
                Some(port) => (host, port),
                None if after.is_empty() => (host, ""),
                None => return None,
            }
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    if host.is_empty() || user.is_some_and(str::is_empty) || (uri && rest.contains('/')) {
        return None;
    }
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0)?)
        }
        _ => return None,
    };
    Some(Hop { user: user.map(str::to_owned), host: host.to_owned(), port })
}

/// As it may be written, for messages and for ssh's `-J`.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (&self.host, self.port) {
            (host, Some(port)) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, None) if host.contains(':') => write!(f, "[{host}]"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => f.write_str(host),
        }
    }
}

impl Hop {
    /// What was asked of the files, as a jump host that would ask the same of them.
    pub fn asked(query: &Query<'_>) -> Self {
        let user = query.user.map(str::to_owned);
        Self { user, host: query.destination.to_owned(), port: query.port }
    }

    /// Whether it is that very host: another port, or another user's account, may well be the way in.
    pub fn is(&self, host: &str, port: u16, user: &str) -> bool {
        self.host == host
            && self.port.unwrap_or(22) == port
            && self.user.as_deref().is_none_or(|own| own == user)
    }

    /// Whether its words can stand on a command line, which is where ssh puts them: what is more than a
    /// name is refused rather than passed on.
    pub fn is_plain(&self) -> bool {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"'`\"$\\;&<>|(){},".contains(c);
        let fits = |text: &str| !text.starts_with('-') && text.chars().all(plain);
        fits(&self.host) && self.user.as_deref().is_none_or(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_amiss_is_no_name() {
        for bad in ["-oProxyCommand=x", "a b", "$(x)", "-u@a"] {
            let hops = parse(bad).unwrap().unwrap();
            assert!(!hops[0].is_plain(), "{bad:?}");
        }
        assert!(parse("me@corp@a").unwrap().unwrap()[0].is_plain());
    }

    #[test]
    fn hops() {
        let check = |value: &str, expected: &[(Option<&str>, &str, Option<u16>)]| {
            let hops = parse(value).unwrap().unwrap();
            let found: Vec<_> =
                hops.iter().map(|hop| (hop.user.as_deref(), hop.host.as_str(), hop.port)).collect();
            assert_eq!(found, expected, "{value}");
        };
        check("bastion", &[(None, "bastion", None)]);
        check("me@bastion:2222", &[(Some("me"), "bastion", Some(2222))]);
        check("a,b@c:1", &[(None, "a", None), (Some("b"), "c", Some(1))]);
        check("[::1]:22", &[(None, "::1", Some(22))]);
        check("me@corp@bastion", &[(Some("me@corp"), "bastion", None)]);
        check("ssh://me@bastion:22", &[(Some("me"), "bastion", Some(22))]);
        check("bastion # the old one", &[(None, "bastion", None)]);
        assert_eq!(parse("NONE"), Ok(None));
        for bad in ["", ",", "a,", "@a", "a:0", "a:99999", "a:x", "[::1", "[::1]x", "u@"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
