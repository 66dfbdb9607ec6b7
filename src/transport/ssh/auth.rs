//! Logging in: the host's key files in order, then ssh-agent. No passwords, and no questions.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{Client, Witness};
use super::connect::Shaken;
use super::failure::{ConnectError, Phase};
use super::key::{UserKey, named_keys};
use super::settings::Settings;
use crate::model::{Agent, Host, Outcome};

/// A server says which RSA signatures it takes right after the key exchange, if it says it at all.
const RSA_WAIT: Duration = Duration::from_millis(300);

/// Logs in, and hands the connection back.
pub(super) async fn authenticate(
    mut shaken: Shaken,
    host: &Host,
    settings: &Settings,
) -> Result<Shaken, ConnectError> {
    shaken.guard.enter(Phase::Authentication);
    let mut login = Login {
        handle: &mut shaken.handle,
        witness: &shaken.witness,
        user: &host.user,
        rsa: None,
        tried: Vec::new(),
        refused: Vec::new(),
        notes: Vec::new(),
        accepts: None,
    };
    let end = match shaken.guard.within(settings, login.run(host, settings)).await {
        Ok(end) => end,
        Err(phase) => return Err(ConnectError::timed_out(phase, phase.limit(settings), &shaken.peer)),
    };
    match end {
        End::In => {}
        End::Out => return Err(login.failure(&shaken.peer)),
        End::Lost => {
            let why = login.why_lost();
            return Err(if login.tried.is_empty() || !shaken.witness.seen().said_goodbye {
                ConnectError::broken_off(Phase::Authentication, &shaken.peer, &why)
            } else {
                // Too many keys, or a user it does not let in: its goodbye is its answer.
                login.notes.insert(0, why);
                login.failure(&shaken.peer)
            });
        }
    }
    shaken.guard.enter_session(settings.max_received.0);
    Ok(shaken)
}

/// How an attempt to log in went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    In,
    /// Every key is refused, or the server takes no more keys.
    Out,
    /// The connection is gone.
    Lost,
}

struct Login<'a> {
    handle: &'a mut Handle<Client>,
    witness: &'a Witness,
    user: &'a str,
    /// Asked for once, when the first RSA key comes up.
    rsa: Option<HashAlg>,
    /// The keys that were offered, as a person knows them.
    tried: Vec<String>,
    refused: Vec<PublicKey>,
    /// What else the person should know: keys that could not be used, and why.
    notes: Vec<String>,
    /// What the server says it would take.
    accepts: Option<MethodSet>,
}

impl Login<'_> {
    async fn run(&mut self, host: &Host, settings: &Settings) -> End {
        for path in &host.identity_files {
            match &*settings.key(path) {
                Ok(key) => {
                    if let Some(end) = self.offer_file(key).await {
                        return end;
                    }
                }
                Err(fault) => self.notes.push(fault.to_string()),
            }
        }
        let socket = match &host.ssh.agent {
            Agent::Usual => settings.agent.as_ref(),
            Agent::Off => None,
            Agent::Socket(path) => Some(path),
        };
        let Some(socket) = socket else { return End::Out };
        let named = host.ssh.identities_only.then(|| named_keys(&host.identity_files));
        self.offer_agent((socket, named.as_deref()), settings).await.unwrap_or(End::Out)
    }

    async fn offer_file(&mut self, key: &UserKey) -> Option<End> {
        let public = key.private.public_key().clone();
        let name = key.path.display().to_string();
        let hash = self.signature_hash(&public).await;
        let signing = PrivateKeyWithHashAlg::new(Arc::clone(&key.private), hash);
        self.tried.push(format!("{name} ({})", signing.algorithm()));
        let answer = self.handle.authenticate_publickey(self.user, signing).await;
        self.judge(answer.ok(), public)
    }

    /// With `named`, the agent's other keys are left alone.
    async fn offer_agent(
        &mut self,
        (socket, named): (&Path, Option<&[PublicKey]>),
        settings: &Settings,
    ) -> Option<End> {
        // Held until the agent has answered, and not while a host is waited for: a host that hangs must
        // not keep others from the agent.
        let turn = settings.agent_queue.acquire().await;
        let listed = self.list_identities(socket).await;
        drop(turn);
        let (mut agent, identities) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.notes.push(format!("ssh-agent at {} does not answer: {error}", socket.display()));
                return None;
            }
        };
        if identities.is_empty() {
            self.notes.push(format!("ssh-agent at {} holds no key", socket.display()));
        }
        let wanted = |identity: &AgentIdentity| {
            let key = identity.public_key();
            named.is_none_or(|named| named.iter().any(|named| named.key_data() == key.key_data()))
        };
        for identity in identities.into_iter().filter(wanted) {
            if let Some(end) = self.offer_identity(&mut agent, identity).await {
                return Some(end);
            }
        }
        None
    }

    async fn list_identities(
        &self,
        socket: &Path,
    ) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), keys::Error> {
        let mut agent = AgentClient::connect_uds(socket).await?;
        if let Some(binding) = self.handle.agent_session_binding() {
            // Keys that are limited to some hosts are shown only after this; agents before OpenSSH 8.9
            // refuse it and have no such keys.
            let _ = agent.bind_session(binding, false).await;
        }
        let identities = agent.request_identities().await?;
        Ok((agent, identities))
    }

    async fn offer_identity(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
    ) -> Option<End> {
        let public = identity.public_key().into_owned();
        let is_plain = matches!(identity, AgentIdentity::PublicKey { .. });
        if is_plain && self.refused.iter().any(|refused| refused.key_data() == public.key_data()) {
            return None;
        }
        let name = format!("{} from ssh-agent", identity.comment());
        let hash = self.signature_hash(&public).await;
        self.tried.push(format!("{name} ({})", public.algorithm()));
        let answer = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(self.user, key, hash, agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(self.user, certificate, hash, agent).await
            }
        };
        match answer {
            Ok(answer) => self.judge(Some(answer), public),
            Err(_) if self.handle.is_closed() => Some(End::Lost),
            Err(error) => {
                self.notes.push(format!("ssh-agent did not sign with {name}: {error}"));
                None
            }
        }
    }

    /// What a server's answer to a key means; `None` goes on to the next key.
    fn judge(&mut self, answer: Option<AuthResult>, key: PublicKey) -> Option<End> {
        match answer {
            Some(AuthResult::Success) => Some(End::In),
            // russh also says failure, and that nothing is left to try, when the connection is gone.
            Some(AuthResult::Failure { .. }) | None if self.handle.is_closed() => Some(End::Lost),
            None => Some(End::Lost),
            Some(AuthResult::Failure { remaining_methods, partial_success }) => {
                if partial_success {
                    self.notes.push("that key is accepted, but not enough by itself".to_owned());
                }
                self.refused.push(key);
                let goes_on = remaining_methods.contains(&MethodKind::PublicKey);
                self.accepts = Some(remaining_methods);
                (!goes_on).then_some(End::Out)
            }
        }
    }

    /// The hash to sign with, for keys that leave the choice: RSA. SHA-1 is never one.
    async fn signature_hash(&mut self, key: &PublicKey) -> Option<HashAlg> {
        if !key.algorithm().is_rsa() {
            return None;
        }
        if self.rsa.is_none() {
            let said = timeout(RSA_WAIT, self.handle.best_supported_rsa_hash()).await;
            self.rsa = said.ok().and_then(Result::ok).flatten().flatten().or(Some(HashAlg::Sha512));
        }
        self.rsa
    }

    fn why_lost(&self) -> String {
        let ended = self.witness.seen().ended.clone();
        ended.unwrap_or_else(|| super::failure::CLOSED.to_owned())
    }

    fn failure(&self, peer: &str) -> ConnectError {
        let mut parts = vec![if self.tried.is_empty() {
            format!(
                "no key to offer to {}@{peer}: set identity_files, or load a key into ssh-agent",
                self.user
            )
        } else {
            format!("{}@{peer} refused {}", self.user, self.tried.join(", "))
        }];
        if let Some(methods) = &self.accepts {
            let names: Vec<&str> = methods.iter().map(Into::into).collect();
            parts.push(format!(
                "it accepts {}",
                if names.is_empty() { "nothing else".to_owned() } else { names.join(", ") }
            ));
        }
        parts.extend(self.notes.iter().cloned());
        ConnectError::new(Outcome::AuthFailed, parts.join("; "))
    }
}
