//! Learning a host's keys on purpose: as far as the host key, and not a step further.

use std::sync::Arc;

use data_encoding::BASE64;

use super::algorithms::{self, Offer};
use super::client::Check;
use super::connect::{Role, Unshaken, Way, shake};
use super::failure::{self, ConnectError};
use super::settings::Settings;
use crate::model::Host;
use crate::transport::known_hosts::{HostId, KeyTypes, KnownHosts, Place, Verdict, fingerprint, type_name};

/// A key that a host showed and proved to hold. Whether it is the right one, only a person can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519`, `ssh-rsa`, …
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint_sha256: String,
    /// For known_hosts.
    pub line: String,
    blob: Vec<u8>,
}

/// What a host's keys mean to somebody who may have met it before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Introduction {
    /// One of its keys stands in known_hosts already.
    Known(Place),
    /// It is in no known_hosts file; these are its keys.
    New(Vec<HostKey>),
}

/// Scans a host's keys and holds them against known_hosts. A key that is revoked, or is not the one
/// that is known, is an error with the place: no question to a person may let it through.
pub async fn introduce(host: &Host, settings: &Settings) -> Result<Introduction, ConnectError> {
    failure::barred(host)?;
    let known = settings.known_hosts(&host.known_hosts);
    let id = HostId::of(host);
    if known.has_authority(&id)
        && let Some(place) = vouched(host, settings, (&known, &id)).await?
    {
        return Ok(Introduction::Known(place));
    }
    let keys = scan_host_key(host, settings).await?;
    let verdicts: Vec<Verdict> = keys.iter().map(|key| known.verdict(&id, &key.blob)).collect();
    let refusal = |(key, verdict): (&HostKey, &Verdict)| {
        failure::host_key(host, &id, &key.blob, (&known, verdict, Role::Target))
    };
    let judged = || keys.iter().zip(&verdicts);
    if let Some(bad) = judged().find(|(key, verdict)| match verdict {
        Verdict::Revoked(_) => true,
        Verdict::Changed { types, .. } => types.contains(KeyTypes::of(&key.blob)),
        Verdict::Known(_) | Verdict::Unknown { .. } => false,
    }) {
        return Err(refusal(bad));
    }
    if let Some(place) = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Known(place) => Some(place.clone()),
        _ => None,
    }) {
        return Ok(Introduction::Known(place));
    }
    // The types that are known are gone, and others are there instead.
    match judged().find(|(_, verdict)| matches!(verdict, Verdict::Changed { .. })) {
        Some(bad) => Err(refusal(bad)),
        None => Ok(Introduction::New(keys)),
    }
}

/// The line whose authority vouches for the host's key, or that has the key itself.
async fn vouched(
    host: &Host,
    settings: &Settings,
    (known, id): (&Arc<KnownHosts>, &HostId),
) -> Result<Option<Place>, ConnectError> {
    let offer = Offer { first: known.key_types(id), certificates: true, role: Role::Target };
    let config = settings.config(host, offer)?;
    match shake(host, (Way::of(host), Role::Target), (settings, config), Check::against(known, id, host))
        .await
    {
        Ok(shaken) => match &shaken.witness.seen().verdict {
            Some(Verdict::Known(place)) => Ok(Some(place.clone())),
            _ => Ok(None),
        },
        Err(Unshaken::HostKey { .. } | Unshaken::NoHostKey(_)) => Ok(None),
        Err(Unshaken::Other(error)) => Err(error),
    }
}

/// The ed25519, ECDSA and RSA keys of a host, as far as it has them: a connection for each.
pub async fn scan_host_key(host: &Host, settings: &Settings) -> Result<Vec<HostKey>, ConnectError> {
    const ECDSA: [&[u8]; 3] = [b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521"];
    let ecdsa = ECDSA.into_iter().fold(KeyTypes::NONE, |types, name| types.union(KeyTypes::named(name)));
    failure::barred(host)?;
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
    // An ssh_config that leaves none of these is no reason against the others.
    let Ok(config) = algorithms::config_for_only(types, &host.ssh) else { return Ok(None) };
    match shake(host, (Way::of(host), Role::Target), (settings, Arc::new(config)), Check::Learn).await {
        Err(Unshaken::HostKey { key, .. }) => Ok(Some(describe(host, &key))),
        // The handler accepts no key here, so there is no such connection.
        Ok(_) | Err(Unshaken::NoHostKey(_)) => Ok(None),
        Err(Unshaken::Other(error)) => Err(error),
    }
}

fn describe(host: &Host, key: &[u8]) -> HostKey {
    let algorithm = type_name(key);
    let id = HostId::of(host);
    HostKey {
        line: format!("{} {algorithm} {}", id.as_str(), BASE64.encode(key)),
        fingerprint_sha256: fingerprint(key),
        algorithm,
        blob: key.to_vec(),
    }
}
