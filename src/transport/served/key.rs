//! Key pairs that live as long as a demo does.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, ssh_key};

/// Why a key could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("make an ed25519 key: {0}")]
    Make(#[from] ssh_key::Error),
    #[error("write the private key {path}: {source}")]
    Write { path: String, source: std::io::Error },
}

/// A generated ed25519 key pair.
#[derive(Clone)]
pub struct KeyPair(PrivateKey);

impl KeyPair {
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().clone())
    }

    /// Writes the private half for its owner alone. An existing file is an error: it may be a key
    /// somebody still needs.
    pub fn write_private(&self, path: &Path) -> Result<(), KeyError> {
        let text = self.0.to_openssh(LineEnding::LF)?;
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|source| KeyError::Write { path: path.display().to_string(), source })
    }

    pub(super) fn private(&self) -> PrivateKey {
        self.0.clone()
    }
}

/// The half that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    /// `ssh-ed25519 AAAA…`, as authorized_keys and known_hosts write it.
    pub fn to_line(&self) -> Result<String, KeyError> {
        Ok(self.0.to_openssh()?)
    }

    /// Compares what signs, not the comment that travels with it.
    pub(super) fn is(&self, offered: &ssh_key::PublicKey) -> bool {
        self.0.key_data() == offered.key_data()
    }
}
