//! `backup`: a copy that is whole, while everything goes on.

use std::path::PathBuf;

use anyhow::Result;

use super::check::must_exist;
use crate::cli::{Context, Exit};
use crate::collect::{clock, keep};
use crate::render::json::Schema;
use crate::render::reports::BackupAnswer;
use crate::render::units;

/// Copy the state directory, whole, while a collector may be at work
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The copy is a state directory: everything that was recorded before the backup began is in it. To restore, put \
it in the place of the other one. A sweep that was running is closed by the first collector that starts there.

Examples:
  dropsonde backup /srv/backup/dropsonde-2026-11-23
  dropsonde check --deep --read-only --state /srv/backup/dropsonde-2026-11-23")]
pub struct Backup {
    /// A folder that does not exist yet
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Backup {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let state = context.state_dir()?;
        must_exist(&state)?;
        let done = keep::backup(&state, &self.folder, clock::now())?;
        let folder = self.folder.display().to_string();
        if context.global.json {
            context.print_json(&BackupAnswer {
                schema: Schema,
                folder: &folder,
                taken: &done.taken,
                sweeps: done.sweeps,
                bytes: done.bytes,
                index: done.index,
            })?;
        } else {
            let index =
                if done.index { "with the index" } else { "without an index, which a restore builds" };
            let bytes = units::value(done.bytes as f64, "bytes");
            context.print(&format!("{folder}: {} sweeps, {bytes}, {index}\n", done.sweeps))?;
        }
        Ok(Exit::Good)
    }
}
