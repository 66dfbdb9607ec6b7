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
