//! Secrets, read when they are needed and kept no longer. None of these errors holds one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Where something that must stay secret stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Secret {
    File(PathBuf),
    /// The name of a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// More is no token and no address.
const LONGEST: u64 = 4 << 10;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("anyone on this machine can read {}; take that away with `chmod o-r`", .0.display())]
    Open(PathBuf),
    #[error("{} is not one line of printable ASCII, at most 4096 bytes long", .0.display())]
    NotALine(PathBuf),
    #[error(
        "there is no credential {0}: CREDENTIALS_DIRECTORY is not set; give the unit LoadCredential={0}:…"
    )]
    NoCredentials(String),
}

impl Secret {
    /// What stands there. `credentials` is where systemd puts a unit's credentials.
    pub fn read(&self, credentials: Option<&Path>) -> Result<String, SecretError> {
        let path = match (self, credentials) {
            (Self::File(path), _) => path.clone(),
            (Self::Credential(name), Some(folder)) => folder.join(name),
            (Self::Credential(name), None) => return Err(SecretError::NoCredentials(name.clone())),
        };
        let failed = |source| SecretError::Read { path: path.clone(), source };
        // Without O_NONBLOCK a FIFO in its place would hold us until somebody writes to it.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(nonblocking).open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o004 != 0 {
            return Err(SecretError::Open(path));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let line = bytes.trim_ascii_end();
        let is_line =
            !line.is_empty() && bytes.len() as u64 <= LONGEST && line.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(line) {
            Ok(line) if is_line => Ok(line.to_owned()),
            _ => Err(SecretError::NotALine(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_one_line_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let check = |text: &[u8], mode: u32, expected: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let file = Secret::File(path.clone()).read(None).unwrap_or_else(|error| error.to_string());
            assert!(file.contains(expected), "{file}");
            let credential = Secret::Credential("token".to_owned()).read(Some(folder.path()));
            assert_eq!(credential.unwrap_or_else(|error| error.to_string()), file);
            if expected != "s3cret" {
                assert!(!file.contains("s3cret"), "{file}");
            }
        };
        check(b"s3cret\n", 0o600, "s3cret");
        check(b"s3cret", 0o640, "s3cret");
        check(b"s3cret\n", 0o644, "anyone on this machine can read");
        check(b"s3cret\nmore\n", 0o600, "is not one line");
        check(b"\n", 0o600, "is not one line");
        check(&[b's'; 5_000], 0o600, "is not one line");
        let fifo = folder.path().join("fifo");
        assert!(
            std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap().success()
        );
        let error = Secret::File(fifo).read(None).unwrap_err().to_string();
        assert!(error.contains("is not one line"), "{error}");
        let error = Secret::Credential("token".to_owned()).read(None).unwrap_err().to_string();
        assert!(error.contains("LoadCredential=token"), "{error}");
    }
}
