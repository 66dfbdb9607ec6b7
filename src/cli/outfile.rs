//! `--out FILE`: a file that is there whole or not at all, as half of one would pass for all of it. Whether it
//! can be written is found out before the work, and said of the file that was named.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::failure::Usage;

/// Makes the file, then has it written.
pub fn whole_file(path: &Path, write: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let temporary = Temporary::beside(path)?;
    let file = temporary.make(path)?;
    write(&file).map_err(|error| match error.is::<io::Error>() {
        true => error.context(format!("write {}", path.display())),
        false => error,
    })?;
    file.sync_all().with_context(|| format!("sync {}", path.display()))?;
    temporary.become_whole(path)
}

/// Has another program's library write the file, by its path.
pub fn whole_path(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = Temporary::beside(path)?;
    drop(temporary.make(path)?);
    fs::remove_file(&temporary.path).with_context(|| format!("remove {}", temporary.path.display()))?;
    write(&temporary.path)?;
    temporary.become_whole(path)
}

/// A file in the folder of the one that it is going to be, so that it can be renamed; removed unless it
/// gets that far.
struct Temporary {
    path: PathBuf,
    whole: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(Usage(format!("--out {} is not a file's name", path.display())).into());
        };
        if path.is_dir() {
            return Err(Usage(format!("--out {} is a folder; name a file in it", path.display())).into());
        }
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".partial-{}", std::process::id()));
        Ok(Self { path: path.with_file_name(temporary), whole: false })
    }

    fn make(&self, wanted: &Path) -> Result<File> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        made.map_err(|error| refused(wanted, error))
    }

    fn become_whole(mut self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).with_context(|| format!("rename to {}", path.display()))?;
        self.whole = true;
        Ok(())
    }
}

/// What the user can mend is said of the path that the user wrote.
fn refused(wanted: &Path, error: io::Error) -> anyhow::Error {
    let shown = wanted.display();
    let folder = wanted.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.display();
    let why = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no folder {folder}; make it, or name another file"),
        io::ErrorKind::NotADirectory => format!("{folder} is no folder; name another file"),
        io::ErrorKind::PermissionDenied => {
            format!("you may not write in {folder}; name a file in another folder")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{folder} is read-only; name a file in another folder")
        }
        io::ErrorKind::InvalidFilename => "its name is too long; take a shorter one".to_owned(),
        _ => return anyhow::Error::new(error).context(format!("make {shown}")),
    };
    Usage(format!("--out {shown} cannot be written: {why}")).into()
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.whole {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("remove {}: {error}", self.path.display());
                }
                _ => {}
            }
        }
    }
}
