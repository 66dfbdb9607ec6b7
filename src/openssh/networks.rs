//! `Match localnetwork`: whether an address of this machine is in one of some networks.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether one of our addresses is in one of `networks` (`10.0.0.0/8,fd00::/8`); a plain address is a
/// network of its own.
pub(super) fn are_ours(networks: &str) -> Result<bool, String> {
    let networks: Vec<(IpAddr, u32)> = networks.split(',').map(network).collect::<Result<_, _>>()?;
    let ours = addresses();
    Ok(networks.iter().any(|(network, bits)| ours.iter().any(|address| is_in(*address, *network, *bits))))
}

fn network(text: &str) -> Result<(IpAddr, u32), String> {
    let bad = || format!("Match localnetwork cannot be {text:?}: expected networks, as in 10.0.0.0/8");
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| bad()))?;
    if bits > most { Err(bad()) } else { Ok((address, bits)) }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits == 0 || (a ^ b) >> (width - bits) == 0;
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

/// The addresses of the interfaces that are up, as the kernel tells them without a system call of ours.
fn addresses() -> Vec<IpAddr> {
    let trie = fs::read_to_string("/proc/self/net/fib_trie").unwrap_or_default();
    let six = fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
    v4(&trie).chain(v6(&six)).collect()
}

/// `|-- 127.0.0.1` with `/32 host LOCAL` below it.
fn v4(trie: &str) -> impl Iterator<Item = IpAddr> {
    let mut last = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
            return None;
        }
        last.filter(|_| line == "/32 host LOCAL").map(IpAddr::V4)
    })
}

fn v6(lines: &str) -> impl Iterator<Item = IpAddr> {
    let address = |line: &str| u128::from_str_radix(line.split(' ').next()?, 16).ok();
    lines.lines().filter_map(address).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let check = |address: &str, net: &str, expected| {
            let (network, bits) = network(net).unwrap();
            assert_eq!(is_in(address.parse().unwrap(), network, bits), expected, "{address} {net}");
        };
        check("10.1.2.3", "10.0.0.0/8", true);
        check("11.1.2.3", "10.0.0.0/8", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "0.0.0.0/0", true);
        check("fd00::1", "fd00::/8", true);
        check("fd00::1", "::/0", true);
        check("10.1.2.3", "::/0", false);
        for bad in ["", "10.0.0.0/33", "web", "10.0.0.0/x"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kernels_tables() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(v4(trie).collect::<Vec<_>>(), ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(v6(six).collect::<Vec<_>>(), ["::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn loopback_is_ours() {
        assert_eq!(are_ours("127.0.0.0/8"), Ok(true));
        assert_eq!(are_ours("255.255.255.255,127.0.0.1"), Ok(true));
        // No interface has it: it means every one of them.
        assert_eq!(are_ours("255.255.255.255"), Ok(false));
        assert!(are_ours("!127.0.0.1").is_err());
    }
}
