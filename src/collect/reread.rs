//! From a reading's bytes to numbers: the same for a live sweep, for recovery and for `reindex`, so that
//! a rebuilt index has the same rows. A parser that panics costs one reading's samples and no more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Caps;
use crate::model::{Fault, Outcome, Parsed, Probe, Reading};
use crate::parse::{self, Context};
use crate::wire::{inflate_archived, over_budget};

/// What one reading gave.
#[derive(Debug, Default)]
pub(super) struct Reread {
    pub parsed: Parsed,
    /// A cap cut what was parsed.
    pub truncated: bool,
}

/// Reads `raw`, the output without its trailer. Without a definition there is nothing to read it with.
pub(super) fn read(probe: Option<&Probe>, reading: &Reading, raw: &[u8], caps: Caps) -> Reread {
    numbers(probe, reading, raw, caps).flagged(probe, reading)
}

fn numbers(probe: Option<&Probe>, reading: &Reading, raw: &[u8], caps: Caps) -> Reread {
    if !is_read(reading.outcome) {
        return Reread::default();
    }
    // A cap may have cut within a number: a last line without its end is not read.
    let whole = match reading.outcome {
        Outcome::Truncated => raw.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        _ => raw.len(),
    };
    let Some(probe) = probe else {
        return Reread::fault("its probe's definition cannot be read by this version: no samples".to_owned());
    };
    let context = Context { clock: reading.clock.as_ref(), cursor: reading.cursor.as_deref() };
    let parsed = catch_unwind(AssertUnwindSafe(|| parse::parse(probe, &raw[..whole], &context)));
    let mut parsed = parsed.unwrap_or_else(|_| {
        let fault = format!("the {} parser stopped with a panic: no samples; please report it", probe.name);
        Parsed { faults: vec![Fault(fault)], ..Parsed::default() }
    });
    let truncated = caps.apply(&mut parsed);
    Reread { parsed, truncated }
}

/// The same out of the archive.
pub(super) fn reread(probe: Option<&Probe>, reading: &Reading, caps: Caps) -> Reread {
    if !is_read(reading.outcome) {
        return Reread::default().flagged(probe, reading);
    }
    match inflate_archived(&reading.wire, reading.bytes_raw, caps.output.0) {
        Ok(raw) => read(probe, reading, &raw, caps),
        Err(error) => {
            let fault = format!("its archived output cannot be inflated: {error}");
            Reread::fault(fault).flagged(probe, reading)
        }
    }
}

/// What other outcomes brought is not known to be whole, and half a reading must not look like one.
fn is_read(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Ok | Outcome::Truncated)
}

impl Reread {
    /// Says so where the probe took more of the host than it may, whatever its output was worth.
    fn flagged(mut self, probe: Option<&Probe>, reading: &Reading) -> Self {
        let over = probe.and_then(|probe| over_budget(probe, reading));
        self.parsed.faults.extend(over.map(Fault));
        self
    }

    fn fault(text: String) -> Self {
        Self { parsed: Parsed { faults: vec![Fault(text)], ..Parsed::default() }, truncated: false }
    }
}
