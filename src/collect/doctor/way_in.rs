//! Why there is no way in to a host, or why nobody answers there: what each end of a connection, a login or
//! a login shell means, and what is typed about it. It knows only what the connection has told.

use super::commands::{SSHD_LOG, account, authorize, sshd_config};
use super::finding::{Check, Finding, Kind, Place, Remedy};
use super::keys::Keys;
use crate::collect::checkup::Checkup;
use crate::model::{Host, Outcome, Proxy};
use crate::render::shell_word;
use crate::transport::ssh::{ConnectError, LoginEnd, Phase};

const AUTHENTICATION: &str = "pubkeyauthentication|authenticationmethods|pubkeyacceptedalgorithms";

pub(super) fn unconnected(host: &Host, error: &ConnectError, keys: &Keys) -> Finding {
    let name = shell_word(host.name.as_str());
    let show = || Some(Remedy::Verb { kind: Kind::Look, arguments: format!("hosts show {name}") });
    // `hosts trust` learns the jump hosts on the way, too; what else one of them lacks is not this host's.
    let (check, remedy) = match (error.jump.unwrap_or(error.outcome), error.phase) {
        (Outcome::AuthFailed, _) if error.on_the_way => (Check::Connect, show()),
        (Outcome::HostKeyUnknown, _) => (Check::HostKey, Some(Remedy::Trust { forget: Vec::new() })),
        (Outcome::HostKeyChanged, _) => {
            let forget = error.stale.as_ref().map(|stale| Remedy::Trust { forget: vec![(**stale).clone()] });
            (Check::HostKey, forget.or_else(show))
        }
        (Outcome::AuthFailed, _) => return not_let_in(host, error, keys),
        (_, Some(Phase::Authentication)) if error.login.is_some() => return not_let_in(host, error, keys),
        (_, Some(Phase::Resolve)) => {
            let address = shell_word(&host.address);
            (Check::Resolve, Remedy::look(Place::Here, format!("getent hosts {address}")))
        }
        _ => (Check::Connect, Remedy::look(Place::Here, talk(host, "true", &["-v"]))),
    };
    Finding::here(check, error.detail.clone(), remedy)
}

/// Where our keys are good, it is the host that has to be looked at.
fn not_let_in(host: &Host, error: &ConnectError, keys: &Keys) -> Finding {
    let look = |command: String| Remedy::look(Place::HostAsRoot, command);
    let finding = |remedy| Finding::here(Check::Auth, error.detail.clone(), remedy);
    match error.login {
        Some(LoginEnd::Closed) => finding(look(account(&host.user))),
        Some(LoginEnd::NotEnough | LoginEnd::NoMethod) => {
            finding(look(sshd_config(&host.user, AUTHENTICATION)))
        }
        Some(LoginEnd::NoKey) => finding(keys.first_remedy(host)),
        Some(LoginEnd::Refused) | None => match keys.first_good(host) {
            // It may be let in already, and refused for another reason, which sshd keeps to itself.
            Some(public) => finding(Remedy::mend(Place::HostAsRoot, authorize(&host.user, public)))
                .or_else(look(SSHD_LOG.to_owned())),
            None => finding(keys.first_remedy(host)),
        },
    }
}

/// Connected, and the supervisor did not start or did not answer.
pub(super) fn speechless(it: &Checkup) -> Finding {
    let host = &it.host;
    let user = shell_word(&host.user);
    let detail = it.detail.clone().unwrap_or_else(|| it.outcome.as_str().to_owned());
    let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    let there = |command: String| Remedy::mend(Place::HostAsRoot, command);
    let look = |command: String| Remedy::look(Place::HostAsRoot, command);
    let remedy = if says(&["account is currently not available", "login shell is a restricted one"]) {
        there(format!("usermod -s /bin/sh {user}"))
    } else if says(&["there is no /proc"]) {
        there("mount -t proc proc /proc".to_owned())
    } else if says(&["nothing but SFTP", "in place of /bin/sh"]) {
        look(in_its_place(host))
    } else if says(&["Password change required", "password has expired"]) {
        look(format!("chage -l {user}"))
    } else if says(&["refused a channel"]) {
        look(sshd_config(&host.user, "maxsessions"))
    } else if says(&["refused to run the command", "sshd opened no session"]) {
        look(SSHD_LOG.to_owned())
    } else {
        let talk = talk(host, "exec /bin/sh -s", &["-T"]);
        Remedy::look(Place::Here, format!("echo 'echo it works' | {talk}"))
    };
    Finding::here(Check::Shell, detail, remedy)
}

/// What shows why the login runs something else than it was asked to.
pub(super) fn in_its_place(host: &Host) -> String {
    let (user, forced) = (shell_word(&host.user), sshd_config(&host.user, "forcecommand"));
    let profiles = "cd; grep -n command= .ssh/authorized_keys; tail .bashrc .profile";
    format!("{forced}; su -s /bin/sh {user} -c '{profiles}'")
}

/// The same connection with OpenSSH's client, which shares neither our keys nor our known_hosts files.
pub(super) fn talk(host: &Host, command: &str, options: &[&str]) -> String {
    let mut words = vec!["ssh".to_owned()];
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
    for file in host.identity_files.iter().filter(|file| file.exists()) {
        words.extend(["-i".to_owned(), shell_word(&file.display().to_string())]);
    }
    if !host.known_hosts.is_empty() {
        let files = host.known_hosts.iter().map(|file| format!("\"{}\"", file.display()));
        let files = files.collect::<Vec<_>>().join(" ");
        words.extend(["-o".to_owned(), shell_word(&format!("UserKnownHostsFile={files}"))]);
    }
    match &host.ssh.proxy {
        Proxy::Direct => {}
        Proxy::Jump(chain) => {
            let hop =
                |hop: &std::sync::Arc<Host>| format!("{}@{}:{}", hop.user, bracketed(&hop.address), hop.port);
            let hops = chain.iter().map(hop).collect::<Vec<_>>().join(",");
            words.extend(["-J".to_owned(), shell_word(&hops)]);
        }
        Proxy::Command(proxy) => {
            words
                .extend(["-o".to_owned(), shell_word(&format!("ProxyCommand={}", proxy.replace('%', "%%")))]);
        }
    }
    words.extend(["-p".to_owned(), host.port.to_string()]);
    words.push(shell_word(&format!("{}@{}", host.user, host.address)));
    words.push(shell_word(command));
    words.join(" ")
}

/// As `-J` has an address of IPv6, which is full of colons.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{HostName, SshOptions};

    #[test]
    fn ssh_is_told_what_it_does_not_know_of_the_host() {
        let gate = Host {
            port: 2222,
            address: "::1".to_owned(),
            ..Host::new(HostName::new("gate").unwrap(), "ann")
        };
        let ssh = SshOptions { proxy: Proxy::Jump(vec![Arc::new(gate)]), ..SshOptions::default() };
        let host = Host {
            known_hosts: vec!["/etc/known hosts".into()],
            identity_files: vec!["/dev/null".into(), "/nowhere/key".into()],
            ssh: Arc::new(ssh),
            ..Host::new(HostName::new("web1").unwrap(), "probe")
        };
        assert_eq!(
            talk(&host, "exec /bin/sh -s", &["-T"]),
            "ssh -T -o BatchMode=yes -i /dev/null -o 'UserKnownHostsFile=\"/etc/known hosts\"' -J 'ann@[::1]:2222' \
             -p 22 probe@web1 'exec /bin/sh -s'"
        );
    }
}
