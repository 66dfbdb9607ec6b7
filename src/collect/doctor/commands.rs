//! Commands for a host's root, as texts. Names in them come from the configuration, and are quoted as
//! the program that reads them wants it.

use crate::render::shell_word;

/// Lets `user` run what a probe that needs root is sent to, and nothing else, without a password and, where
/// one is asked for, without a terminal: sudo-rs knows no such setting, and complains of it each time. In a
/// file of its own, so that nobody's rules are touched; the last one of its folder, because of two rules the
/// later one counts.
pub(super) fn sudoers(user: &str, wants_terminal: bool) -> String {
    let name = sudoers_word(user);
    let file = format!("/etc/sudoers.d/zz-dropsonde-{}", file_word(user));
    let mut lines = Vec::new();
    if wants_terminal {
        lines.push(shell_word(&format!("Defaults:{name} !requiretty")));
    }
    lines.push(shell_word(&format!("{name} ALL=(root) NOPASSWD: /bin/sh -s")));
    let lines = lines.join(" ");
    format!("printf '%s\\n' {lines} | install -m 0440 /dev/stdin {file} && visudo -cf {file}")
}

/// The same for doas, whose last rule that fits counts. The line before it may have no end.
pub(super) fn doas_conf(user: &str) -> String {
    // A backslash is special there, and domains end with one.
    let user = user.replace('\\', "\\\\");
    let rule = format!("permit nopass {user} as root cmd /bin/sh args -s");
    format!("printf '\\n%s\\n' {} >> /etc/doas.conf && doas -C /etc/doas.conf", shell_word(&rule))
}

/// Makes the account, its login shell and its home where they are missing, takes the right to write there from
/// others, as sshd wants it, and lets the key in, once. `restrict` takes what probes do not use. What is the
/// account's own is written as the account, which may have put links in its place.
pub(super) fn authorize(user: &str, public: &str) -> String {
    let user = shell_word(user);
    let line = shell_word(&format!("restrict {public}"));
    // A file whose last line has no end would have ours become a part of that.
    let add = format!("{{ test -z \"$(tail -c 1 $f)\" || echo >> $f; printf '%s\\n' {line} >> $f; }}");
    let admit = format!(
        "umask 077; f=.ssh/authorized_keys; cd && mkdir -p .ssh && touch $f && chmod go-w . .ssh $f && \
         {{ grep -qxF {line} $f || {add}; }}"
    );
    let field = |number: u32| format!("$(getent passwd {user} | cut -d: -f{number})");
    let (home, shell) = (field(6), field(7));
    format!(
        "cd / && {{ id -u {user} >/dev/null 2>&1 || useradd -m -s /bin/sh {user}; }} && s={shell} && h={home} && \
         {{ test -x \"${{s:-/bin/sh}}\" || usermod -s /bin/sh {user}; }} && \
         {{ test -d \"$h\" || install -d -m 0700 -o {user} -g \"$(id -g {user})\" \"$h\"; }} && \
         su -s /bin/sh {user} -c {}",
        shell_word(&admit)
    )
}

/// What sshd has to say of those whom it did not let in.
pub(super) const SSHD_LOG: &str = "{ journalctl -n 1000 --no-pager; tail -qn 1000 /var/log/auth.log /var/log/secure \
                                   /var/log/messages; } 2>/dev/null | grep sshd | tail -n 20";

/// What sshd's configuration says of `user` about any of `keywords`.
pub(super) fn sshd_config(user: &str, keywords: &str) -> String {
    let who = shell_word(&format!("user={user},host=localhost,addr=127.0.0.1"));
    format!("sshd -T -C {who} | grep -iE '^({keywords}) '")
}

/// What shows whether an account may be used.
pub(super) fn account(user: &str) -> String {
    let user = shell_word(user);
    format!("passwd -S {user}; chage -l {user}; ls -l /etc/nologin; {SSHD_LOG}")
}

/// A kernel setting, now and after the next boot.
pub(super) fn sysctl(key: &str, value: &str) -> String {
    let file = format!("/etc/sysctl.d/60-dropsonde-{}.conf", key.rsplit('.').next().unwrap_or(key));
    format!("echo '{key} = {value}' > {file} && sysctl -p {file}")
}

/// A user's name as sudoers has it: what has a meaning there is quoted.
fn sudoers_word(user: &str) -> String {
    let special = |c: char| "@!=:,()\\".contains(c);
    user.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// sudo passes over files with a dot in their name.
fn file_word(user: &str) -> String {
    user.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_whoever_reads_them() {
        let rule = sudoers("ann.b@corp", false);
        assert!(!rule.contains("requiretty"), "{rule}");
        assert!(sudoers("ann", true).contains("'Defaults:ann !requiretty' 'ann ALL="));
        assert!(rule.contains("'ann.b\\@corp ALL=(root) NOPASSWD: /bin/sh -s'"), "{rule}");
        assert!(rule.ends_with("visudo -cf /etc/sudoers.d/zz-dropsonde-ann_b_corp"), "{rule}");
        let key = authorize("probe", "ssh-ed25519 AAAA");
        let inner = r"'\''restrict ssh-ed25519 AAAA'\''";
        assert!(key.contains(inner) && key.contains("useradd -m -s /bin/sh probe"), "{key}");
        assert_eq!(
            sysctl("kernel.dmesg_restrict", "0"),
            "echo 'kernel.dmesg_restrict = 0' > /etc/sysctl.d/60-dropsonde-dmesg_restrict.conf && sysctl -p \
             /etc/sysctl.d/60-dropsonde-dmesg_restrict.conf"
        );
    }
}
