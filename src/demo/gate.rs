//! What the demo's servers run: the contract's own supervisor with a bundled probe's script in it, and
//! nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::Probe;
use crate::transport::served::{Admission, Gate};
use crate::wire::served::{Payload, Refused};

/// The shipped probes that a synthetic host can answer. Not `kernel_log`: `dmesg` takes no other place to
/// read from, and the log of the machine that the demo runs on is not the fleet's.
pub const PROBES: [&str; 2] = ["proc", "host_context"];

/// Those that it has answered in the past, when no script ran: all of an hourly sweep.
pub const PAST_PROBES: [&str; 3] = ["proc", "host_context", "kernel_log"];

/// What a collector asks a login shell for; a probe that needs root asks for more and is refused.
pub(super) const COMMAND: &str = "exec /bin/sh -s";

/// Admits requests for the scripts of `probes`, compared by hash.
pub(super) fn bundled_only(probes: &[Arc<Probe>]) -> Gate {
    let hash = |script: &str| blake3::hash(script.as_bytes());
    let scripts: HashSet<blake3::Hash> = probes.iter().map(|probe| hash(&probe.script)).collect();
    Arc::new(move |bytes: &[u8]| match Payload::read(bytes) {
        // Looking for what a probe needs runs nothing but a tool's own version.
        Ok(payload) if payload.only_check || scripts.contains(&hash(&payload.script)) => Admission::Run,
        Ok(payload) => Admission::Refused(format!("{:?} is not a bundled probe", payload.name)),
        Err(Refused::Partial) => Admission::NeedMore,
        Err(refused) => Admission::Refused(refused.to_string()),
    })
}
