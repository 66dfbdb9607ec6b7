//! `run`: probes on a host or a few, now, with the samples on the screen as they arrive. They are
//! recorded like any others.

use std::sync::Arc;

use anyhow::Result;

use super::sweep::find_probe;
use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, distributions, summary, sweeping};
use crate::collect::{Errand, Kept, Pace, Target, complete};
use crate::config::Settings;
use crate::model::{Host, HostName, Kind, Outcome, Probe, Reach, Sample, Trigger};
use crate::render::{Cell, Column, Ink, Lines, Style, Table, counted, escape, escape_bytes, units};

/// Run probes on a host now and print what they read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde run proc -H web06
  dropsonde run proc kernel_log -H 'web[06,18]' --json
  dropsonde run proc --local")]
pub struct Run {
    /// What to run; `probes list` shows all
    #[arg(value_name = "PROBE", required = true)]
    probes: Vec<String>,
    /// Where to run them
    #[arg(short = 'H', long, value_name = "SELECTOR", required_unless_present = "local")]
    hosts: Option<String>,
    /// On this machine, without SSH
    #[arg(long, conflicts_with = "hosts")]
    local: bool,
    /// Print samples that are 0, too
    #[arg(long)]
    all: bool,
    /// Print a line of JSON for each reading as it is recorded
    #[arg(long, conflicts_with = "json")]
    ndjson: bool,
}

impl Run {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        let mut probes: Vec<Arc<Probe>> = Vec::new();
        for name in &self.probes {
            let probe = find_probe(settings, name)?;
            if !probes.iter().any(|known| known.name == probe.name) {
                probes.push(probe);
            }
        }
        let targets = self.targets(context, settings, &probes);
        if targets.is_err() {
            sweeping::keep_inventories(settings, &settings.state_dir);
        }
        let targets = targets?;
        let mut errand = Errand {
            trigger: Trigger::Adhoc,
            schedule: None,
            cause: None,
            cursors: Default::default(),
            held: Default::default(),
            targets,
        };
        let recorder = sweeping::open_recorder(context, &settings.state_dir, &settings.retention)?;
        // Only now: an index that was broken is mended by opening.
        complete(&mut errand, &settings.state_dir)?;
        let work = (recorder, errand, Pace::default());
        let (swept, report) = sweeping::conduct(context, settings, work, |kept| {
            if self.ndjson {
                summary::ndjson(context, kept)
            } else if context.global.json {
                Ok(())
            } else {
                let probe = probes.iter().find(|probe| probe.name == kept.reading.probe);
                context.print(&self.reading(kept, probe.map(|probe| &**probe), context.out_style()))
            }
        })?;
        if context.global.json {
            context.print_json(&report)?;
        } else if !self.ndjson && report.readings.len() > 1 {
            context.remark(summary::text(&report, context.err_style()).trim_end());
        }
        Ok(sweeping::exit_of(&report, &swept))
    }

    fn targets(&self, context: &Context, settings: &Settings, probes: &[Arc<Probe>]) -> Result<Vec<Target>> {
        let hosts = match &self.hosts {
            Some(selector) => context.select(selector)?.into_iter().cloned().collect(),
            None => vec![this_machine(settings)?],
        };
        let target = |host| Target { host: Arc::new(host), probes: probes.to_vec() };
        Ok(hosts.into_iter().map(target).collect())
    }

    /// One reading with its samples.
    fn reading(&self, kept: &Kept, probe: Option<&Probe>, style: &Style) -> String {
        let reading = &kept.reading;
        let outcome = reading.outcome.as_str();
        let shown = match reading.outcome {
            Outcome::Ok => style.paint(Ink::Green, outcome),
            _ => style.paint(Ink::Red, outcome),
        };
        let mut text = format!(
            "{} {} {shown} · {} · {}",
            style.paint(Ink::Bold, reading.host.as_str()),
            reading.probe,
            units::elapsed(reading.elapsed),
            counted(kept.samples, "sample")
        );
        if !kept.parsed.histograms.is_empty() {
            text.push_str(&format!(" · {}", counted(kept.parsed.histograms.len(), "histogram")));
        }
        if let Some(detail) = &reading.detail {
            text.push_str(&format!(" · {}", escape(detail, Lines::Single)));
        }
        text.push('\n');
        if let Some(output) = &kept.text {
            text.push_str(&escape_bytes(output, Lines::Block));
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        text.push_str(&self.samples(kept, probe, style));
        let unit = |metric: &str| probe.and_then(|it| it.spec(metric)).map_or("", |spec| spec.unit.as_str());
        text.push_str(&distributions::text(&kept.parsed.histograms, unit, style));
        for (name, value) in &kept.parsed.facts {
            let (name, value) = (escape(name, Lines::Single), escape(value, Lines::Single));
            text.push_str(&format!("  {name} = {value}\n"));
        }
        for fault in &kept.parsed.faults {
            text.push_str(&format!(
                "  {} {}\n",
                style.paint(Ink::Dim, "note:"),
                escape(&fault.0, Lines::Single)
            ));
        }
        text
    }

    fn samples(&self, kept: &Kept, probe: Option<&Probe>, style: &Style) -> String {
        let mut table = Table::new([Column::left("  METRIC"), Column::left("SPAN"), Column::right("VALUE")]);
        let mut samples: Vec<&Sample> = kept.parsed.samples.iter().collect();
        samples.sort_by(|a, b| (&a.metric, &a.labels, a.span).cmp(&(&b.metric, &b.labels, b.span)));
        let mut hidden = 0;
        for sample in samples {
            if sample.value == 0.0 && !self.all {
                hidden += 1;
                continue;
            }
            let unit =
                probe.and_then(|probe| probe.spec(&sample.metric)).map_or("", |spec| spec.unit.as_str());
            let value = match sample.kind {
                Kind::Counter => units::rate(sample.value, unit),
                _ => units::value(sample.value, unit),
            };
            table.row([
                Cell::new(format!("  {}", series(sample))),
                Cell::new(sample.span.as_str()).ink(Ink::Dim),
                Cell::new(value),
            ]);
        }
        let mut text = if table.is_empty() { String::new() } else { table.render(style) };
        if hidden > 0 {
            text.push_str(&format!("  {} of 0 (--all shows all)\n", counted(hidden, "more value")));
        }
        text
    }
}

/// `metric{label="value"}`, unescaped.
fn series(sample: &Sample) -> String {
    if sample.labels.is_empty() {
        return sample.metric.to_string();
    }
    let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", sample.metric, labels.join(","))
}

/// The machine itself as a host: one of the inventory that is reached locally, or one made up.
pub(super) fn this_machine(settings: &Settings) -> Result<Host> {
    if let Some(host) = settings.fleet.hosts.iter().find(|host| host.reach == Reach::Local) {
        return Ok(host.clone());
    }
    let name = HostName::new("localhost").map_err(|error| Usage(error.to_string()))?;
    Ok(Host { reach: Reach::Local, ..Host::new(name, settings.defaults.user.clone()) })
}
