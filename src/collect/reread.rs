//! From a reading's bytes to numbers: the same for a live sweep, for recovery and for `reindex`, so that
//! a rebuilt index has the same rows. A parser that panics costs one reading's samples and no more.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::read::GzDecoder;

use super::Caps;
use crate::model::{Fault, Outcome, Parsed, Probe, Reading};
use crate::parse::{self, Context};

/// What one reading gave.
#[derive(Debug, Default)]
pub(super) struct Reread {
    pub parsed: Parsed,
    /// A cap cut what was parsed.
    pub truncated: bool,
}

/// Reads `raw`, the output without its trailer. Without a definition there is nothing to read it with.
pub(super) fn read(probe: Option<&Probe>, reading: &Reading, raw: &[u8], caps: Caps) -> Reread {
    let raw = match reading.outcome {
        Outcome::Ok => raw,
        // The cut may stand within a number: a last line without its end is not read.
        Outcome::Truncated => &raw[..raw.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)],
        // The rest is not known to be whole, and half a reading must not look like one.
        _ => return Reread::default(),
    };
    let Some(probe) = probe else {
        let fault = Fault("its probe's definition cannot be read by this version: no samples".to_owned());
        return Reread { parsed: Parsed { faults: vec![fault], ..Parsed::default() }, truncated: false };
    };
    let context = Context { clock: reading.clock.as_ref(), cursor: reading.cursor.as_deref() };
    let parsed = catch_unwind(AssertUnwindSafe(|| parse::parse(probe, raw, &context)));
    let mut parsed = parsed.unwrap_or_else(|_| {
        let fault = format!("the {} parser stopped with a panic: no samples; please report it", probe.name);
        Parsed { faults: vec![Fault(fault)], ..Parsed::default() }
    });
    let truncated = caps.apply(&mut parsed);
    Reread { parsed, truncated }
}

/// The output again, out of the archive.
pub(super) fn inflate(reading: &Reading) -> Vec<u8> {
    let mut raw = Vec::new();
    // What can be inflated of a torn stream is what the live reading had, too.
    let _ = GzDecoder::new(reading.wire.as_ref()).take(reading.bytes_raw).read_to_end(&mut raw);
    raw
}
