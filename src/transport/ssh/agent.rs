//! ssh-agent, or a signature of our own: what a key in hand or out of it needs to log in.

use std::path::Path;
use std::sync::Arc;

use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{self, Certificate, HashAlg, PrivateKey};
use russh::{SendError, Signer};
use tokio::net::UnixStream;

use super::settings::Settings;

/// A connection to an agent, with what it holds.
pub(super) struct Agent {
    pub client: AgentClient<UnixStream>,
    pub identities: Vec<AgentIdentity>,
}

/// A key as a person knows it: several may have the same comment, and some have none.
pub(super) fn name(identity: &AgentIdentity) -> String {
    let print = identity.public_key().fingerprint(HashAlg::Sha256);
    match identity.comment() {
        "" => format!("{print} from ssh-agent"),
        comment => format!("{comment} {print} from ssh-agent"),
    }
}

/// Connects and lists.
pub(super) async fn open(
    socket: &Path,
    binding: Option<&AgentSessionBinding>,
    settings: &Settings,
) -> Result<Agent, String> {
    // Held until the agent has answered, and not while a host is waited for: a host that hangs must
    // not keep others from the agent.
    let turn = settings.agent_queue.acquire().await;
    let listed = list(socket, binding).await;
    drop(turn);
    match listed {
        Ok(agent) if agent.identities.is_empty() => {
            Err(format!("ssh-agent at {} holds no key", socket.display()))
        }
        Ok(agent) => Ok(agent),
        Err(error) => Err(format!("ssh-agent at {} does not answer: {error}", socket.display())),
    }
}

/// What the agent has, which may be nothing.
pub(super) async fn list(socket: &Path, binding: Option<&AgentSessionBinding>) -> Result<Agent, keys::Error> {
    let mut client = AgentClient::connect_uds(socket).await?;
    if let Some(binding) = binding {
        // Keys that are limited to some hosts are shown only after this; agents before OpenSSH 8.9
        // refuse it and have no such keys.
        let _ = client.bind_session(binding, false).await;
    }
    let identities = client.request_identities().await?;
    Ok(Agent { client, identities })
}

impl Agent {
    /// What the agent calls that key, if it has it.
    pub fn holds(&self, key: &KeyData) -> Option<&AgentIdentity> {
        let is_it = |identity: &&AgentIdentity| matches!(identity, AgentIdentity::PublicKey { key: held, .. } if held.key_data() == key);
        self.identities.iter().find(is_it)
    }

    pub fn has(&self, wanted: &Certificate) -> bool {
        let is_it = |identity: &AgentIdentity| matches!(identity, AgentIdentity::Certificate { certificate, .. } if certificate == wanted);
        self.identities.iter().any(is_it)
    }
}

/// Signs with the plain key of a certificate that the agent does not have itself.
pub(super) struct Plain<'a>(pub &'a mut AgentClient<UnixStream>);

impl Signer for Plain<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let key = AgentIdentity::from(identity.public_key().into_owned());
        self.0.sign_request(&key, hash, to_sign).await.map_err(|error| SignError::Key(error.to_string()))
    }
}

/// Signs with a key that we have, in the hash that was agreed on. russh itself would sign a certificate's
/// RSA key with SHA-1.
pub(super) struct Own(pub Arc<PrivateKey>);

#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error("{0}")]
    Key(String),
    #[error("the connection is gone")]
    Gone,
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl Own {
    fn sign(&self, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, SignError> {
        use russh::keys::signature::Signer as _;
        let failed = |error: &dyn std::fmt::Display| SignError::Key(error.to_string());
        let signature: Signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&data).map_err(|error| failed(&error))?,
            other => other.try_sign(&data).map_err(|error| failed(&error))?,
        };
        let mut encoded = Vec::new();
        signature.encode(&mut encoded).map_err(|error| failed(&error))?;
        encoded.as_slice().encode(&mut data).map_err(|error| failed(&error))?;
        Ok(data)
    }
}

impl Signer for Own {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        self.sign(hash, to_sign)
    }
}
