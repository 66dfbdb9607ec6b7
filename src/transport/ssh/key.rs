//! Private keys from files, under the rules that ssh has for them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{self, PrivateKey};
use rustix::fs::OFlags;

/// A key of 16,384 bits is 13 KB.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is a folder: name a file of a key in it")]
    Folder { path: PathBuf },
    #[error("{path} is open to others (mode {mode:04o}): chmod 600 it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path} is encrypted: add it to ssh-agent (ssh-add {path})")]
    Encrypted { path: PathBuf },
    #[error("{path} is not a private key that this program can read: {reason}")]
    NotAKey { path: PathBuf, reason: String },
}

/// A private key, ready to sign.
#[derive(Debug)]
pub(super) struct UserKey {
    pub private: Arc<PrivateKey>,
}

pub(super) fn load(path: &Path) -> Result<UserKey, KeyFault> {
    let unreadable = |source| KeyFault::Unreadable { path: path.to_owned(), source };
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblocking).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(KeyFault::Folder { path: path.to_owned() });
    }
    let mut text = String::new();
    let read = file.take(MAX_KEY_BYTES).read_to_string(&mut text);
    // As ssh has it: a key that is ours is kept from others; of a key that is not, its owner decides. A
    // public half is for others.
    let is_ours = metadata.uid() == rustix::process::getuid().as_raw();
    if metadata.mode() & 0o077 != 0 && is_ours && !is_public(&text) {
        return Err(KeyFault::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    read.map_err(unreadable)?;
    match keys::decode_secret_key(&text, None) {
        Ok(private) => Ok(UserKey { private: Arc::new(private) }),
        Err(_) if is_encrypted(&text) => Err(KeyFault::Encrypted { path: path.to_owned() }),
        Err(keys::Error::KeyIsEncrypted) => Err(KeyFault::Encrypted { path: path.to_owned() }),
        Err(error) => Err(KeyFault::NotAKey { path: path.to_owned(), reason: reason(&text, &error) }),
    }
}

/// The PEM formats say it in their text; the parser has another word for it with each cipher.
fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn is_public(text: &str) -> bool {
    let first = text.trim_start();
    ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| first.starts_with(kind))
}

fn reason(text: &str, error: &keys::Error) -> String {
    if is_public(text) {
        "it is the public half, and the private one is not in ssh-agent: name the file without .pub"
            .to_owned()
    } else if !text.contains("PRIVATE KEY-----") {
        "it has no PRIVATE KEY block".to_owned()
    } else {
        error.to_string()
    }
}
