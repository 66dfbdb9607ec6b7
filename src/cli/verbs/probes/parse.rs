//! `probes parse`: what a saved output says, by the same parser that reads a sweep's.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, distributions};
use crate::collect::Caps;
use crate::model::{Fault, Kind, LabelPairs, Outcome, Parsed, Probe, Sample};
use crate::parse;
use crate::render::json::ProbeReport;
use crate::render::{Column, Lines, Style, Table, escape, units};
use crate::wire::read_saved;

/// Read a saved output and print its samples; no host is needed
#[derive(Debug, clap::Args)]
pub struct Parse {
    /// The probe that made the output
    #[arg(value_name = "NAME")]
    name: String,
    /// Its output, compressed or not; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Parse {
    pub fn run(&self, context: &Context) -> Result<Exit> {
        let probe = &super::find(&context.settings()?.probes, &self.name)?.probe;
        let max = Caps::default().output;
        let bytes = read(&self.file, max.0)
            .map_err(|error| Usage(format!("cannot read {}: {error}", self.file.display())))?;
        let saved = read_saved(bytes, max);
        let around = parse::Context { clock: saved.clock.as_ref(), cursor: None };
        let mut parsed = parse::parse(probe, &saved.raw, &around);
        parsed.faults.extend(saved.cut.clone().map(Fault));
        let outcome = if saved.cut.is_some() { Outcome::Incomplete } else { Outcome::Ok };
        if context.global.json {
            context.print_json(&ProbeReport::new(&probe.name, outcome, &parsed))?;
        } else {
            context.print(&text(probe, &parsed, context.out_style()))?;
            for fault in &parsed.faults {
                context.remark(&format!("fault: {}", escape(&fault.0, Lines::Single)));
            }
        }
        let got_something =
            !parsed.samples.is_empty() || !parsed.histograms.is_empty() || !parsed.facts.is_empty();
        let failed = outcome != Outcome::Ok || (!got_something && !parsed.faults.is_empty());
        Ok(if failed { Exit::Partial } else { Exit::Good })
    }
}

/// One byte more than `max` at most: then it is known to be longer.
fn read(file: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(max + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(max + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn text(probe: &Probe, parsed: &Parsed, style: &Style) -> String {
    let drawn = |table: Table| if table.is_empty() { String::new() } else { table.render(style) };
    let parts = [
        drawn(samples(probe, &parsed.samples)),
        distributions::text(&parsed.histograms, |metric| unit(probe, metric), style),
        drawn(facts(parsed)),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn samples(probe: &Probe, samples: &[Sample]) -> Table {
    let mut table = Table::new([
        Column::left("METRIC"),
        Column::left("LABELS").elastic(),
        Column::left("KIND"),
        Column::left("SPAN"),
        Column::right("VALUE"),
    ]);
    for sample in samples {
        let unit = unit(probe, &sample.metric);
        let value = match sample.kind {
            Kind::Counter => units::rate(sample.value, unit),
            Kind::Gauge | Kind::Histogram => units::value(sample.value, unit),
        };
        table.row([
            (*sample.metric).into(),
            labels(&sample.labels).into(),
            sample.kind.as_str().into(),
            sample.span.as_str().into(),
            value.into(),
        ]);
    }
    table
}

fn facts(parsed: &Parsed) -> Table {
    let mut table = Table::new([Column::left("LABEL"), Column::left("VALUE")]);
    for (label, value) in &parsed.facts {
        table.row([label.as_str().into(), value.as_str().into()]);
    }
    table
}

fn unit<'a>(probe: &'a Probe, metric: &str) -> &'a str {
    probe.spec(metric).map_or("", |spec| &spec.unit)
}

fn labels(labels: &LabelPairs) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
