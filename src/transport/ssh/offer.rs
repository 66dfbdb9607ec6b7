//! What is shown to a server to log in, and who signs for it. It sends nothing itself.

use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet};

use super::agent::Agent;

/// What is offered to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Key(KeyData),
    Certificate(Box<Certificate>),
}

/// Who signs for it.
pub(super) enum By<'a> {
    Own(&'a Arc<PrivateKey>),
    Agent(&'a mut Agent),
}

impl What {
    pub fn key(&self) -> &KeyData {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }

    /// The name under which the server is asked for it.
    pub fn algorithm(&self, hash: Option<HashAlg>) -> String {
        let algorithm = match self.key().algorithm() {
            Algorithm::Rsa { .. } => Algorithm::Rsa { hash },
            other => other,
        };
        match self {
            Self::Key(_) => algorithm.to_string(),
            Self::Certificate(_) => algorithm.to_certificate_type(),
        }
    }
}

/// What the server would take, and why that is no help where it is no key.
pub(super) fn accepted_words(methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(Into::into).collect();
    let text = if names.is_empty() { "nothing else".to_owned() } else { names.join(", ") };
    if methods.contains(&MethodKind::PublicKey) || names.is_empty() {
        return format!("it accepts {text}");
    }
    format!("it accepts {text}: this program logs in with keys only, because nobody is there to answer")
}
