//! The one tool that must not be this machine's: `dmesg` takes no other place to read from, and the log of
//! the machine that a demo runs on is not the fleet's. A stand-in before it on PATH reads the host's tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::fleet::DemoError;
use super::folder::Folder;

/// The place is one below $PROC: without one it must not fall back to this machine's.
const DMESG: &str = "#!/bin/sh\nexec cat \"${PROC:?}/kmsg\"\n";

const USUAL: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug)]
pub(super) struct Tools {
    /// `None` where nothing that is put there could be run: then the shell would go on to the real one.
    folder: Option<PathBuf>,
}

impl Tools {
    pub(super) fn create(folder: &Folder) -> Result<Self, DemoError> {
        let bin = folder.path().join("bin");
        let write = || {
            fs::create_dir(&bin)?;
            fs::write(bin.join("dmesg"), DMESG)?;
            fs::set_permissions(bin.join("dmesg"), fs::Permissions::from_mode(0o500))
        };
        write().map_err(|source| folder.error(source))?;
        Ok(Self { folder: can_run(&bin).then_some(bin) })
    }

    /// Whether a probe that asks for the kernel's log gets the synthetic one.
    pub(super) fn stands_in(&self) -> bool {
        self.folder.is_some()
    }

    /// PATH, where it is another than usual.
    pub(super) fn env(&self) -> Option<(&'static str, PathBuf)> {
        let folder = self.folder.as_ref()?;
        Some(("PATH", PathBuf::from(format!("{}:{USUAL}", folder.display()))))
    }
}

/// No file system that refuses to run anything, and no name that PATH cannot hold.
fn can_run(folder: &Path) -> bool {
    let refuses = rustix::fs::statvfs(folder)
        .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
    !refuses && folder.to_str().is_some_and(|name| !name.contains(':'))
}
