//! The files of an ssh_config, each read once, under ssh's rules for who may write them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::sshconfig::File;

/// The largest that we have heard of had 40,000 lines, 3 MB.
const MAX_BYTES: u64 = 32 << 20;

/// By path and by whether others may have written it.
type ByPath = HashMap<(PathBuf, bool), Option<Arc<File>>>;

/// What was read, for as long as one evaluation of many hosts takes.
#[derive(Debug, Default)]
pub(super) struct Files {
    read: Mutex<ByPath>,
}

impl Files {
    /// The file at `path`; `None` where there is none. With `guarded`, one that others may write is a
    /// fault, as it is for ssh.
    pub fn get(&self, path: &Path, guarded: bool) -> Option<Arc<File>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path.to_owned(), guarded);
        read.entry(key).or_insert_with(|| load(path, guarded).map(Arc::new)).clone()
    }
}

fn load(path: &Path, guarded: bool) -> Option<File> {
    let name: Arc<str> = path.display().to_string().into();
    match bytes(path, guarded) {
        Ok(Ok(bytes)) => Some(File::parse(name, &bytes)),
        Ok(Err(fault)) => Some(File::broken(name, fault)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // ssh passes over a file that it may not read. What it says may well be whom to trust.
        Err(error) => Some(File::broken(name, format!("cannot be read: {error}"))),
    }
}

fn bytes(path: &Path, guarded: bool) -> io::Result<Result<Vec<u8>, String>> {
    // Without O_NONBLOCK a FIFO in its place would hold us until somebody writes to it.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Err("it is a folder".to_owned()));
    }
    // One that nobody writes to looks like an empty file, and that would be a wrong answer.
    if metadata.file_type().is_fifo() {
        return Ok(Err("it is a pipe, not a file".to_owned()));
    }
    // Whoever writes it runs commands here. ssh does not look at a file that -F names; we do.
    if metadata.mode() & 0o002 != 0 {
        return Ok(Err(format!("anybody may write it: chmod o-w {}", path.display())));
    }
    let own = [0, rustix::process::getuid().as_raw()].contains(&metadata.uid());
    if guarded && (!own || metadata.mode() & 0o022 != 0) {
        let mode = metadata.mode() & 0o7777;
        let shown = path.display();
        let chown = (!own).then(|| format!("chown {} {shown}", rustix::process::getuid().as_raw()));
        let chmod = (mode & 0o022 != 0).then(|| format!("chmod go-w {shown}"));
        let mend: Vec<String> = chown.into_iter().chain(chmod).collect();
        return Ok(Err(format!(
            "others may write it (owner {}, mode {mode:04o}), and ssh refuses it: {}",
            metadata.uid(),
            mend.join(" && ")
        )));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Err(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(Ok(bytes))
}
