//! From a host's name to a connected socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::{ConnectError, Phase};
use super::settings::Settings;
use crate::model::Host;

pub(super) struct Connected {
    pub socket: TcpStream,
    pub peer: SocketAddr,
}

pub(super) async fn connect(host: &Host, settings: &Settings) -> Result<Connected, ConnectError> {
    let addresses = resolve(host, settings).await?;
    let limit = settings.timeouts.connect;
    let deadline = Instant::now() + limit;
    let mut failures = Vec::new();
    for (index, peer) in addresses.iter().enumerate() {
        // One address that swallows packets must not use up the time of those behind it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(peer)).await {
            Ok(Ok(socket)) => {
                // Nagle's algorithm would hold back small packets for a round trip; without it we are
                // only slower.
                let _ = socket.set_nodelay(true);
                return Ok(Connected { socket, peer: *peer });
            }
            Ok(Err(error)) => failures.push(format!("connecting to {peer}: {}", words(&error))),
            Err(_) => {}
        }
    }
    match addresses.as_slice() {
        [] => Err(ConnectError::unreachable(format!("{} resolves to no address", host.address))),
        [first, ..] if failures.is_empty() => Err(ConnectError::timed_out(Phase::Connect, limit, first)),
        _ => Err(ConnectError::unreachable(failures.join("; "))),
    }
}

async fn resolve(host: &Host, settings: &Settings) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.address.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, host.port)]);
    }
    let limit = settings.timeouts.resolve;
    match timeout(limit, lookup_host((host.address.as_str(), host.port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => {
            let detail =
                format!("resolving {}: {error}; check the name, or give the host an address", host.address);
            Err(ConnectError::unreachable(detail))
        }
        Err(_) => Err(ConnectError::timed_out(Phase::Resolve, limit, &host.address)),
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: is sshd running, on this port?".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "no route: check the network and the address".to_owned()
        }
        _ => error.to_string(),
    }
}
