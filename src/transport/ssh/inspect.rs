//! What this machine has to log in with, looked at and not used: for whoever asks why a login fails.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::agent;
use super::identity;
use super::key::KeyFault;

/// An agent that was asked has this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file of keys, as a connection would find it.
#[derive(Debug)]
pub struct KeySeen {
    /// Why the private key is of no use, if it is not.
    pub fault: Option<KeyFault>,
    /// `type base64`, where it can be told.
    pub public: Option<String>,
    /// Why the certificate beside it is of no use, if there is one and it is not.
    pub certificate_fault: Option<String>,
}

/// Reads a file of keys by the rules that connections have for it.
pub fn inspect_key(path: &Path) -> KeySeen {
    let identity = identity::load(path);
    let public = identity.public.as_ref().and_then(|key| key.to_openssh().ok()).map(|line| plain(&line));
    let certificate_fault = identity.certificate.as_ref().and_then(|certificate| certificate.usable().err());
    KeySeen { fault: identity.private.err(), public, certificate_fault }
}

/// An agent that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    /// The public keys that it holds, each as `type base64`.
    pub keys: Vec<String>,
}

/// Asks the agent behind `socket` for its keys, of which there may be none; why not, if it does not say.
pub async fn inspect_agent(socket: &Path) -> Result<AgentSeen, String> {
    let silent = || format!("ssh-agent at {} does not answer", socket.display());
    match timeout(PATIENCE, agent::list(socket, None)).await {
        Ok(Ok(agent)) => {
            let lines = agent.identities.iter().map(|held| held.public_key().to_openssh());
            Ok(AgentSeen { keys: lines.flatten().map(|line| plain(&line)).collect() })
        }
        Ok(Err(error)) => Err(format!("{}: {error}", silent())),
        Err(_) => Err(silent()),
    }
}

/// Without its comment, which anybody may have written.
fn plain(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
