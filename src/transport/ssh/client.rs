//! What russh calls back: the host key check, and nothing that a server could ask of us.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{Certificate, PublicKeyOrCertificate};
use russh::{Channel, Error, Names};

use super::algorithms::{authority_signatures, is_weak, min_rsa_bits};
use super::certificate::{Terms, Worth, judge, rsa_bits};
use super::failure::{clip, last_line, words};
use super::lists::Unmet;
use crate::model::Host;
use crate::transport::known_hosts::{HostId, KnownHosts, Verdict};

/// From this many hashed lines on, looking at each of them is left to a thread that may block.
const MANY_HASHED_LINES: usize = 500;

/// What to do with the key that a server shows.
pub(super) enum Check {
    /// Accept it only if it is known.
    Against(Box<Expected>),
    /// Write it down and go no further.
    Learn,
}

/// Who the server has to be.
pub(super) struct Expected {
    known: Arc<KnownHosts>,
    id: HostId,
    /// As a certificate names it: without a port.
    name: String,
    /// What an authority may have signed with; or why there is nothing that it may.
    signatures: Result<Vec<String>, Unmet>,
    min_rsa_bits: u32,
}

impl Check {
    pub fn against(known: &Arc<KnownHosts>, id: &HostId, host: &Host) -> Self {
        let alias = host.ssh.host_key_alias.as_ref();
        Self::Against(Box::new(Expected {
            known: Arc::clone(known),
            id: id.clone(),
            name: alias.unwrap_or(&host.address).to_ascii_lowercase(),
            signatures: authority_signatures(&host.ssh.algorithms),
            min_rsa_bits: min_rsa_bits(&host.ssh.algorithms),
        }))
    }
}

/// What a connection's callbacks saw, for those who find out that it has ended.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub host_key: Option<Vec<u8>>,
    pub verdict: Option<Verdict>,
    /// Why the certificate that the host key came with does not hold.
    pub certificate: Option<String>,
    /// Why we gave up on it.
    pub refused: Option<&'static str>,
    /// How it ended, in words.
    pub ended: Option<String>,
    /// The server said goodbye, rather than just being gone.
    pub said_goodbye: bool,
    /// The last line of what the server showed while we logged in: PAM says there why it lets nobody in.
    pub banner: Option<String>,
    /// The server will have no key, and nothing else.
    pub takes_nothing: bool,
}

/// [`Seen`], shared between russh's task and ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Client {
    pub check: Check,
    pub witness: Witness,
}

impl Client {
    /// What a certificate decides. One that does not hold leaves the key in it to be judged as any other,
    /// as ssh does.
    fn certified(&self, expected: &Expected, shown: &Certificate) -> Option<Verdict> {
        let signatures = match &expected.signatures {
            Ok(signatures) => signatures,
            Err(unmet) => {
                self.witness.seen().certificate = Some(unmet.to_string());
                return None;
            }
        };
        let terms = Terms {
            known: &expected.known,
            id: &expected.id,
            name: &expected.name,
            signatures,
            min_rsa_bits: expected.min_rsa_bits,
        };
        match judge(shown, &terms) {
            Worth::Vouched(place) => Some(Verdict::Known(place)),
            Worth::Revoked(verdict) => Some(verdict),
            Worth::Stranger => None,
            Worth::Void(why) => {
                self.witness.seen().certificate = Some(why);
                None
            }
        }
    }
}

async fn plain_verdict(known: &Arc<KnownHosts>, id: &HostId, key: &[u8]) -> Result<Verdict, Error> {
    if let Some(verdict) = known.recognise(id, key) {
        return Ok(verdict);
    }
    if known.hashed_lines() < MANY_HASHED_LINES {
        return Ok(known.verdict(id, key));
    }
    let (known, id, key) = (Arc::clone(known), id.clone(), key.to_vec());
    let judged = tokio::task::spawn_blocking(move || known.verdict(&id, &key)).await;
    judged.map_err(|error| Error::IO(error.into()))
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let key = shown.public_key().to_bytes()?;
        self.witness.seen().host_key = Some(key.clone());
        let Check::Against(expected) = &self.check else {
            self.witness.seen().verdict = Some(Verdict::Unknown { authority: None });
            return Ok(false);
        };
        if rsa_bits(shown.public_key().key_data()).is_some_and(|bits| bits < expected.min_rsa_bits) {
            self.witness.seen().refused = Some("its RSA host key is shorter than RequiredRSASize allows");
            return Ok(false);
        }
        let verdict = match shown.certificate().and_then(|shown| self.certified(expected, shown)) {
            Some(verdict) => verdict,
            None => plain_verdict(&expected.known, &expected.id, &key).await?,
        };
        let is_known = matches!(verdict, Verdict::Known(_));
        self.witness.seen().verdict = Some(verdict);
        Ok(is_known)
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Session) -> Result<(), Error> {
        if is_weak(names) {
            let reason = "it has only chacha20-poly1305 without strict key exchange, which is open to the \
                          Terrapin attack (CVE-2023-48795): update its sshd";
            self.witness.seen().refused = Some(reason);
            return Err(Error::Kex);
        }
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Error> {
        self.witness.seen().banner = last_line(banner).map(clip);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        let mut seen = self.witness.seen();
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                seen.said_goodbye = true;
                seen.ended = Some(format!("it disconnected: {}", clip(info.message.trim())));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                seen.takes_nothing = matches!(error, Error::NoAuthMethod);
                seen.ended = Some(words(&error));
                Err(error)
            }
        }
    }

    // russh accepts channels that a server opens unless it is told otherwise; dropping the handle
    // refuses. We asked for no forwarding, so an agent or X11 channel can only be an attempt.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }
}
