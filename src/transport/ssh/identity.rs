//! What a file of keys is good for: the private key, if we can read it; the public one, which the agent
//! may have the other half of; and certificates for it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{self, Certificate, PublicKey};
use rustix::fs::OFlags;

use super::key::{self, KeyFault, UserKey};
use crate::model::date_text;

/// Far above any public key or certificate.
const MAX_BYTES: u64 = 256 << 10;

/// One of a host's `identity_files`.
#[derive(Debug)]
pub(super) struct Identity {
    pub path: PathBuf,
    pub private: Result<UserKey, KeyFault>,
    /// From the private key, or where only the agent can use that, from the file beside it.
    pub public: Option<PublicKey>,
    /// The certificate beside it, as ssh names it.
    pub certificate: Option<Arc<CertificateFile>>,
}

/// A file with an OpenSSH certificate for one of our keys.
#[derive(Debug)]
pub(super) struct CertificateFile {
    pub path: PathBuf,
    pub certificate: Result<Certificate, String>,
}

pub(super) fn load(path: &Path) -> Identity {
    let private = key::load(path);
    let public = match &private {
        Ok(key) => Some(key.private.public_key().clone()),
        Err(_) => read_public(&beside(path, ".pub")).or_else(|| read_public(path)),
    };
    let certified = beside(path, "-cert.pub");
    let certificate = certified.exists().then(|| Arc::new(load_certificate(&certified)));
    Identity { path: path.to_owned(), private, public, certificate }
}

pub(super) fn load_certificate(path: &Path) -> CertificateFile {
    let read = || -> Result<Certificate, String> {
        let text = read(path).map_err(|error| error.to_string())?;
        let line = text.lines().next().unwrap_or_default();
        if text.len() as u64 >= MAX_BYTES {
            return Err("it is too large".to_owned());
        }
        Certificate::from_openssh(line).map_err(|_| "it is not an OpenSSH certificate".to_owned())
    };
    CertificateFile { path: path.to_owned(), certificate: read() }
}

impl CertificateFile {
    /// The certificate, if it can be of use now; or else why not.
    pub fn usable(&self) -> Result<&Certificate, String> {
        let unusable = |why: String| format!("{} is of no use: {why}", self.path.display());
        let certificate = self.certificate.as_ref().map_err(|why| unusable(why.clone()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if certificate.cert_type() != CertType::User {
            return Err(unusable("it is a host's certificate".to_owned()));
        }
        if now >= certificate.valid_before() {
            let at = date_text(certificate.valid_before());
            return Err(unusable(format!("it expired on {at}: have it signed again")));
        }
        if now < certificate.valid_after() {
            let at = date_text(certificate.valid_after());
            return Err(unusable(format!("it is not valid before {at}: is this machine's clock right?")));
        }
        Ok(certificate)
    }

    /// Whether it is for that key.
    pub fn certifies(&self, key: &KeyData) -> bool {
        self.certificate.as_ref().is_ok_and(|certificate| certificate.public_key() == key)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// The public half, be the file that or, as newer private keys have it readable, an encrypted one.
fn read_public(path: &Path) -> Option<PublicKey> {
    let text = read(path).ok()?;
    let within = || keys::PrivateKey::from_openssh(&text).ok().map(|key| key.public_key().clone());
    PublicKey::from_openssh(text.lines().next()?).ok().or_else(within)
}

fn read(path: &Path) -> std::io::Result<String> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
