//! What the index learns, in the order in which the archive says it.

use std::sync::Arc;

use crate::model::{Kept, Parsed, Plan, Probe, Reading, Sample, SweepEnd, SweepId};

/// One step of a sweep: the same for a live sweep, for recovery and for `reindex`.
#[derive(Debug)]
pub struct Event {
    pub seq: u64,
    pub sweep: SweepId,
    /// How many bytes of the sweep's tar this event completes.
    pub archived: u64,
    pub kind: EventKind,
}

#[derive(Debug)]
pub enum EventKind {
    Begin {
        plan: Arc<Plan>,
        probes: Arc<[Arc<Probe>]>,
        kept: Kept,
    },
    Reading {
        reading: Box<Reading>,
        /// `None` when the archived definition cannot be read by this version.
        probe: Option<Arc<Probe>>,
        parsed: Arc<Parsed>,
        /// A cap on samples or labels cut what was parsed.
        truncated: bool,
        /// Where its member begins.
        offset: u64,
        digested: Option<Digested>,
    },
    End(SweepEnd),
}

/// What of a reading does not follow from it any more, because its bytes were pruned.
#[derive(Debug, Clone, PartialEq)]
pub struct Digested {
    /// The rates since the reading before it, as they once were made.
    pub between: Vec<Sample>,
    pub bytes_wire: u64,
}
