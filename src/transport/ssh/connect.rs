//! From a host to a session that is ready for commands.

use std::sync::Arc;

use russh::client::{self, Handle};
use russh::{AlgorithmKind, Error};

use super::auth::authenticate;
use super::client::{Check, Client, Witness};
use super::failure::{self, ConnectError};
use super::line::{Guard, watch};
use super::session::Session;
use super::settings::Settings;
use super::tcp;
use crate::model::Host;
use crate::transport::known_hosts::{HostId, KeyTypes, Verdict};

/// Connects, checks the host key, and logs in. Every phase has its deadline, and after an error the
/// socket is closed.
pub async fn connect(host: &Host, settings: &Settings) -> Result<Session, ConnectError> {
    failure::barred(host)?;
    let known = settings.known_hosts(&host.known_hosts);
    let id = HostId::of(host);
    let check = || Check::Against { known: Arc::clone(&known), host: id.clone() };
    let first = known.key_types(&id);
    let mut shaken = shake(host, settings, settings.config(first), check()).await;
    if let Err(Unshaken::HostKey { key, verdict: Verdict::Changed { types, .. } }) = &shaken {
        // Only hashed lines know the host, under another type of key than the one it showed: ask it
        // for that one before calling it changed.
        if !types.is_empty() && !types.contains(KeyTypes::of(key)) && *types != first {
            shaken = shake(host, settings, settings.config(*types), check()).await;
        }
    }
    let shaken = shaken.map_err(|failure| match failure {
        Unshaken::HostKey { key, verdict } => failure::host_key(host, &id, &key, (&known, &verdict)),
        Unshaken::NoHostKey(error) | Unshaken::Other(error) => error,
    })?;
    let shaken = authenticate(shaken, host, settings).await?;
    Ok(Session::new(shaken, settings))
}

/// A connection with keys exchanged: what follows is between us and that host.
pub(super) struct Shaken {
    pub handle: Handle<Client>,
    pub guard: Guard,
    pub witness: Witness,
    pub peer: String,
}

pub(super) enum Unshaken {
    /// The key that the host showed was not accepted.
    HostKey {
        key: Vec<u8>,
        verdict: Verdict,
    },
    /// It has no host key of a type that it was asked for.
    NoHostKey(ConnectError),
    Other(ConnectError),
}

pub(super) async fn shake(
    host: &Host,
    settings: &Settings,
    config: Arc<client::Config>,
    check: Check,
) -> Result<Shaken, Unshaken> {
    let connected = tcp::connect(host, settings).await.map_err(Unshaken::Other)?;
    let (line, guard) = watch(connected.socket);
    let (peer, witness) = (connected.peer.to_string(), Witness::default());
    let client = Client { check, witness: witness.clone() };
    match guard.within(settings, client::connect_stream(config, line, client)).await {
        Ok(Ok(handle)) => Ok(Shaken { handle, guard, witness, peer }),
        Ok(Err(error)) => {
            let mut seen = witness.seen();
            if let (Some(key), Some(verdict)) = (seen.host_key.take(), seen.verdict.take())
                && !matches!(verdict, Verdict::Known(_))
            {
                return Err(Unshaken::HostKey { key, verdict });
            }
            let why = seen.refused.map_or_else(|| failure::words(&error), str::to_owned);
            let broken = ConnectError::broken_off(guard.phase(), &peer, &why);
            Err(match error {
                Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. } => Unshaken::NoHostKey(broken),
                _ => Unshaken::Other(broken),
            })
        }
        Err(phase) => Err(Unshaken::Other(ConnectError::timed_out(phase, phase.limit(settings), &peer))),
    }
}
