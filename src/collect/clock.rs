//! The collector's clock, read where the floors allow it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::CollectorTime;

pub fn now() -> CollectorTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    CollectorTime::from_unix_ns(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The clock that may be set, and one that may not: it counts from the start of the machine, also while that
/// sleeps, and is the same for every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clocks {
    pub wall: CollectorTime,
    pub steady: Duration,
    /// Which start of the machine; the steady clock begins anew with each.
    pub boot: String,
}

impl Clocks {
    pub fn now() -> Self {
        let steady = clock_gettime(ClockId::Boottime);
        let steady = Duration::try_from(steady).unwrap_or_default();
        // Where nobody says, each look is one of another start: no time counts as lived through.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { wall: now(), steady, boot: boot.trim().to_owned() }
    }
}

/// The moment `ago` before now.
pub(super) fn before(ago: Duration) -> CollectorTime {
    let ago_ns = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
    CollectorTime::from_unix_ns(now().unix_ns().saturating_sub(ago_ns))
}
