//! Reads the files that people write. It never reads more than the cap, and takes nothing that anyone on this
//! machine could have written: what stands in such a file decides where we connect.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Fault, Faults, Place};

/// A text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub file: Arc<str>,
    /// The folder that relative paths in it start from.
    pub folder: PathBuf,
    pub text: Arc<str>,
}

/// The most that is read of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cap {
    pub bytes: u64,
    /// The same for a person: `1MiB`.
    pub shown: &'static str,
    pub help: &'static str,
}

impl Text {
    pub fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place { file: Arc::clone(&self.file), text: Arc::clone(&self.text), span }
    }

    /// The place of a part of the text, which must be a slice of it.
    pub fn place_of(&self, part: &str) -> Place {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let start = start.min(self.text.len());
        self.place(start..(start + part.len()).min(self.text.len()))
    }

    /// Reads `path` whole.
    pub fn read(path: &Path, cap: Cap) -> Result<Self, Faults> {
        let name: Arc<str> = path.display().to_string().into();
        let at = || Place::whole(Arc::clone(&name));
        let bytes = read_bytes(path, cap.bytes).map_err(|reason| Fault::new(at(), reason))?;
        if bytes.len() as u64 > cap.bytes {
            return Err(Fault::new(at(), format!("the file is larger than {}", cap.shown))
                .expected(format!("at most {} in one file", cap.shown))
                .help(cap.help)
                .into());
        }
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file: name, folder, text: text.into() }),
            Err(error) => Err(not_utf8(name, &error).into()),
        }
    }
}

fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "the file cannot be read: permission denied".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    // One that nobody writes to would hold up whoever opens it.
    let nonblock = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(describe)?;
    let metadata = file.metadata().map_err(describe)?;
    if metadata.is_dir() {
        return Err("this is a directory, not a file".to_owned());
    }
    if metadata.file_type().is_fifo() {
        return Err("this is a pipe, not a file".to_owned());
    }
    if metadata.is_file() && metadata.mode() & 0o002 != 0 {
        return Err(
            "anyone on this machine can write to the file; take that away with `chmod o-w`".to_owned()
        );
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(describe)?;
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
