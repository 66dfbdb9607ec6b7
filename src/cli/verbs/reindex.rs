//! `reindex`: the index, built again from the archive with the parsers of this version.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::check::must_exist;
use crate::cli::{Context, Exit};
use crate::collect::{self, Caps, ReindexReport};
use crate::render::json::Schema;
use crate::render::reports::{DamageLine, ReindexAnswer};
use crate::render::{Lines, counted, escape, units};

/// Rebuild the index from the archive
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new index is built beside the old one and takes its place at once; a collector may be at work.

Exit status: 0, or 1 when something in the archive could not be read.")]
pub struct Reindex {}

impl Reindex {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let state = context.state_dir()?;
        must_exist(&state)?;
        let began = Instant::now();
        let bar = bar(context.shows_progress());
        let report = collect::reindex(&state, Caps::default(), &mut |progress| {
            bar.set_length(progress.sweeps);
            bar.set_position(progress.sweeps_done);
        });
        bar.finish_and_clear();
        let report = report?;
        if context.global.json {
            context.print_json(&answer(&report))?;
        } else {
            context.print(&text(&report, began.elapsed()))?;
        }
        Ok(if report.damage.is_empty() { Exit::Good } else { Exit::Internal })
    }
}

fn bar(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let template = "indexing {wide_bar} {pos}/{len} sweeps, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}

fn answer(report: &ReindexReport) -> ReindexAnswer<'_> {
    let damage = report.damage.iter().map(|(sweep, what)| DamageLine { sweep, what }).collect();
    ReindexAnswer { schema: Schema, sweeps: report.sweeps, readings: report.readings, damage }
}

fn text(report: &ReindexReport, took: Duration) -> String {
    let mut text = String::new();
    for (sweep, what) in &report.damage {
        text.push_str(&format!("damaged: sweep {sweep}: {}\n", escape(what, Lines::Single)));
    }
    let took = units::elapsed(took);
    text.push_str(&format!(
        "indexed {} of {} in {took}\n",
        counted(report.readings as usize, "reading"),
        counted(report.sweeps as usize, "sweep")
    ));
    text
}
