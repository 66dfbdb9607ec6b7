//! Reads configuration files. It never reads more than the cap, and never trusts a folder that a
//! stranger could fill: what stands in `probes.d/` runs on every host.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Fault, Faults, Place};

/// The most that is read of one file: a list of 10,000 hosts by name is a fifth of it.
pub const MAX_FILE: u64 = 1 << 20;

/// A text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub file: Arc<str>,
    /// The folder that relative paths in it start from.
    pub folder: PathBuf,
    pub text: Arc<str>,
}

impl Text {
    pub fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place { file: Arc::clone(&self.file), text: Arc::clone(&self.text), span }
    }
}

/// Reads `path` whole.
pub(crate) fn read(path: &Path) -> Result<Text, Faults> {
    let name: Arc<str> = path.display().to_string().into();
    let at = || Place::whole(Arc::clone(&name));
    let bytes = read_bytes(path).map_err(|reason| Fault::new(at(), reason))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Fault::new(at(), "the file is larger than 1MiB")
            .expected("at most 1MiB in one file")
            .help("node sets such as \"web[001-999]\" say much in little; more files can stand in conf.d/")
            .into());
    }
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { file: name, folder, text: text.into() }),
        Err(error) => Err(not_utf8(name, &error).into()),
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "the file cannot be read: permission denied".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let file = File::open(path).map_err(describe)?;
    let metadata = file.metadata().map_err(describe)?;
    if metadata.is_dir() {
        return Err("this is a directory, not a file".to_owned());
    }
    if metadata.is_file() && metadata.mode() & 0o002 != 0 {
        return Err(
            "anyone on this machine can write to the file; take that away with `chmod o-w`".to_owned()
        );
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(describe)?;
    Ok(bytes)
}

fn not_utf8(file: Arc<str>, error: &std::string::FromUtf8Error) -> Fault {
    let start = error.utf8_error().valid_up_to();
    let byte = error.as_bytes().get(start).copied().unwrap_or_default();
    let text: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
    // The replacement character stands where the first bad byte was.
    let span = start..start + char::REPLACEMENT_CHARACTER.len_utf8();
    Fault::new(Place { file, text, span }, format!("the byte 0x{byte:02x} is not UTF-8"))
        .expected("text in UTF-8")
        .help("save the file as UTF-8")
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
