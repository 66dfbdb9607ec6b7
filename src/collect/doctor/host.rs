//! What one host's answer means: which of its ways in, its root, its clock or its tools is amiss.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::commands::{doas_conf, sudoers};
use super::finding::{Check, Finding, Place, Remedy, Severity};
use super::here::keep_time;
use super::keys::Keys;
use super::needs;
use super::packages::install;
use super::way_in::{in_its_place, speechless, talk, unconnected};
use crate::collect::checkup::{Checkup, Root};
use crate::model::{Format, HostName, Outcome, Privilege, Probe, ProbeName, Reach, Refusal, RootBy};
use crate::render::shell_word;
use crate::wire::Denial;

/// Two clocks that are kept by NTP are never this far apart; busybox's `date` tells whole seconds only.
const MOST_SKEW_S: f64 = 2.0;

/// With this many hosts that are off by the same, it is ours that is wrong.
const WITNESSES: usize = 3;

/// Which probes were looked for, and for which of them whatever is missing is a fault.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub probes: &'a [Arc<Probe>],
    pub asked_for: BTreeSet<ProbeName>,
}

impl Wanted<'_> {
    pub(super) fn severity<'a>(&self, mut probes: impl Iterator<Item = &'a ProbeName>) -> Severity {
        match probes.any(|name| self.asked_for.contains(name)) {
            true => Severity::Fault,
            false => Severity::Note,
        }
    }
}

/// All that is amiss on hosts, and with our clock as far as theirs bear witness.
pub fn of_all(found: &[Checkup], wanted: &Wanted<'_>, keys: &Keys) -> Vec<Finding> {
    let skews: Vec<f64> = found.iter().filter_map(|it| it.skew_s).collect();
    let (least, most) = skews.iter().fold((f64::MAX, f64::MIN), |(a, b), skew| (a.min(*skew), b.max(*skew)));
    let together = most - least < MOST_SKEW_S && (least > MOST_SKEW_S || most < -MOST_SKEW_S);
    if skews.len() >= WITNESSES && together {
        let what = format!("all hosts say that this machine's clock is {}", apart(-least));
        let remedy = Remedy::mend(Place::HereAsRoot, keep_time());
        let mut findings = vec![Finding::here(Check::Clock, what, remedy)];
        let theirs = found.iter().flat_map(|it| of_host(it, wanted, keys));
        findings.extend(theirs.filter(|finding| finding.check != Check::Time));
        return findings;
    }
    found.iter().flat_map(|it| of_host(it, wanted, keys)).collect()
}

/// All that is amiss on one host.
pub fn of_host(it: &Checkup, wanted: &Wanted<'_>, keys: &Keys) -> Vec<Finding> {
    let host = &it.host;
    if !host.ssh.refused.is_empty() && host.reach == Reach::Ssh {
        return host.ssh.refused.iter().map(|refusal| refused(refusal, &host.name)).collect();
    }
    if let Some(error) = &it.error {
        return vec![unconnected(host, error, keys).on(&host.name)];
    }
    if it.outcome != Outcome::Ok {
        return vec![speechless(it).on(&host.name)];
    }
    let mut findings = Vec::new();
    findings.extend(gzip(it));
    findings.extend(root(it, wanted));
    findings.extend(time(it));
    findings.extend(hidden(it, wanted));
    let mut findings: Vec<Finding> = findings.into_iter().map(|finding| finding.on(&host.name)).collect();
    findings.extend(needs::of_host(it, wanted));
    findings
}

/// What an ssh_config or an inventory says, and is not obeyed.
fn refused(refusal: &Refusal, name: &HostName) -> Finding {
    let file = shell_word(&refusal.at.file);
    let look = |command: String| Remedy::look(Place::Here, command);
    let remedy = match refusal.at.line {
        // It is not what stands in it that is wrong.
        0 if refusal.reason.contains("chown ") => look(format!("ls -l {file}")),
        0 if refusal.reason.contains("chmod ") => Remedy::mend(Place::Here, format!("chmod go-w {file}")),
        0 => look(format!("${{EDITOR:-vi}} {file}")),
        line => look(format!("${{EDITOR:-vi}} +{line} {file}")),
    };
    Finding::here(Check::SshConfig, format!("not connected to: {refusal}"), remedy).on(name)
}

fn gzip(it: &Checkup) -> Option<Finding> {
    (it.has("gzip") == Some(false)).then(|| {
        let what = "there is no gzip: what probes print travels as it is";
        Finding::here(Check::Gzip, what, it_installs("gzip", it)).note()
    })
}

/// What installs a tool on that host.
pub(super) fn it_installs(tool: &str, it: &Checkup) -> Option<Remedy> {
    let has = |manager: &str| it.has(manager) == Some(true);
    install(tool, has).and_then(|command| Remedy::mend(Place::HostAsRoot, command))
}

fn root(it: &Checkup, wanted: &Wanted<'_>) -> Option<Finding> {
    let Root::Denied(why, denial) = &it.root else { return None };
    let host = &it.host;
    let probes: Vec<ProbeName> = wanted
        .probes
        .iter()
        .filter(|probe| probe.privilege == Privilege::Root)
        .map(|probe| probe.name.clone())
        .collect();
    let severity = wanted.severity(probes.iter());
    let remedy = root_remedy(it, *denial);
    let is_there = *denial == Some(Denial::Missing) && it.has(program(&host.root_by)) == Some(true);
    let what = match is_there {
        true => format!(
            "{} is on the host, but not in the PATH that the login gives: see what its profile makes of it",
            program(&host.root_by)
        ),
        false => why.clone(),
    };
    let what = format!("{what} (as {})", host.user);
    Some(Finding { severity, probes, ..Finding::here(Check::Root, what, remedy) })
}

const fn program(by: &RootBy) -> &'static str {
    match by {
        RootBy::Doas => "doas",
        RootBy::Sudo | RootBy::Refused(_) => "sudo",
    }
}

fn root_remedy(it: &Checkup, denial: Option<Denial>) -> Option<Remedy> {
    let host = &it.host;
    let user = shell_word(&host.user);
    let there = |command: String| Remedy::mend(Place::HostAsRoot, command);
    let look = |command: String| Remedy::look(Place::HostAsRoot, command);
    let program = program(&host.root_by);
    let rule = match &host.root_by {
        RootBy::Sudo => sudoers(&host.user, denial == Some(Denial::Terminal)),
        RootBy::Doas => doas_conf(&host.user),
        RootBy::Refused(refusal) => {
            // What the environment says stands in no file.
            let stands_in_a_file = std::path::Path::new(&*refusal.at.file).is_file();
            let line = refusal.at.line.max(1);
            let file = shell_word(&refusal.at.file);
            return Remedy::look(Place::Here, format!("${{EDITOR:-vi}} +{line} {file}"))
                .filter(|_| stands_in_a_file);
        }
    };
    let has = |tool: &str| it.has(tool) == Some(true);
    // One that did not answer at all is tried by hand.
    match denial.unwrap_or(Denial::Other) {
        denial if denial.wants_rule() => there(rule),
        // It was asked for as the account, whose rules and profile are what is looked at.
        Denial::Missing if has(program) => Remedy::look(Place::Here, talk(host, "echo \"$PATH\"", &[])),
        Denial::Missing => {
            install(program, has).and_then(|install| there(format!("{{ {install}; }} && {rule}")))
        }
        Denial::Elsewhere => look(in_its_place(host)),
        Denial::Broken if program == "sudo" => look("visudo -c".to_owned()),
        Denial::Broken => look("ls -l /etc/doas.conf; doas -C /etc/doas.conf".to_owned()),
        Denial::Pam => look(format!("cat /etc/pam.d/{program}")),
        Denial::NotRoot | Denial::Confined => look(format!("{program} -l -U {user}")),
        Denial::Account => look(format!("passwd -S {user}; chage -l {user}")),
        Denial::Powerless => {
            look(format!("ls -l \"$(command -v {program})\"; findmnt -T \"$(command -v {program})\""))
        }
        _ => look(format!("su -s /bin/sh {user} -c 'echo id | {program} -n /bin/sh -s'")),
    }
}

/// What the tasks of others are kept from. The group of the account alone is let in: who hid them from
/// everybody had reasons.
fn hidden(it: &Checkup, wanted: &Wanted<'_>) -> Option<Finding> {
    let counts_tasks = |probe: &&Arc<Probe>| {
        probe.format == Format::ProcSnapshot
            && (probe.privilege == Privilege::None || it.root == Root::Direct)
    };
    let probes: Vec<ProbeName> =
        wanted.probes.iter().filter(counts_tasks).map(|probe| probe.name.clone()).collect();
    if probes.is_empty() || it.sees_others() != Some(false) {
        return None;
    }
    let (host, severity) = (&it.host, wanted.severity(probes.iter()));
    let proc = host.proc_root.as_deref().unwrap_or("/proc");
    let what = format!("its {proc} shows {} no process of others (hidepid): they are not counted", host.user);
    let command =
        format!("mount -o remount,gid=\"$(id -g {})\" {}", shell_word(&host.user), shell_word(proc));
    let remedy = Remedy::mend(Place::HostAsRoot, command);
    Some(Finding { severity, probes, ..Finding::here(Check::Need, what, remedy) })
}

fn time(it: &Checkup) -> Option<Finding> {
    let skew_s = it.skew_s.filter(|skew| skew.abs() > MOST_SKEW_S)?;
    let has = |tool: &str| it.has(tool) == Some(true);
    let remedy = if has("timedatectl") {
        Remedy::mend(Place::HostAsRoot, "timedatectl set-ntp true")
    } else if has("chronyc") {
        Remedy::mend(Place::HostAsRoot, "chronyc makestep")
    } else {
        it_installs("chronyc", it)
    };
    Some(Finding::here(Check::Time, format!("its clock is {} of this machine's", apart(skew_s)), remedy))
}

/// Coarse on purpose: hosts that are off by nearly the same are one finding.
fn apart(ahead_s: f64) -> String {
    let (size, way) = (ahead_s.abs(), if ahead_s > 0.0 { "ahead" } else { "behind" });
    let number = match size {
        size if size < 60.0 => format!("{size:.0} s"),
        size if size < 5_400.0 => format!("{:.0} min", size / 60.0),
        size if size < 172_800.0 => format!("{:.0} h", size / 3_600.0),
        size => format!("{:.0} days", size / 86_400.0),
    };
    format!("{number} {way}")
}
