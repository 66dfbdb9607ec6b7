//! What a loaded configuration comes to for sweeps.

use std::path::PathBuf;
use std::sync::Arc;

use crate::collect::{Pace, Stop, Sweeper, hosts_at_once, memory, ssh_settings};
use crate::config::{Limits, Settings};
use crate::wire::Budget;

#[derive(Debug)]
pub(super) struct Outfit {
    pub settings: Settings,
    limits: Limits,
    /// Shared by all sweeps of it.
    memory: Arc<Budget>,
    agent: Option<PathBuf>,
}

impl Outfit {
    /// `agent` is where ssh-agent listens.
    pub fn new(settings: Settings, agent: Option<PathBuf>) -> Self {
        let concurrency = hosts_at_once(settings.limits.concurrency, settings.limits.channels_per_host);
        let limits = Limits { concurrency, ..settings.limits.clone() };
        let memory = memory(&limits);
        Self { settings, limits, memory, agent }
    }

    /// With keys and known_hosts as they are on the disk now: a host that was trusted, or a key that was
    /// changed, counts from the next sweep on.
    pub fn sweeper(&self, stop: &Stop, pace: Pace) -> Sweeper {
        let ssh = Arc::new(ssh_settings(&self.limits, &self.settings.defaults, self.agent.clone()));
        let memory = Arc::clone(&self.memory);
        Sweeper { limits: self.limits.clone(), memory, ssh, stop: stop.clone(), pace }
    }
}
