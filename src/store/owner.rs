//! Making files and folders that belong to the right user. Root may look after the state directory of a service
//! that runs as somebody else: what it makes there is that user's, or the service could not go on with it.
//!
//! Whoever owns the directory may be its enemy. So a new thing is only ever given to the owner of the very
//! folder that it was made in, by their descriptors, and only if it was made here: no name is looked up
//! twice, and nothing that was there before changes hands.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode as Bits, OFlags, Stat, fchown, fstat, mkdirat, openat, unlinkat};
use rustix::process::{Gid, Uid, geteuid};

use super::StoreError;
use super::dir::sync_folder;

/// Whom a new thing belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// As its folder, if we may decide that.
    TheFolders,
}

/// Makes a folder and its parents, private, and makes their names durable: an acknowledged reading in a folder
/// that a power cut forgets would be lost.
pub(super) fn make_folders(folder: &Path, whose: Whose) -> Result<(), StoreError> {
    // The parent of a relative name such as `state` is the empty one: where we are.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent, whose)?;
    }
    match make_folder(folder, whose) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoreError::io("make the folder", folder, error));
        }
        _ => {}
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

fn make_folder(path: &Path, whose: Whose) -> io::Result<()> {
    let Some(Elsewhere { folder, name, owner }) = Elsewhere::of(path, whose)? else {
        return DirBuilder::new().mode(0o700).create(path);
    };
    mkdirat(&folder, name, Bits::RWXU)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&folder, name, flags, Bits::empty())?;
    // Between the two steps its owner may have put another one in its place: one of ours that holds something
    // is not what was just made.
    let holds = Dir::read_from(&made)?.flatten().any(|entry| ![c".", c".."].contains(&entry.file_name()));
    if holds { Ok(()) } else { give(&made, &owner) }
}

/// Makes a file that is not there yet, private, to read and to write.
pub(super) fn make_file(path: &Path, whose: Whose) -> io::Result<File> {
    let Some(Elsewhere { folder, name, owner }) = Elsewhere::of(path, whose)? else {
        return OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(path);
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&folder, name, flags, Bits::RUSR | Bits::WUSR)?;
    match give(&made, &owner) {
        Ok(()) => Ok(made.into()),
        Err(error) => {
            // A file that its user cannot open is worse than none.
            let _ = unlinkat(&folder, name, AtFlags::empty());
            Err(error)
        }
    }
}

/// A place in somebody else's folder, where we are root.
struct Elsewhere<'a> {
    folder: OwnedFd,
    name: &'a std::ffi::OsStr,
    owner: Stat,
}

impl<'a> Elsewhere<'a> {
    /// `None` where what is made is the right user's anyway.
    fn of(path: &'a Path, whose: Whose) -> io::Result<Option<Self>> {
        let Some(name) = path.file_name().filter(|_| whose == Whose::TheFolders && geteuid().is_root())
        else {
            return Ok(None);
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder: OwnedFd =
            OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(parent)?.into();
        let owner = fstat(&folder)?;
        Ok((!Uid::from_raw(owner.st_uid).is_root()).then_some(Self { folder, name, owner }))
    }
}

/// On some file systems all is one user's from the beginning.
fn give(made: &OwnedFd, owner: &Stat) -> io::Result<()> {
    let now = fstat(made)?;
    if (now.st_uid, now.st_gid) == (owner.st_uid, owner.st_gid) || !Uid::from_raw(now.st_uid).is_root() {
        return Ok(());
    }
    Ok(fchown(made, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?)
}
