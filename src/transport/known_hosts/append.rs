//! Adding lines to a known_hosts file: all of them or none, beside other writers, never through a link.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

/// How long another writer may hold the file: an append takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("add to {file}: it is a symbolic link to {target}; name that file instead")]
    Link { file: PathBuf, target: PathBuf },
    #[error("add to {file}: it is not a regular file")]
    NotAFile { file: PathBuf },
    #[error("add to {file}: another program has held its lock for {} s; try again", LOCK_WAIT.as_secs())]
    Locked { file: PathBuf },
    #[error("add to {file}: another program puts a new file in its place again and again; try again")]
    Replaced { file: PathBuf },
    #[error("add to {file}: a host key's line has a line break in it")]
    BrokenLine { file: PathBuf },
    #[error("add to {file}: {source}")]
    Io { file: PathBuf, source: io::Error },
}

/// How often the file may be replaced while we write to it: ssh does so when it learns a host's other
/// keys, and ssh-keygen -R when it takes one out. Neither heeds a lock.
const REPLACEMENTS: u32 = 5;

/// Adds those of `lines` that are not in `file` yet, and returns how many that were. Creates the file
/// (0600) and its folder (0700). After an error the file is as it was.
pub fn append(file: &Path, lines: &[String]) -> Result<usize, AppendError> {
    let failed = |source| AppendError::Io { file: file.to_owned(), source };
    if lines.iter().any(|line| line.contains(['\n', '\r'])) {
        return Err(AppendError::BrokenLine { file: file.to_owned() });
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut added = 0;
    for _ in 0..REPLACEMENTS {
        let mut handle = open(file)?;
        lock(&handle, file)?;
        added = added.max(append_to(&mut handle, lines).map_err(failed)?);
        let (written, there) = (handle.metadata().map_err(failed)?, file.symlink_metadata());
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (written.dev(), written.ino())) {
            return Ok(added);
        }
    }
    Err(AppendError::Replaced { file: file.to_owned() })
}

/// How long we wait before we look again: whoever read the file before our lines were in it needs less to
/// put another in its place.
const LOOK_AFTER: Duration = Duration::from_millis(200);
const LOOKS: u32 = 20;

/// Sees to it that `lines`, which were added, are not lost to a program that had read the file before: looks
/// again until they are all there, and adds what is missing.
pub fn remain(file: &Path, lines: &[String]) -> Result<(), AppendError> {
    for _ in 0..LOOKS {
        std::thread::sleep(LOOK_AFTER);
        if append(file, lines)? == 0 {
            return Ok(());
        }
    }
    Err(AppendError::Replaced { file: file.to_owned() })
}

fn append_to(handle: &mut File, lines: &[String]) -> io::Result<usize> {
    let mut text = Vec::new();
    handle.read_to_end(&mut text)?;
    let is_new = |line: &&String| !text.split(|byte| *byte == b'\n').any(|old| old == line.as_bytes());
    let new: Vec<&str> = lines.iter().filter(is_new).map(String::as_str).collect();
    if new.is_empty() {
        return Ok(0);
    }
    let ends_open = text.last().is_some_and(|last| *last != b'\n');
    let block = format!("{}{}\n", if ends_open { "\n" } else { "" }, new.join("\n"));
    write_or_undo(handle, text.len() as u64, block.as_bytes())?;
    Ok(new.len())
}

fn open(file: &Path) -> Result<File, AppendError> {
    // Through a link that somebody else may write, the lines would end up in a file of their choice.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = File::options();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    let handle = options.open(file).map_err(|source| match file.read_link() {
        Ok(target) => AppendError::Link { file: file.to_owned(), target },
        Err(_) => AppendError::Io { file: file.to_owned(), source },
    })?;
    match handle.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(handle),
        Ok(_) => Err(AppendError::NotAFile { file: file.to_owned() }),
        Err(source) => Err(AppendError::Io { file: file.to_owned(), source }),
    }
}

fn lock(handle: &File, file: &Path) -> Result<(), AppendError> {
    let limit = Instant::now() + LOCK_WAIT;
    loop {
        match flock(handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < limit => std::thread::sleep(LOCK_POLL),
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(AppendError::Locked { file: file.to_owned() }),
            Err(errno) => return Err(AppendError::Io { file: file.to_owned(), source: errno.into() }),
        }
    }
}

/// A full disk must not leave half a line, which would hide the line that is added after it.
fn write_or_undo(handle: &mut File, length: u64, block: &[u8]) -> io::Result<()> {
    let written =
        handle.seek(SeekFrom::End(0)).and_then(|_| handle.write_all(block)).and_then(|()| handle.sync_all());
    if written.is_err() {
        handle.set_len(length)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn line(name: &str) -> String {
        format!("{name} ssh-ed25519 AAAA")
    }

    #[test]
    fn a_new_file_and_its_folder_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ssh/known_hosts");
        assert_eq!(append(&file, &[line("a"), line("b")]).unwrap(), 2);
        assert_eq!(append(&file, &[line("b"), line("c")]).unwrap(), 1);
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!("{}\n{}\n{}\n", line("a"), line("b"), line("c"))
        );
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_last_line_without_its_end_gets_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        fs::write(&file, line("a")).unwrap();
        append(&file, &[line("b")]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n{}\n", line("a"), line("b")));
    }

    #[test]
    fn a_link_or_a_folder_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (file, target) = (dir.path().join("known_hosts"), dir.path().join("elsewhere"));
        fs::write(&target, "").unwrap();
        symlink(&target, &file).unwrap();
        let error = append(&file, &[line("a")]).unwrap_err();
        assert!(error.to_string().ends_with("elsewhere; name that file instead"), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert!(append(dir.path(), &[line("a")]).is_err());
        assert!(append(&target, &["a\nb".to_owned()]).is_err());
    }

    /// As ssh learns keys and ssh-keygen -R forgets them: a new file takes the old one's place.
    #[test]
    fn a_file_that_is_replaced_meanwhile_gets_the_lines_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("known_hosts"), dir.path().join("known_hosts.new"));
        fs::write(&file, "").unwrap();
        fs::write(&new, line("new") + "\n").unwrap();
        let held = File::open(&file).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let is_open = || {
            let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
            descriptors.filter(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == file)).count()
        };
        std::thread::scope(|scope| {
            let appending = scope.spawn(|| append(&file, &[line("a")]));
            // It has opened the old file, and waits for its lock.
            while is_open() < 2 {
                std::thread::sleep(LOCK_POLL);
            }
            fs::rename(&new, &file).unwrap();
            drop(held);
            assert_eq!(appending.join().unwrap().unwrap(), 1);
        });
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n{}\n", line("new"), line("a")));
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..20 {
                        append(file, &[line(&format!("h{writer}-{round}"))]).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 160);
        assert!(text.lines().all(|line| line.ends_with(" ssh-ed25519 AAAA")), "{text}");
    }
}
