//! `prune`: what is over its time goes.

use std::time::Duration;

use anyhow::Result;

use super::check::must_exist;
use crate::cli::{Context, Exit};
use crate::collect::clock::{self, Clocks};
use crate::collect::keep::{self, Pruned, Pruning, Steps};
use crate::config::Retention;
use crate::model::{ByteSize, duration_text};
use crate::render::json::Schema;
use crate::render::reports::{DamageLine, PruneAnswer, PruneDone, PruneStep};
use crate::render::{Lines, escape, units};
use crate::store::StateDir;

/// Take away what is over its time: bytes, then resolution, then sweeps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is due is said by [retention] in the configuration; --set retention.raw=14d tries another value. It may \
be stopped at any moment, and a collector may be at work.

Exit status: 0, or 1 when a sweep that is due stays because its tar is damaged, missing or cannot be read.

Examples:
  dropsonde prune --dry-run
  dropsonde prune --dry-run --set retention.raw=14d
  dropsonde prune")]
pub struct Prune {
    /// Say what is due and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        let (state, retention, now) = (&settings.state_dir, &settings.retention, clock::now());
        must_exist(state)?;
        if self.dry_run {
            let steps = keep::steps(state, retention, now)?;
            return self.answer(context, retention, (&steps, None));
        }
        let mut pruning = Pruning::open(state)?;
        pruning.recovered.iter().for_each(|what| context.remark(&format!("dropsonde: {what}")));
        let steps = keep::steps(state, retention, now)?;
        let mut done = Pruned::default();
        let result = pruning.run(retention, now, &mut done);
        let exit = self.answer(context, retention, (&steps, Some(&done)))?;
        result?;
        // Whoever prunes by this clock says that it is right.
        keep::vouch(&StateDir::at(state), &Clocks::now())?;
        Ok(exit)
    }

    fn answer(
        &self,
        context: &Context,
        retention: &Retention,
        (steps, done): (&Steps, Option<&Pruned>),
    ) -> Result<Exit> {
        if context.global.json {
            context.print_json(&answer(steps, done))?;
        } else {
            context.print(&match done {
                None => due(steps, retention),
                Some(done) => was_done(done),
            })?;
        }
        let whole = done.is_none_or(|done| done.kept_back.is_empty());
        Ok(if whole { Exit::Good } else { Exit::Internal })
    }
}

fn answer<'a>(steps: &'a Steps, done: Option<&'a Pruned>) -> PruneAnswer<'a> {
    let said = |done: &'a Pruned| PruneDone {
        dropped: done.dropped,
        thinned: done.thinned,
        merged: done.merged,
        freed_bytes: done.freed_bytes,
        kept_back: done.kept_back.iter().map(|(sweep, what)| DamageLine { sweep, what }).collect(),
    };
    PruneAnswer {
        schema: Schema,
        dry_run: done.is_none(),
        drop: PruneStep { sweeps: &steps.drop, bytes: steps.drop_bytes },
        thin: PruneStep { sweeps: &steps.thin, bytes: steps.thin_bytes },
        merge: &steps.merge,
        done: done.map(said),
    }
}

fn bytes(bytes: u64) -> String {
    units::value(bytes as f64, "bytes")
}

fn due(steps: &Steps, retention: &Retention) -> String {
    if steps.is_empty() {
        return "nothing is due\n".to_owned();
    }
    let mut text = String::new();
    let mut line = |count: usize, what: String| {
        if count > 0 {
            text.push_str(&format!("{count:>6} {what}\n"));
        }
    };
    let reason = |what: &str, age: Duration, size: ByteSize, (all, for_size): (usize, usize)| {
        let age = format!("retention.{what} = {}", duration_text(age));
        let size = format!("retention.{what}_size = {size}");
        match for_size {
            0 => age,
            some if some == all => size,
            some => format!("{age}; {some} of them for {size}"),
        }
    };
    let (all, for_size) = (steps.drop.len(), steps.drop_for_size);
    let why = reason("samples", retention.samples, retention.samples_size, (all, for_size));
    line(all, format!("sweeps would go, {} ({why})", bytes(steps.drop_bytes)));
    let (all, for_size) = (steps.thin.len(), steps.thin_for_size);
    let why = reason("raw", retention.raw, retention.raw_size, (all, for_size));
    let size = bytes(steps.thin_bytes);
    line(all, format!("sweeps would lose their bytes, {size}, and keep their numbers ({why})"));
    let merged: usize = steps.merge.iter().map(Vec::len).sum();
    let to = duration_text(retention.downsample_to);
    line(
        merged,
        format!("sweeps would share {} sets of numbers (retention.downsample_to = {to})", steps.merge.len()),
    );
    text
}

fn was_done(done: &Pruned) -> String {
    let mut text = String::new();
    for (sweep, what) in &done.kept_back {
        let what = escape(what, Lines::Single);
        text.push_str(&format!(
            "kept back: sweep {sweep} is due and stays: {what}; `dropsonde check` says more\n"
        ));
    }
    let Pruned { dropped, thinned, merged, freed_bytes, .. } = done;
    text.push_str(&format!(
        "{dropped} sweeps dropped, {thinned} without their bytes now, {merged} share numbers; {} freed\n",
        bytes(*freed_bytes)
    ));
    text
}
