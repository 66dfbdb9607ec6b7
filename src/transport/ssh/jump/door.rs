//! The connections to one jump host: how many, when the next is opened, and when there is no point.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::link::{Lane, Link, NoLane, Place};
use crate::model::{Host, Outcome};
use crate::render::{Lines, escape};
use crate::transport::ssh::connect::{self, Role, Way};
use crate::transport::ssh::failure::ConnectError;
use crate::transport::ssh::settings::{Settings, Timeouts};

/// Targets on one connection, as long as more connections can be had: an sshd process serves each
/// connection, and it has one core.
const LANES: usize = 64;
/// Connections to one jump host that are being opened at once. An sshd begins to drop at ten that have
/// not logged in, and it is not ours alone.
const OPENING: usize = 4;
/// Two that begin together need not arrive together.
const JITTER: Duration = Duration::from_millis(60);
/// A jump host that dropped us is asked again after this, and twice that the next time, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// 200 ms doubled this often: 6 s in all.
const RETRIES: u32 = 5;
/// How long a jump host that cannot be reached is left alone: the targets of a whole sweep may come by.
const DEAD_FOR: Duration = Duration::from_secs(20);
/// How often a target is given another connection when its jump host's is lost or full.
const CHANGES: u32 = 3;

/// The way in to the last one of a chain of jump hosts.
pub(super) struct Door {
    chain: Vec<Arc<Host>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    links: Vec<Arc<Link>>,
    opening: usize,
    waiting: usize,
    dead: Option<Dead>,
    /// Its trouble has been told.
    named: bool,
    /// No more connections than there are: the next one was refused.
    enough: bool,
}

struct Dead {
    why: ConnectError,
    /// `None`: it will be no better in this sweep.
    until: Option<Instant>,
}

enum Next {
    Take(Place),
    Open { alone: bool },
    Wait,
    Dead(ConnectError),
}

impl Door {
    pub fn new(chain: &[Arc<Host>]) -> Self {
        Self { chain: chain.to_vec(), state: Mutex::default(), changed: Notify::new() }
    }

    pub fn leads_through(&self, chain: &[Arc<Host>]) -> bool {
        self.chain == chain
    }

    pub fn hops(&self) -> usize {
        self.chain.len()
    }

    /// A channel to `target`. `timeouts` are the target's, and for it alone.
    pub async fn lane(
        &self,
        target: &Host,
        timeouts: &Timeouts,
        settings: &Settings,
    ) -> Result<Lane, ConnectError> {
        let mut changes = 0;
        loop {
            let place = self.place(settings).await?;
            let link = Arc::clone(place.link());
            let why = match place.open(target, timeouts).await {
                Ok(lane) => return Ok(lane),
                Err(NoLane::Target(error)) => return Err(error),
                Err(NoLane::Forbidden(why)) => return Err(self.barred(&why)),
                Err(NoLane::Full(why)) => why,
                Err(NoLane::Lost(why)) => {
                    self.lock().links.retain(|other| !Arc::ptr_eq(other, &link));
                    why
                }
            };
            changes += 1;
            if changes > CHANGES {
                return Err(self.barred(&why));
            }
            sleep(jittered(FIRST_RETRY * changes)).await;
        }
    }

    /// Waits until there is a way through, or it is known that there is none.
    pub async fn ready(&self, settings: &Settings) -> Result<(), ConnectError> {
        self.place(settings).await.map(drop)
    }

    pub async fn close(&self) {
        let links = std::mem::take(&mut *self.lock()).links;
        for link in links {
            link.close().await;
        }
    }

    /// A place on a connection, which is opened if need be.
    async fn place(&self, settings: &Settings) -> Result<Place, ConnectError> {
        let _waiting = Waiting::new(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that nothing is missed in between.
            changed.as_mut().enable();
            let next = self.lock().next();
            match next {
                Next::Take(place) => return Ok(place),
                Next::Dead(why) => return Err(why),
                Next::Wait => changed.await,
                Next::Open { alone } => self.add(alone, settings).await,
            }
        }
    }

    /// Opens a connection and adds it, or notes that there is none to be had.
    async fn add(&self, alone: bool, settings: &Settings) {
        let _opening = Opening(self);
        if !alone {
            sleep(jittered(JITTER)).await;
        }
        let opened = self.open(settings).await;
        let mut state = self.lock();
        match opened {
            Ok(link) => {
                (state.dead, state.named) = (None, false);
                state.enough &= !state.links.is_empty();
                state.links.push(Arc::new(link));
            }
            Err(_) if state.links.iter().any(|link| !link.is_closed()) => state.enough = true,
            Err(error) => state.die(&self.name(), error),
        }
    }

    /// Boxed, because a connection to a jump host may itself go through one.
    fn open<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send + 'a>> {
        Box::pin(async move {
            let Some((host, before)) = self.chain.split_last() else {
                return Err(ConnectError::unreachable("a way through no jump host"));
            };
            let timeouts = settings.timeouts_for(host);
            let mut tries = 0;
            loop {
                let way = if before.is_empty() { Way::of(host) } else { Way::Through(before) };
                match connect::enter(host, way, Role::Jump, settings).await {
                    Ok(shaken) => return Ok(Link::new(shaken, self.name(), &timeouts, settings)),
                    Err(error) if error.transient && tries < RETRIES => {
                        sleep(jittered(FIRST_RETRY * 2_u32.pow(tries))).await;
                        tries += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// The jump host whose door this is.
    fn name(&self) -> String {
        self.chain.last().map(|host| written(host)).unwrap_or_default()
    }

    fn barred(&self, why: &str) -> ConnectError {
        barred(&self.name(), why)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Next {
        self.links.retain(|link| !link.is_closed());
        let emptiest = self.links.iter().min_by_key(|link| link.lanes());
        if let Some(link) = emptiest.filter(|link| self.enough || link.lanes() < LANES) {
            return Next::Take(Place::on(link));
        }
        if let Some(dead) = &self.dead {
            if dead.until.is_none_or(|until| Instant::now() < until) {
                return Next::Dead(dead.why.clone());
            }
            self.dead = None;
        }
        if self.opening < OPENING && self.waiting > self.opening * LANES {
            self.opening += 1;
            return Next::Open { alone: self.opening == 1 };
        }
        Next::Wait
    }

    /// Said once, for all targets behind it.
    fn die(&mut self, name: &str, error: ConnectError) {
        let lasting = matches!(
            error.outcome,
            Outcome::AuthFailed | Outcome::HostKeyChanged | Outcome::HostKeyUnknown | Outcome::Denied
        );
        // What keeps a jump host from being reached through another one is that one's to say.
        let is_told = error.on_the_way;
        let why = match is_told {
            true => error,
            false => {
                ConnectError { jump: Some(error.outcome), stale: error.stale, ..barred(name, &error.detail) }
            }
        };
        if !std::mem::replace(&mut self.named, true) && !is_told {
            tracing::warn!("hosts are {}", escape(&why.detail, Lines::Single));
        }
        self.dead = Some(Dead { why, until: (!lasting).then(|| Instant::now() + DEAD_FOR) });
    }
}

fn barred(name: &str, why: &str) -> ConnectError {
    let detail = format!("unreachable via {name}: {why}");
    ConnectError { on_the_way: true, ..ConnectError::unreachable(detail) }
}

/// A jump host as its user wrote it, but for the login name, and where that is.
fn written(host: &Host) -> String {
    let at = match host.port {
        22 => host.address.clone(),
        port => format!("{}:{port}", host.address),
    };
    match host.name.as_str() {
        name if name == host.address => at,
        name => format!("{name} ({at})"),
    }
}

/// Between half and one and a half of `pause`.
fn jittered(pause: Duration) -> Duration {
    // Each state hashes by keys of its own.
    let spread = u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or_default();
    pause / 2 + pause * spread / 1_000
}

/// One who wants a place.
struct Waiting<'a>(&'a Door);

impl<'a> Waiting<'a> {
    fn new(door: &'a Door) -> Self {
        door.lock().waiting += 1;
        Self(door)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// A connection that is being opened; whoever does it may be given up on the way, and then another one
/// has to.
struct Opening<'a>(&'a Door);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
        self.0.changed.notify_waiters();
    }
}
