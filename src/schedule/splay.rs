//! Where in a schedule's splay a host's visit starts. It comes from the host's name alone, so that a
//! host is read at the same distance from the full hour in every sweep, whoever else joins the fleet.

use std::time::Duration;

use crate::model::HostName;

/// How long after the sweep's start this host's visit begins: less than `splay`, and always the same.
pub fn offset(host: &HostName, splay: Duration) -> Duration {
    let hash = blake3::hash(host.as_str().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // The upper half of a product of 128 bits: exact where a fraction would be rounded up to `splay`.
    let ns = (u128::from(u64::from_le_bytes(first)) * splay.as_nanos().min(u128::from(u64::MAX))) >> 64;
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> HostName {
        HostName::new(&format!("web{number:04}.eu")).unwrap()
    }

    #[test]
    fn a_fleet_is_spread_evenly_and_each_host_stays_where_it_is() {
        let splay = Duration::from_secs(120);
        let mut tenths = [0u32; 10];
        for number in 0..10_000 {
            let at = offset(&host(number), splay);
            assert!(at < splay && at == offset(&host(number), splay));
            tenths[(at.as_millis() / 12_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1_100).contains(count)), "{tenths:?}");
        // Pinned: an upgrade must not move the hosts of a fleet.
        assert_eq!(offset(&host(7), splay).as_millis(), 94_369);
    }

    #[test]
    fn twice_the_splay_is_twice_the_offset_and_none_is_none() {
        assert_eq!(offset(&host(1), Duration::ZERO), Duration::ZERO);
        let (one, two) =
            (offset(&host(1), Duration::from_secs(60)), offset(&host(1), Duration::from_secs(120)));
        assert!((two.as_secs_f64() - 2.0 * one.as_secs_f64()).abs() < 1e-6);
    }
}
