//! What russh calls back: the host key check, and nothing that a server could ask of us.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, Error, Names};

use super::algorithms::is_weak;
use super::failure::{clip, words};
use crate::transport::known_hosts::{HostId, KnownHosts, Verdict};

/// From this many hashed lines on, looking at each of them is left to a thread that may block.
const MANY_HASHED_LINES: usize = 500;

/// What to do with the key that a server shows.
pub(super) enum Check {
    /// Accept it only if it is known.
    Against { known: Arc<KnownHosts>, host: HostId },
    /// Write it down and go no further.
    Learn,
}

/// What a connection's callbacks saw, for those who find out that it has ended.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub host_key: Option<Vec<u8>>,
    pub verdict: Option<Verdict>,
    /// Why we gave up on it.
    pub refused: Option<&'static str>,
    /// How it ended, in words.
    pub ended: Option<String>,
    /// The server said goodbye, rather than just being gone.
    pub said_goodbye: bool,
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

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let key = shown.public_key().to_bytes()?;
        self.witness.seen().host_key = Some(key.clone());
        let Check::Against { known, host } = &self.check else {
            self.witness.seen().verdict = Some(Verdict::Unknown { authority: None });
            return Ok(false);
        };
        let verdict = match known.recognise(host, &key) {
            Some(verdict) => verdict,
            None if known.hashed_lines() < MANY_HASHED_LINES => known.verdict(host, &key),
            None => {
                let (known, host) = (Arc::clone(known), host.clone());
                let judged = tokio::task::spawn_blocking(move || known.verdict(&host, &key)).await;
                judged.map_err(|error| Error::IO(error.into()))?
            }
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

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        let mut seen = self.witness.seen();
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                seen.said_goodbye = true;
                seen.ended = Some(format!("it disconnected: {}", clip(info.message.trim())));
                Ok(())
            }
            DisconnectReason::Error(error) => {
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
