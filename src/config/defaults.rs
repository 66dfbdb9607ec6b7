//! `[defaults]`: what a host has unless it says otherwise.

use std::path::PathBuf;

use super::become_root::Become;
use super::knob::{any, between, knobs};

knobs! {
    /// What a host has unless it says otherwise.
    pub struct Defaults = ["defaults"], "DROPSONDE_DEFAULT_" {
        /// The user to log in as; without it, whoever runs the program.
        user: String = String::new(), user_name;
        /// sshd's port.
        port: u16 = 22, between(1, u16::MAX);
        /// Keys to try, in order. Of the default's, those that exist.
        identity_files: Vec<PathBuf> =
            ["id_ed25519", "id_ecdsa", "id_rsa"].map(|key| format!("~/.ssh/{key}").into()).into(), any;
        /// Ask the agent behind SSH_AUTH_SOCK for its keys, after the files'.
        agent: bool = true, any;
        /// Where host keys are looked up; `hosts trust` writes to the first.
        known_hosts: Vec<PathBuf> =
            ["~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"].map(PathBuf::from).into(), not_empty;
        /// ssh_config files, in the order in which they are asked. The default is what ssh reads; none
        /// at all is written `[]`.
        ssh_config: Vec<PathBuf> = ["~/.ssh/config", "/etc/ssh/ssh_config"].map(PathBuf::from).into(), any;
        /// How a user who is not root becomes root where a probe needs it; a password is never given.
        r#become: Become = Become::Sudo, any;
        /// Where probes find /proc on a host.
        proc_root: String = "/proc".to_owned(), remote_root;
        /// Where probes find /sys on a host.
        sys_root: String = "/sys".to_owned(), remote_root;
    }
}

/// A login name as `useradd` and directory services make them. It never stands in a command line.
pub(crate) fn user_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_alphanumeric() || "._-@+\\".contains(c);
    let fits = !name.is_empty() && !name.starts_with('-') && name.len() <= 256 && name.chars().all(allowed);
    if fits { Ok(()) } else { Err("a login name".to_owned()) }
}

fn not_empty(paths: &[PathBuf]) -> Result<(), String> {
    if paths.is_empty() {
        Err("at least one file: an unknown host is never connected to".to_owned())
    } else {
        Ok(())
    }
}

/// A folder on a host: absolute, and nothing in it that a shell or a terminal could take amiss.
pub(crate) fn remote_root(path: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(&byte);
    let fits = path.starts_with('/')
        && path.len() <= 1024
        && path.bytes().all(plain)
        && !path.split('/').any(|part| part == "..");
    if fits { Ok(()) } else { Err("an absolute path of A-Z a-z 0-9 / . _ - + : @, without ..".to_owned()) }
}
