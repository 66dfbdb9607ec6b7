//! Two clocks that must never be mixed: ours and the host's.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

macro_rules! wall_clock {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(i64);

        impl $type {
            pub const fn from_unix_ns(unix_ns: i64) -> Self {
                Self(unix_ns)
            }

            pub const fn from_unix_s(unix_s: i64) -> Self {
                Self(unix_s.saturating_mul(1_000_000_000))
            }

            pub const fn unix_ns(self) -> i64 {
                self.0
            }

            pub const fn unix_s(self) -> i64 {
                self.0.div_euclid(1_000_000_000)
            }

            pub fn utc(self) -> DateTime<Utc> {
                DateTime::from_timestamp_nanos(self.0)
            }

            /// RFC 3339 in UTC with whole seconds, as in every JSON answer.
            pub fn rfc3339(self) -> String {
                self.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
            }
        }
    };
}

wall_clock!(
    /// A moment on the collector's wall clock, in nanoseconds since 1970 (UTC).
    CollectorTime
);

wall_clock!(
    /// A moment on a host's wall clock, in nanoseconds since 1970 (UTC): for display and skew only.
    HostTime
);

/// A moment in seconds since 1970, as a person reads it: `2027-01-15 08:00:00 UTC`.
pub fn date_text(unix_s: u64) -> String {
    let moment = i64::try_from(unix_s).ok().and_then(|unix_s| DateTime::from_timestamp(unix_s, 0));
    moment.map_or_else(|| "a day beyond all calendars".to_owned(), |at| at.format("%F %T UTC").to_string())
}
