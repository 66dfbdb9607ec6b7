//! Logging in: the host's keys in order, each with its certificates first, then what else ssh-agent has.
//! No passwords, and no questions.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::time::timeout;

use super::agent::{self, Agent, Own, Plain};
use super::algorithms::{login_signatures, min_rsa_bits};
use super::certificate::rsa_bits;
use super::client::{Client, Witness};
use super::connect::Shaken;
use super::failure::{CLOSED, ConnectError, LoginEnd, Phase};
use super::identity::{CertificateFile, Identity};
use super::key::KeyFault;
use super::offer::{By, What, accepted_words};
use super::settings::Settings;
use crate::model::{self, Host, Outcome};

/// A server says which RSA signatures it takes right after the key exchange, if it says it at all.
const RSA_WAIT: Duration = Duration::from_millis(300);

/// What sshd says when it has counted as many keys as it takes.
const TOO_MANY: &str = "Too many authentication failures";
const TOO_MANY_REMEDY: &str = ": it counts each key that is offered, so name the right ones in identity_files, or set \
                               IdentitiesOnly yes in the ssh_config";

/// A server without any method says so in place of an answer.
const TAKES_NOTHING: &str = "it takes neither keys nor anything else: see PubkeyAuthentication and \
                             AuthenticationMethods in its sshd_config";

/// A server that goes away without a word at this point has its reasons in its log.
const CLOSED_HINT: &str = " after a key was offered: its log says why (is the account locked or expired?)";

/// Logs in, and hands the connection back.
pub(super) async fn authenticate(
    mut shaken: Shaken,
    host: &Host,
    settings: &Settings,
) -> Result<Shaken, ConnectError> {
    let accepted = login_signatures(&host.ssh.algorithms)
        .map_err(|unmet| ConnectError::new(Outcome::AuthFailed, unmet.to_string()))?;
    shaken.guard.enter(Phase::Authentication);
    let mut login = Login {
        handle: &mut shaken.handle,
        witness: &shaken.witness,
        user: &host.user,
        accepted,
        min_rsa_bits: min_rsa_bits(&host.ssh.algorithms),
        rsa: None,
        tried: Vec::new(),
        taken: Vec::new(),
        refused: Vec::new(),
        notes: Vec::new(),
        accepts: None,
    };
    let timeouts = settings.timeouts_for(host);
    let end = match shaken.guard.within(&timeouts, login.run(host, settings)).await {
        Ok(end) => end,
        Err(phase) => return Err(ConnectError::timed_out(phase, phase.limit(&timeouts), &shaken.peer)),
    };
    match end {
        End::In => {}
        End::Out => return Err(login.failure(&shaken.peer)),
        End::Lost => return Err(login.lost(&shaken.peer)),
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
    /// The algorithms that we may sign with.
    accepted: Vec<String>,
    min_rsa_bits: u32,
    /// What the server likes best of RSA's. Asked for once, when the first RSA key comes up.
    rsa: Option<HashAlg>,
    /// The keys that were offered, as a person knows them.
    tried: Vec<String>,
    /// Those of them that the server took, and wants more than.
    taken: Vec<String>,
    /// What the server will not have a second time: keys, and certificates by their serialised form.
    refused: Vec<What>,
    /// What else the person should know: keys that could not be used, and why.
    notes: Vec<String>,
    /// What the server says it would take.
    accepts: Option<MethodSet>,
}

impl Login<'_> {
    async fn run(&mut self, host: &Host, settings: &Settings) -> End {
        let extra: Vec<_> =
            host.ssh.certificate_files.iter().map(|path| settings.certificate(path)).collect();
        let identities: Vec<_> = host.identity_files.iter().map(|path| settings.identity(path)).collect();
        let socket = match &host.ssh.agent {
            model::Agent::Usual => settings.agent.as_deref(),
            model::Agent::Off => None,
            model::Agent::Socket(path) => Some(path.as_path()),
        };
        // The agent is asked when the first key needs it.
        let mut agent = Lazy::Closed(socket);
        for identity in &identities {
            if let Some(end) = self.offer_identity(identity, &extra, (&mut agent, settings)).await {
                return end;
            }
        }
        let mut agent = agent.open(self, settings).await;
        for file in &extra {
            if let Some(end) = self.offer_orphan(file, &identities, agent.as_mut()).await {
                return end;
            }
        }
        match agent {
            Some(agent) if !host.ssh.identities_only => self.offer_rest(agent).await.unwrap_or(End::Out),
            _ => End::Out,
        }
    }

    /// A file's certificates and then its key, signed with the file or else by the agent.
    async fn offer_identity(
        &mut self,
        identity: &Identity,
        extra: &[Arc<CertificateFile>],
        (lazy, settings): (&mut Lazy<'_>, &Settings),
    ) -> Option<End> {
        let fault = match &identity.private {
            Ok(key) => {
                let public = key.private.public_key().key_data().clone();
                let name = identity.path.display().to_string();
                for (name, what) in self.certified(identity, extra, &public) {
                    if let Some(end) = self.offer((&name, what), By::Own(&key.private)).await {
                        return Some(end);
                    }
                }
                return self.offer((&name, What::Key(public)), By::Own(&key.private)).await;
            }
            Err(fault) => fault.to_string(),
        };
        let Some(public) = identity.public.as_ref().map(|public| public.key_data().clone()) else {
            let is_locked = matches!(identity.private, Err(KeyFault::Encrypted { .. }));
            let (file, may_have) = (identity.path.display(), lazy.may_have_keys());
            self.notes.push(match is_locked && may_have {
                true => format!(
                    "{file} is encrypted, and without {file}.pub nobody can tell whether ssh-agent has it: \
                     ssh-keygen -y -f {file} > {file}.pub, and ssh-add {file} if it has not"
                ),
                false => fault,
            });
            return None;
        };
        let mut agent = lazy.open(self, settings).await;
        let held = agent.as_ref().and_then(|agent| agent.holds(&public));
        let Some(name) = held.map(agent::name) else {
            self.notes.push(fault);
            *lazy = Lazy::Open(agent.map(Box::new));
            return None;
        };
        let mut end = None;
        if let Some(agent) = &mut agent {
            let certified = self.certified(identity, extra, &public);
            let all = certified.into_iter().chain([(name, What::Key(public))]);
            for (name, what) in all {
                end = self.offer((&name, what), By::Agent(agent)).await;
                if end.is_some() {
                    break;
                }
            }
        }
        *lazy = Lazy::Open(agent.map(Box::new));
        end
    }

    /// The certificates for that key, the one beside it first.
    fn certified(
        &mut self,
        identity: &Identity,
        extra: &[Arc<CertificateFile>],
        public: &KeyData,
    ) -> Vec<(String, What)> {
        let mut found = Vec::new();
        for file in identity.certificate.iter().chain(extra) {
            let is_beside = identity.certificate.as_ref().is_some_and(|beside| Arc::ptr_eq(beside, file));
            match file.usable() {
                Ok(certificate) if file.certifies(public) => {
                    let what = What::Certificate(Box::new(certificate.clone()));
                    found.push((file.path.display().to_string(), what));
                }
                // One that is named is noted where no key is found for it.
                Err(why) if is_beside || file.certifies(public) => self.notes.push(why),
                Ok(_) if is_beside => {
                    self.notes.push(format!("{} is for another key", file.path.display()));
                }
                Ok(_) | Err(_) => {}
            }
        }
        found
    }

    /// A certificate that none of the files has the key of: the agent may.
    async fn offer_orphan(
        &mut self,
        file: &CertificateFile,
        identities: &[Arc<Identity>],
        agent: Option<&mut Agent>,
    ) -> Option<End> {
        let of_file = |identity: &Arc<Identity>| {
            identity.public.as_ref().is_some_and(|public| file.certifies(public.key_data()))
        };
        if identities.iter().any(of_file) {
            return None;
        }
        let certificate = match file.usable() {
            Ok(certificate) => certificate.clone(),
            Err(why) => {
                self.notes.push(why);
                return None;
            }
        };
        match agent.filter(|agent| agent.holds(certificate.public_key()).is_some()) {
            Some(agent) => {
                let what = What::Certificate(Box::new(certificate));
                self.offer((&file.path.display().to_string(), what), By::Agent(agent)).await
            }
            None => {
                let name = file.path.display();
                self.notes
                    .push(format!("there is no private key for {name}, neither in a file nor in an agent"));
                None
            }
        }
    }

    /// What the agent has that no file named.
    async fn offer_rest(&mut self, mut agent: Agent) -> Option<End> {
        for identity in agent.identities.clone() {
            let name = agent::name(&identity);
            let what = match identity {
                AgentIdentity::PublicKey { key, .. } => What::Key(key.key_data().clone()),
                AgentIdentity::Certificate { certificate, .. } => What::Certificate(Box::new(certificate)),
            };
            if let Some(end) = self.offer((&name, what), By::Agent(&mut agent)).await {
                return Some(end);
            }
        }
        None
    }

    /// Offers one key; `None` goes on to the next.
    async fn offer(&mut self, (name, what): (&str, What), by: By<'_>) -> Option<End> {
        if self.refused.contains(&what) {
            return None;
        }
        if rsa_bits(what.key()).is_some_and(|bits| bits < self.min_rsa_bits) {
            self.notes.push(format!("{name} is an RSA key of fewer than {} bits", self.min_rsa_bits));
            return None;
        }
        let hash = match self.signature_hash(&what).await {
            Ok(hash) => hash,
            Err(algorithm) => {
                self.notes
                    .push(format!("{name} is not offered: PubkeyAcceptedAlgorithms has no {algorithm}"));
                return None;
            }
        };
        self.tried.push(format!("{name} ({})", what.algorithm(hash)));
        let answer = match by {
            By::Own(private) => self.ask_with(&what, private, hash).await,
            By::Agent(agent) => self.ask_agent(&what, agent, hash).await,
        };
        match answer {
            Ok(answer) => self.judge(answer, what),
            Err(_) if self.handle.is_closed() => Some(End::Lost),
            Err(why) => {
                let token = match what.key() {
                    KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
                        "; see that the token is plugged in, and that it asks for no touch while nobody is there"
                    }
                    _ => "",
                };
                self.notes.push(format!("{name} did not sign: {}{token}", why.to_lowercase()));
                None
            }
        }
    }

    async fn ask_with(
        &mut self,
        what: &What,
        private: &Arc<PrivateKey>,
        hash: Option<HashAlg>,
    ) -> Result<AuthResult, String> {
        match what {
            What::Key(_) => {
                let signing = PrivateKeyWithHashAlg::new(Arc::clone(private), hash);
                let answer = self.handle.authenticate_publickey(self.user, signing).await;
                answer.map_err(|error| error.to_string())
            }
            What::Certificate(certificate) => {
                let mut own = Own(Arc::clone(private));
                let certificate = (**certificate).clone();
                let asked = self.handle.authenticate_certificate_with(self.user, certificate, hash, &mut own);
                asked.await.map_err(|error| error.to_string())
            }
        }
    }

    async fn ask_agent(
        &mut self,
        what: &What,
        agent: &mut Agent,
        hash: Option<HashAlg>,
    ) -> Result<AuthResult, String> {
        let has_it = matches!(what, What::Certificate(certificate) if agent.has(certificate));
        let client = &mut agent.client;
        let answer = match what {
            What::Key(key) => {
                let key = PublicKey::new(key.clone(), "");
                self.handle.authenticate_publickey_with(self.user, key, hash, client).await
            }
            What::Certificate(certificate) if has_it => {
                let certificate = (**certificate).clone();
                self.handle.authenticate_certificate_with(self.user, certificate, hash, client).await
            }
            What::Certificate(certificate) => {
                let (certificate, mut plain) = ((**certificate).clone(), Plain(client));
                let asked =
                    self.handle.authenticate_certificate_with(self.user, certificate, hash, &mut plain);
                return asked.await.map_err(|error| error.to_string());
            }
        };
        answer.map_err(|error| error.to_string())
    }

    /// What a server's answer to a key means; `None` goes on to the next key.
    fn judge(&mut self, answer: AuthResult, what: What) -> Option<End> {
        match answer {
            AuthResult::Success => Some(End::In),
            // russh also says failure, and that nothing is left to try, when the connection is gone.
            AuthResult::Failure { .. } if self.handle.is_closed() => Some(End::Lost),
            AuthResult::Failure { remaining_methods, partial_success } => {
                if partial_success {
                    self.taken.extend(self.tried.pop());
                }
                self.refused.push(what);
                let goes_on = remaining_methods.contains(&MethodKind::PublicKey);
                self.accepts = Some(remaining_methods);
                (!goes_on).then_some(End::Out)
            }
        }
    }

    /// The hash to sign with, for keys that leave the choice: RSA. SHA-1 is never one. An error is the
    /// algorithm that is not accepted.
    async fn signature_hash(&mut self, what: &What) -> Result<Option<HashAlg>, String> {
        let may = |hash: Option<HashAlg>| self.accepted.contains(&what.algorithm(hash));
        if !matches!(what.key(), KeyData::Rsa(_)) {
            return if may(None) { Ok(None) } else { Err(what.algorithm(None)) };
        }
        let choice: Vec<HashAlg> =
            [HashAlg::Sha512, HashAlg::Sha256].into_iter().filter(|hash| may(Some(*hash))).collect();
        if self.rsa.is_none() {
            let said = timeout(RSA_WAIT, self.handle.best_supported_rsa_hash()).await;
            self.rsa = said.ok().and_then(Result::ok).flatten().flatten().or(Some(HashAlg::Sha512));
        }
        let best = choice.iter().find(|hash| self.rsa == Some(**hash)).or(choice.first());
        best.copied().map(Some).ok_or_else(|| what.algorithm(Some(HashAlg::Sha512)))
    }

    /// The connection is gone: what the server said before that is its answer.
    fn lost(&mut self, peer: &str) -> ConnectError {
        let (why, banner, said_goodbye, takes_nothing) = {
            let seen = self.witness.seen();
            let why = seen.ended.clone().unwrap_or_else(|| CLOSED.to_owned());
            (why, seen.banner.clone(), seen.said_goodbye, seen.takes_nothing)
        };
        if takes_nothing {
            self.notes.insert(0, TAKES_NOTHING.to_owned());
            return ConnectError { login: Some(LoginEnd::NoMethod), ..self.failure(peer) };
        }
        if self.tried.is_empty() {
            return ConnectError::broken_off(Phase::Authentication, &peer, &why);
        }
        let closed = Some(LoginEnd::Closed);
        if said_goodbye {
            // Too many keys, or a user it does not let in: its goodbye is its answer.
            let too_many = why.contains(TOO_MANY);
            let remedy = if too_many { TOO_MANY_REMEDY } else { "" };
            self.notes.insert(0, why + remedy);
            let refused = self.failure(peer);
            return ConnectError { login: if too_many { refused.login } else { closed }, ..refused };
        }
        match banner.filter(|_| why == CLOSED) {
            Some(banner) => {
                self.notes.insert(0, format!("it closed the connection, and its last words are: {banner}"));
                ConnectError { login: closed, ..self.failure(peer) }
            }
            None => {
                let hint = if why == CLOSED { CLOSED_HINT } else { "" };
                let broken = ConnectError::broken_off(Phase::Authentication, &peer, &(why + hint));
                ConnectError { login: closed, ..broken }
            }
        }
    }

    fn failure(&self, peer: &str) -> ConnectError {
        let who = format!("{}@{peer}", self.user);
        let (tried, taken) = (self.tried.join(", "), self.taken.join(", "));
        let mut parts = vec![match (self.tried.is_empty(), self.taken.is_empty()) {
            (true, true) => {
                format!("no key to offer to {who}: set identity_files, or load a key into ssh-agent")
            }
            (false, true) => format!("{who} refused {tried}"),
            (true, false) => format!("{who} took {taken}, which is not enough by itself"),
            (false, false) => {
                format!("{who} took {taken}, which is not enough by itself, and refused {tried}")
            }
        }];
        parts.extend(self.accepts.as_ref().map(accepted_words));
        if !self.tried.is_empty() && self.tried.iter().all(|key| key.contains("(rsa-sha2-")) {
            // A server says which signatures it knows, and not always which of them it takes.
            let old = "where it takes RSA keys with SHA-1 only (ssh-rsa), which this program never signs with, use an \
                       ed25519 key";
            parts.push(old.to_owned());
        }
        parts.extend(self.notes.iter().cloned());
        let login = match (self.tried.is_empty(), self.taken.is_empty()) {
            (_, false) => LoginEnd::NotEnough,
            (false, true) => LoginEnd::Refused,
            (true, true) => LoginEnd::NoKey,
        };
        ConnectError { login: Some(login), ..ConnectError::new(Outcome::AuthFailed, parts.join("; ")) }
    }
}

/// The agent, opened by the first who needs it.
enum Lazy<'a> {
    Closed(Option<&'a Path>),
    Open(Option<Box<Agent>>),
}

impl Lazy<'_> {
    /// Whether there is an agent that may have keys, for all that is known without asking it.
    const fn may_have_keys(&self) -> bool {
        matches!(self, Self::Closed(Some(_)) | Self::Open(Some(_)))
    }

    /// The agent, taken out; who goes on without it puts it back.
    async fn open(&mut self, login: &mut Login<'_>, settings: &Settings) -> Option<Agent> {
        match std::mem::replace(self, Lazy::Open(None)) {
            Lazy::Open(agent) => agent.map(|agent| *agent),
            Lazy::Closed(None) => None,
            Lazy::Closed(Some(socket)) => {
                match agent::open(socket, login.handle.agent_session_binding(), settings).await {
                    Ok(agent) => Some(agent),
                    Err(why) => {
                        login.notes.push(why);
                        None
                    }
                }
            }
        }
    }
}
