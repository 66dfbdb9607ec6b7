//! The collector's clock, read where the floors allow it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::CollectorTime;

pub fn now() -> CollectorTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    CollectorTime::from_unix_ns(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The moment `ago` before now.
pub(super) fn before(ago: Duration) -> CollectorTime {
    let ago_ns = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
    CollectorTime::from_unix_ns(now().unix_ns().saturating_sub(ago_ns))
}
