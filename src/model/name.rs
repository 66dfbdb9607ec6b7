//! Checked names. A value of these types can stand in a path, a tar member, a command's output or
//! a file name without further thought: no slash, no leading dot or dash, no control character.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name: a fragment that completes "failed to …", with what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what} name: expected {expected}")]
pub struct BadName {
    pub what: &'static str,
    pub text: String,
    pub expected: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text`; the only way to make one.
            pub fn new(text: &str) -> Result<Self, BadName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadName { what: $what, text: text.to_owned(), expected: $expected })
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.as_str().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A target's name, unique in the inventory. Its address may be another.
    HostName,
    "host",
    "1 to 253 of A-Z a-z 0-9 . _ -, the first a letter or digit",
    |text| text.len() <= 253
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

name!(
    /// A probe's name: that of its file in `probes.d/`, without `.toml`.
    ProbeName,
    "probe",
    "1 to 64 of a-z 0-9 _ -, the first a letter or digit",
    |text| text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
);

name!(
    /// A sweep's id: `20261122T230000Z-1f2e3d4c`. It sorts by start and is its archive's file name.
    SweepId,
    "sweep",
    "a start time and eight hex digits, as in 20261122T230000Z-1f2e3d4c",
    |text| {
        let bytes = text.as_bytes();
        bytes.len() == 25
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 => *b == b'T',
                15 => *b == b'Z',
                16 => *b == b'-',
                17.. => b.is_ascii_digit() || (b'a'..=b'f').contains(b),
                _ => b.is_ascii_digit(),
            })
    }
);

impl SweepId {
    /// The id of a sweep that starts at `start`; `salt` keeps two that start in the same second apart.
    pub fn at(start: super::CollectorTime, salt: u32) -> Self {
        let text = format!("{}-{salt:08x}", start.utc().format("%Y%m%dT%H%M%SZ"));
        Self(text.into())
    }

    /// `YYYY/MM/DD`, the folder of this sweep's archive below `archive/`.
    pub fn day_folder(&self) -> String {
        let t = self.as_str();
        format!("{}/{}/{}", &t[..4], &t[4..6], &t[6..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_become_a_path_or_an_option_are_refused() {
        for bad in ["", "-rf", ".", "..", "../etc", "a/b", "a b", "a\u{202e}b", "a\n", "_plan", "ä"] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
            assert!(ProbeName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["web01", "10.0.0.1", "a-b_c.eu", "A"] {
            assert_eq!(HostName::new(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        assert!(ProbeName::new("Proc").is_err());
    }

    #[test]
    fn a_sweep_id_sorts_by_start_and_names_its_day() {
        let id = SweepId::at(super::super::CollectorTime::from_unix_ns(1_795_381_601_000_000_000), 0xab);
        assert_eq!(SweepId::new(id.as_str()), Ok(id.clone()));
        assert_eq!(id.day_folder(), "2026/11/22");
        assert!(SweepId::new("20261122T230000Z-1F2E3D4C").is_err());
    }
}
