//! Every directive of ssh_config, and what this program does with it. This table is the one place that
//! says so: what the evaluator refuses, what `hosts show` prints and what docs/ssh.md promises follow it.

use Standing::{Harmless, Obeyed, Refused, Stricter};
use Takes::{Algorithms, Anything, Command, Count, Flag, Many, One, Port, Time};

/// What becomes of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Obeyed,
    /// It would change where we connect or whom we trust, and we cannot obey it: a host that it
    /// applies to is not connected to. The words in `unless` ask for nothing.
    Refused {
        unless: &'static [&'static str],
        advice: &'static str,
    },
    /// It asks for less checking of host keys than we do, unless with one of these words: we keep to
    /// ours, and an unknown host key's message names it.
    Stricter {
        unless: &'static [&'static str],
    },
    /// It changes neither where we connect nor whom we trust: forwarding, terminals, other ways to log
    /// in, what ssh prints.
    Harmless,
}

/// The arguments of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    One,
    Many,
    /// The rest of the line.
    Command,
    Flag(&'static [&'static str]),
    Count,
    Port,
    Time,
    Algorithms,
    /// Not looked at: it is ssh's business.
    Anything,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Directive {
    /// As the manual spells it.
    pub name: &'static str,
    pub takes: Takes,
    pub standing: Standing,
}

const YES_NO: &[&str] = &["yes", "no", "true", "false"];
const NO: &[&str] = &["no", "false"];
const NONE: &[&str] = &["none"];

const fn row(name: &'static str, takes: Takes, standing: Standing) -> Directive {
    Directive { name, takes, standing }
}

const fn refused(
    name: &'static str,
    takes: Takes,
    unless: &'static [&'static str],
    advice: &'static str,
) -> Directive {
    row(name, takes, Refused { unless, advice })
}

/// In the order of the alphabet, which is how `docs/ssh.md` has them.
pub const DIRECTIVES: &[Directive] = &[
    row("AddKeysToAgent", Anything, Harmless),
    row("AddressFamily", Flag(&["any", "inet", "inet6"]), Obeyed),
    row("BatchMode", Flag(YES_NO), Harmless),
    row("BindAddress", One, Obeyed),
    row("BindInterface", One, Obeyed),
    row("CanonicalDomains", Many, Harmless),
    row("CanonicalizeFallbackLocal", Flag(YES_NO), Harmless),
    refused(
        "CanonicalizeHostname",
        Flag(&["yes", "no", "true", "false", "always"]),
        NO,
        "give the host its full name with HostName",
    ),
    row("CanonicalizeMaxDots", Count, Harmless),
    refused("CanonicalizePermittedCNAMEs", Many, NONE, "give the host its full name with HostName"),
    row("CASignatureAlgorithms", Algorithms, Obeyed),
    row("CertificateFile", One, Obeyed),
    row("ChannelTimeout", Many, Harmless),
    refused("CheckHostIP", Flag(YES_NO), NO, "only the host's name is looked up in known_hosts: say no"),
    row("Ciphers", Algorithms, Obeyed),
    row("ClearAllForwardings", Flag(YES_NO), Harmless),
    row("Compression", Flag(&["yes", "no"]), Harmless),
    row("ConnectionAttempts", Count, Obeyed),
    row("ConnectTimeout", Time, Obeyed),
    row("ControlMaster", Anything, Harmless),
    row("ControlPath", One, Harmless),
    row("ControlPersist", Anything, Harmless),
    row("DynamicForward", Anything, Harmless),
    row("EnableEscapeCommandline", Flag(YES_NO), Harmless),
    row("EnableSSHKeysign", Flag(YES_NO), Harmless),
    row("EscapeChar", Anything, Harmless),
    row("ExitOnForwardFailure", Flag(YES_NO), Harmless),
    row("FingerprintHash", One, Harmless),
    row("ForkAfterAuthentication", Flag(YES_NO), Harmless),
    row("ForwardAgent", Anything, Harmless),
    row("ForwardX11", Flag(YES_NO), Harmless),
    row("ForwardX11Timeout", Time, Harmless),
    row("ForwardX11Trusted", Flag(YES_NO), Harmless),
    row("GatewayPorts", Flag(YES_NO), Harmless),
    row("GlobalKnownHostsFile", Many, Obeyed),
    row("GSSAPIAuthentication", Flag(YES_NO), Harmless),
    row("GSSAPIClientIdentity", Anything, Harmless),
    row("GSSAPIDelegateCredentials", Flag(YES_NO), Harmless),
    row("GSSAPIKexAlgorithms", Anything, Harmless),
    row("GSSAPIKeyExchange", Flag(YES_NO), Harmless),
    row("GSSAPIRenewalForcesRekey", Anything, Harmless),
    row("GSSAPIServerIdentity", Anything, Harmless),
    row("GSSAPITrustDns", Anything, Harmless),
    row("HashKnownHosts", Flag(YES_NO), Harmless),
    row("HostbasedAcceptedAlgorithms", Anything, Harmless),
    row("HostbasedAuthentication", Flag(YES_NO), Harmless),
    row("HostKeyAlgorithms", Algorithms, Obeyed),
    row("HostKeyAlias", One, Obeyed),
    row("HostName", One, Obeyed),
    row("IdentitiesOnly", Flag(YES_NO), Obeyed),
    row("IdentityAgent", One, Obeyed),
    row("IdentityFile", One, Obeyed),
    row("IgnoreUnknown", One, Obeyed),
    row("IPQoS", Anything, Harmless),
    row("KbdInteractiveAuthentication", Flag(YES_NO), Harmless),
    row("KbdInteractiveDevices", One, Harmless),
    row("KexAlgorithms", Algorithms, Obeyed),
    refused("KnownHostsCommand", Command, NONE, "write the host's key into a known_hosts file"),
    row("LocalCommand", Command, Harmless),
    row("LocalForward", Anything, Harmless),
    row("LogLevel", One, Harmless),
    row("LogVerbose", Many, Harmless),
    row("MACs", Algorithms, Obeyed),
    row("NoHostAuthenticationForLocalhost", Flag(YES_NO), Stricter { unless: NO }),
    row("NumberOfPasswordPrompts", Count, Harmless),
    row("ObscureKeystrokeTiming", Anything, Harmless),
    row("PasswordAuthentication", Flag(YES_NO), Harmless),
    row("PermitLocalCommand", Flag(YES_NO), Harmless),
    row("PermitRemoteOpen", Many, Harmless),
    refused("PKCS11Provider", One, NONE, "load the token's key into ssh-agent (ssh-add -s)"),
    row("Port", Port, Obeyed),
    row("PreferredAuthentications", One, Obeyed),
    row("ProxyCommand", Command, Obeyed),
    row("ProxyJump", Command, Obeyed),
    refused("ProxyUseFdpass", Flag(YES_NO), NO, "use a ProxyCommand that passes the bytes on"),
    row("PubkeyAcceptedAlgorithms", Algorithms, Obeyed),
    row("PubkeyAuthentication", Flag(&["yes", "no", "true", "false", "unbound", "host-bound"]), Obeyed),
    row("RefuseConnection", One, Obeyed),
    row("RekeyLimit", Anything, Harmless),
    row("RemoteCommand", Command, Harmless),
    row("RemoteForward", Anything, Harmless),
    row("RequestTTY", Anything, Harmless),
    row("RequiredRSASize", Count, Obeyed),
    refused("RevokedHostKeys", Many, NONE, "mark the keys as @revoked in a known_hosts file"),
    row("SecurityKeyProvider", One, Harmless),
    row("SendEnv", Many, Harmless),
    row("ServerAliveCountMax", Count, Obeyed),
    row("ServerAliveInterval", Time, Obeyed),
    row("SessionType", One, Harmless),
    row("SetEnv", Many, Harmless),
    row("StdinNull", Flag(YES_NO), Harmless),
    row("StreamLocalBindMask", One, Harmless),
    row("StreamLocalBindUnlink", Flag(YES_NO), Harmless),
    row(
        "StrictHostKeyChecking",
        Flag(&["yes", "no", "true", "false", "ask", "off", "accept-new"]),
        Stricter { unless: &["yes", "true", "ask"] },
    ),
    row("SyslogFacility", One, Harmless),
    row("Tag", One, Obeyed),
    row("TCPKeepAlive", Flag(YES_NO), Harmless),
    row("Tunnel", One, Harmless),
    row("TunnelDevice", One, Harmless),
    row("UpdateHostKeys", Flag(&["yes", "no", "true", "false", "ask"]), Harmless),
    row("User", One, Obeyed),
    row("UserKnownHostsFile", Many, Obeyed),
    row("VerifyHostKeyDNS", Flag(&["yes", "no", "true", "false", "ask"]), Stricter { unless: NO }),
    row("VersionAddendum", Anything, Harmless),
    row("VisualHostKey", Flag(YES_NO), Harmless),
    row("WarnWeakCrypto", Anything, Harmless),
    row("XAuthLocation", One, Harmless),
];

/// Older names, in lower case, and today's.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("challengeresponseauthentication", "KbdInteractiveAuthentication"),
    ("dsaauthentication", "PubkeyAuthentication"),
    ("hostbasedkeytypes", "HostbasedAcceptedAlgorithms"),
    ("identityfile2", "IdentityFile"),
    ("keepalive", "TCPKeepAlive"),
    ("pubkeyacceptedkeytypes", "PubkeyAcceptedAlgorithms"),
    ("skeyauthentication", "KbdInteractiveAuthentication"),
    ("smartcarddevice", "PKCS11Provider"),
    ("tisauthentication", "KbdInteractiveAuthentication"),
];

/// What ssh no longer knows more of than that it is no mistake.
const PAST: &[&str] = &[
    "afstokenpassing",
    "cipher",
    "compressionlevel",
    "fallbacktorsh",
    "globalknownhostsfile2",
    "kerberosauthentication",
    "kerberostgtpassing",
    "protocol",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "useprivilegedport",
    "userknownhostsfile2",
    "useroaming",
    "usersh",
];

/// What a keyword is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Host,
    Match,
    Include,
    Directive(&'static Directive),
    Past,
    Unknown,
}

/// Looks up a keyword in any case.
pub(super) fn keyword(word: &str) -> Keyword {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "host" => return Keyword::Host,
        "match" => return Keyword::Match,
        "include" => return Keyword::Include,
        past if PAST.contains(&past) => return Keyword::Past,
        _ => {}
    }
    let today = OTHER_NAMES.iter().find(|(old, _)| *old == lower).map_or(lower.as_str(), |(_, name)| name);
    directive(today).map_or(Keyword::Unknown, Keyword::Directive)
}

/// The directive of that name, in any case.
pub fn directive(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|directive| directive.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_old_name_has_a_new_one() {
        let names: Vec<String> = DIRECTIVES.iter().map(|it| it.name.to_ascii_lowercase()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for (old, new) in OTHER_NAMES {
            assert!(directive(new).is_some(), "{old} → {new}");
        }
    }

    /// What the manual says of a directive.
    fn words(standing: Standing) -> String {
        let unless = |word: &str, unless: &[&str]| match unless {
            [] => word.to_owned(),
            words => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("{word}, unless {}", words.join(", "))
            }
        };
        match standing {
            Obeyed => "obeyed".to_owned(),
            Refused { unless: words, .. } => unless("refused", words),
            Stricter { unless: words } => unless("stricter", words),
            Harmless => String::new(),
        }
    }

    #[test]
    fn the_manual_says_what_becomes_of_each_directive() {
        let manual = include_str!("../../docs/ssh.md");
        for directive in DIRECTIVES {
            let row = match directive.standing {
                Harmless => format!("`{}`", directive.name),
                standing => format!("| `{}` | {} |", directive.name, words(standing)),
            };
            assert!(manual.contains(&row), "no {row} in docs/ssh.md");
        }
    }

    #[test]
    fn keywords_are_found_in_any_case() {
        assert_eq!(keyword("hOsT"), Keyword::Host);
        assert_eq!(keyword("PROTOCOL"), Keyword::Past);
        assert!(
            matches!(keyword("pubkeyacceptedkeytypes"), Keyword::Directive(it) if it.name == "PubkeyAcceptedAlgorithms")
        );
        assert_eq!(keyword("UseKeychain"), Keyword::Unknown);
    }
}
