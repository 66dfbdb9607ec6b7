//! What follows a sweep of a schedule, when it was the verb that ran it and not the scheduler.

use std::sync::Arc;

use anyhow::Result;

use super::{Context, summary, sweeping};
use crate::collect::{Errand, Swept, clock};
use crate::config::Settings;
use crate::model::{HostName, Probe, SweepId};
use crate::render::{Lines, escape};
use crate::select::fold;
use crate::watch;

/// Runs what the sweep calls for. `told` says whether what is found goes to stdout, as text. The ids are
/// those of the sweeps that followed; they are here also when one of them failed.
pub fn follow(
    context: &Context,
    settings: &Settings,
    (swept, told): (&Swept, bool),
    escalated: &mut Vec<SweepId>,
) -> Result<()> {
    let followed = watch::after_sweep(settings, &swept.sweep, clock::now())?;
    for remark in &followed.remarks {
        context.remark(&format!("dropsonde: {}", escape(remark, Lines::Single)));
    }
    for errand in followed.errands {
        let swept = escalate(context, settings, errand, told)?;
        escalated.push(swept.sweep);
        if swept.finished.end.interrupted {
            break;
        }
    }
    Ok(())
}

fn escalate(context: &Context, settings: &Settings, mut errand: Errand, told: bool) -> Result<Swept> {
    let mut probes: Vec<Arc<Probe>> =
        errand.targets.iter().flat_map(|target| target.probes.iter().cloned()).collect();
    probes.sort_by(|a, b| a.name.cmp(&b.name));
    probes.dedup_by(|a, b| a.name == b.name);
    if let Some(cause) = &errand.cause {
        let hosts: Vec<&HostName> = errand.targets.iter().map(|target| &target.host.name).collect();
        let names: Vec<&str> = probes.iter().map(|probe| probe.name.as_str()).collect();
        let rule = escape(&cause.rule, Lines::Single);
        context.remark(&format!("dropsonde: {rule}: running {} on {}", names.join(", "), fold(hosts)));
    }
    let recorder = sweeping::open_recorder(context, &settings.state_dir)?;
    errand.cursors = sweeping::cursors(&settings.state_dir, &probes)?;
    errand.held = sweeping::held(context, &settings.state_dir, &probes)?;
    let (swept, report) = sweeping::conduct(context, settings, (recorder, errand), |_| Ok(()))?;
    if told {
        context.print(&format!("\n{}", summary::text(&report, context.out_style())))?;
    }
    Ok(swept)
}
