//! Host certificates: whether one speaks for the host that shows it. Everything that ssh checks, and one
//! thing more: a certificate that names no host is nobody's.

use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

use crate::model::date_text;
use crate::transport::known_hosts::{HostId, KnownHosts, Place, Verdict, fingerprint, matches_pattern};

/// What a host's certificate is to be held against.
pub(super) struct Terms<'a> {
    pub known: &'a KnownHosts,
    pub id: &'a HostId,
    /// The name that must be among its principals: the host's without a port.
    pub name: &'a str,
    /// What the authority may have signed with.
    pub signatures: &'a [String],
    pub min_rsa_bits: u32,
}

/// What a certificate is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// An authority vouches for this host and this key.
    Vouched(Place),
    /// Its key or the authority's is marked as revoked.
    Revoked(Verdict),
    /// No authority of ours signed it: it is as good as its plain key.
    Stranger,
    /// One of ours did, and still it does not hold.
    Void(String),
}

/// Judges a certificate that was shown in a key exchange, which proved that the host has its key.
pub(super) fn judge(certificate: &Certificate, terms: &Terms<'_>) -> Worth {
    let Terms { known, id, .. } = terms;
    let (Ok(own), Ok(signer)) = (blob(certificate.public_key()), blob(certificate.signature_key())) else {
        return Worth::Void("its keys cannot be read".to_owned());
    };
    for key in [&own, &signer] {
        if let Some(place) = known.revoked(id, key) {
            return Worth::Revoked(Verdict::Revoked(place));
        }
    }
    let Some(place) = known.authority(id, &signer) else { return Worth::Stranger };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match fault(certificate, terms, now) {
        None => Worth::Vouched(place),
        Some(why) => Worth::Void(format!("{why} (signed by {}, {place})", fingerprint(&signer))),
    }
}

/// The first thing that is wrong with a certificate which an authority of ours signed.
fn fault(certificate: &Certificate, terms: &Terms<'_>, now: u64) -> Option<String> {
    let signature = certificate.signature().algorithm().to_string();
    if !terms.signatures.contains(&signature) {
        return Some(format!("its authority signed with {signature}, which is not accepted"));
    }
    for (whose, key) in
        [("its key", certificate.public_key()), ("its authority's key", certificate.signature_key())]
    {
        if let Some(bits) = rsa_bits(key).filter(|bits| *bits < terms.min_rsa_bits) {
            return Some(format!("{whose} has only {bits} bits"));
        }
    }
    // An authority's key is a plain one: a certificate as an authority could have been signed by anybody.
    if matches!(certificate.signature_key(), KeyData::Certificate(_) | KeyData::Other(_)) {
        return Some("its authority is no plain key".to_owned());
    }
    if certificate.cert_type() != CertType::Host {
        return Some("it is a user's certificate, not a host's".to_owned());
    }
    if now < certificate.valid_after() {
        let at = date_text(certificate.valid_after());
        return Some(format!("it is not valid before {at}: is this machine's clock right?"));
    }
    if now >= certificate.valid_before() {
        return Some(format!("it expired on {}", date_text(certificate.valid_before())));
    }
    // Validity and authority are judged already: what may still fail is the signature itself.
    let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
    if certificate.validate_at(now, [&signer]).is_err() {
        return Some("its authority's signature is wrong".to_owned());
    }
    if let Some(option) = certificate.critical_options().keys().next() {
        return Some(format!("it has the critical option {option:?}, and a host's may have none"));
    }
    let principals = certificate.valid_principals();
    if principals.is_empty() {
        return Some("it names no host: sign it with ssh-keygen -h -n".to_owned());
    }
    let fits = |principal: &String| matches_pattern(principal.as_bytes(), terms.name.as_bytes());
    if !principals.iter().any(fits) {
        return Some(format!("it is for {}, not for {}", principals.join(", "), terms.name));
    }
    None
}

fn blob(key: &KeyData) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    PublicKey::new(key.clone(), "").to_bytes()
}

/// The length of an RSA key; `None` for other keys, whose type says it.
pub(super) fn rsa_bits(key: &KeyData) -> Option<u32> {
    Some(key.rsa()?.key_size())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    static AUTHORITY: LazyLock<PrivateKey> =
        LazyLock::new(|| PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap());

    fn certificate(kind: CertType, principals: &[&str], change: impl FnOnce(&mut Builder)) -> Certificate {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let (from, to) = (NOW - 60, NOW + 60);
        let mut builder =
            Builder::new_with_random_nonce(&mut safe_rng(), key.public_key(), from, to).unwrap();
        builder.cert_type(kind).unwrap();
        for principal in principals {
            builder.valid_principal(*principal).unwrap();
        }
        change(&mut builder);
        builder.sign(&*AUTHORITY).unwrap()
    }

    fn fault_at(certificate: &Certificate, now: u64) -> String {
        let (known, id) = (KnownHosts::default(), HostId::new("web01.eu", 22));
        let signatures = ["ssh-ed25519".to_owned()];
        let terms =
            Terms { known: &known, id: &id, name: "web01.eu", signatures: &signatures, min_rsa_bits: 1024 };
        fault(certificate, &terms, now).unwrap_or_default()
    }

    #[test]
    fn what_a_certificate_must_not_be() {
        let check = |certificate: &Certificate, expected: &str| {
            let found = fault_at(certificate, NOW);
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
        };
        check(&certificate(CertType::Host, &["web01.eu"], |_| ()), "");
        check(&certificate(CertType::Host, &["web*.eu", "db1"], |_| ()), "");
        check(&certificate(CertType::User, &["web01.eu"], |_| ()), "it is a user's certificate");
        check(&certificate(CertType::Host, &["web02.eu"], |_| ()), "it is for web02.eu, not for web01.eu");
        let option = |builder: &mut Builder| {
            builder.critical_option("force-command", "x").unwrap();
        };
        check(&certificate(CertType::Host, &["web01.eu"], option), "it has the critical option");
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_second_to_before_its_last() {
        let shown = certificate(CertType::Host, &["web01.eu"], |_| ());
        for (at, expected) in
            [(-61, "it is not valid before 2027-01-15 07:59:00 UTC"), (-60, ""), (59, ""), (60, "it expired")]
        {
            let found = fault_at(&shown, NOW.checked_add_signed(at).unwrap());
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{at}: {found}");
        }
    }

    #[test]
    fn a_certificate_with_another_byte_in_it_is_not_signed() {
        let shown = certificate(CertType::Host, &["web01.eu"], |builder| {
            builder.key_id("abcdefgh").unwrap();
        });
        let mut bytes = shown.to_bytes().unwrap();
        let at = bytes.windows(8).position(|part| part == b"abcdefgh").unwrap();
        bytes[at] = b'x';
        let forged = Certificate::from_bytes(&bytes).unwrap();
        assert_eq!(fault_at(&forged, NOW), "its authority's signature is wrong");
    }
}
