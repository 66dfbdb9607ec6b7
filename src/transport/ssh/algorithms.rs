//! What we offer a server: no SHA-1, no CBC, no compression, and nothing that Terrapin breaks.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, SshId, cipher, client, compression, kex, mac};

use crate::transport::known_hosts::KeyTypes;

/// The hybrid first: what is read from hosts is worth keeping from who records traffic today and
/// breaks it later, and it costs a quarter of a millisecond (0.72 ms a visit instead of 0.48). The NIST curves are for hosts in FIPS mode, which have
/// nothing else in common with us.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// chacha20-poly1305 is only used with strict key exchange; [`is_weak`] is asked before it counts.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];

/// Both ciphers authenticate by themselves; these only keep the negotiation from failing.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];

/// Room for what a host sends before it hears from us again. Four channels at once stay within 1 MiB.
const WINDOW_BYTES: u32 = 256 << 10;

/// Messages of a channel that may wait for their reader before the whole connection does.
const CHANNEL_MESSAGES: usize = 8;

/// The configuration that asks for host keys of the types in `first` before the others.
pub(super) fn config(first: KeyTypes) -> client::Config {
    with_host_keys(host_keys(first))
}

/// The configuration that accepts host keys of those types only.
pub(super) fn config_for_only(types: KeyTypes) -> client::Config {
    with_host_keys(
        host_keys(types).into_iter().filter(|algorithm| types.contains(key_type(algorithm))).collect(),
    )
}

fn with_host_keys(host_keys: Vec<Algorithm>) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-dropsonde_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: Cow::Owned(host_keys),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        // Our own line has a deadline for every phase and closes the socket itself.
        inactivity_timeout: None,
        ..client::Config::default()
    }
}

fn host_keys(first: KeyTypes) -> Vec<Algorithm> {
    let mut all = vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ];
    // Stable: within both halves the order above stays.
    all.sort_by_key(|algorithm| !first.contains(key_type(algorithm)));
    all
}

/// The type of key that an algorithm signs with: `ssh-rsa` for both of RSA's.
fn key_type(algorithm: &Algorithm) -> KeyTypes {
    match algorithm {
        Algorithm::Rsa { .. } => KeyTypes::named(b"ssh-rsa"),
        other => KeyTypes::named(other.as_str().as_bytes()),
    }
}

/// Whether what was agreed on is open to Terrapin (CVE-2023-48795).
pub(super) fn is_weak(names: &russh::Names) -> bool {
    names.cipher.as_ref() == cipher::CHACHA20_POLY1305.as_ref() && !names.strict_kex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_host_key_types_come_first() {
        let order = |first: KeyTypes| -> Vec<String> {
            config(first).preferred.key.iter().map(ToString::to_string).collect()
        };
        let usual = [
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ];
        assert_eq!(order(KeyTypes::NONE), usual);
        assert_eq!(order(KeyTypes::named(b"ssh-ed25519")), usual);
        assert_eq!(order(KeyTypes::named(b"ssh-rsa"))[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
        let only = config_for_only(KeyTypes::named(b"ecdsa-sha2-nistp256"));
        assert_eq!(only.preferred.key.len(), 1);
    }

    #[test]
    fn nothing_weak_is_offered() {
        let preferred = config(KeyTypes::NONE).preferred;
        let names = preferred.kex.iter().map(AsRef::as_ref).chain(preferred.mac.iter().map(AsRef::as_ref));
        let names = names.chain(preferred.cipher.iter().map(AsRef::as_ref)).map(str::to_owned);
        let all: Vec<String> = names.chain(preferred.key.iter().map(ToString::to_string)).collect();
        for name in &all {
            assert!(
                !["sha1", "cbc", "ctr", "ssh-rsa", "none"].iter().any(|weak| name.contains(weak)),
                "{name}"
            );
        }
        assert!(all.iter().any(|name| name == "kex-strict-c-v00@openssh.com"));
    }
}
