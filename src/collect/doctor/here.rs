//! What a sweep needs of the machine that runs it: the state directory, the clock, descriptors, keys.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::{Check, Finding, Kind, Place, Remedy};
use super::keys::{self, Keys};
use crate::collect::descriptors;
use crate::config::Settings;
use crate::model::{CollectorTime, Host, SweepId};
use crate::render::{counted, shell_word, units};
use crate::store::{Space, StateDir};

/// Sweeps bear the second of their start: a clock that is set by a little is not told from a slow one.
const CLOCK_SLACK_S: i64 = 60;

/// What is looked at.
#[derive(Debug)]
pub struct Here<'a> {
    pub settings: &'a Settings,
    pub hosts: &'a [Host],
    pub now: CollectorTime,
}

/// What is as it should be, in a few words.
pub type Good = (Check, String);

pub fn look(here: &Here<'_>, keys: &Keys) -> (Vec<Finding>, Vec<Good>) {
    let settings = here.settings;
    let mut findings = Vec::new();
    let mut good = vec![(Check::Config, config_words(settings, here.hosts))];
    let mut take = |(found, fine): (Vec<Finding>, Vec<Good>)| {
        findings.extend(found);
        good.extend(fine);
    };
    take(remarks(settings));
    take(state(settings));
    take(clock(&settings.state_dir, here.now));
    take(files_at_once(settings));
    take(keys.findings());
    take(keys::known_hosts(here.hosts));
    (findings, good)
}

fn config_words(settings: &Settings, hosts: &[Host]) -> String {
    let file = settings.config_file.as_ref();
    let file = file.map_or("built-in defaults".to_owned(), |file| file.display().to_string());
    let drop_ins = match settings.drop_ins.len() {
        0 => String::new(),
        many => format!(" and {}", counted(many, "drop-in")),
    };
    format!("{file}{drop_ins}, {}", counted(hosts.len(), "host"))
}

/// Lists of hosts that cannot be taken as they are.
fn remarks(settings: &Settings) -> (Vec<Finding>, Vec<Good>) {
    let failing = settings.inventories.iter().filter_map(|one| one.answer.trouble());
    let look = || Some(Remedy::Verb { kind: Kind::Look, arguments: "config check".to_owned() });
    let findings = failing.map(|trouble| Finding::here(Check::Config, trouble, look()));
    (findings.collect(), Vec::new())
}

fn state(settings: &Settings) -> (Vec<Finding>, Vec<Good>) {
    let root = &settings.state_dir;
    let fault =
        |what: String, remedy: Option<Remedy>| (vec![Finding::here(Check::State, what, remedy)], Vec::new());
    let (shown, folder) = (root.display(), shell_word(&root.display().to_string()));
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let metadata = match fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if may_be_made(root) {
                return (Vec::new(), vec![(Check::State, format!("{shown} will be made"))]);
            }
            if let Some(read_only) = read_only(root) {
                return fault(read_only.0, read_only.1);
            }
            let command = format!("install -d -m 0700 -o {uid} -g {gid} {folder}");
            let what = format!("state directory {shown} is not there and cannot be made by this user");
            return fault(what, Remedy::mend(Place::HereAsRoot, command));
        }
        Err(error) => {
            let what = format!("state directory {shown} cannot be looked at: {error}");
            return fault(what, Remedy::look(Place::HereAsRoot, format!("namei -l {folder}")));
        }
    };
    if !metadata.is_dir() {
        let what = format!("state directory {shown} is a file");
        return fault(what, Remedy::look(Place::Here, format!("ls -l {folder}")));
    }
    if metadata.uid() != uid && uid != 0 {
        // It may well be the daemon's, which would not start any more if it were ours.
        let what = format!(
            "state directory {shown} belongs to user {}, and this is user {uid}: run this as that user, or name \
             another folder with --state",
            metadata.uid()
        );
        return fault(what, Remedy::look(Place::Here, format!("ls -ld {folder}; id")));
    }
    if let Some((what, remedy)) = read_only(root) {
        return fault(what, remedy);
    }
    if access(root, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let what = format!("state directory {shown} cannot be written to");
        let command = format!("chmod 0700 {folder}");
        return fault(what, Remedy::mend(Place::Here, command));
    }
    let (mut findings, mut good) = within(root, &metadata, settings);
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        let what = format!("state directory {shown} is open to others (mode {mode:04o})");
        findings.push(Finding::here(
            Check::State,
            what,
            Remedy::mend(Place::Here, format!("chmod 0700 {folder}")),
        ));
    } else {
        good.insert(0, (Check::State, shown.to_string()));
    }
    (findings, good)
}

/// Whether the nearest folder above it that is there can be written to.
fn may_be_made(root: &Path) -> bool {
    let above = root.ancestors().skip(1).map(|above| match above.as_os_str().is_empty() {
        true => Path::new("."),
        false => above,
    });
    let mut there = above.filter(|above| fs::symlink_metadata(above).is_ok());
    there.next().is_some_and(|above| access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// Nobody's rights are in the way there: what is mounted so has to be looked at.
fn read_only(root: &Path) -> Option<(String, Option<Remedy>)> {
    let there = root.ancestors().find(|above| fs::symlink_metadata(above).is_ok())?;
    let is_read_only = access(there, Access::WRITE_OK) == Err(rustix::io::Errno::ROFS);
    let folder = shell_word(&there.display().to_string());
    is_read_only.then(|| {
        let what = format!("state directory {} is on a file system that is read-only", root.display());
        (what, Remedy::look(Place::HereAsRoot, format!("findmnt -T {folder}; dmesg | tail")))
    })
}

/// Room, files of somebody else, and who else is at work there.
fn within(root: &Path, metadata: &fs::Metadata, settings: &Settings) -> (Vec<Finding>, Vec<Good>) {
    let (mut findings, mut good) = (Vec::new(), Vec::new());
    let folder = shell_word(&root.display().to_string());
    if let Ok(space) = Space::of(root) {
        let free = units::value(space.free_bytes as f64, "bytes");
        let retention = &settings.retention;
        let short = |key: &str| {
            // What is due may be too little: then it is a person's to say what else may go.
            let remedy = Remedy::Verb { kind: Kind::Look, arguments: "prune --dry-run".to_owned() };
            let what = format!("{free} are left for {}, less than `retention.{key}`", root.display());
            Finding::here(Check::State, what, Some(remedy))
        };
        if space.free_bytes < retention.reserve.0 {
            findings.push(short("reserve"));
        } else if space.free_bytes < retention.low_space.0 {
            findings.push(short("low_space").note());
        } else {
            good.push((Check::State, format!("{free} free")));
        }
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let foreign = entries
        .filter(|entry| entry.metadata().is_ok_and(|inner| inner.uid() != metadata.uid()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut foreign: Vec<String> = foreign.collect();
    foreign.sort_unstable();
    if !foreign.is_empty() {
        let what = format!("in {} others than its owner have {}", root.display(), foreign.join(", "));
        let command = format!("chown -R {}:{} {folder}", metadata.uid(), metadata.gid());
        findings.push(Finding::here(Check::State, what, Remedy::mend(Place::HereAsRoot, command)));
    }
    if let Some(pid) = daemon(root) {
        good.push((Check::State, format!("a daemon is at work there (process {pid})")));
    }
    (findings, good)
}

/// The process that holds the daemon's lock.
fn daemon(root: &Path) -> Option<u32> {
    let path = root.join("run").join("daemon.lock");
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => fs::read_to_string(&path).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// A sweep that begins later than now was recorded by a clock that was ahead, or ours is behind.
fn clock(root: &Path, now: CollectorTime) -> (Vec<Finding>, Vec<Good>) {
    let newest = StateDir::at(root).sweeps().ok().and_then(|sweeps| sweeps.into_iter().next_back());
    let later = SweepId::at(CollectorTime::from_unix_s(now.unix_s() + CLOCK_SLACK_S), u32::MAX);
    match newest {
        Some(newest) if newest > later => {
            let what =
                format!("the newest sweep, {newest}, begins later than now: this machine's clock is behind");
            let remedy = Remedy::mend(Place::HereAsRoot, keep_time());
            (vec![Finding::here(Check::Clock, what, remedy)], Vec::new())
        }
        _ => (Vec::new(), vec![(Check::Clock, now.rfc3339())]),
    }
}

/// What this machine has to set its clock by others'.
pub(super) fn keep_time() -> &'static str {
    let has =
        |program: &str| ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    match has("timedatectl") || !has("chronyc") {
        true => "timedatectl set-ntp true",
        false => "chronyc makestep",
    }
}

fn files_at_once(settings: &Settings) -> (Vec<Finding>, Vec<Good>) {
    let limits = &settings.limits;
    match descriptors::shortage(limits.concurrency, limits.channels_per_host) {
        Some(short) => {
            let what = format!(
                "this process may open {} files, enough for {} hosts at a time and not {}",
                short.files, short.hosts, limits.concurrency
            );
            let command = format!("ulimit -n {}", short.wanted);
            (
                vec![
                    Finding::here(Check::Descriptors, what, Remedy::mend(Place::HereAsRoot, command)).note(),
                ],
                Vec::new(),
            )
        }
        None => (Vec::new(), vec![(Check::Descriptors, format!("enough for {} hosts", limits.concurrency))]),
    }
}
