//! What an inventory says of becoming root: obeyed where it is sudo or doas without a password, and a
//! refusal that every probe which needs root is told where it is anything else.

use serde_json::Value;

use super::hosts::{Reading, is_template, is_vault};
use super::model::Var;
use crate::inventory::found::written;
use crate::model::{Refusal, RootBy};

/// What is not obeyed and does no harm, and why.
const NOT_OBEYED: [(&str, &str); 18] = [
    ("ansible_password", NO_LOGIN_PASSWORD),
    ("ansible_ssh_pass", NO_LOGIN_PASSWORD),
    ("ansible_ssh_password", NO_LOGIN_PASSWORD),
    ("ansible_become_pass", NO_PASSWORD),
    ("ansible_become_password", NO_PASSWORD),
    ("ansible_sudo_pass", NO_PASSWORD),
    ("ansible_sudo_password", NO_PASSWORD),
    ("ansible_doas_pass", NO_PASSWORD),
    ("ansible_doas_password", NO_PASSWORD),
    ("ansible_su_pass", NO_PASSWORD),
    ("ansible_paramiko_pass", NO_LOGIN_PASSWORD),
    ("ansible_paramiko_password", NO_LOGIN_PASSWORD),
    ("ansible_libssh_pass", NO_LOGIN_PASSWORD),
    ("ansible_libssh_password", NO_LOGIN_PASSWORD),
    ("ansible_private_key_passphrase", NO_PASSPHRASE),
    ("ansible_ssh_private_key_passphrase", NO_PASSPHRASE),
    ("ansible_paramiko_private_key_passphrase", NO_PASSPHRASE),
    ("ansible_libssh_private_key_passphrase", NO_PASSPHRASE),
];

/// Host keys are checked, whatever these say; where they ask for it, there is nothing to say.
const CHECKING: [&str; 4] = [
    "ansible_host_key_checking",
    "ansible_ssh_host_key_checking",
    "ansible_paramiko_host_key_checking",
    "ansible_libssh_host_key_checking",
];

const NO_LOGIN_PASSWORD: &str = "passwords are not used: log in with a key";
const NO_PASSPHRASE: &str = "passphrases are not used: add the key to ssh-agent";

const NO_PASSWORD: &str = "passwords are not used: root is had with `sudo -n` or `doas -n`";

/// Options of sudo and doas that change nothing for a script on stdin: no questions, root's home.
const HARMLESS: [&str; 8] = ["-H", "-S", "-n", "-HS", "-Hn", "-Sn", "-HSn", "--non-interactive"];

impl Reading<'_> {
    pub(super) fn privilege(&mut self) {
        for (name, why) in NOT_OBEYED {
            if let Some((_, var)) = self.var(&[name]) {
                self.remark(&var, format!("`{name}` is not obeyed: {why}"));
            }
        }
        for name in CHECKING {
            if let Some((_, var)) = self.var(&[name])
                && truth(&var.value) != Some(true)
            {
                self.remark(&var, format!("`{name}` is not obeyed: host keys are always checked"));
            }
        }
        self.host.root_by = self.root_by();
    }

    /// `None` where the inventory says nothing of it.
    fn root_by(&mut self) -> Option<RootBy> {
        if let Some((name, var)) = self.var(&["ansible_become"]) {
            match truth(&var.value) {
                Some(true) => {}
                Some(false) => return Some(refused(&name, &var, "so nothing runs as root on this host")),
                None => return Some(refused(&name, &var, &unreadable(&var.value))),
            }
        }
        let mut by = None;
        if let Some((name, var)) = self.var(&["ansible_become_method"]) {
            by = Some(match var.value.as_str().map(str::trim) {
                Some("sudo" | "ansible.builtin.sudo" | "ansible.legacy.sudo") => RootBy::Sudo,
                Some("doas" | "community.general.doas") => RootBy::Doas,
                Some(method) if !is_template(method) => {
                    let reason =
                        "of the ways to become root only sudo and doas are used, which need no password";
                    return Some(refused(&name, &var, reason));
                }
                _ => return Some(refused(&name, &var, &unreadable(&var.value))),
            });
        }
        let rules = if by == Some(RootBy::Doas) { &DOAS } else { &SUDO };
        for Rule { names, fits, reason } in rules {
            let Some((name, var)) = self.var(names) else { continue };
            match var.value.as_str().map(str::trim) {
                Some(text) if fits(text) => {}
                Some(text) if !is_template(text) => return Some(refused(&name, &var, reason)),
                _ => return Some(refused(&name, &var, &unreadable(&var.value))),
            }
        }
        by
    }
}

/// What variables may say and change nothing of how root is had.
struct Rule {
    /// The second wins.
    names: [&'static str; 2],
    fits: fn(&str) -> bool,
    /// Why anything else is refused.
    reason: &'static str,
}

const SUDO: [Rule; 3] = [
    Rule { names: ["ansible_become_user", "ansible_sudo_user"], fits: is_root, reason: ONLY_ROOT },
    Rule {
        names: ["ansible_become_exe", "ansible_sudo_exe"],
        fits: |program| program == "sudo",
        reason: "root is had with the `sudo` of the host's PATH",
    },
    Rule {
        names: ["ansible_become_flags", "ansible_sudo_flags"],
        fits: is_harmless,
        reason: "root is had with `sudo -n` and no other option",
    },
];

const DOAS: [Rule; 3] = [
    Rule { names: ["ansible_become_user", "ansible_doas_user"], fits: is_root, reason: ONLY_ROOT },
    Rule {
        names: ["ansible_become_exe", "ansible_doas_exe"],
        fits: |program| program == "doas",
        reason: "root is had with the `doas` of the host's PATH",
    },
    Rule {
        names: ["ansible_become_flags", "ansible_doas_flags"],
        fits: is_harmless,
        reason: "root is had with `doas -n` and no other option",
    },
];

const ONLY_ROOT: &str = "a probe runs as root or as who logged in";

fn is_root(user: &str) -> bool {
    user == "root"
}

fn is_harmless(flags: &str) -> bool {
    flags.split_whitespace().all(|flag| HARMLESS.contains(&flag))
}

/// What Ansible takes for true and false.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "y" | "t" | "1" => Some(true),
            "no" | "false" | "off" | "n" | "f" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn unreadable(value: &Value) -> String {
    let why = match value {
        value if is_vault(value) => "values in a vault are not supported",
        Value::String(text) if is_template(text) => "templates are not supported",
        _ => "this cannot be read",
    };
    format!("{why}; say `become` in the host's [[hosts]], or in an [[access]]")
}

fn refused(name: &str, var: &Var, reason: &str) -> RootBy {
    let value = match &var.value {
        value if is_vault(value) => "an encrypted value".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    RootBy::Refused(std::sync::Arc::new(Refusal {
        at: written(&var.place),
        directive: format!("{name} = {value}"),
        reason: reason.to_owned(),
    }))
}
