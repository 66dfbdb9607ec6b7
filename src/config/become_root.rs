//! `become`: how root is had on a host. A password is never given, so there are two ways and none.

use std::sync::Arc;

use toml::de::DeValue;

use super::fault::Place;
use super::value::{Bad, Base, Value};
use crate::model::{Refusal, RootBy, Written};

/// The setting as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    Sudo,
    Doas,
    /// Probes that need root are not run.
    No,
}

const WORDS: [(&str, Become); 3] = [("sudo", Become::Sudo), ("doas", Become::Doas), ("none", Become::No)];

impl Become {
    /// What it means for a host; `place` is where it stands.
    pub(crate) fn root_by(self, place: Option<&Place>) -> RootBy {
        match self {
            Self::Sudo => RootBy::Sudo,
            Self::Doas => RootBy::Doas,
            Self::No => RootBy::Refused(Arc::new(Refusal {
                at: place.map_or_else(|| Written { file: "[defaults]".into(), line: 0 }, written),
                directive: "become = \"none\"".to_owned(),
                reason: "nothing runs as root on this host".to_owned(),
            })),
        }
    }
}

fn written(place: &Place) -> Written {
    let line = place.line_column().map_or(0, |(line, _)| line);
    Written { file: place.file.as_ref().into(), line: u32::try_from(line).unwrap_or(u32::MAX) }
}

impl Value for Become {
    const EXPECTED: &'static str = "\"sudo\", \"doas\" or \"none\"";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        let known = WORDS.iter().find(|(word, _)| *word == text).map(|(_, one)| *one);
        known.ok_or_else(|| Bad {
            help: (text == "su").then(|| "su wants root's password: use sudo or doas".to_owned()),
            ..Bad::expected(Self::EXPECTED)
        })
    }

    fn json(&self) -> serde_json::Value {
        WORDS.iter().find(|(_, one)| one == self).map_or("", |(word, _)| *word).into()
    }
}
