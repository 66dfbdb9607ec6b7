//! What we offer a server: no SHA-1, no CBC, no compression, and nothing that Terrapin breaks. An
//! ssh_config may narrow it and change its order; it cannot add to it.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, SshId, cipher, client, compression, kex, mac};

use super::connect::Role;
use super::lists::{Unmet, choose};
use crate::model::{Algorithms, SshOptions};
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
];

/// No key exchanges, but what is said beside them.
const EXTENSIONS: &[kex::Name] =
    &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

/// chacha20-poly1305 is only used with strict key exchange; [`is_weak`] is asked before it counts.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];

/// Both ciphers authenticate by themselves; these only keep the negotiation from failing.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];

/// Room for what a host sends before it hears from us again. Four channels at once stay within 1 MiB.
const WINDOW_BYTES: u32 = 256 << 10;

/// Messages of a channel that may wait for their reader before the whole connection does.
const CHANNEL_MESSAGES: usize = 8;

/// The same where each channel is another host: one that is slow to read must not stop the others.
const LANE_MESSAGES: usize = 64;

/// A jump host's connection serves many and may be quiet for long: it is asked for a sign of life this
/// often unless an ssh_config says otherwise, so that those behind it learn that it is gone.
const JUMP_ALIVE: Duration = Duration::from_secs(10);

/// What a connection asks a server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// Host keys of these types before the others.
    pub first: KeyTypes,
    /// Host certificates before plain keys: there is an authority that could have signed one.
    pub certificates: bool,
    pub role: Role,
}

/// What russh is told for a host with those options.
pub(super) fn config(offer: Offer, options: &SshOptions) -> Result<client::Config, Unmet> {
    let asked = &options.algorithms;
    let keys = chosen_host_keys(asked, host_keys(offer.first))?;
    let mut config = with_host_keys(keys, asked)?;
    if !offer.certificates {
        config.preferred.host_key_certificates = Cow::Borrowed(&[]);
    }
    config.keepalive_interval = options.server_alive_interval;
    config.keepalive_max = options.server_alive_count.try_into().unwrap_or(usize::MAX);
    if offer.role == Role::Jump {
        config.channel_buffer_size = LANE_MESSAGES;
        config.keepalive_interval = config.keepalive_interval.or(Some(JUMP_ALIVE));
    }
    Ok(config)
}

/// The configuration that accepts host keys of those types only, and no certificates.
pub(super) fn config_for_only(types: KeyTypes, options: &SshOptions) -> Result<client::Config, Unmet> {
    let of_types =
        host_keys(types).into_iter().filter(|algorithm| types.contains(key_type(algorithm))).collect();
    let keys = HostKeys { plain: of_types, certified: Vec::new() };
    with_host_keys(keys, &options.algorithms)
}

struct HostKeys {
    plain: Vec<Algorithm>,
    certified: Vec<Algorithm>,
}

fn with_host_keys(keys: HostKeys, asked: &Algorithms) -> Result<client::Config, Unmet> {
    let mut kex = choose("KexAlgorithms", KEY_EXCHANGES, asked.key_exchange.as_ref())?;
    kex.extend_from_slice(EXTENSIONS);
    Ok(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-dropsonde_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: Preferred {
            kex: Cow::Owned(kex),
            key: Cow::Owned(keys.plain),
            host_key_certificates: Cow::Owned(keys.certified),
            cipher: Cow::Owned(choose("Ciphers", CIPHERS, asked.ciphers.as_ref())?),
            mac: Cow::Owned(macs(asked)?),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        // Our own line has a deadline for every phase and closes the socket itself.
        inactivity_timeout: None,
        ..client::Config::default()
    })
}

/// Neither of our ciphers uses a MAC, so a list that has none of ours forbids nothing that is used.
fn macs(asked: &Algorithms) -> Result<Vec<mac::Name>, Unmet> {
    choose("MACs", MACS, asked.macs.as_ref()).or_else(|_| Ok(MACS.to_vec()))
}

/// HostKeyAlgorithms names plain keys and certificates in one list.
fn chosen_host_keys(asked: &Algorithms, usual: Vec<Algorithm>) -> Result<HostKeys, Unmet> {
    let Some(list) = &asked.host_key else {
        return Ok(HostKeys { certified: usual.clone(), plain: usual });
    };
    let names: Vec<Named> = usual
        .iter()
        .map(|key| Named::new(key, true))
        .chain(usual.iter().map(|key| Named::new(key, false)))
        .collect();
    let chosen = choose("HostKeyAlgorithms", &names, Some(list))?;
    let of = |certified: bool| {
        let those = chosen.iter().filter(|named| named.certified == certified);
        those.map(|named| named.algorithm.clone()).collect()
    };
    Ok(HostKeys { plain: of(false), certified: of(true) })
}

/// An algorithm of keys under the name that it has in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    algorithm: Algorithm,
    certified: bool,
    name: String,
}

impl Named {
    fn new(algorithm: &Algorithm, certified: bool) -> Self {
        let name = if certified { algorithm.to_certificate_type() } else { algorithm.to_string() };
        Self { algorithm: algorithm.clone(), certified, name }
    }
}

impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

fn host_keys(first: KeyTypes) -> Vec<Algorithm> {
    let mut all = signing_algorithms();
    // Stable: within both halves the order above stays.
    all.sort_by_key(|algorithm| !first.contains(key_type(algorithm)));
    all
}

/// What hosts and authorities may sign with, the one we like best first.
fn signing_algorithms() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

/// The algorithms that a certificate authority may have signed with.
pub(super) fn authority_signatures(asked: &Algorithms) -> Result<Vec<String>, Unmet> {
    let mut usual: Vec<String> = signing_algorithms().iter().map(ToString::to_string).collect();
    usual.extend(SECURITY_KEYS.map(str::to_owned));
    choose("CASignatureAlgorithms", &usual, asked.ca_signature.as_ref())
}

/// Keys on FIDO tokens: they sign for us and for authorities, through ssh-agent.
const SECURITY_KEYS: [&str; 2] = ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];

/// The algorithms that we may sign with to log in, plain and with certificates.
pub(super) fn login_signatures(asked: &Algorithms) -> Result<Vec<String>, Unmet> {
    let signing = signing_algorithms();
    let mut usual: Vec<String> = signing.iter().map(Algorithm::to_certificate_type).collect();
    usual.extend(SECURITY_KEYS.map(|name| name.replace("@openssh.com", "-cert-v01@openssh.com")));
    usual.extend(signing.iter().map(ToString::to_string));
    usual.extend(SECURITY_KEYS.map(str::to_owned));
    choose("PubkeyAcceptedAlgorithms", &usual, asked.pubkey.as_ref())
}

/// RSA keys below this many bits are refused, the host's, its authority's and ours. As ssh has it, unless
/// an ssh_config asks for more.
pub(super) fn min_rsa_bits(asked: &Algorithms) -> u32 {
    asked.min_rsa_bits.unwrap_or(0).max(1024)
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
    use crate::model::{AlgorithmList, ListChange};

    fn offered(first: KeyTypes, options: &SshOptions) -> Result<Preferred, Unmet> {
        let offer = Offer { first, certificates: true, role: Role::Target };
        config(offer, options).map(|config| config.preferred)
    }

    #[test]
    fn known_host_key_types_come_first() {
        let order = |first: KeyTypes| -> Vec<String> {
            let preferred = offered(first, &SshOptions::default()).unwrap();
            preferred.key.iter().map(ToString::to_string).collect()
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
        let only = config_for_only(KeyTypes::named(b"ecdsa-sha2-nistp256"), &SshOptions::default()).unwrap();
        assert_eq!(only.preferred.key.len(), 1);
    }

    #[test]
    fn nothing_weak_is_offered_whatever_is_asked_for() {
        let all_of_them = |change| Some(AlgorithmList { change, names: vec!["*".to_owned()] });
        for list in [None, all_of_them(ListChange::Append), all_of_them(ListChange::Replace)] {
            let asked = Algorithms {
                key_exchange: list.clone(),
                ciphers: list.clone(),
                macs: list.clone(),
                host_key: list.clone(),
                pubkey: list.clone(),
                ca_signature: list,
                min_rsa_bits: None,
            };
            let options = SshOptions { algorithms: asked.clone(), ..SshOptions::default() };
            let preferred = offered(KeyTypes::NONE, &options).unwrap();
            let kex = preferred.kex.iter().map(|name| name.as_ref().to_owned());
            let macs = preferred.mac.iter().map(|name| name.as_ref().to_owned());
            let ciphers = preferred.cipher.iter().map(|name| name.as_ref().to_owned());
            let keys = preferred.key.iter().map(ToString::to_string);
            let certified = preferred.host_key_certificates.iter().map(Algorithm::to_certificate_type);
            let all: Vec<String> = kex
                .chain(macs)
                .chain(ciphers)
                .chain(keys)
                .chain(certified)
                .chain(authority_signatures(&asked).unwrap())
                .chain(login_signatures(&asked).unwrap())
                .collect();
            for name in &all {
                let weak = ["sha1", "cbc", "ctr", "ssh-rsa", "ssh-dss", "none"];
                assert!(!weak.iter().any(|weak| name.contains(weak)), "{name}");
            }
            assert!(all.iter().any(|name| name == "kex-strict-c-v00@openssh.com"));
            assert!(all.iter().any(|name| name == "ssh-ed25519-cert-v01@openssh.com"));
        }
    }

    #[test]
    fn what_an_ssh_config_is_judged_by_is_what_we_have() {
        let plain: Vec<String> = signing_algorithms().iter().map(ToString::to_string).collect();
        let certified = signing_algorithms().iter().map(Algorithm::to_certificate_type).collect::<Vec<_>>();
        let none = Algorithms::default();
        for (directive, judged) in crate::sshconfig::OFFERED {
            let ours: Vec<String> = match *directive {
                "KexAlgorithms" => KEY_EXCHANGES.iter().map(|name| name.as_ref().to_owned()).collect(),
                "Ciphers" => CIPHERS.iter().map(|name| name.as_ref().to_owned()).collect(),
                "HostKeyAlgorithms" => certified.iter().chain(&plain).cloned().collect(),
                "PubkeyAcceptedAlgorithms" => login_signatures(&none).unwrap(),
                other => panic!("{other}"),
            };
            assert_eq!(*judged, ours, "{directive}");
        }
    }

    #[test]
    fn an_ssh_config_narrows_and_reorders() {
        let list = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Some(AlgorithmList { change: ListChange::Replace, names })
        };
        let algorithms = Algorithms {
            ciphers: list(&["aes128-ctr", "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]),
            host_key: list(&["rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com", "ssh-rsa"]),
            macs: list(&["hmac-sha1"]),
            ..Algorithms::default()
        };
        let options = SshOptions { algorithms, ..SshOptions::default() };
        let preferred = offered(KeyTypes::NONE, &options).unwrap();
        assert_eq!(&*preferred.cipher, [cipher::CHACHA20_POLY1305, cipher::AES_256_GCM]);
        assert_eq!(&*preferred.key, [Algorithm::Rsa { hash: Some(HashAlg::Sha256) }]);
        assert_eq!(&*preferred.host_key_certificates, [Algorithm::Ed25519]);
        assert_eq!(&*preferred.mac, MACS);
        let algorithms = Algorithms { ciphers: list(&["aes128-cbc"]), ..Algorithms::default() };
        let error = offered(KeyTypes::NONE, &SshOptions { algorithms, ..SshOptions::default() }).unwrap_err();
        assert!(
            error.to_string().contains("aes256-gcm@openssh.com, chacha20-poly1305@openssh.com"),
            "{error}"
        );
    }
}
