//! The criteria of a `Match` line.

/// One criterion. All of a line's have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub negated: bool,
    pub about: About,
}

/// What a criterion asks; each list is of patterns, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    All,
    /// `canonical`: the second reading.
    Canonical,
    /// `final`: the second reading, which there is because of it.
    Final,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    /// A shell command that succeeds.
    Exec(String),
    /// An address of ours is in one of these networks.
    LocalNetwork(String),
    Tagged(String),
    Version(String),
    SessionType(String),
    Command(String),
}

/// Criteria out of a line's arguments: each with its argument behind it, or after `=`.
pub(super) fn parse(arguments: Vec<String>) -> Result<Vec<Criterion>, String> {
    let mut criteria = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(written) = arguments.next() {
        let (negated, word) = written.strip_prefix('!').map_or((false, &*written), |rest| (true, rest));
        let about = match word.to_ascii_lowercase().as_str() {
            "all" if criteria.len() > 1 || arguments.next().is_some() => {
                return Err("Match all stands alone".to_owned());
            }
            "all" => About::All,
            "canonical" => About::Canonical,
            "final" => About::Final,
            _ => {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name, value.to_owned()),
                    None => {
                        let value = arguments.next();
                        (word, value.ok_or_else(|| format!("Match {word} lacks its argument"))?)
                    }
                };
                with_argument(name, value)?
            }
        };
        criteria.push(Criterion { negated, about });
    }
    if criteria.is_empty() { Err("Match has no criterion".to_owned()) } else { Ok(criteria) }
}

fn with_argument(name: &str, value: String) -> Result<About, String> {
    let lower = name.to_ascii_lowercase();
    if value.is_empty() && !matches!(lower.as_str(), "tagged" | "command") {
        return Err(format!("Match {name} lacks its argument"));
    }
    Ok(match lower.as_str() {
        "host" => About::Host(value),
        "originalhost" => About::OriginalHost(value),
        "user" => About::User(value),
        "localuser" => About::LocalUser(value),
        "exec" => About::Exec(value),
        "localnetwork" => About::LocalNetwork(value),
        "tagged" => About::Tagged(value),
        "version" => About::Version(value),
        "sessiontype" => About::SessionType(value),
        "command" => About::Command(value),
        _ => return Err(format!("Match knows no criterion {name:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn criteria() {
        let check = |line: &str, expected: &[(bool, About)]| {
            let expected: Vec<Criterion> = expected
                .iter()
                .map(|(negated, about)| Criterion { negated: *negated, about: about.clone() })
                .collect();
            assert_eq!(parse(words(line)), Ok(expected), "{line}");
        };
        check("all", &[(false, About::All)]);
        check("final all", &[(false, About::Final), (false, About::All)]);
        check(
            "!Host a,b USER c",
            &[(true, About::Host("a,b".to_owned())), (false, About::User("c".to_owned()))],
        );
        check("host=a user c", &[(false, About::Host("a".to_owned())), (false, About::User("c".to_owned()))]);
        check("tagged=", &[(false, About::Tagged(String::new()))]);
        for bad in ["host", "all host a", "host a user b all", "host= user b", "colour red", "!"] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
        assert!(parse(Vec::new()).is_err());
    }
}
