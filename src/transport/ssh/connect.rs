//! From a host to a session that is ready for commands.

use std::sync::Arc;

use russh::client::{self, Handle};
use russh::{AlgorithmKind, Error};

use super::algorithms::Offer;
use super::auth::authenticate;
use super::carrier::Carrier;
use super::client::{Check, Client, Witness};
use super::failure::{self, ConnectError};
use super::jump::Link;
use super::line::{Guard, watch};
use super::proxy::{self, LastWords};
use super::session::Session;
use super::settings::{Settings, Timeouts};
use super::tcp;
use crate::model::{Host, Proxy};
use crate::transport::known_hosts::{HostId, KeyTypes, Verdict};

/// Connects, checks the host key, and logs in. Every phase has its deadline, and after an error the
/// socket is closed.
pub async fn connect(host: &Host, settings: &Settings) -> Result<Session, ConnectError> {
    let shaken = enter(host, Way::of(host), Role::Target, settings).await?;
    Ok(Session::new(shaken, settings.timeouts_for(host)))
}

/// Waits until the host's jump hosts let connections through, or it is known that they do not; a host
/// without any is not waited for. It costs the host nothing, and many behind one jump host wait together.
pub async fn approach(host: &Host, settings: &Settings) -> Result<(), ConnectError> {
    failure::barred(host)?;
    match Way::of(host) {
        Way::Through(chain) => settings.jumps.ready(chain, settings).await,
        Way::Direct | Way::Command(_) => Ok(()),
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Target,
    /// Others' connections go through it.
    Jump,
}

/// How the bytes get there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    Direct,
    Through(&'a [Arc<Host>]),
    Command(&'a str),
}

impl<'a> Way<'a> {
    pub fn of(host: &'a Host) -> Self {
        match &host.ssh.proxy {
            Proxy::Jump(chain) if !chain.is_empty() => Self::Through(chain),
            Proxy::Direct | Proxy::Jump(_) => Self::Direct,
            Proxy::Command(command) => Self::Command(command),
        }
    }
}

/// The same, up to the point where the host has let us in.
pub(super) async fn enter(
    host: &Host,
    way: Way<'_>,
    role: Role,
    settings: &Settings,
) -> Result<Shaken, ConnectError> {
    failure::barred(host)?;
    let known = settings.known_hosts(&host.known_hosts);
    let id = HostId::of(host);
    let check = || Check::against(&known, &id, host);
    let offer = |first| Offer { first, certificates: known.has_authority(&id), role };
    let first = known.key_types(&id);
    let config = settings.config(host, offer(first))?;
    let mut shaken = shake(host, (way, role), (settings, config), check()).await;
    if let Err(Unshaken::HostKey { key, verdict: Verdict::Changed { types, .. }, .. }) = &shaken {
        // Only hashed lines know the host, under another type of key than the one it showed: ask it
        // for that one before calling it changed.
        if !types.is_empty() && !types.contains(KeyTypes::of(key)) && *types != first {
            let config = settings.config(host, offer(*types))?;
            shaken = shake(host, (way, role), (settings, config), check()).await;
        }
    }
    let shaken = shaken.map_err(|failure| match failure {
        Unshaken::HostKey { key, verdict, certificate } => {
            let verdict = match verdict {
                // It did show one of that authority; what is wrong with it is said below.
                Verdict::Unknown { .. } if certificate.is_some() => Verdict::Unknown { authority: None },
                verdict => verdict,
            };
            let error = failure::host_key(host, &id, &key, (&known, &verdict, role));
            match certificate {
                Some(why) => ConnectError {
                    detail: format!("{}; its certificate is not valid: {why}", error.detail),
                    ..error
                },
                None => error,
            }
        }
        Unshaken::NoHostKey(error) | Unshaken::Other(error) => error,
    })?;
    authenticate(shaken, host, settings).await
}

/// A connection with keys exchanged: what follows is between us and that host.
pub(super) struct Shaken {
    pub handle: Handle<Client>,
    pub guard: Guard,
    pub witness: Witness,
    pub peer: String,
    /// The jump host's connection that it goes through.
    pub via: Option<Arc<Link>>,
}

pub(super) enum Unshaken {
    /// The key that the host showed was not accepted.
    HostKey {
        key: Vec<u8>,
        verdict: Verdict,
        /// Why the certificate that it came with does not speak for it.
        certificate: Option<String>,
    },
    /// It has no host key of a type that it was asked for.
    NoHostKey(ConnectError),
    Other(ConnectError),
}

/// What is under a connection.
struct Ground {
    carrier: Carrier,
    peer: String,
    via: Option<Arc<Link>>,
    words: Option<LastWords>,
}

async fn reach(
    host: &Host,
    way: Way<'_>,
    (timeouts, settings): (&Timeouts, &Settings),
) -> Result<Ground, ConnectError> {
    match way {
        Way::Direct => {
            let connected = tcp::connect(host, timeouts).await?;
            let peer = connected.peer.to_string();
            Ok(Ground { carrier: Carrier::Tcp(connected.socket), peer, via: None, words: None })
        }
        Way::Through(chain) => {
            let lane = settings.jumps.lane(chain, host, (timeouts, settings)).await?;
            let via = Arc::clone(lane.place.link());
            let peer = format!("{}:{} via {}", host.address, host.port, via.name());
            Ok(Ground { carrier: Carrier::Lane(Box::new(lane)), peer, via: Some(via), words: None })
        }
        Way::Command(command) => {
            let peer = format!("{}:{} via its ProxyCommand", host.address, host.port);
            let (process, words) = proxy::start(command)
                .map_err(|error| ConnectError::unreachable(format!("starting the ProxyCommand: {error}")))?;
            Ok(Ground { carrier: Carrier::Process(Box::new(process)), peer, via: None, words: Some(words) })
        }
    }
}

pub(super) async fn shake(
    host: &Host,
    (way, role): (Way<'_>, Role),
    (settings, config): (&Settings, Arc<client::Config>),
    check: Check,
) -> Result<Shaken, Unshaken> {
    let timeouts = settings.timeouts_for(host);
    let ground = reach(host, way, (&timeouts, settings)).await.map_err(Unshaken::Other)?;
    let Ground { carrier, peer, via, words } = ground;
    let (line, guard) = watch(carrier, role);
    let witness = Witness::default();
    let client = Client { check, witness: witness.clone() };
    match guard.within(&timeouts, client::connect_stream(config, line, client)).await {
        Ok(Ok(handle)) => Ok(Shaken { handle, guard, witness, peer, via }),
        Ok(Err(error)) => {
            let why = {
                let mut seen = witness.seen();
                if let (Some(key), Some(verdict)) = (seen.host_key.take(), seen.verdict.take())
                    && !matches!(verdict, Verdict::Known(_))
                {
                    return Err(Unshaken::HostKey { key, verdict, certificate: seen.certificate.take() });
                }
                // What a server has to say for itself tells more than that the line is closed.
                let goodbye = seen.ended.take().filter(|_| seen.said_goodbye);
                seen.refused.map(str::to_owned).or(goodbye).unwrap_or_else(|| failure::words(&error))
            };
            let broken = ConnectError::broken_off(guard.phase(), &peer, &why);
            let transient = broken.transient && failure::is_gone(&error);
            let broken = ConnectError { transient, ..broken };
            let broken = explained(broken, via.as_deref(), words).await;
            Err(match error {
                Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. } => Unshaken::NoHostKey(broken),
                _ => Unshaken::Other(broken),
            })
        }
        Err(phase) => {
            let late = ConnectError::timed_out(phase, phase.limit(&timeouts), &peer);
            Err(Unshaken::Other(explained(late, via.as_deref(), words).await))
        }
    }
}

/// With what the jump host or the ProxyCommand has to say to it.
async fn explained(error: ConnectError, via: Option<&Link>, words: Option<LastWords>) -> ConnectError {
    if let Some(loss) = via.and_then(Link::loss) {
        return ConnectError { transient: error.transient, ..ConnectError::unreachable(loss) };
    }
    let Some(mut words) = words else { return error };
    match words.hear().await {
        // It ended for a reason of its own, which trying again does not change.
        Some(said) => {
            let detail = format!("{}; it said: {said}", error.detail);
            ConnectError { detail, transient: false, ..error }
        }
        None => error,
    }
}
