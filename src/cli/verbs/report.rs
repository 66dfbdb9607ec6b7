//! `report`: what `outliers` and `explain` say, as one HTML file to send, print or keep.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cli::failure::Usage;
use crate::cli::findings::{self, Scope};
use crate::cli::outfile::whole_file;
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit, summary};
use crate::collect::{Archived, Caps};
use crate::compare::{Explanation, Outlier, Outliers};
use crate::model::{HostName, Outcome, ProbeName};
use crate::report::{Coverage, MOST_CARDS, Page, Picture, ProbeCoverage, Trouble, incidents, page};
use crate::select::fold;
use crate::store::StateDir;
use crate::store::index::{Reader, ReadingRow};
use crate::survey::{self, Question};

/// Incidents that are explained; the page has a command for the others.
const EXPLAINED: usize = 6;

/// Write what differs, since when and what it shares as one HTML file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file needs nothing else: no script, no network, no font. It has the verdict, every difference with all \
hosts and its history, what the hosts share, hosts against metrics, and what was read and what was not. \
A file that is there is replaced, and stays as it is when something fails.

Examples:
  dropsonde report --out fleet.html
  dropsonde report role=web --peers dc --sweep 20261122T23 --out web.html
  dropsonde report --out - | gzip > fleet.html.gz")]
pub struct Report {
    /// Only these hosts, who are each other's peers
    #[arg(value_name = "SELECTOR")]
    hosts: Option<String>,
    /// Write this file, whole or not at all; `-` is stdout
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// An id, the beginning of one, or `latest` [default: the newest scheduled one, or the newest large one]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Only hosts with the same value of this label are peers
    #[arg(long, value_name = "LABEL")]
    peers: Option<String>,
}

impl Report {
    pub fn run(self, context: &Context) -> Result<Exit> {
        if context.global.json {
            let why = "a report is HTML, not JSON; `dropsonde outliers --json` has the same findings";
            return Err(Usage(why.to_owned()).into());
        }
        if self.out == Path::new("-") {
            context.print(&self.text(context)?)?;
        } else {
            whole_file(&self.out, |mut file| Ok(file.write_all(self.text(context)?.as_bytes())?))?;
        }
        Ok(Exit::Good)
    }

    fn text(&self, context: &Context) -> Result<String> {
        let recorded = Recorded::open(context)?;
        let scope = Scope {
            hosts: self.hosts.as_deref(),
            sweep: self.sweep.as_deref(),
            peers: self.peers.as_deref(),
        };
        let root = context.state_dir()?;
        let question = findings::question(&recorded, &root, &scope)?;
        let outliers = survey::outliers(&question)?;
        let pictures = pictures(&recorded.reader, &question, &outliers)?;
        let state = StateDir::at(&root);
        let output = |row: &ReadingRow| Archived::open(&state, row).ok()?.output(Caps::default()).ok();
        Ok(page(&Page {
            pictures: &pictures,
            explanations: &explanations(&question, &outliers, &output)?,
            coverage: &coverage(&recorded.reader, &question)?,
            hosts: self.hosts.as_deref(),
            version: env!("CARGO_PKG_VERSION"),
            outliers: &outliers,
        }))
    }
}

/// Of the findings that get charts, one after the other: a week of a large fleet is many megabytes for each.
fn pictures(reader: &Reader, question: &Question<'_>, found: &Outliers) -> Result<Vec<Option<Picture>>> {
    let hosts = match &question.hosts {
        Some(hosts) => hosts.clone(),
        None => reader.answered(&question.sweep.sweep)?.into_iter().map(|(host, _)| host).collect(),
    };
    let sweeps: Vec<_> = found.sweeps.iter().map(|it| it.sweep.clone()).collect();
    let frame = reader.frame(&hosts, &sweeps)?;
    let shown = found.findings.iter().take(MOST_CARDS);
    let picture = |it: &Outlier| {
        let course = survey::course(reader, &frame, &it.subject)?;
        Ok(course.and_then(|course| Picture::of(it, &course)))
    };
    shown.map(picture).collect()
}

/// One for each incident, of its most important metric.
fn explanations(
    question: &Question<'_>,
    found: &Outliers,
    output: survey::Output<'_>,
) -> Result<Vec<Explanation>> {
    let firsts = incidents(&found.findings).into_iter().take(EXPLAINED).map(|it| it.findings[0]);
    firsts.map(|line| Ok(survey::explain_found(question, line, found, output)?)).collect()
}

fn coverage(reader: &Reader, question: &Question<'_>) -> Result<Coverage> {
    let sweep = &question.sweep;
    let wanted: Option<BTreeSet<&HostName>> = question.hosts.as_ref().map(|hosts| hosts.iter().collect());
    let mut readings = reader.ledger(&sweep.sweep).context("read the sweep's ledger")?;
    readings.retain(|row| wanted.as_ref().is_none_or(|hosts| hosts.contains(&row.host)));
    let mut probes: BTreeMap<ProbeName, ProbeCoverage> = BTreeMap::new();
    let mut alike: BTreeMap<(ProbeName, Outcome, String), Vec<&ReadingRow>> = BTreeMap::new();
    for row in &readings {
        let of = probes.entry(row.probe.clone()).or_insert_with(|| ProbeCoverage {
            probe: row.probe.clone(),
            outcomes: BTreeMap::new(),
            bytes_wire: 0,
            samples: 0,
        });
        *of.outcomes.entry(row.outcome).or_default() += 1;
        of.bytes_wire += row.bytes_wire;
        of.samples += row.samples;
        if row.outcome != Outcome::Ok {
            let detail = row.detail.as_deref().unwrap_or_default();
            let general = summary::general(detail, (&row.host, None));
            alike.entry((row.probe.clone(), row.outcome, general)).or_default().push(row);
        }
    }
    let mut troubles: Vec<Trouble> = alike.into_iter().map(trouble).collect();
    // What went wrong stands before what a host only lacks.
    troubles.sort_by_key(|it| (it.outcome.is_success(), std::cmp::Reverse(it.count)));
    let by = sweep.schedule.as_ref().map_or(String::new(), |name| format!(": {name}"));
    Ok(Coverage {
        trigger: format!("{}{by}", sweep.trigger.as_str()),
        ended: sweep.ended,
        interrupted: sweep.interrupted,
        probes: probes.into_values().collect(),
        troubles,
    })
}

fn trouble(((probe, outcome, general), rows): ((ProbeName, Outcome, String), Vec<&ReadingRow>)) -> Trouble {
    let detail = match rows.as_slice() {
        [one] => one.detail.clone().unwrap_or_default(),
        _ => general,
    };
    let hosts = fold(rows.iter().map(|row| row.host.as_str()));
    Trouble { probe, outcome, detail, hosts, count: rows.len() }
}
