//! `snapshot`: a database of plain tables for programs that only read, refreshed in one step.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cli::outfile::whole_path;
use crate::cli::{Context, Exit};
use crate::collect::clock;
use crate::model::{CollectorTime, parse_duration};
use crate::render::json::Schema;
use crate::render::reports::SnapshotAnswer;
use crate::render::units;

/// Write a database of plain tables for other readers (Grafana, sqlite3)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every view (`dropsonde query --schema`) is a plain table of the same name in it, one moment of the index. An older \
FILE is replaced at once and its mode and group go over to the new one; a reader that has it open keeps the \
old one. Samples of many sweeps are many rows: --since keeps the file small.

Examples:
  dropsonde snapshot /srv/grafana/fleet.sqlite --since 7d
  sqlite3 fleet.sqlite 'SELECT host, value FROM v_sample LIMIT 5'")]
pub struct Snapshot {
    /// The database to write, in a folder that is there
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only sweeps that started no longer ago than this, as in 7d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
}

impl Snapshot {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let ago = |ago: Duration| {
            let ago_ns = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
            CollectorTime::from_unix_ns(clock::now().unix_ns().saturating_sub(ago_ns))
        };
        let reader = context.reader()?;
        whole_path(&self.file, |path| {
            reader.export_plain(path, self.since.map(ago))?;
            if let Some(remark) = keep_rights(&self.file, path)? {
                context.remark(&format!("dropsonde: {remark}"));
            }
            Ok(())
        })?;
        let bytes = self.file.metadata().context("look at the snapshot")?.len();
        let file = self.file.display().to_string();
        if context.global.json {
            context.print_json(&SnapshotAnswer { schema: Schema, file: &file, bytes })?;
        } else {
            context.print(&format!("{file}: {}\n", units::value(bytes as f64, "bytes")))?;
        }
        Ok(Exit::Good)
    }
}

/// A file that was made for a reader stays readable to it; a new one is ours alone. Only a member of a group
/// may give it a file: whoever is none is told what its reader will miss.
fn keep_rights(old: &Path, new: &Path) -> Result<Option<String>> {
    let Ok(old) = old.symlink_metadata() else { return Ok(None) };
    let fresh = new.symlink_metadata().context("look at the snapshot")?;
    let (gid, ours) = (old.gid(), fresh.gid());
    let mut remark = None;
    if gid != ours {
        match chown(new, None, Some(gid)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                remark = Some(format!(
                    "the snapshot is group {ours}'s and no longer group {gid}'s, which you are not in; \
                     `chgrp {gid}` and `chmod g+s` on its folder give it every new one"
                ));
            }
            given => given.with_context(|| format!("give the snapshot to group {gid}"))?,
        }
    }
    let mode = Permissions::from_mode(old.permissions().mode() & 0o777);
    std::fs::set_permissions(new, mode).context("set the snapshot's mode")?;
    Ok(remark)
}
