//! `quarantine`: probes that are not run on a host any more, because they took too much of it, and the
//! person's word that they may run again.

use anyhow::Result;
use serde::Serialize;

use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::collect::clock;
use crate::render::json::Schema;
use crate::render::{Cell, Column, Table};
use crate::store::quarantine::{self, Held};

/// Probes that took too much of a host and are not run there: list them, release them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A reading that takes more CPU than its probe's `budget`, or that has to be killed, is an offence. Two in a \
row on a host, and the probe's readings there are skipped until it is released here or its file changes.

Examples:
  dropsonde quarantine
  dropsonde quarantine release web06 proc")]
pub struct Quarantine {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print what is in quarantine (the default)
    List,
    Release(Release),
}

/// Let a probe run again on a host or several
#[derive(Debug, clap::Args)]
struct Release {
    /// A host, or any selector
    #[arg(value_name = "HOST")]
    host: String,
    /// One probe, or `*` for all
    #[arg(value_name = "PROBE")]
    probe: String,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: Schema,
    quarantined: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct ReleaseReport<'a> {
    schema: Schema,
    released: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    host: &'a str,
    probe: &'a str,
    /// RFC 3339.
    since: String,
    /// In a row.
    offences: u64,
    /// What the last of them did.
    last: &'a str,
    probe_hash: &'a str,
}

impl Quarantine {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None | Some(Verb::List) => list(context),
            Some(Verb::Release(release)) => release.run(context),
        }
    }
}

/// Everything that is held as it is defined now: another definition is another probe.
fn held(context: &Context) -> Result<Vec<Held>> {
    let library = &context.settings()?.probes;
    let mut held = quarantine::held(&context.state_dir()?)?;
    held.retain(|it| library.get(it.probe.as_str()).is_some_and(|probe| probe.hash.to_string() == it.hash));
    Ok(held)
}

fn line(held: &Held) -> Line<'_> {
    Line {
        host: held.host.as_str(),
        probe: held.probe.as_str(),
        since: held.since.rfc3339(),
        offences: held.count,
        last: &held.what,
        probe_hash: &held.hash,
    }
}

fn list(context: &Context) -> Result<Exit> {
    let held = held(context)?;
    let report = Report { schema: Schema, quarantined: held.iter().map(line).collect() };
    if context.global.json {
        context.print_json(&report)?;
        return Ok(Exit::Good);
    }
    if held.is_empty() {
        context.remark("nothing is in quarantine");
        return Ok(Exit::Good);
    }
    context.print(&table(&report.quarantined).render(context.out_style()))?;
    context.remark("release with: dropsonde quarantine release HOST PROBE");
    Ok(Exit::Good)
}

fn table(lines: &[Line<'_>]) -> Table {
    let mut table = Table::new([
        Column::left("HOST"),
        Column::left("PROBE"),
        Column::left("SINCE"),
        Column::right("OFFENCES"),
        Column::left("LAST").elastic(),
    ]);
    for it in lines {
        table.row([
            Cell::from(it.host),
            Cell::from(it.probe),
            Cell::from(it.since.as_str()),
            Cell::new(it.offences.to_string()),
            Cell::from(it.last),
        ]);
    }
    table
}

impl Release {
    fn run(&self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let hosts = recorded.hosts(&self.host, None)?;
        if self.probe != "*" {
            recorded.probe(&self.probe)?;
        }
        let held = held(context)?;
        let is_meant =
            |it: &&Held| hosts.contains(&it.host) && (self.probe == "*" || it.probe.as_str() == self.probe);
        let released: Vec<Held> = held.iter().filter(is_meant).cloned().collect();
        if released.is_empty() {
            let (what, is) = if self.probe == "*" { ("no probe", "is") } else { (&*self.probe, "is not") };
            let why = format!("{what} {is} in quarantine on {}", self.host);
            return Err(Usage(format!("{why}; `dropsonde quarantine` lists what is")).into());
        }
        quarantine::release(&context.state_dir()?, &released, clock::now())?;
        let report = ReleaseReport { schema: Schema, released: released.iter().map(line).collect() };
        if context.global.json {
            context.print_json(&report)?;
        } else {
            context.print(&table(&report.released).render(context.out_style()))?;
            context.remark("released: they run again with the next sweep");
        }
        Ok(Exit::Good)
    }
}
