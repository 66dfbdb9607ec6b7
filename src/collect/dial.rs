//! How to dial: the configuration's limits as a connection's deadlines, and asking again where a busy
//! server dropped us. It opens no connection itself.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{Defaults, Limits};
use crate::model::HostName;
use crate::transport::ssh::{ConnectError, Settings, Timeouts};

/// A server that drops connections is asked again after this, and once more after four times that.
const RETRY_AFTER: Duration = Duration::from_millis(150);
const RETRIES: u32 = 2;

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

/// Attempts again what failed only because the server was busy, for as long as `goes_on`.
pub(super) async fn patiently<T, F>(
    host: &HostName,
    goes_on: impl Fn() -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut tries = 0;
    loop {
        match attempt().await {
            Err(error) if error.transient && tries < RETRIES && goes_on() => {
                sleep(jittered(RETRY_AFTER * 4_u32.pow(tries), host)).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}

/// Between half and one and a half of `pause`, by the host's name: hosts that were dropped together do
/// not come back together.
fn jittered(pause: Duration, host: &HostName) -> Duration {
    let spread =
        host.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    pause / 2 + pause * (spread % 1_000) / 1_000
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::model::Outcome;

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
    #[tokio::test]
    async fn a_busy_server_is_asked_thrice_and_others_once() {
        let name = HostName::new("web01").unwrap();
        let asked = async |transient, goes_on: bool| {
            let count = Cell::new(0);
            let attempt = || {
                count.set(count.get() + 1);
                let error = ConnectError { transient, ..ConnectError::new(Outcome::Unreachable, "no") };
                std::future::ready(Err::<(), _>(error))
            };
            patiently(&name, || goes_on, attempt).await.unwrap_err();
            count.get()
        };
        assert_eq!(asked(true, true).await, 3);
        assert_eq!(asked(true, false).await, 1);
        assert_eq!(asked(false, true).await, 1);
    }
}
