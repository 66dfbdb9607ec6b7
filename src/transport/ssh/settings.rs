//! What connections share: deadlines, the agent, and what was read from files, each once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client;
use tokio::sync::Semaphore;

use super::algorithms::{self, Offer};
use super::failure::ConnectError;
use super::identity::{self, CertificateFile, Identity};
use super::jump::Jumps;
use crate::model::{ByteSize, Host, Outcome, SshOptions};
use crate::transport::known_hosts::KnownHosts;

/// Well below what an agent's socket queues, which is not ours alone.
const AGENT_QUEUE: usize = 32;

/// How long each phase of a connection may take. None of them can be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    pub resolve: Duration,
    pub connect: Duration,
    pub banner: Duration,
    pub key_exchange: Duration,
    pub authentication: Duration,
    /// From the request for a channel to the server's answer.
    pub open_channel: Duration,
    /// From the end of a command to the end of its channel, and from our goodbye to the server's.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let limit = Duration::from_secs(10);
        Self {
            resolve: limit,
            connect: limit,
            banner: limit,
            key_exchange: limit,
            authentication: limit,
            open_channel: limit,
            close: Duration::from_secs(3),
        }
    }
}

/// Shared by all connections of a sweep. It keeps the keys and known_hosts files that it has read, so
/// a daemon makes a new one for each sweep to see what changed.
#[derive(Debug)]
pub struct Settings {
    pub timeouts: Timeouts,
    /// The socket of ssh-agent, as in `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// What one host's connection may receive in all. The decoder's own caps are far below it; this one ends
    /// a server that sends what no decoder sees. A jump host's connection may receive more with each target.
    pub max_received: ByteSize,
    /// Connections to the agent that wait for its answer: its socket queues 128 and turns away the rest.
    pub(super) agent_queue: Semaphore,
    pub(super) jumps: Jumps,
    /// For hosts of which no ssh_config says anything, which are most.
    configs: Mutex<Vec<(Offer, Arc<client::Config>)>>,
    identities: Mutex<HashMap<PathBuf, Arc<Identity>>>,
    certificates: Mutex<HashMap<PathBuf, Arc<CertificateFile>>>,
    known: Mutex<HashMap<Vec<PathBuf>, Arc<KnownHosts>>>,
}

impl Settings {
    pub fn new(timeouts: Timeouts, agent: Option<PathBuf>) -> Self {
        Self {
            timeouts,
            agent,
            max_received: ByteSize(1 << 30),
            agent_queue: Semaphore::new(AGENT_QUEUE),
            jumps: Jumps::default(),
            configs: Mutex::default(),
            identities: Mutex::default(),
            certificates: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// These files as one index; read at the first call.
    pub fn known_hosts(&self, files: &[PathBuf]) -> Arc<KnownHosts> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hosts) = known.get(files) {
            return Arc::clone(hosts);
        }
        let hosts = Arc::new(KnownHosts::load(files));
        known.insert(files.to_vec(), Arc::clone(&hosts));
        hosts
    }

    /// What that file of keys is good for; read at the first call.
    pub(super) fn identity(&self, path: &Path) -> Arc<Identity> {
        once(&self.identities, path, identity::load)
    }

    /// That certificate for one of our keys; read at the first call.
    pub(super) fn certificate(&self, path: &Path) -> Arc<CertificateFile> {
        once(&self.certificates, path, identity::load_certificate)
    }

    /// What russh is told for a host.
    pub(super) fn config(&self, host: &Host, offer: Offer) -> Result<Arc<client::Config>, ConnectError> {
        let made = || {
            let config = algorithms::config(offer, &host.ssh);
            config.map(Arc::new).map_err(|unmet| ConnectError::new(Outcome::Unreachable, unmet.to_string()))
        };
        if *host.ssh != SshOptions::default() {
            return made();
        }
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = configs.iter().find(|(known, _)| *known == offer) {
            return Ok(Arc::clone(config));
        }
        let config = made()?;
        configs.push((offer, Arc::clone(&config)));
        Ok(config)
    }

    /// How long each phase of a connection to `host` may take: an ssh_config may have its own word on
    /// how soon there must be an answer.
    pub(super) fn timeouts_for(&self, host: &Host) -> Timeouts {
        let mut timeouts = self.timeouts.clone();
        if let Some(limit) = host.ssh.connect_timeout {
            (timeouts.resolve, timeouts.connect) = (limit, limit);
            (timeouts.banner, timeouts.key_exchange) = (limit, limit);
        }
        timeouts
    }

    /// Says goodbye to the jump hosts. What is connected to after this opens them again.
    pub async fn close(&self) {
        self.jumps.close().await;
    }
}

fn once<T>(read: &Mutex<HashMap<PathBuf, Arc<T>>>, path: &Path, load: impl Fn(&Path) -> T) -> Arc<T> {
    let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = read.get(path) {
        return Arc::clone(known);
    }
    let loaded = Arc::new(load(path));
    read.insert(path.to_owned(), Arc::clone(&loaded));
    loaded
}
