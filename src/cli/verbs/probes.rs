//! `probes`: which there are, what each would run, and what a saved output says. None of it needs a
//! host.

mod parse;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit};
use crate::config::{Library, Shelved};
use crate::model::{Need, Privilege, Probe, ProbeName, duration_text};
use crate::render::{Column, Lines, Table, escape, probe_docs};
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
    Docs(Docs),
}

impl Probes {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None | Some(Verb::List) => list(context),
            Some(Verb::Show(show)) => show.run(context),
            Some(Verb::Parse(parse)) => parse.run(context),
            Some(Verb::Docs(docs)) => docs.run(context),
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
        Column::left("ROOT"),
        Column::left("TRACER"),
        Column::right("WINDOW"),
        Column::right("BUDGET"),
        Column::right("CPU IDLE"),
        Column::right("LOADED"),
        Column::left("NEEDS").elastic(),
        Column::left("SUMMARY").elastic(),
        Column::left("SOURCE"),
    ]);
    for Shelved { probe, source } in shelf.values() {
        let text = |duration: Option<Duration>| duration.map_or("-".to_owned(), duration_text);
        let measured = probe.measured.as_ref();
        table.row([
            probe.name.as_str().into(),
            probe.cost.as_str().into(),
            if probe.privilege == Privilege::Root { "root" } else { "-" }.into(),
            if probe.tracer { "tracer" } else { "-" }.into(),
            text(probe.window).into(),
            text(probe.budget).into(),
            text(measured.map(|it| it.cpu_idle)).into(),
            text(measured.map(|it| it.cpu_loaded)).into(),
            probe.needs.iter().map(Need::to_string).collect::<Vec<_>>().join(" ").into(),
            probe.summary.as_str().into(),
            source.to_string().into(),
        ]);
    }
    context.print(&table.render(context.out_style()))?;
    Ok(Exit::Good)
}

fn json_of(Shelved { probe, source }: &Shelved) -> Value {
    let measured = probe.measured.as_ref().map(|it| {
        json!({
            "on": it.on,
            "cpu_idle_s": it.cpu_idle.as_secs_f64(),
            "cpu_loaded_s": it.cpu_loaded.as_secs_f64(),
            "wall_s": it.wall.as_secs_f64(),
            "bytes_wire": it.wire.0,
            "slowdown": it.slowdown,
        })
    });
    json!({
        "name": probe.name,
        "summary": probe.summary,
        "when": probe.when,
        "cost": probe.cost,
        "privilege": probe.privilege,
        "tracer": probe.tracer,
        "format": probe.format,
        "window_s": probe.window.map(|window| window.as_secs_f64()),
        "timeout_s": probe.timeout.as_secs_f64(),
        "budget_s": probe.budget.map(|budget| budget.as_secs_f64()),
        "measured": measured,
        "max_output": probe.max_output.0,
        "needs": probe.needs.iter().map(Need::to_string).collect::<Vec<_>>(),
        "hash": probe.hash.to_string(),
        "source": source.to_string(),
    })
}

/// Print what probes show, when to use them and what they cost, as Markdown
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a name: the probes that come with the program, as docs/probes.md has them.")]
struct Docs {
    /// The probes to describe
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Docs {
    fn run(&self, context: &Context) -> Result<Exit> {
        let shipped;
        let probes: Vec<&Probe> = if self.names.is_empty() {
            shipped = Library::built_in()?;
            shipped.probes.values().map(|shelved| &*shelved.probe).collect()
        } else {
            let library = &context.settings()?.probes;
            let named = self.names.iter().map(|name| Ok(&*find(library, name)?.probe));
            named.collect::<Result<_, Usage>>()?
        };
        let text = probe_docs(&probes);
        if context.global.json {
            context.print_json(&json!({ "schema": 1, "markdown": text }))?;
        } else {
            context.print(&text)?;
        }
        Ok(Exit::Good)
    }
}

/// Print a probe's definition and where it comes from
#[derive(Debug, clap::Args)]
struct Show {
    /// A probe of `probes list`
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
