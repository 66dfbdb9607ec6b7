//! `jump`: one jump host, or several in the order of the way.

use toml::de::DeValue;

use super::value::{Bad, Base, Value};
use crate::sshconfig::jump_fault;

/// Written as for `ProxyJump`; `none` goes straight to the host, whatever an ssh_config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JumpHosts(pub String);

impl JumpHosts {
    fn checked(text: String) -> Result<Self, Bad> {
        match jump_fault(&text) {
            None => Ok(Self(text)),
            Some(_) => Err(Bad::expected(
                "[user@]host[:port], several in an array or separated by commas, or \"none\"",
            )),
        }
    }
}

impl Value for JumpHosts {
    const EXPECTED: &'static str = "a jump host, as in \"user@bastion:22\", or an array of them";

    fn from_toml(value: &DeValue<'_>, _: &Base) -> Option<Result<Self, Bad>> {
        if let Some(text) = value.as_str() {
            return Some(Self::checked(text.to_owned()));
        }
        let hops: Option<Vec<&str>> = value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect();
        Some(match hops {
            Some(hops) if !hops.is_empty() => Self::checked(hops.join(",")),
            Some(_) => Ok(Self("none".to_owned())),
            None => Err(Bad::expected(Self::EXPECTED)),
        })
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        Self::checked(text.to_owned())
    }

    fn json(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}
