//! The algorithms that this program has, by the names that ssh_config lists give them. It is here, and not
//! only where connections are made, so that a list which leaves none of them is refused with its file and
//! line; a test of the transport holds the two together.

use super::pattern::fits;
use crate::model::{AlgorithmList, ListChange};

/// A directive and those that it chooses among. `MACs` is none of them, because our ciphers
/// need no MAC; nor is `CASignatureAlgorithms`, which concerns only hosts that show a certificate.
pub const OFFERED: &[(&str, &[&str])] = &[
    (
        "KexAlgorithms",
        &[
            "mlkem768x25519-sha256",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
        ],
    ),
    ("Ciphers", &["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]),
    ("HostKeyAlgorithms", &HOST_KEYS),
    ("PubkeyAcceptedAlgorithms", &LOGINS),
];

const HOST_KEYS: [&str; 12] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

const LOGINS: [&str; 16] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// What is wrong with a list that leaves none of ours, if it does.
pub(super) fn fault(directive: &str, list: &AlgorithmList) -> Option<String> {
    let (_, ours) = OFFERED.iter().find(|(name, _)| *name == directive)?;
    let is_named = |name: &&&str| list.names.iter().any(|pattern| fits(name, pattern));
    let leaves_one = match list.change {
        ListChange::Replace => ours.iter().any(|name| is_named(&name)),
        ListChange::Remove => !ours.iter().all(|name| is_named(&name)),
        // Ours are there already.
        ListChange::Append | ListChange::Prepend => true,
    };
    let sha1 = match directive {
        "HostKeyAlgorithms" | "PubkeyAcceptedAlgorithms"
            if list.names.iter().any(|name| name == "ssh-rsa") =>
        {
            " (ssh-rsa signs with SHA-1)"
        }
        _ => "",
    };
    (!leaves_one).then(|| format!("it leaves nothing to use{sha1}: this program has {}", ours.join(", ")))
}
