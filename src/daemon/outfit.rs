//! What a loaded configuration comes to for sweeps: made once when it is loaded, used by each.

use std::path::PathBuf;
use std::sync::Arc;

use crate::collect::{Pace, Stop, Sweeper, hosts_at_once, ssh_settings};
use crate::config::{Limits, Settings};
use crate::transport::ssh;

#[derive(Debug)]
pub(super) struct Outfit {
    pub settings: Settings,
    limits: Limits,
    ssh: Arc<ssh::Settings>,
}

impl Outfit {
    /// `agent` is where ssh-agent listens.
    pub fn new(settings: Settings, agent: Option<PathBuf>) -> Self {
        let ssh = Arc::new(ssh_settings(&settings.limits, &settings.defaults, agent));
        let concurrency = hosts_at_once(settings.limits.concurrency, settings.limits.channels_per_host);
        let limits = Limits { concurrency, ..settings.limits.clone() };
        Self { settings, limits, ssh }
    }

    pub fn sweeper(&self, stop: &Stop, pace: Pace) -> Sweeper {
        Sweeper { limits: self.limits.clone(), ssh: Arc::clone(&self.ssh), stop: stop.clone(), pace }
    }
}
