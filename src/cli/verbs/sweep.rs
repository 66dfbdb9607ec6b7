//! `sweep`: some probes over some hosts, recorded, with a summary at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;

use super::dry_run;
use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, following, summary, sweeping};
use crate::collect::{Errand, Pace, Recorder, Swept, Target, complete};
use crate::config::{Schedule, Settings};
use crate::model::{Host, HostName, Probe, ProbeName, SweepId, Trigger};
use crate::render::json::SweepReport;
use crate::select::nearest;
use crate::store::StoreError;
use crate::store::index::Reader;

/// Run probes over many hosts and record every reading
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without SCHEDULE, name the probes with --probe; -H then defaults to all hosts.

Examples:
  dropsonde sweep hourly                            a schedule of the configuration, now
  dropsonde sweep -H '@edge!web07' --probe proc     ad hoc
  dropsonde sweep -H web01 --probe proc --dry-run   what would be sent, and nothing else
  dropsonde sweep --retry-failed latest             what failed in the last sweep, once more")]
pub struct Sweep {
    /// A schedule of the configuration: its hosts and probes
    #[arg(value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// Only these hosts
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: Option<String>,
    /// These probes; may be given more than once
    #[arg(long = "probe", value_name = "NAME")]
    probes: Vec<String>,
    /// Spread the visits over the schedule's splay, as the daemon does
    #[arg(long, requires = "schedule")]
    spread: bool,
    /// Print exactly what would be sent to each host, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Run again what did not succeed in that sweep (`latest` is the newest one)
    #[arg(long, value_name = "SWEEP", conflicts_with = "schedule")]
    retry_failed: Option<String>,
    /// Print a line of JSON for each reading as it is recorded
    #[arg(long, conflicts_with = "json")]
    ndjson: bool,
}

impl Sweep {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        // A retry asks the index, so a broken one is mended first; a new sweep is checked first, so
        // that a slip leaves no state directory behind.
        let mends = self.retry_failed.is_some() && !self.dry_run && settings.state_dir.exists();
        let mended = mends
            .then(|| sweeping::open_recorder(context, &settings.state_dir, &settings.retention))
            .transpose()?;
        let errand = self.errand(context, settings);
        if errand.is_err() && !self.dry_run {
            sweeping::keep_inventories(settings, &settings.state_dir);
        }
        let mut errand = errand?;
        if self.dry_run {
            complete(&mut errand, &settings.state_dir)?;
            return dry_run::print(context, &errand, &settings.limits);
        }
        let scheduled = errand.trigger == Trigger::Scheduled;
        let done = self.record(context, settings, (mended, errand));
        if let (Err(error), Some(schedule)) = (&done, &self.schedule)
            && error.is::<StoreError>()
        {
            following::failed(context, settings, schedule, error.to_string());
        }
        let (swept, mut report) = done?;
        let told = !context.global.json && !self.ndjson;
        if told {
            context.print(&summary::text(&report, context.out_style()))?;
        }
        let mut followed = Ok(());
        if scheduled && !swept.finished.end.interrupted {
            followed = following::follow(context, settings, (&swept, told), &mut report.escalated);
        }
        if context.global.json {
            context.print_json(&report)?;
        }
        // Only now: the sweep was recorded, and its answer is owed whatever came after it.
        followed?;
        let exit = sweeping::exit_of(&report, &swept);
        match self.found_schedule(settings)?.and_then(|schedule| schedule.shortfall(&report.outcomes)) {
            Some(shortfall) if exit == Exit::Partial => {
                context.remark(&format!("dropsonde: {shortfall}"));
                Ok(Exit::NoHostReached)
            }
            _ => Ok(exit),
        }
    }

    fn record(
        &self,
        context: &Context,
        settings: &Settings,
        (mended, mut errand): (Option<Recorder>, Errand),
    ) -> Result<(Swept, SweepReport)> {
        let recorder = match mended {
            Some(recorder) => recorder,
            None => sweeping::open_recorder(context, &settings.state_dir, &settings.retention)?,
        };
        complete(&mut errand, &settings.state_dir)?;
        let work = (recorder, errand, self.pace(settings)?);
        sweeping::conduct(context, settings, work, |kept| {
            if self.ndjson { summary::ndjson(context, kept) } else { Ok(()) }
        })
    }

    fn found_schedule<'a>(&self, settings: &'a Settings) -> Result<Option<&'a Schedule>> {
        self.schedule.as_deref().map(|name| find_schedule(settings, name)).transpose()
    }

    /// A person waits for nothing but the hosts; a timer's sweep is spread like the daemon's.
    fn pace(&self, settings: &Settings) -> Result<Pace> {
        let schedule = self.found_schedule(settings)?;
        let splay = schedule.map(|schedule| schedule.splay).filter(|_| self.spread);
        let deadline = schedule.and_then(|schedule| schedule.deadline);
        Ok(Pace { splay: splay.unwrap_or_default(), deadline })
    }

    fn errand(&self, context: &Context, settings: &Settings) -> Result<Errand> {
        if let Some(sweep) = &self.retry_failed {
            return self.retry(context, settings, sweep);
        }
        let schedule = self.found_schedule(settings)?;
        let mut probes =
            self.probes.iter().map(|name| find_probe(settings, name)).collect::<Result<Vec<_>>>()?;
        if let Some(schedule) = schedule.filter(|_| probes.is_empty()) {
            probes = schedule
                .probes
                .iter()
                .map(|name| find_probe(settings, name.as_str()))
                .collect::<Result<_>>()?;
        }
        if probes.is_empty() {
            let names: Vec<&str> = settings.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
            let known =
                if names.is_empty() { "the configuration has none".to_owned() } else { names.join(", ") };
            let text = format!("nothing to sweep: name a schedule ({known}) or probes (--probe proc)");
            return Err(Usage(text).into());
        }
        let probes = distinct(probes);
        let scheduled = schedule.map(|schedule| schedule.hosts.as_str());
        let mut hosts = context.select(scheduled.or(self.hosts.as_deref()).unwrap_or("*"))?;
        if let (Some(_), Some(only)) = (scheduled, &self.hosts) {
            let only: HashSet<&HostName> = context.select(only)?.into_iter().map(|host| &host.name).collect();
            hosts.retain(|host| only.contains(&host.name));
            if hosts.is_empty() {
                return Err(Usage("the schedule has none of the hosts of -H".to_owned()).into());
            }
        }
        let target = |host: &Host| Target { host: Arc::new(host.clone()), probes: probes.clone() };
        Ok(Errand {
            trigger: if schedule.is_some() { Trigger::Scheduled } else { Trigger::Adhoc },
            schedule: schedule.map(|schedule| schedule.name.clone()),
            cause: None,
            targets: hosts.into_iter().map(target).collect(),
            cursors: Default::default(),
            held: Default::default(),
        })
    }

    /// The readings of an earlier sweep that did not succeed.
    fn retry(&self, context: &Context, settings: &Settings, sweep: &str) -> Result<Errand> {
        let reader = Reader::open(&settings.state_dir)?;
        let sweep = find_sweep(&reader, sweep)?;
        let failed = reader.outcomes(&sweep)?.into_iter().filter(|(_, _, outcome)| !outcome.is_success());
        let chosen = context.select(self.hosts.as_deref().unwrap_or("*"))?;
        let chosen: HashMap<&HostName, &Host> = chosen.into_iter().map(|host| (&host.name, host)).collect();
        let only = self.probes.iter().map(|name| find_probe(settings, name)).collect::<Result<Vec<_>>>()?;
        let mut again: BTreeMap<HostName, Target> = BTreeMap::new();
        let mut gone: Vec<(HostName, ProbeName)> = Vec::new();
        for (name, probe, _) in failed {
            if !only.is_empty() && only.iter().all(|only| only.name != probe) {
                continue;
            }
            match (chosen.get(&name), settings.probes.get(probe.as_str())) {
                (Some(&host), Some(probe)) => again
                    .entry(name)
                    .or_insert_with(|| Target { host: Arc::new(host.clone()), probes: Vec::new() })
                    .probes
                    .push(Arc::clone(probe)),
                // Not chosen by -H.
                (None, _) if self.hosts.is_some() => {}
                _ => gone.push((name, probe)),
            }
        }
        let targets: Vec<Target> = again.into_values().collect();
        for (host, probe) in gone {
            context.remark(&format!("dropsonde: {probe} on {host} is no longer configured; left out"));
        }
        if targets.is_empty() {
            return Err(Usage(format!("nothing failed in {sweep} that could be run again")).into());
        }
        Ok(Errand {
            trigger: Trigger::Adhoc,
            schedule: None,
            cause: None,
            targets,
            cursors: Default::default(),
            held: Default::default(),
        })
    }
}

fn distinct(probes: Vec<Arc<Probe>>) -> Vec<Arc<Probe>> {
    let mut seen = HashSet::new();
    probes.into_iter().filter(|probe| seen.insert(probe.name.clone())).collect()
}

pub(super) fn find_probe(settings: &Settings, name: &str) -> Result<Arc<Probe>> {
    let unknown = || {
        let near = settings.probes.closest(name).map(|near| format!("; did you mean {near}?"));
        let near = near.unwrap_or_else(|| "; `dropsonde probes list` shows them".to_owned());
        Usage(format!("there is no probe {name}{near}"))
    };
    Ok(Arc::clone(settings.probes.get(name).ok_or_else(unknown)?))
}

pub(super) fn find_schedule<'a>(settings: &'a Settings, name: &str) -> Result<&'a Schedule> {
    let unknown = || {
        let known: Vec<&str> = settings.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        let near = match nearest(name, known.iter().copied()).first() {
            Some(near) => format!("; did you mean {near}?"),
            None if known.is_empty() => ": it has none".to_owned(),
            None => format!("; it has {}", known.join(", ")),
        };
        Usage(format!("the configuration has no schedule {name}{near}"))
    };
    Ok(settings.schedules.iter().find(|schedule| schedule.name == name).ok_or_else(unknown)?)
}

/// The sweep that a person names: its id, or `latest`.
fn find_sweep(reader: &Reader, text: &str) -> Result<SweepId> {
    if text == "latest" {
        let none = || Usage("nothing was swept yet".to_owned());
        return Ok(reader.sweeps(1)?.into_iter().next().ok_or_else(none)?.sweep);
    }
    let id = SweepId::new(text).map_err(|error| Usage(format!("{error}; `dropsonde sweeps` lists them")))?;
    reader
        .sweep(&id)?
        .ok_or_else(|| Usage(format!("there is no sweep {id}; `dropsonde sweeps` lists them")))?;
    Ok(id)
}
