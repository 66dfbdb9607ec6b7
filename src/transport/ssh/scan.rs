//! Learning a host's keys on purpose: as far as the host key, and not a step further.

use std::sync::Arc;

use data_encoding::BASE64;

use super::algorithms;
use super::client::Check;
use super::connect::{Unshaken, shake};
use super::failure::ConnectError;
use super::settings::Settings;
use crate::model::Host;
use crate::transport::known_hosts::{HostId, KeyTypes, fingerprint, type_name};

/// A key that a host showed and proved to hold. Whether it is the right one, only a person can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519`, `ssh-rsa`, …
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint_sha256: String,
    /// For known_hosts.
    pub line: String,
}

/// The ed25519, ECDSA and RSA keys of a host, as far as it has them: a connection for each.
pub async fn scan_host_key(host: &Host, settings: &Settings) -> Result<Vec<HostKey>, ConnectError> {
    const ECDSA: [&[u8]; 3] = [b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521"];
    let ecdsa = ECDSA.into_iter().fold(KeyTypes::NONE, |types, name| types.union(KeyTypes::named(name)));
    let mut keys = Vec::new();
    for types in [KeyTypes::named(b"ssh-ed25519"), ecdsa, KeyTypes::named(b"ssh-rsa")] {
        keys.extend(scan_types(host, settings, types).await?);
    }
    if keys.is_empty() {
        return Err(ConnectError::unreachable(format!(
            "{} has no host key of a type that we can verify",
            host.address
        )));
    }
    Ok(keys)
}

async fn scan_types(
    host: &Host,
    settings: &Settings,
    types: KeyTypes,
) -> Result<Option<HostKey>, ConnectError> {
    let config = Arc::new(algorithms::config_for_only(types));
    match shake(host, settings, config, Check::Learn).await {
        Err(Unshaken::HostKey { key, .. }) => Ok(Some(describe(host, &key))),
        // The handler accepts no key here, so there is no such connection.
        Ok(_) | Err(Unshaken::NoHostKey(_)) => Ok(None),
        Err(Unshaken::Other(error)) => Err(error),
    }
}

fn describe(host: &Host, key: &[u8]) -> HostKey {
    let algorithm = type_name(key);
    let id = HostId::new(&host.address, host.port);
    HostKey {
        line: format!("{} {algorithm} {}", id.as_str(), BASE64.encode(key)),
        fingerprint_sha256: fingerprint(key),
        algorithm,
    }
}
