//! What the demo's servers run: the contract's command with a bundled probe's script, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::Probe;
use crate::transport::served::{Admission, Gate};

pub(super) const COMMAND: &str = "exec /bin/sh -s";

/// Admits the scripts of `probes`, compared by hash.
pub(super) fn bundled_only(probes: &[Arc<Probe>]) -> Gate {
    let scripts: HashSet<Vec<u8>> = probes.iter().map(|probe| probe.script.as_bytes().to_vec()).collect();
    Arc::new(move |payload: &[u8]| {
        if scripts.contains(payload) {
            Admission::Run
        } else if scripts.iter().any(|s| s.starts_with(payload)) {
            Admission::NeedMore
        } else {
            Admission::Refused("only bundled probes run here".to_owned())
        }
    })
}
