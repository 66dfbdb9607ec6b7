//! `[retention]`: how long what was recorded is kept, and what happens when the disk is nearly full.

use std::time::Duration;

use super::knob::{any, between, knobs};
use crate::model::ByteSize;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

const LONGEST: Duration = days(36_500);
const LARGEST: ByteSize = ByteSize(1 << 50);

knobs! {
    /// How long what was recorded is kept.
    pub struct Retention = ["retention"], "DROPSONDE_RETENTION_" {
        /// The bytes as they came off the wire. What was read out of them is kept longer.
        raw: Duration = days(30), between(Duration::ZERO, LONGEST);
        /// How large the tars with such bytes may become together; 0B is no limit.
        raw_size: ByteSize = ByteSize(0), between(ByteSize(0), LARGEST);
        /// Everything of a sweep, samples and ledger.
        samples: Duration = days(365), between(Duration::ZERO, LONGEST);
        /// How much of the index may be in use; 0B is no limit.
        samples_size: ByteSize = ByteSize(0), between(ByteSize(0), LARGEST);
        /// From this age on, a schedule's sweeps share numbers.
        downsample_after: Duration = days(90), between(Duration::ZERO, LONGEST);
        /// How long the time is whose sweeps share them; 0s is never.
        downsample_to: Duration = days(1), between(Duration::ZERO, days(366));

        /// Kept free by a file that is given up when the disk is full, so that what runs can end well.
        reserve: ByteSize = ByteSize(32 << 20), between(ByteSize(0), ByteSize(1 << 40));
        /// With less than this free, it is said.
        low_space: ByteSize = ByteSize(1 << 30), between(ByteSize(0), LARGEST);
        /// With less than that free, the oldest go first, whatever their age.
        prune_when_low: bool = false, any;
    }
}
