//! `demo`: a fleet of real SSH servers inside this process over synthetic hosts, with a past of two days and
//! three incidents in it; swept, archived, indexed and compared by the same code as any fleet.

mod past;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::cli::{Context, Exit, args, summary, sweeping};
use crate::collect::{Errand, Recorder, Stop, Target};
use crate::config::{Defaults, Library, Limits, Retention};
use crate::demo::{self, DemoOptions, History, Incident};
use crate::model::{ByteSize, Probe, Trigger};
use crate::render::json::SweepReport;

/// Between two sweeps of a demo that goes on.
const PAUSE: Duration = Duration::from_secs(5);

/// What `top` is shown for: how long a task that can run waits until it does.
const METRIC: &str = "scheduler_runqueue_wait_per_slice_seconds";

/// Sweep a synthetic fleet inside this process, with three incidents to find: nothing to install, no root
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The hosts, their /proc and their past are made up; SSH, archive and index are real. A demo that is started \
again goes on with its history. Look at what it leaves with
  dropsonde --state DIR outliers | explain | top | compare | sweeps | query ...")]
pub struct Demo {
    /// How many hosts
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    hosts: u16,
    /// Hourly sweeps of the past to begin with, up to now; 0 for none
    #[arg(long, default_value_t = 48, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=168))]
    backfill: u16,
    /// One live sweep, then exit
    #[arg(long)]
    once: bool,
    /// State directory for the demo [default: dropsonde-demo beside the usual one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Another seed makes another fleet
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

impl Demo {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let dir = self.dir.clone().unwrap_or_else(|| default_dir(context));
        // Each host that is read needs its files moved on by this process: with many more at once they would
        // stand still for a whole window, and have no rates.
        let limits = Limits { concurrency: 64, ..Limits::default() };
        // Nobody keeps a demo for long, nor waits for room for one.
        let none = ByteSize(0);
        let retention = Retention { reserve: none, low_space: none, ..Retention::default() };
        let recorder = sweeping::open_recorder(context, &dir, &retention)?;
        let stop = Stop::default();
        sweeping::runtime()?.block_on(sweeping::with_signals(
            context,
            (&stop, limits.signal_grace),
            self.show(context, &recorder, (&dir, &limits, &stop)),
        ))
    }

    async fn show(
        &self,
        context: &Context,
        recorder: &Recorder,
        (dir, limits, stop): (&Path, &Limits, &Stop),
    ) -> Result<Exit> {
        let hosts = usize::from(self.hosts);
        let found = past::find(dir, (hosts, self.seed), self.backfill > 0)?;
        let history = History::new(hosts, self.seed, found.mark, shipped(&demo::PAST_PROBES)?)?;
        past::record(context, recorder, dir, (&history, &found), (usize::from(self.backfill), stop)).await?;
        let probes = shipped(&demo::PROBES)?;
        let options = DemoOptions {
            hosts,
            seed: self.seed,
            made: found.mark.made(),
            dir: dir.to_owned(),
            probes: probes.clone(),
        };
        let fleet = demo::Demo::start(options).await?;
        context.remark(&fleet.describe());
        let sweeper = sweeping::sweeper(limits, &Defaults { agent: false, ..Defaults::default() }, stop);
        let target =
            |host: &crate::model::Host| Target { host: Arc::new(host.clone()), probes: probes.clone() };
        let errand = Errand {
            trigger: Trigger::Adhoc,
            schedule: None,
            cause: None,
            targets: fleet.hosts.iter().map(target).collect(),
            cursors: Default::default(),
            held: Default::default(),
        };
        let exit = loop {
            let (swept, report) =
                sweeping::carry_out(context, recorder, (&sweeper, errand.clone()), |_| Ok(())).await?;
            let exit = sweeping::exit_of(&report, &swept);
            self.print(context, (&report, dir), &fleet)?;
            if self.once || stop.is_finishing() {
                break exit;
            }
            tokio::select! {
                () = stop.finishing() => break Exit::Good,
                () = tokio::time::sleep(PAUSE) => {}
            }
        };
        fleet.shutdown().await;
        Ok(exit)
    }

    /// The sweep, then what the reading verbs make of it and of the past.
    fn print(
        &self,
        context: &Context,
        (report, dir): (&SweepReport, &Path),
        fleet: &demo::Demo,
    ) -> Result<()> {
        if context.global.json {
            return context.print_json(report);
        }
        context.print(&summary::text(report, context.out_style()))?;
        show_command(context, dir, &["top", METRIC])?;
        if let Some(healthy) = &fleet.healthy {
            show_command(context, dir, &["compare", healthy.as_str(), fleet.sick.as_str(), "--limit", "10"])?;
        }
        show_command(context, dir, &["outliers"])?;
        for (incident, _) in &fleet.incidents {
            show_command(context, dir, &["explain", symptom(*incident)])?;
        }
        context.print(&next_steps(dir, fleet))
    }
}

/// The metric that tells most of an incident.
fn symptom(incident: Incident) -> &'static str {
    match incident {
        Incident::SlowKernel => METRIC,
        Incident::DyingDisk => "disk_r_await_seconds",
        Incident::NoisyNeighbour => "cpu_steal_ratio",
    }
}

fn next_steps(dir: &Path, fleet: &demo::Demo) -> String {
    let dropsonde = format!("  dropsonde --state {}", dir.display());
    let mut text =
        "\nAll of this data is synthetic. It is an ordinary state directory; look further with\n".to_owned();
    let sick = fleet.sick.as_str();
    for verb in [
        "outliers".to_owned(),
        "report --out demo.html".to_owned(),
        format!("history {METRIC} -H {sick}"),
        format!("show {sick} proc"),
        "sweeps".to_owned(),
    ] {
        text.push_str(&format!("{dropsonde} {verb}\n"));
    }
    text
}

/// Runs a reading verb and prints its command line above what it says: anyone can repeat it.
fn show_command(context: &Context, dir: &Path, words: &[&str]) -> Result<()> {
    context.print(&format!("\n$ dropsonde --state {} {}\n", dir.display(), words.join(" ")))?;
    let start = [OsString::from("dropsonde"), "--state".into(), dir.into()];
    let args = args::parse(start.into_iter().chain(words.iter().map(OsString::from)))?;
    args.verb.run(&Context::new(args.global))?;
    Ok(())
}

fn shipped(names: &[&str]) -> Result<Vec<Arc<Probe>>> {
    let library = Library::built_in()?;
    Ok(names.iter().filter_map(|name| library.get(name)).cloned().collect())
}

/// Beside the usual state directory, so that made-up readings never mix with real ones.
fn default_dir(context: &Context) -> PathBuf {
    if let Some(state) = &context.global.state {
        return state.clone();
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    absolute("XDG_STATE_HOME").or_else(home).unwrap_or_else(std::env::temp_dir).join("dropsonde-demo")
}
