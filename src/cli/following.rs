//! What follows a sweep of a schedule, when it was the verb that ran it and not the scheduler.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::{Context, summary, sweeping};
use crate::collect::{Errand, Pace, Swept, clock, complete};
use crate::config::Settings;
use crate::model::{HostName, OwnAlert, Probe, SweepId};
use crate::render::{Lines, escape};
use crate::select::fold;
use crate::watch::alerts::Queued;
use crate::watch::{self, Courier, Trouble, Unkept};

/// Runs what the sweep calls for. `told` says whether what is found goes to stdout, as text. The ids are
/// those of the sweeps that followed; they are here also when one of them failed.
pub fn follow(
    context: &Context,
    settings: &Settings,
    (swept, told): (&Swept, bool),
    escalated: &mut Vec<SweepId>,
) -> Result<()> {
    let unkept = Unkept::default();
    let mut followed = watch::after_sweep(settings, swept, clock::now(), &unkept)?;
    followed.remarks.iter().for_each(|remark| tell(context, remark));
    for errand in followed.errands {
        let swept = escalate(context, settings, errand, told)?;
        let interrupted = swept.finished.end.interrupted;
        if !interrupted {
            // The dear probe's own numbers may be what somebody waits to be told of.
            let more = watch::after_sweep(settings, &swept, clock::now(), &unkept)?;
            more.remarks.iter().for_each(|remark| tell(context, remark));
            followed.unsaved.extend(more.unsaved);
        }
        escalated.push(swept.sweep);
        if interrupted {
            break;
        }
    }
    deliver(context, settings, &followed.unsaved)
}

/// Tells somebody that a sweep of a schedule could not be recorded. That error is what the verb ends with, so
/// what goes wrong here is only said.
pub fn failed(context: &Context, settings: &Settings, schedule: &str, detail: String) {
    let trouble = Trouble { alert: OwnAlert::SweepFailed, schedule: schedule.to_owned(), detail };
    let raised = watch::raise(settings, &[trouble], clock::now(), &Unkept::default());
    let told = raised.map_err(anyhow::Error::from).and_then(|followed| {
        followed.remarks.iter().for_each(|remark| tell(context, remark));
        deliver(context, settings, &followed.unsaved)
    });
    if let Err(error) = told {
        tell(context, &format!("nobody is told of it: {error:#}"));
    }
}

fn tell(context: &Context, remark: &str) {
    context.remark(&format!("dropsonde: {}", escape(remark, Lines::Single)));
}

/// Messages that no receiver takes now are left to the next sweep.
fn deliver(context: &Context, settings: &Settings, unsaved: &[Queued]) -> Result<()> {
    if settings.receivers.is_empty() {
        return Ok(());
    }
    let courier = Courier::new(settings, credentials());
    let delivery = sweeping::runtime()?.block_on(async {
        let unsaved = courier.deliver_unsaved(unsaved).await;
        unsaved.problems.iter().for_each(|problem| tell(context, problem));
        courier.deliver(settings.delivery.deliver_within).await
    })?;
    delivery.problems.iter().for_each(|problem| tell(context, problem));
    if delivery.waiting > 0 {
        let what = if delivery.waiting == 1 {
            "1 alert waits"
        } else {
            &format!("{} alerts wait", delivery.waiting)
        };
        tell(context, &format!("{what} for a receiver; the next sweep tries again"));
    }
    Ok(())
}

/// Where systemd puts a unit's credentials.
pub fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
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
    let recorder = sweeping::open_recorder(context, &settings.state_dir, &settings.retention)?;
    complete(&mut errand, &settings.state_dir)?;
    let work = (recorder, errand, Pace::default());
    let (swept, report) = sweeping::conduct(context, settings, work, |_| Ok(()))?;
    if told {
        context.print(&format!("\n{}", summary::text(&report, context.out_style())))?;
    }
    Ok(swept)
}
