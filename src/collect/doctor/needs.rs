//! What probes need and a host has not, and the command that gives it to them.

use super::commands::sysctl;
use super::finding::{Check, Finding, Kind, Place, Remedy};
use super::host::{Wanted, it_installs};
use crate::collect::checkup::Checkup;
use crate::model::{Bound, Need, Privilege, Probe, ProbeName, Versioned};
use crate::render::shell_word;
use crate::wire::Lack;

/// One finding for each thing that is missing, with all probes that need it.
pub(super) fn of_host(it: &Checkup, wanted: &Wanted<'_>) -> Vec<Finding> {
    let mut missing: Vec<(&Need, Privilege, &Lack, Vec<ProbeName>)> = Vec::new();
    for probe in wanted.probes {
        for (need, lack) in lacks(it, probe) {
            match missing
                .iter_mut()
                .find(|(known, as_whom, ..)| *known == need && *as_whom == probe.privilege)
            {
                Some((.., probes)) => probes.push(probe.name.clone()),
                None => missing.push((need, probe.privilege, lack, vec![probe.name.clone()])),
            }
        }
    }
    // One setting is enough for all that ask for it: the one who asks for most.
    let levels = missing.iter().filter_map(|(need, ..)| match need {
        Need::Paranoid(level) => Some(*level),
        _ => None,
    });
    let least = levels.min();
    let finding = |(need, privilege, lack, probes): (&Need, Privilege, &Lack, Vec<ProbeName>)| {
        let remedy = match (need, least) {
            (Need::Paranoid(_), Some(least)) => remedy(it, (&Need::Paranoid(least), privilege), lack),
            _ => remedy(it, (need, privilege), lack),
        };
        let severity = wanted.severity(probes.iter());
        let what = lack.words(need);
        Finding { severity, probes, ..Finding::here(Check::Need, what, remedy).on(&it.host.name) }
    };
    gathered(missing.into_iter().map(finding))
}

/// What one command mends is one finding: a host without tracefs lacks every tracepoint there is.
fn gathered(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut all: Vec<(Finding, usize)> = Vec::new();
    for finding in findings {
        let is_mended = finding.remedy.as_ref().is_some_and(|remedy| remedy.kind() == Kind::Mend);
        match all.iter_mut().find(|(one, _)| is_mended && one.remedy == finding.remedy) {
            Some((one, more)) => {
                *more += 1;
                one.severity = one.severity.min(finding.severity);
                one.probes.extend(finding.probes);
            }
            None => all.push((finding, 0)),
        }
    }
    all.into_iter().map(|(one, more)| one.with(more)).collect()
}

impl Finding {
    /// The same with `more` of its kind, and each probe once.
    fn with(mut self, more: usize) -> Self {
        if more > 0 {
            self.what.push_str(&format!(" (and {more} more that the same command mends)"));
        }
        self.probes.sort_unstable();
        self.probes.dedup();
        self
    }
}

fn lacks<'a>(it: &'a Checkup, probe: &'a Probe) -> impl Iterator<Item = (&'a Need, &'a Lack)> {
    probe.needs.iter().filter_map(move |need| Some((need, it.lack(probe, need)??)))
}

fn remedy(it: &Checkup, (need, privilege): (&Need, Privilege), lack: &Lack) -> Option<Remedy> {
    let there = |command: String| Remedy::mend(Place::HostAsRoot, command);
    let look = |command: String| Remedy::look(Place::HostAsRoot, command);
    let seen = lack.seen.as_deref();
    match need {
        Need::Tool(names) => it_installs(names.split('|').next().unwrap_or(names), it),
        Need::File(paths) => {
            let host = &it.host;
            let (proc, sys) = (host.proc_root.as_deref(), host.sys_root.as_deref());
            let path = |path: &str| {
                let path = path.replacen("$PROC", proc.unwrap_or("/proc"), 1);
                shell_word(&path.replacen("$SYS", sys.unwrap_or("/sys"), 1))
            };
            look(format!("ls -ld {}", paths.split('|').map(path).collect::<Vec<_>>().join(" ")))
        }
        Need::Version { tool, bound, .. } => match (tool, bound) {
            // Of sysdig the old ones are wanted, which no command brings back everywhere.
            (Versioned::SysdigLibs, _) | (_, Bound::Below) => look("sysdig --libs-version".to_owned()),
            (tool, Bound::AtLeast) => it_installs(tool.as_str(), it),
        },
        Need::Event(_) | Need::TracefsInstances if seen == Some("none") => {
            there("mount -t tracefs nodev /sys/kernel/tracing".to_owned())
        }
        Need::Event(_) | Need::TracefsInstances if seen == Some("root") => {
            let user = shell_word(&it.host.user);
            there(format!(
                "{{ mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing; }} && \
                 mount -o remount,mode=0750,gid=\"$(id -g {user})\" /sys/kernel/tracing"
            ))
        }
        Need::Event(name) => look(format!("grep {} /sys/kernel/tracing/available_events", shell_word(name))),
        Need::TracefsInstances => look("ls -ld /sys/kernel/tracing/instances".to_owned()),
        // Root without the capability: the host is a container, and its setting is the machine's.
        Need::Paranoid(level) if privilege == Privilege::None => {
            there(sysctl("kernel.perf_event_paranoid", &level.to_string()))
        }
        Need::KernelLog if privilege == Privilege::None => there(sysctl("kernel.dmesg_restrict", "0")),
        Need::Paranoid(_) | Need::KernelLog | Need::Capability(_) => {
            look("grep Cap /proc/self/status".to_owned())
        }
    }
}
