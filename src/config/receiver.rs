//! `[[receiver]]`: who is told of alerts. Of a secret only the place is known here: it is read when a
//! message is sent, so that no verb needs it, and nothing that is shown can hold it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::fault::{Fault, Faults, Place, suggestion};
use super::reader::{Located, Section, WrittenValue};
use super::value::{Bad, Base, Value};
use crate::http::{Secret, Trust, Url, origin};
use crate::model::Labels;
use crate::render::{BadTemplate, Template};

pub(crate) const KEYS: &[&str] = &[
    "name",
    "kind",
    "url",
    "url_file",
    "token_file",
    "ca_file",
    "client_cert",
    "client_key",
    "only",
    "resolved",
    "labels",
    "template",
];

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverKind {
    /// Alertmanager's API, version 2; its address is that of the server.
    Alertmanager,
    /// `{"text": …}`, as Slack and those that are compatible with it take.
    Slack,
    /// JSON of our own, or the template's.
    Webhook,
}

const KINDS: [(&str, ReceiverKind); 3] = [
    ("alertmanager", ReceiverKind::Alertmanager),
    ("slack", ReceiverKind::Slack),
    ("webhook", ReceiverKind::Webhook),
];

/// The one place that is a number.
const COUNT: &str = "count";

/// What a template may fill in.
pub const PLACES: [&str; 14] = [
    "id",
    "incident",
    "state",
    "rule",
    "severity",
    "metric",
    "condition",
    "hosts",
    COUNT,
    "worst",
    "value",
    "summary",
    "sweep",
    "at",
];

const CREDENTIAL: &str = "credential:";

impl Value for Secret {
    const EXPECTED: &'static str = "a path, or \"credential:NAME\" for a credential of systemd's";

    fn from_toml(value: &toml::de::DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        let Some(name) = text.strip_prefix(CREDENTIAL) else { return base.path(text).map(Self::File) };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.starts_with('.') || name.len() > 128 || !name.bytes().all(plain) {
            return Err(Bad::expected("a credential's name of A-Z a-z 0-9 . _ -"));
        }
        Ok(Self::Credential(name.to_owned()))
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Credential(name) => format!("{CREDENTIAL}{name}").into(),
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Url(Url),
    Secret(Secret),
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    pub name: String,
    pub kind: ReceiverKind,
    pub address: Address,
    /// Sent as a bearer token.
    pub token: Option<Secret>,
    pub trust: Trust,
    /// Only alerts of these names; all where there are none.
    pub only: Vec<String>,
    /// Whether it is told that an incident is over.
    pub resolved: bool,
    /// Alertmanager's further labels.
    pub labels: Labels,
    pub template: Option<Template>,
}

/// A receiver as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: Located<String>,
    receiver: Receiver,
    only: Vec<Located<String>>,
    /// All of it, for `config show`.
    pub written: Vec<WrittenValue>,
}

pub(crate) fn read_all(root: &Section<'_>, faults: &mut Faults) -> Vec<Draft> {
    let sections = root.sections("receiver", KEYS, faults);
    sections.iter().filter_map(|section| read(section, faults)).collect()
}

fn read(section: &Section<'_>, faults: &mut Faults) -> Option<Draft> {
    section.missing_unless_given("name", "a name", faults);
    let name = section.read_checked("name", |name: &String| super::escalate::rule_name(name), faults);
    section.missing_unless_given("kind", "one of alertmanager, slack, webhook", faults);
    let kind = section.word("kind", &KINDS, faults);
    let address = address(section, faults);
    let token = section.read::<Secret>("token_file", faults).map(|given| given.value);
    if let (Some(Address::Url(url)), Some(_)) = (&address, &token)
        && is_open(url.as_str())
    {
        let fault = Fault::new(section.place(), "the token would travel where anybody can read it");
        faults.push(fault.expected("`url` with https://, or with an address of this machine"));
    }
    let trust = trust(section, faults);
    let labels = super::hosts::labels(section, faults);
    let template = kind.and_then(|kind| template(section, kind, faults));
    let name = name?;
    let receiver = Receiver {
        name: name.value.clone(),
        kind: kind?,
        address: address?,
        token,
        trust,
        only: Vec::new(),
        resolved: section.read("resolved", faults).is_none_or(|given| given.value),
        labels,
        template,
    };
    let only = section.strings("only", faults).unwrap_or_default();
    let written = section.written().map(redacted).collect();
    Some(Draft { name, receiver, only, written })
}

/// `ca_file`, `client_cert` and `client_key`.
pub(super) fn trust(section: &Section<'_>, faults: &mut Faults) -> Trust {
    let cert = section.read::<PathBuf>("client_cert", faults);
    let key = section.read::<PathBuf>("client_key", faults);
    if cert.is_some() != key.is_some() {
        let fault = Fault::new(section.place(), "a certificate and its key belong together");
        faults.push(fault.expected("both `client_cert` and `client_key`, or none of them"));
    }
    Trust {
        ca_file: section.read("ca_file", faults).map(|given| given.value),
        client: cert.zip(key).map(|(cert, key)| (cert.value, key.value)),
    }
}

/// An address may be a secret: `config show` has its beginning only.
pub(super) fn redacted(mut written: WrittenValue) -> WrittenValue {
    if let ("url", serde_json::Value::String(url)) = (written.key.as_str(), &written.value)
        && origin(url).len() < url.len()
    {
        written.value = format!("{}/…", origin(url)).into();
    }
    written
}

fn address(section: &Section<'_>, faults: &mut Faults) -> Option<Address> {
    let given = section.field("url");
    let secret = section.read::<Secret>("url_file", faults);
    match (given, secret) {
        (Some(field), None) => {
            let url = field.read::<String>(&mut Faults::default());
            let checked = url.map_or(Err("a string".to_owned()), |url| check_url(&url.value).map(|()| url));
            match checked {
                Ok(url) => Some(Address::Url(Url::new(url.value))),
                Err(expected) => {
                    // Its text is no secret's place: not in a terminal, not in a log.
                    let place = field.place();
                    let line = place.line_column().map_or(0, |(line, _)| line);
                    let place = Place::whole(format!("{}:{line}", place.file));
                    let fault = Fault::new(place, "`receiver.url` cannot be used, and is not shown");
                    faults.push(fault.expected(expected));
                    None
                }
            }
        }
        (None, Some(secret)) => Some(Address::Secret(secret.value)),
        (given, secret) => {
            let fault = match (given, secret) {
                (None, None) => Fault::new(section.place(), "a receiver without an address"),
                _ => Fault::new(section.place(), "a receiver with two addresses"),
            };
            if section.field("url_file").is_none() || section.field("url").is_some() {
                faults.push(fault.expected("either `url` or `url_file`"));
            }
            None
        }
    }
}

/// What an address must be for a message to be sent to it.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = origin(url).rsplit("://").next().unwrap_or_default();
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['#', '"', '\\']);
    if rest.is_none() || host.is_empty() || host.starts_with(':') || !plain {
        return Err("an address such as https://alerts.example.net/hook, in ASCII".to_owned());
    }
    if host.contains('@') {
        return Err("an address without user and password; `token_file` is for those".to_owned());
    }
    Ok(())
}

/// Whether what is sent there can be read on the way.
pub fn is_open(url: &str) -> bool {
    url.starts_with("http://") && !is_local(origin(url).rsplit("://").next().unwrap_or_default())
}

/// Whether `host` or `host:port` is this machine, whatever a name server says.
fn is_local(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn template(section: &Section<'_>, kind: ReceiverKind, faults: &mut Faults) -> Option<Template> {
    let given = section.read::<String>("template", faults)?;
    let fault = |title: String| Fault::new(given.place.clone(), title);
    if kind == ReceiverKind::Alertmanager {
        faults.push(fault("Alertmanager has templates of its own".to_owned()).help("leave `template` out"));
        return None;
    }
    match Template::parse(&given.value, &PLACES) {
        Ok(template) => {
            // A word is JSON within a string only, and no end of an escape either.
            let filled = template.fill(|place| if place == COUNT { "1" } else { "x" }.to_owned());
            let is_json = serde_json::from_str::<serde_json::Value>(&filled).is_ok();
            if kind == ReceiverKind::Webhook && !is_json {
                let fault = fault("the template gives no JSON once it is filled in".to_owned());
                faults.push(fault.expected("JSON, with places such as \"{{summary}}\" within its strings; {{count}} alone is a number"));
                return None;
            }
            Some(template)
        }
        Err(bad) => {
            let help = match &bad {
                BadTemplate::Unknown(name) => suggestion(name, PLACES),
                BadTemplate::Open => None,
            };
            let expected = format!("places out of {}", PLACES.join(", "));
            faults.push(fault(format!("`receiver.template`: {bad}")).expected(expected).maybe_help(help));
            None
        }
    }
}

/// Checks the receivers against each other and against what they can be told of.
pub(crate) fn resolve(drafts: &[Draft], alerts: &[&str], faults: &mut Faults) -> Vec<Receiver> {
    super::escalate::twice("receiver", drafts.iter().map(|draft| &draft.name), faults);
    let receiver = |draft: &Draft| {
        for only in draft.only.iter().filter(|only| !alerts.contains(&only.value.as_str())) {
            let fault = Fault::new(only.place.clone(), format!("no such alert: {:?}", only.value));
            let help = suggestion(&only.value, alerts.iter().copied());
            faults.push(
                fault.expected("the name of an [[alert]] or of one of the collector's own").maybe_help(help),
            );
        }
        let only = draft.only.iter().map(|only| only.value.clone()).collect();
        Receiver { only, ..draft.receiver.clone() }
    };
    drafts.iter().map(receiver).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_its_secret_part_is_not_shown() {
        let check = |url: &str, good: bool| assert_eq!(check_url(url).is_ok(), good, "{url}");
        check("https://hooks.slack.com/services/T0/B0/x", true);
        check("http://127.0.0.1:9093", true);
        check("http://[::1]:9093/a?b=c", true);
        for bad in [
            "",
            "ftp://x",
            "https://",
            "https:///x",
            "https://:1",
            "https://a:b@c/",
            "https://ä",
            "http://a b",
        ] {
            check(bad, false);
        }
        let url = Url::new("https://hooks.slack.com/services/T0/B0/x".to_owned());
        assert_eq!(format!("{url:?}"), "https://hooks.slack.com/…");
        assert_eq!(origin("https://a?b=c"), "https://a");
    }

    #[test]
    fn only_this_machine_is_told_in_the_open() {
        let check = |url: &str, open: bool| assert_eq!(is_open(url), open, "{url}");
        for local in ["localhost", "LocalHost:1/", "127.0.0.1", "127.8.0.9:9093/a", "[::1]", "[::1]:9093/a?b"]
        {
            check(&format!("http://{local}"), false);
        }
        for other in [
            "10.0.0.1/",
            "localhost.evil.example",
            "localhost.evil.example:80/",
            "127.evil.example/",
            "127.0.0.1.evil.example",
            "127.0.0.1:80:evil.example",
            "localhost:x",
            "[::1].evil.example",
            "[::1",
            "[::2]:1",
            "evil.example/http://localhost/",
            "evil.example?localhost",
        ] {
            check(&format!("http://{other}"), true);
            check(&format!("https://{other}"), false);
        }
    }
}
