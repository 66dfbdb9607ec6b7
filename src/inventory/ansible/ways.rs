//! The variables of Ansible's SSH connections (`ssh`, `paramiko`, `libssh`) → how we reach a host. Each of
//! them that says where to connect or whom to trust is obeyed, or refused with its place; none is passed over.

use std::path::{Path, PathBuf};

use super::arguments::Lines;
use super::hosts::{Reading, is_template};
use super::model::Var;
use super::vars::HostVars;
use crate::inventory::found::{Field, is_user, written};
use crate::inventory::is_address;
use crate::model::Refusal;

/// Who speaks SSH for Ansible: each has variables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plugin {
    Ssh,
    Paramiko,
    Libssh,
}

/// What no plugin of ours does, the plugin that has it, and what a host may do in its place.
const REFUSED: [(&str, Plugin, Field, &str); 7] = [
    ("ansible_ssh_pkcs11_provider", Plugin::Ssh, Field::Way, TOKEN),
    ("ansible_libssh_config_file", Plugin::Libssh, Field::Way, OWN_FILE),
    ("ansible_libssh_hostkeys", Plugin::Libssh, Field::Way, ALGORITHMS),
    ("ansible_libssh_publickey_algorithms", Plugin::Libssh, Field::Way, ALGORITHMS),
    ("ansible_libssh_key_exchange_algorithms", Plugin::Libssh, Field::Way, ALGORITHMS),
    ("ansible_ssh_private_key", Plugin::Ssh, Field::IdentityFiles, KEY),
    ("ansible_private_key", Plugin::Ssh, Field::IdentityFiles, KEY),
];

const TOKEN: &str = "keys on tokens are used through ssh-agent; add it there, and take the variable away";
const OWN_FILE: &str = "name the file as `ssh_config` of the host's [[hosts]], and take the variable away";
const ALGORITHMS: &str = "say it in an ssh_config, and take the variable away";
const KEY: &str = "keys are read from files; say identity_files in the host's [[hosts]]";

/// Who reaches the host; `None` where it is this machine; or what it would take.
pub(super) fn plugin(vars: &HostVars) -> Result<Option<Plugin>, (&Var, String)> {
    let Some(var) = vars.get("ansible_connection") else { return Ok(Some(Plugin::Ssh)) };
    let Some(kind) = var.value.as_str() else { return Err((var, var.value.to_string())) };
    let collections = ["ansible.builtin.", "ansible.legacy.", "ansible.netcommon."];
    match collections.iter().find_map(|prefix| kind.strip_prefix(prefix)).unwrap_or(kind) {
        "local" => Ok(None),
        "ssh" | "smart" => Ok(Some(Plugin::Ssh)),
        "paramiko" | "paramiko_ssh" => Ok(Some(Plugin::Paramiko)),
        "libssh" => Ok(Some(Plugin::Libssh)),
        // What cannot be read is refused, host by host, in `Reading::connection`.
        kind if is_template(kind) => Ok(Some(Plugin::Ssh)),
        _ => Err((var, format!("{kind:?}"))),
    }
}

impl Plugin {
    /// The variables that say one thing, of which the last wins: those of `ssh`, and the plugin's own.
    fn names(self, of_ssh: &[&'static str], own: &str) -> Vec<String> {
        let own = match self {
            Self::Ssh => None,
            Self::Paramiko => Some(format!("ansible_paramiko_{own}")),
            Self::Libssh => Some(format!("ansible_libssh_{own}")),
        };
        of_ssh.iter().map(ToString::to_string).chain(own).collect()
    }
}

impl Reading<'_> {
    pub(super) fn connection(&mut self, plugin: Plugin) {
        if let Some((name, var)) = self.var(&["ansible_connection"])
            && var.value.as_str().is_some_and(is_template)
        {
            let reason = "templates are not supported; write the connection out";
            self.refuse(Field::Reach, (&name, &var), reason);
        }
        self.where_to(plugin);
        self.identity(plugin);
        for (name, whose, field, reason) in REFUSED {
            if whose == plugin
                && let Some((_, var)) = self.var(&[name])
            {
                self.refuse_unseen(field, (name, &var), reason);
            }
        }
        self.arguments(plugin);
    }

    fn own(&self) -> String {
        format!("say it in [[hosts]] names = \"{}\"", self.host.name)
    }

    /// Of the variables in `names`, which the plugin may have one of its own to, the text and its name.
    fn said(&mut self, field: Field, names: &[String], instead: &str) -> Option<(String, String, Var)> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (name, _) = self.var(&names)?;
        let (text, var) = self.text(field, &names, instead)?;
        Some((name, text, var))
    }

    fn where_to(&mut self, plugin: Plugin) {
        let own = self.own();
        let names = plugin.names(&["ansible_host", "ansible_ssh_host"], "host");
        if let Some((name, address, var)) = self.said(Field::Address, &names, &own) {
            match is_address(&address) {
                true => self.host.address = Some(address),
                false => self.refuse(Field::Address, (&name, &var), "this is no name and no address"),
            }
        }
        let names = plugin.names(&["ansible_port", "ansible_ssh_port"], "port");
        if let Some((name, port, var)) = self.said(Field::Port, &names, &own) {
            self.port((&name, &var), &port);
        }
        let names = plugin.names(&["ansible_user", "ansible_ssh_user"], "user");
        let instead = format!("{own}, or in an [[access]]");
        if let Some((name, user, var)) = self.said(Field::User, &names, &instead) {
            self.user((&name, &var), user);
        }
    }

    fn port(&mut self, whence: (&str, &Var), port: &str) {
        match port.trim().parse().ok().filter(|port: &u16| *port > 0) {
            Some(port) => self.host.port = Some(port),
            None => self.refuse(Field::Port, whence, "this is no port"),
        }
    }

    fn user(&mut self, whence: (&str, &Var), user: String) {
        match is_user(&user) {
            true => self.host.user = Some(user),
            false => self.refuse(Field::User, whence, "this is no login name"),
        }
    }

    fn identity(&mut self, plugin: Plugin) {
        let own = self.own();
        let of_ssh = ["ansible_private_key_file", "ansible_ssh_private_key_file"];
        let names = plugin.names(&of_ssh, "private_key_file");
        if let Some((name, path, var)) = self.said(Field::IdentityFiles, &names, &own) {
            match self.key(&path) {
                Some(path) => self.host.identity_files = Some(vec![path]),
                None => {
                    let reason = "of variables and homes only ~/ is supported in a path";
                    self.refuse(Field::IdentityFiles, (&name, &var), reason);
                }
            }
        }
    }

    fn key(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() || path.contains('$') {
            return None;
        }
        match path.strip_prefix('~') {
            Some(rest) => Some(self.wanted.home?.join(rest.strip_prefix('/')?)),
            None => Some(self.wanted.keys_from.join(path)),
        }
    }

    fn arguments(&mut self, plugin: Plugin) {
        let write_out = "write the arguments out";
        let mut lines = Lines::default();
        if plugin == Plugin::Paramiko {
            self.proxy_command(&["ansible_paramiko_proxy_command"], &mut lines);
        }
        for name in ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"] {
            let Some((text, var)) = self.text(Field::Arguments, &[name], write_out) else { continue };
            let at = written(&var.place);
            lines.name = format!("{at}: {name}");
            for (argument, reason) in lines.add(&text) {
                let refusal = Refusal { at: at.clone(), directive: format!("{name}: {argument}"), reason };
                self.host.refused.push((Field::Way, refusal));
            }
            if plugin == Plugin::Ssh && name == "ansible_ssh_args" {
                // They stand in the command before what `ansible_port` and `ansible_user` say, and ssh
                // takes the first; the other two kinds of arguments stand behind it.
                lines.value_of("port").into_iter().for_each(|port| self.port((name, &var), &port));
                lines.value_of("user").into_iter().for_each(|user| self.user((name, &var), user));
            }
        }
        if plugin == Plugin::Libssh {
            // What the arguments say of it counts first.
            let names = ["ansible_paramiko_proxy_command", "ansible_libssh_proxy_command"];
            self.proxy_command(&names, &mut lines);
        }
        self.host.first = lines.done().map(|first| self.remarks.shared(first));
        if let Some((program, var)) = self.text(Field::Way, &["ansible_ssh_executable"], write_out)
            && plugin == Plugin::Ssh
            && Path::new(&program).file_name().is_none_or(|name| name != "ssh")
        {
            let reason = "hosts are reached without a program; take the variable away";
            self.refuse(Field::Way, ("ansible_ssh_executable", &var), reason);
        }
    }

    fn proxy_command(&mut self, names: &[&str], lines: &mut Lines) {
        let Some((name, _)) = self.var(names) else { return };
        let instead = "write the command out, or say `jump` in the host's [[hosts]]";
        let Some((command, var)) = self.text(Field::Arguments, names, instead) else { return };
        if command.trim().is_empty() {
            return;
        }
        let at = written(&var.place);
        if lines.name.is_empty() {
            lines.name = format!("{at}: {name}");
        }
        if !lines.option("ProxyCommand", &command) {
            self.refuse(Field::Way, (&name, &var), "this is no command");
        }
    }
}
