//! How the configuration's limits become a connection's deadlines. It opens no connection itself.

use std::path::PathBuf;

use crate::config::{Defaults, Limits};
use crate::transport::ssh::{Settings, Timeouts};

/// What all connections of one sweep share. `agent_socket` is what `SSH_AUTH_SOCK` names, if anything.
pub fn ssh_settings(limits: &Limits, defaults: &Defaults, agent_socket: Option<PathBuf>) -> Settings {
    let timeouts = Timeouts {
        resolve: limits.connect_timeout,
        connect: limits.connect_timeout,
        banner: limits.key_exchange_timeout,
        key_exchange: limits.key_exchange_timeout,
        authentication: limits.auth_timeout,
        open_channel: limits.channel_timeout,
        close: limits.close_timeout,
    };
    Settings::new(timeouts, agent_socket.filter(|_| defaults.agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_asked_only_where_the_configuration_says_so() {
        let socket = PathBuf::from("/run/agent");
        let with = |agent| {
            let defaults = Defaults { agent, ..Defaults::default() };
            ssh_settings(&Limits::default(), &defaults, Some(socket.clone())).agent
        };
        assert_eq!(with(true), Some(socket.clone()));
        assert_eq!(with(false), None);
    }
}
