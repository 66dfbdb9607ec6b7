//! Reads configuration files. It never reads more than the cap, and never trusts a folder that a
//! stranger could fill: what stands in `probes.d/` runs on every host.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::fault::{Fault, Faults, Place};
use crate::inventory::Cap;
pub(crate) use crate::inventory::Text;

/// The most that is read of one file: a list of 10,000 hosts by name is a fifth of it.
pub const MAX_FILE: u64 = 1 << 20;

const CAP: Cap = Cap {
    bytes: MAX_FILE,
    shown: "1MiB",
    help: "node sets such as \"web[001-999]\" say much in little; more files can stand in conf.d/",
};

/// Reads `path` whole.
pub(crate) fn read(path: &Path) -> Result<Text, Faults> {
    Text::read(path, CAP)
}

/// The `*.toml` files of a drop-in folder in name order; none when there is no such folder.
pub(crate) fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Faults> {
    let at = || Place::whole(folder.display().to_string());
    let unreadable = |error: std::io::Error| Fault::new(at(), format!("the folder cannot be read: {error}"));
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error).into()),
    };
    if !metadata.is_dir() {
        return Err(Fault::new(at(), "this is not a folder").expected("a folder of .toml files").into());
    }
    distrust(folder, &metadata)?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Refuses a folder that someone else can fill. The owner of the folder around it may: with
/// `--config /home/ann/fleet.toml`, Ann's own drop-ins are meant.
fn distrust(folder: &Path, metadata: &Metadata) -> Result<(), Faults> {
    let at = || Place::whole(folder.display().to_string());
    if metadata.mode() & 0o002 != 0 {
        return Err(Fault::new(at(), "anyone on this machine can write to this folder")
            .help("what stands in it is trusted; take the right away with `chmod o-w`")
            .into());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let around = std::fs::metadata(parent).map(|parent| parent.uid()).unwrap_or_default();
    let owner = metadata.uid();
    if [0, around, rustix::process::geteuid().as_raw()].contains(&owner) {
        Ok(())
    } else {
        Err(Fault::new(at(), format!("this folder belongs to user {owner}, whom nothing here vouches for"))
            .expected("a folder of root's or your own")
            .into())
    }
}
