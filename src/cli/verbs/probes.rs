//! `probes`: which there are, what each would run, and what a saved output says. None of it needs a
//! host.

mod parse;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit};
use crate::config::{Library, Shelved};
use crate::model::{Need, ProbeName, duration_text};
use crate::render::{Column, Lines, Table, escape};
use crate::select::nearest;

/// List probes, show what one would run, read a saved output
#[derive(Debug, clap::Args)]
pub struct Probes {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print every probe and where it comes from (the default)
    List,
    Show(Show),
    Parse(parse::Parse),
}

impl Probes {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None | Some(Verb::List) => list(context),
            Some(Verb::Show(show)) => show.run(context),
            Some(Verb::Parse(parse)) => parse.run(context),
        }
    }
}

fn list(context: &Context) -> Result<Exit> {
    let shelf = &context.settings()?.probes.probes;
    if context.global.json {
        let probes: Vec<Value> = shelf.values().map(json_of).collect();
        context.print_json(&json!({ "schema": 1, "probes": probes }))?;
        return Ok(Exit::Good);
    }
    let mut table = Table::new([
        Column::left("PROBE"),
        Column::left("COST"),
        Column::left("PRIVILEGE"),
        Column::left("FORMAT"),
        Column::right("TIMEOUT"),
        Column::left("SUMMARY").elastic(),
        Column::left("SOURCE"),
    ]);
    for Shelved { probe, source } in shelf.values() {
        table.row([
            probe.name.as_str().into(),
            probe.cost.as_str().into(),
            probe.privilege.as_str().into(),
            probe.format.as_str().into(),
            duration_text(probe.timeout).into(),
            probe.summary.as_str().into(),
            source.to_string().into(),
        ]);
    }
    context.print(&table.render(context.out_style()))?;
    Ok(Exit::Good)
}

fn json_of(Shelved { probe, source }: &Shelved) -> Value {
    json!({
        "name": probe.name,
        "summary": probe.summary,
        "cost": probe.cost,
        "privilege": probe.privilege,
        "format": probe.format,
        "timeout_s": probe.timeout.as_secs_f64(),
        "max_output": probe.max_output.0,
        "needs": probe.needs.iter().map(Need::to_string).collect::<Vec<_>>(),
        "hash": probe.hash.to_string(),
        "source": source.to_string(),
    })
}

/// Print a probe's definition and where it comes from
#[derive(Debug, clap::Args)]
struct Show {
    #[arg(value_name = "NAME")]
    name: String,
    /// Only the script that runs on a host
    #[arg(long)]
    script: bool,
}

impl Show {
    fn run(&self, context: &Context) -> Result<Exit> {
        let shelved = find(&context.settings()?.probes, &self.name)?;
        let probe = &shelved.probe;
        if context.global.json {
            let mut json = json_of(shelved);
            json["schema"] = 1.into();
            json["toml"] = (*probe.source).into();
            json["script"] = probe.script.as_str().into();
            context.print_json(&json)?;
        } else if self.script {
            // As it is, tabs and all: this text is ours, and redirected into a file it must still run.
            context.print(&probe.script)?;
        } else {
            let origin = shelved.source.to_string();
            context.print(&format!(
                "# {}
{}",
                escape(&origin, Lines::Single),
                probe.source
            ))?;
        }
        Ok(Exit::Good)
    }
}

/// The probe called `name`, or an error that says which there are.
fn find<'a>(library: &'a Library, name: &str) -> Result<&'a Shelved, Usage> {
    library.probes.get(name).ok_or_else(|| {
        let near = nearest(name, library.probes.keys().map(ProbeName::as_str));
        let near = match near.as_slice() {
            [] => "dropsonde probes list prints those that there are".to_owned(),
            names => format!("did you mean {}?", names.join(" or ")),
        };
        Usage(format!("there is no probe {name}; {near}"))
    })
}
