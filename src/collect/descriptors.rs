//! How many files this process may have open, and how many hosts a sweep visits at once for that. It
//! fails no sweep: fewer hosts at a time are better than readings that fail for want of a descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside the connections: the archive, the index, the runtime, the standard streams.
const OWN: u64 = 40;

/// A connection's socket, and while it is opened a key file, the agent or the name server. Each probe
/// that runs has the file of its claim beside them.
const PER_HOST: u64 = 2;

/// Raises the limit as far as it goes, and says how many of `wanted` hosts can be visited at once with so
/// many probes running on each.
pub fn hosts_at_once(wanted: u32, probes: u32) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let hosts = fitting(wanted, probes, files);
    if hosts < wanted {
        tracing::warn!(
            "visiting {hosts} hosts at a time and not {wanted}: this process may open only {} files; raise \
             `ulimit -n`, or LimitNOFILE of the service",
            files.unwrap_or_default(),
        );
    }
    hosts
}

/// Too few files for as many hosts at once as are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// As many as this process may ever have.
    pub files: u64,
    pub hosts: u32,
    /// Files that would be enough.
    pub wanted: u64,
}

/// Looks whether [`hosts_at_once`] would have to go lower, and changes nothing.
pub(super) fn shortage(wanted: u32, probes: u32) -> Option<Shortage> {
    let files = getrlimit(Resource::Nofile).maximum?;
    let hosts = fitting(wanted, probes, Some(files));
    let needed = OWN + u64::from(wanted) * (PER_HOST + u64::from(probes));
    (hosts < wanted).then_some(Shortage { files, hosts, wanted: needed })
}

/// `None` is no limit.
fn fitting(wanted: u32, probes: u32, files: Option<u64>) -> u32 {
    let per_host = PER_HOST + u64::from(probes);
    let fit = files.map_or(u64::MAX, |files| files.saturating_sub(OWN) / per_host);
    wanted.min(u32::try_from(fit).unwrap_or(u32::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_mean_few_hosts_and_never_none() {
        for (wanted, files, expected) in [
            (256, None, 256),
            (256, Some(1_024), 164),
            (10_000, Some(1_024), 164),
            (256, Some(64), 4),
            (256, Some(8), 1),
            (8, Some(u64::MAX), 8),
            (100, Some(1_024), 100),
        ] {
            assert_eq!(fitting(wanted, 4, files), expected, "{wanted} hosts, {files:?} files");
        }
    }
}
