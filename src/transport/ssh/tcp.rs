//! From a host's name to a connected socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};

use super::failure::{ConnectError, Phase};
use super::settings::Timeouts;
use crate::model::{AddressFamily, Host, SshOptions};

/// Between two attempts where an ssh_config asks for several, as ssh has it.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

pub(super) struct Connected {
    pub socket: TcpStream,
    pub peer: SocketAddr,
}

pub(super) async fn connect(host: &Host, timeouts: &Timeouts) -> Result<Connected, ConnectError> {
    let addresses = resolve(host, timeouts).await?;
    let own = own_addresses(&host.ssh, timeouts).await?;
    let mut left = host.ssh.connection_attempts.max(1);
    loop {
        let error = match attempt(&addresses, &own, host, timeouts).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        left -= 1;
        if left == 0 {
            return Err(error);
        }
        sleep(BETWEEN_ATTEMPTS).await;
    }
}

async fn attempt(
    addresses: &[SocketAddr],
    own: &[IpAddr],
    host: &Host,
    timeouts: &Timeouts,
) -> Result<Connected, ConnectError> {
    let limit = timeouts.connect;
    let deadline = Instant::now() + limit;
    let mut failures = Vec::new();
    for (index, peer) in addresses.iter().enumerate() {
        // One address that swallows packets must not use up the time of those behind it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, open(*peer, own, &host.ssh)).await {
            Ok(Ok(socket)) => {
                // Nagle's algorithm would hold back small packets for a round trip; without it we are
                // only slower.
                let _ = socket.set_nodelay(true);
                return Ok(Connected { socket, peer: *peer });
            }
            Ok(Err(why)) => failures.push(format!("connecting to {peer}: {why}")),
            Err(_) => {}
        }
    }
    match addresses {
        [] => Err(ConnectError::unreachable(format!("{} resolves to no address", host.address))),
        [first, ..] if failures.is_empty() => Err(ConnectError::timed_out(Phase::Connect, limit, first)),
        _ => Err(ConnectError::unreachable(failures.join("; ")).in_phase(Phase::Connect)),
    }
}

/// Connects from where an ssh_config says that we should: BindAddress before BindInterface.
async fn open(peer: SocketAddr, own: &[IpAddr], options: &SshOptions) -> Result<TcpStream, String> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| error.to_string())?;
    if let Some(wanted) = &options.bind_address {
        let Some(own) = own.iter().find(|own| own.is_ipv4() == peer.is_ipv4()) else {
            return Err(format!("BindAddress {wanted} is of another address family"));
        };
        let bound = socket.bind(SocketAddr::new(*own, 0));
        bound.map_err(|error| format!("BindAddress {wanted} is not one of this machine's: {error}"))?;
    } else if let Some(interface) = &options.bind_interface {
        let bound = socket.bind_device(Some(interface.as_bytes()));
        bound.map_err(|error| format!("BindInterface {interface}: {error}"))?;
    }
    socket.connect(peer).await.map_err(|error| words(&error))
}

async fn own_addresses(options: &SshOptions, timeouts: &Timeouts) -> Result<Vec<IpAddr>, ConnectError> {
    let Some(wanted) = &options.bind_address else { return Ok(Vec::new()) };
    if let Ok(address) = wanted.parse() {
        return Ok(vec![address]);
    }
    let found = timeout(timeouts.resolve, lookup_host((wanted.as_str(), 0))).await;
    match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(found) => Ok(found.map(|own| own.ip()).collect()),
        Err(error) => Err(ConnectError::unreachable(format!("resolving BindAddress {wanted}: {error}"))),
    }
}

async fn resolve(host: &Host, timeouts: &Timeouts) -> Result<Vec<SocketAddr>, ConnectError> {
    let found: Vec<SocketAddr> = if let Ok(address) = host.address.parse::<IpAddr>() {
        vec![SocketAddr::new(address, host.port)]
    } else {
        let limit = timeouts.resolve;
        match timeout(limit, lookup_host((host.address.as_str(), host.port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                let name = &host.address;
                let detail =
                    format!("resolving {name}: {error}; check the name, or give the host an address");
                return Err(ConnectError::unreachable(detail).in_phase(Phase::Resolve));
            }
            Err(_) => return Err(ConnectError::timed_out(Phase::Resolve, limit, &host.address)),
        }
    };
    let (wanted, word) = match host.ssh.address_family {
        AddressFamily::Any => return Ok(found),
        AddressFamily::Inet => (SocketAddr::is_ipv4 as fn(&SocketAddr) -> bool, "IPv4"),
        AddressFamily::Inet6 => (SocketAddr::is_ipv6 as fn(&SocketAddr) -> bool, "IPv6"),
    };
    let of_family: Vec<SocketAddr> = found.into_iter().filter(wanted).collect();
    if of_family.is_empty() {
        let detail = format!("{} has no {word} address, and AddressFamily asks for one", host.address);
        return Err(ConnectError::unreachable(detail));
    }
    Ok(of_family)
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
