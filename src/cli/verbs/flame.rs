//! `flame`: where a host's CPU time goes, as a picture; or how that differs from other hosts'.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cli::failure::Usage;
use crate::cli::outfile::whole_file;
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::collect::{Archived, Caps};
use crate::model::{Format, HostName, Outcome, ProbeName};
use crate::parse::{Stacks, stacks};
use crate::render::{Caption, FlameError, Folded, Lines, Widths, counted, escape, flame, flame_diff};
use crate::select::fold;
use crate::store::StateDir;
use crate::store::index::ReadingRow;

const PROBE: &str = "cpu_profile";

/// Draw a host's CPU profile as a flame graph, or how it differs from others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads what `dropsonde run cpu_profile -H HOST` recorded. Samples of idle CPUs are left out.

With --vs, frames are as wide as on HOST, red where HOST does more than the others and blue where it does \
less, the others scaled to as many samples. A colour is of the frame itself, not of what it calls. \
What HOST does not do at all has no width there: --reverse draws the others' profile in the same colours.

Examples:
  dropsonde flame web06 -o web06.svg
  dropsonde flame web06 --vs role=web -o web06-more.svg
  dropsonde flame web06 --vs role=web --reverse -o web06-less.svg
  dropsonde flame web06 --folded | sort -t' ' -k2 -n")]
pub struct Flame {
    /// Whose profile is drawn
    #[arg(value_name = "HOST")]
    host: String,
    /// An id, the beginning of one, or `latest` [default: each host's newest profile]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Compare with these hosts' profiles
    #[arg(long, value_name = "SELECTOR")]
    vs: Option<String>,
    /// Widths are the others', not HOST's
    #[arg(long, requires = "vs")]
    reverse: bool,
    /// Keep the samples of idle CPUs
    #[arg(long)]
    idle: bool,
    /// Write the stacks as text, `frame;frame;frame COUNT`
    #[arg(long, conflicts_with = "vs")]
    folded: bool,
    /// Write this file, whole or not at all [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A profile and where it is from.
struct Profile {
    row: ReadingRow,
    stacks: Stacks,
    idle: u64,
}

impl Flame {
    pub fn run(self, context: &Context) -> Result<Exit> {
        if context.global.json {
            let why = "a flame graph is an SVG, not JSON; --folded writes the stacks as text";
            return Err(Usage(why.to_owned()).into());
        }
        let recorded = Recorded::open(context)?;
        let host = recorded.host(&self.host)?;
        let probe = ProbeName::new(PROBE).context("the profile's name")?;
        let profile = match self.row(&recorded, &host, &probe)? {
            Some(row) => self.profile(context, row)?,
            None => {
                let when = self.sweep.as_deref().map_or(String::new(), |sweep| format!(" in {sweep}"));
                return Err(Usage(format!("no {PROBE} of {host} was recorded{when}; {}", take(&host))).into());
            }
        };
        profile.remark(context);
        let text = match &self.vs {
            Some(selector) => self.difference(context, &recorded, (&profile, &probe), selector)?,
            None if self.folded => folded(&profile.stacks.counts),
            None => {
                let title = format!("{host}: CPU profile");
                let caption = Caption { title: &title, subtitle: &profile.subtitle() };
                drawn(flame(caption, &profile.stacks.counts))?
            }
        };
        match &self.out {
            Some(path) => whole_file(path, |mut file| Ok(file.write_all(text.as_bytes())?))?,
            None => context.print(&text)?,
        }
        Ok(Exit::Good)
    }

    fn row(&self, recorded: &Recorded<'_>, host: &HostName, probe: &ProbeName) -> Result<Option<ReadingRow>> {
        Ok(match &self.sweep {
            Some(sweep) => recorded.reader.reading(&recorded.sweep(sweep)?.sweep, host, probe)?,
            None => recorded.reader.latest(host, probe)?,
        })
    }

    fn profile(&self, context: &Context, row: ReadingRow) -> Result<Profile> {
        let archived = Archived::open(&StateDir::at(&context.state_dir()?), &row)?;
        let host = &row.host;
        if archived.probe.as_ref().is_some_and(|probe| probe.format != Format::PerfScript) {
            return Err(Usage(format!("{PROBE} of {host} is no output of perf script")).into());
        }
        if archived.reading.wire.is_empty() {
            let detail = row.detail.as_deref().map_or(String::new(), |detail| format!(": {detail}"));
            let what = format!("the profile of {host} has no output, it is {}{detail}", row.outcome);
            return Err(Usage(format!("{what}; {}", take(host))).into());
        }
        let mut stacks = stacks(&archived.output(Caps::default())?);
        let idle = if self.idle { 0 } else { stacks.take_idle() };
        if stacks.samples == 0 {
            let what = match idle {
                0 => format!("the profile of {host} holds no samples, it is {}", row.outcome),
                idle => format!(
                    "{host} did nothing in any of {} (--idle draws them)",
                    counted(idle as usize, "sample")
                ),
            };
            return Err(Usage(what).into());
        }
        Ok(Profile { row, stacks, idle })
    }

    fn difference(
        &self,
        context: &Context,
        recorded: &Recorded<'_>,
        (ours, probe): (&Profile, &ProbeName),
        selector: &str,
    ) -> Result<String> {
        let sweep = self.sweep.as_deref().map(|text| recorded.sweep(text)).transpose()?;
        let (mut theirs, mut samples) = (BTreeMap::new(), 0);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for host in
            recorded.hosts(selector, sweep.as_ref())?.into_iter().filter(|host| *host != ours.row.host)
        {
            let row = self.row(recorded, &host, probe)?;
            let Some(profile) = row.and_then(|row| self.profile(context, row).ok()) else {
                without.push(host);
                continue;
            };
            samples += profile.stacks.samples;
            for (stack, count) in profile.stacks.counts {
                *theirs.entry(stack).or_insert(0) += count;
            }
            with.push(host);
        }
        let host = &ours.row.host;
        if with.is_empty() {
            let why = match without.is_empty() {
                true => format!("{selector} names no host but {host} itself"),
                false => format!("no profile of {} to compare with; {}", fold(&without), take(&without[0])),
            };
            return Err(Usage(why).into());
        }
        if !without.is_empty() {
            context.remark(&format!("dropsonde: without {}: no profile", fold(&without)));
        }
        let others = fold(&with);
        let title = match self.reverse {
            false => format!("{host} against {others}: red is more on {host}"),
            true => format!("{others}, of which {host} does more (red) or less (blue)"),
        };
        let subtitle = format!("{} · the others: {}", ours.subtitle(), counted(samples as usize, "sample"));
        let widths = if self.reverse { Widths::Theirs } else { Widths::Ours };
        drawn(flame_diff(
            Caption { title: &title, subtitle: &subtitle },
            &ours.stacks.counts,
            &theirs,
            widths,
        ))
    }
}

impl Profile {
    fn subtitle(&self) -> String {
        let cut = if self.row.outcome == Outcome::Truncated { " · cut at the size limit" } else { "" };
        format!("{} · {}{cut}", self.row.started.rfc3339(), counted(self.stacks.samples as usize, "sample"))
    }

    fn remark(&self, context: &Context) {
        if self.idle > 0 {
            let all = self.idle + self.stacks.samples;
            context.remark(&format!(
                "dropsonde: left out as idle: {} of {}",
                self.idle,
                counted(all as usize, "sample")
            ));
        }
        for fault in self.stacks.faults.iter().take(3) {
            context.remark(&format!("dropsonde: {}", escape(fault, Lines::Single)));
        }
    }
}

fn take(host: &HostName) -> String {
    format!("`dropsonde run {PROBE} -H {host}` takes one")
}

fn drawn(svg: Result<String, FlameError>) -> Result<String> {
    svg.context("draw the flame graph")
}

fn folded(stacks: &Folded) -> String {
    stacks.iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
}
