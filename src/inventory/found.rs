//! What a source of hosts gives: hosts with what is said of them, groups, and remarks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Fault, Place};
use crate::model::{FirstLines, HostName, Labels, Reach, Refusal, RootBy, Written};

/// A source's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub hosts: Vec<FoundHost>,
    pub groups: BTreeMap<String, Vec<HostName>>,
    /// What was passed over, each with where it stands. None of them changes where we connect.
    pub remarks: Vec<Fault>,
}

/// A host, with what its source says of it; whatever is missing is said elsewhere, or is the usual.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundHost {
    pub name: HostName,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub identity_files: Option<Vec<PathBuf>>,
    pub reach: Reach,
    pub root_by: Option<RootBy>,
    pub labels: Labels,
    /// What it says in the words of an ssh_config, which comes before the files: ssh's own arguments.
    pub first: Option<Arc<FirstLines>>,
    /// What cannot be obeyed. The host is not connected to, unless our own configuration says the same
    /// thing outright.
    pub refused: Vec<(Field, Refusal)>,
    /// Where it was first named.
    pub place: Place,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Address,
    Port,
    User,
    IdentityFiles,
    /// Whether it is reached over SSH at all.
    Reach,
    /// All of ssh's arguments, where nobody can read them.
    Arguments,
    /// Anything else about how the host is reached.
    Way,
}

impl FoundHost {
    /// A host of which only the name is known.
    pub fn new(name: HostName, place: Place) -> Self {
        Self {
            name,
            address: None,
            port: None,
            user: None,
            identity_files: None,
            reach: Reach::Ssh,
            root_by: None,
            labels: Labels::new(),
            first: None,
            refused: Vec::new(),
            place,
        }
    }
}

/// The line of a place, as refusals name it.
pub(super) fn written(place: &Place) -> Written {
    let line = place.line_column().map_or(0, |(line, _)| line);
    Written { file: place.file.as_ref().into(), line: u32::try_from(line).unwrap_or(u32::MAX) }
}

/// A name of ours for `text`: as it is, or an IPv6 address with dashes in place of its colons.
pub(super) fn host_name(text: &str) -> Option<HostName> {
    let plain = HostName::new(text).ok();
    plain.or_else(|| {
        let address = text.split('%').next().unwrap_or(text);
        address.parse::<std::net::Ipv6Addr>().ok()?;
        let dashed = text.replace([':', '%'], "-");
        HostName::new(&dashed).or_else(|_| HostName::new(&format!("ip{dashed}"))).ok()
    })
}

/// A label's name out of somebody else's, cleaned to what ours may be.
pub(super) fn label_name(text: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || "_.-/".contains(c) { c } else { '_' };
    let mut name: String = text.chars().map(clean).take(MAX_LABEL).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
        name.truncate(MAX_LABEL);
    }
    name
}

/// Whether a text may be a label's value.
pub(super) fn is_label_value(text: &str) -> bool {
    text.len() <= 256 && !text.contains(char::is_control)
}

/// A login name that can stand in a command line.
pub(super) fn is_user(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "._-@+\\".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.len() <= 256 && name.chars().all(allowed)
}

const MAX_LABEL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_cleaned() {
        let name = |text: &str| host_name(text).map(|name| name.to_string());
        assert_eq!(name("web1.eu").as_deref(), Some("web1.eu"));
        assert_eq!(name("2001:db8::1").as_deref(), Some("2001-db8--1"));
        assert_eq!(name("::1").as_deref(), Some("ip--1"));
        assert_eq!(name("fe80::1%eth0").as_deref(), Some("fe80--1-eth0"));
        assert_eq!(name("a/b"), None);
        assert_eq!(name("-x"), None);
        assert_eq!(label_name("a b:c"), "a_b_c");
        assert_eq!(label_name("9x"), "_9x");
        assert_eq!(label_name(&"x".repeat(80)).len(), 64);
    }
}
