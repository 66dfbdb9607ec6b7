//! What connections share: deadlines, the agent, and what was read from files, each once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::client;
use tokio::sync::Semaphore;

use super::algorithms;
use super::key::{self, KeyFault, UserKey};
use crate::model::ByteSize;
use crate::transport::known_hosts::{KeyTypes, KnownHosts};

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
    /// What one connection may receive in all. The decoder's own caps are far below it; this one ends
    /// a server that sends what no decoder sees.
    pub max_received: ByteSize,
    /// Connections to the agent that wait for its answer: its socket queues 128 and turns away the rest.
    pub(super) agent_queue: Semaphore,
    configs: [OnceLock<Arc<client::Config>>; KeyTypes::COUNT],
    keys: Mutex<HashMap<PathBuf, Arc<Result<UserKey, KeyFault>>>>,
    known: Mutex<HashMap<Vec<PathBuf>, Arc<KnownHosts>>>,
}

impl Settings {
    pub fn new(timeouts: Timeouts, agent: Option<PathBuf>) -> Self {
        Self {
            timeouts,
            agent,
            max_received: ByteSize(1 << 30),
            agent_queue: Semaphore::new(AGENT_QUEUE),
            configs: [const { OnceLock::new() }; KeyTypes::COUNT],
            keys: Mutex::default(),
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

    /// That private key, or why it cannot be used; read at the first call.
    pub(super) fn key(&self, path: &Path) -> Arc<Result<UserKey, KeyFault>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(path) {
            return Arc::clone(key);
        }
        let key = Arc::new(key::load(path));
        keys.insert(path.to_owned(), Arc::clone(&key));
        key
    }

    /// What russh is told, with host keys of the types in `first` asked for before the others.
    pub(super) fn config(&self, first: KeyTypes) -> Arc<client::Config> {
        let config = self.configs[first.index()].get_or_init(|| Arc::new(algorithms::config(first)));
        Arc::clone(config)
    }
}
