//! One connection to a jump host, and the channels through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::client::{Handle, Msg};
use russh::{ChannelOpenFailure, ChannelStream, Disconnect, Error};
use tokio::time::timeout;

use crate::model::{ByteSize, Host};
use crate::transport::ssh::client::{Client, Witness};
use crate::transport::ssh::connect::Shaken;
use crate::transport::ssh::failure::{CLOSED, ConnectError, Phase, words};
use crate::transport::ssh::line::Guard;
use crate::transport::ssh::settings::{Settings, Timeouts};

/// A connection to a jump host. Dropping it closes it, and with it all that goes through it.
pub(in crate::transport::ssh) struct Link {
    handle: Handle<Client>,
    guard: Guard,
    witness: Witness,
    /// The jump host's connection that it goes through.
    via: Option<Arc<Link>>,
    lanes: AtomicUsize,
    /// The jump host, as a person knows it.
    name: String,
    close: std::time::Duration,
    /// What a target may send: the jump host sends that for each of them.
    max_received: ByteSize,
}

/// A small packet of a target's is more than twice as long in one of the jump host's.
const WRAPPED: u64 = 3;

/// A channel of a jump host, to one target behind it.
pub(in crate::transport::ssh) struct Lane {
    pub stream: ChannelStream<Msg>,
    pub place: Place,
}

/// A place on a link, given back when it is dropped.
pub(in crate::transport::ssh) struct Place(Arc<Link>);

impl Link {
    pub fn new(shaken: Shaken, name: String, timeouts: &Timeouts, settings: &Settings) -> Self {
        let Shaken { handle, guard, witness, via, .. } = shaken;
        let (lanes, close, max_received) = (AtomicUsize::new(0), timeouts.close, settings.max_received);
        Self { handle, guard, witness, via, lanes, name, close, max_received }
    }

    /// It may send so many bytes more, and so may those that it goes through.
    fn allow(&self, more_bytes: u64) {
        self.guard.allow(more_bytes);
        if let Some(via) = &self.via {
            via.allow(more_bytes);
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub fn lanes(&self) -> usize {
        self.lanes.load(Ordering::Relaxed)
    }

    /// The jump host and why its connection is gone; `None` while it is there.
    pub fn loss(&self) -> Option<String> {
        let seen = self.witness.seen();
        if !self.is_closed() && seen.ended.is_none() {
            return None;
        }
        Some(format!("the jump host {} was lost: {}", self.name, seen.ended.as_deref().unwrap_or(CLOSED)))
    }

    /// Says goodbye, if nothing goes through it any more, and closes it.
    pub async fn close(self: Arc<Self>) {
        let goodbye = async {
            if self.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
                while !self.is_closed() {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            }
        };
        // Past its deadline, the socket is closed all the same.
        let _ = timeout(self.close, goodbye).await;
        self.guard.cut("the sweep is over");
    }
}

impl Place {
    pub fn on(link: &Arc<Link>) -> Self {
        link.lanes.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(link))
    }

    pub fn link(&self) -> &Arc<Link> {
        &self.0
    }

    /// Has the jump host connect to `target`.
    pub(super) async fn open(self, target: &Host, timeouts: &Timeouts) -> Result<Lane, NoLane> {
        let name = self.0.name.clone();
        let peer = format!("{}:{}", target.address, target.port);
        // In a task of its own, so that a channel which is granted after we have given up is closed again,
        // and has its place until then. The task ends with the link, if not before.
        let opening = tokio::spawn(self.ask(target.address.clone(), target.port.into()));
        match timeout(timeouts.connect, opening).await {
            Ok(Ok(Ok(lane))) => Ok(lane),
            Ok(Ok(Err(Refused::By(reason)))) => Err(NoLane::refused(&reason, &peer, &name)),
            Ok(Ok(Err(Refused::Lost(why)))) => Err(NoLane::Lost(why)),
            Ok(Err(error)) => Err(NoLane::Lost(error.to_string())),
            Err(_) => {
                let peer = format!("{peer} via {name}");
                Err(NoLane::Target(ConnectError::timed_out(Phase::Connect, timeouts.connect, &peer)))
            }
        }
    }

    async fn ask(self, address: String, port: u32) -> Result<Lane, Refused> {
        let link = self.link();
        // Where the connection comes from is for the jump host's log only.
        match link.handle.channel_open_direct_tcpip(address, port, "127.0.0.1", 0).await {
            Ok(channel) => {
                link.allow(link.max_received.0.saturating_mul(WRAPPED));
                Ok(Lane { stream: channel.into_stream(), place: self })
            }
            Err(Error::ChannelOpenFailure(reason)) => Err(Refused::By(reason)),
            Err(error) => Err(Refused::Lost(link.loss().unwrap_or_else(|| words(&error)))),
        }
    }
}

enum Refused {
    By(ChannelOpenFailure),
    Lost(String),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no lane.
pub(super) enum NoLane {
    /// The connection to the jump host is gone; another one may do.
    Lost(String),
    /// The jump host has no room for more on this connection.
    Full(String),
    /// The jump host forwards nothing, for nobody.
    Forbidden(String),
    /// It is this target's own trouble.
    Target(ConnectError),
}

impl NoLane {
    fn refused(reason: &ChannelOpenFailure, peer: &str, jump: &str) -> Self {
        match reason {
            // OpenSSH says so for one target, too, where PermitOpen does not have it.
            ChannelOpenFailure::AdministrativelyProhibited => Self::Forbidden(
                "it does not forward to there: see AllowTcpForwarding and PermitOpen in its sshd_config, and \
                 restrictions in its authorized_keys"
                    .to_owned(),
            ),
            ChannelOpenFailure::UnknownChannelType => Self::Forbidden("it cannot forward at all".to_owned()),
            ChannelOpenFailure::ResourceShortage => Self::Full("it has no room for more channels".to_owned()),
            ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::Other { .. } => {
                Self::Target(ConnectError::unreachable(format!(
                    "connecting to {peer} via {jump} failed: from there the name does not resolve, the host is \
                     down, or nothing listens on that port"
                )))
            }
        }
    }
}
