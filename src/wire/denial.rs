//! Why a host did not give root: what sudo and doas say of it, and what is to be done. Their words are
//! looked for in English; in another language a refusal is still one, only its kind is not known.

use crate::model::RootBy;

/// The kind of a refusal, for whoever wants to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// There is no rule that gives this user /bin/sh without a password. With `-n`, sudo says this of
    /// users whom it does not know at all, too.
    Password,
    /// `requiretty`: this user may only come from a terminal.
    Terminal,
    /// No rule names this user.
    Unknown,
    /// Rules name this user, and none of them allows /bin/sh.
    NotAllowed,
    /// The user's account is locked, expired or unknown to PAM.
    Account,
    /// The rules cannot be read.
    Broken,
    /// The program is there and may not change users: no setuid bit, a container, a mount option.
    Powerless,
    /// The program is not there.
    Missing,
    /// Its PAM stack fails, whatever the rules say.
    Pam,
    /// It runs /bin/sh as somebody else.
    NotRoot,
    /// A login runs something else than what it was asked to.
    Elsewhere,
    /// It runs /bin/sh, and forbids that to start anything.
    Confined,
    /// For a reason of its own.
    Other,
}

impl Denial {
    /// Whether a rule for the user would help.
    pub const fn wants_rule(self) -> bool {
        matches!(self, Self::Password | Self::Terminal | Self::Unknown | Self::NotAllowed)
    }
}

type Row = (&'static str, Denial, &'static str);

/// The words of sudo (1.8 and 1.9) and of sudo-rs (0.2). The first that is found counts: what is wrong with
/// an account or a rule is said before the usual refusal.
const SUDO: [Row; 23] = [
    ("ccount validation failure", Denial::Account, SUDO_ACCOUNT),
    ("ccount or password is expired", Denial::Account, SUDO_ACCOUNT),
    ("Account expired or PAM config lacks", Denial::Account, SUDO_ACCOUNT),
    ("Password expired", Denial::Account, SUDO_ACCOUNT),
    ("PAM account management error", Denial::Pam, SUDO_PAM),
    ("unable to initialize PAM", Denial::Pam, SUDO_PAM),
    ("PAM error", Denial::Pam, SUDO_PAM),
    ("pam_open_session", Denial::Pam, SUDO_PAM),
    ("syntax error", Denial::Broken, SUDO_BROKEN),
    ("parse error in", Denial::Broken, SUDO_BROKEN),
    ("no valid sudoers sources", Denial::Broken, SUDO_BROKEN),
    ("sudoers file not found", Denial::Broken, SUDO_BROKEN),
    ("invalid configuration", Denial::Broken, SUDO_BROKEN),
    ("a password is required", Denial::Password, SUDO_PASSWORD),
    ("interactive authentication is required", Denial::Password, SUDO_PASSWORD),
    ("a terminal is required", Denial::Terminal, SUDO_TERMINAL),
    ("you must have a tty", Denial::Terminal, SUDO_TERMINAL),
    ("is not in the sudoers file", Denial::Unknown, "sudo does not know this user: add it to sudoers"),
    ("not allowed to", Denial::NotAllowed, SUDO_NOT_ALLOWED),
    ("may not run", Denial::NotAllowed, SUDO_NOT_ALLOWED),
    // All that sudo-rs says of users whom it does not know, and of rules that do not fit.
    ("afraid I can't do that", Denial::NotAllowed, SUDO_NOT_ALLOWED),
    ("setuid", Denial::Powerless, SUDO_POWERLESS),
    ("no new privileges", Denial::Powerless, SUDO_POWERLESS),
];

const SUDO_ACCOUNT: &str =
    "sudo says that this user's account is locked or expired: see `chage -l` and `passwd -S` on the host";
const SUDO_PAM: &str =
    "sudo fails in PAM: see /etc/pam.d/sudo on the host, and what its log says of the session";
const SUDO_BROKEN: &str = "sudo cannot read its rules: `visudo -c` on the host names the line";
const SUDO_PASSWORD: &str = "sudo wants a password: allow this user /bin/sh with NOPASSWD in sudoers";
const SUDO_TERMINAL: &str = "sudo wants a terminal: take `requiretty` off for this user in sudoers";
const SUDO_NOT_ALLOWED: &str =
    "sudo does not allow this user to run /bin/sh as root: allow it with NOPASSWD in sudoers";
const SUDO_POWERLESS: &str =
    "sudo may not become root there: its setuid bit is gone, or a container or mount option forbids it";

/// The words of OpenDoas 6.8 and of OpenBSD's.
const DOAS: [Row; 11] = [
    ("doas is not enabled", Denial::Unknown, "doas has no rules there: write /etc/doas.conf"),
    ("Authentication required", Denial::Password, DOAS_PASSWORD),
    ("Authorization required", Denial::Password, DOAS_PASSWORD),
    ("a tty is required", Denial::Password, DOAS_PASSWORD),
    ("Operation not permitted", Denial::NotAllowed, DOAS_NOT_ALLOWED),
    ("Authentication failed", Denial::Account, DOAS_ACCOUNT),
    ("syntax error at line", Denial::Broken, DOAS_BROKEN),
    ("writable by group or other", Denial::Broken, DOAS_FILE),
    ("is not owned by root", Denial::Broken, DOAS_FILE),
    ("pam_open_session", Denial::Pam, "doas fails in PAM: see /etc/pam.d/doas on the host"),
    ("not installed setuid", Denial::Powerless, "doas may not become root there: its setuid bit is gone"),
];

const DOAS_PASSWORD: &str = "doas wants a password: permit this user /bin/sh with nopass in /etc/doas.conf";
const DOAS_NOT_ALLOWED: &str =
    "doas does not permit this user to run /bin/sh as root: add a rule with nopass to /etc/doas.conf";
const DOAS_ACCOUNT: &str =
    "doas says that this user's account is locked or expired: see `chage -l` and `passwd -S` on the host";
const DOAS_BROKEN: &str = "doas cannot use its rules: `doas -C /etc/doas.conf` on the host names the line";

const DOAS_FILE: &str =
    "doas cannot use its rules: /etc/doas.conf has to be root's, and writable by nobody else";

/// The program that gives root, where one does.
pub(super) const fn program(by: &RootBy) -> Option<&'static str> {
    match by {
        RootBy::Sudo => Some("sudo"),
        RootBy::Doas => Some("doas"),
        RootBy::Refused(_) => None,
    }
}

/// That root's shell may start nothing.
pub(super) fn confined(by: &RootBy) -> Option<(Denial, String)> {
    let program = program(by)?;
    let detail = format!(
        "{program} lets /bin/sh start no other program: take NOEXEC, `noexec` or `intercept` off its rule"
    );
    Some((Denial::Confined, detail))
}

/// What the host's `words` and its exit status say of root; `None` where they are not about that.
pub(super) fn read(by: &RootBy, status: u32, words: &[&str; 2]) -> Option<(Denial, String)> {
    let says = |text: &str| words.iter().any(|word| word.contains(text));
    let (program, rows): (&str, &[Row]) = match by {
        RootBy::Sudo => ("sudo", &SUDO),
        RootBy::Doas => ("doas", &DOAS),
        RootBy::Refused(refusal) => return Some((Denial::Other, refused(refusal))),
    };
    if let Some(words) = words.iter().find(|word| word.contains(NOT_ROOT)) {
        let said = words.split(NOT_ROOT).nth(1)?.lines().next()?;
        let uid: String = said.chars().take_while(char::is_ascii_digit).collect();
        if !said.contains(" by ") {
            let detail = format!("this is uid {uid}, not root: something else ran in place of {program}");
            return Some((Denial::Elsewhere, detail));
        }
        let detail = format!(
            "{program} runs /bin/sh as uid {uid}, not as root: take `runas_default` off for this user in sudoers"
        );
        return Some((Denial::NotRoot, detail));
    }
    // bash fetches the rest of what it is sent with `head`.
    if says("head: Permission denied") {
        return confined(by);
    }
    // A shell that cannot exec says 126 or 127, each in its own words and language; csh says 1.
    if matches!(status, 126 | 127) || says(&format!("{program}: Command not found")) {
        let detail = format!("{program} is not on this host or may not be run, and the probe needs root");
        return Some((Denial::Missing, detail));
    }
    if let Some((_, denial, advice)) = rows.iter().find(|(text, ..)| says(text)) {
        return Some((*denial, (*advice).to_owned()));
    }
    let own = cause(words, &format!("{program}:"))?;
    Some((Denial::Other, super::verdict::with_words(&format!("{program} refused"), &[own, ""])))
}

/// What the supervisor says where it was started as somebody else.
const NOT_ROOT: &str = "dropsonde: not root but uid ";

/// Of what a program says, its first line: what follows are consequences. That it cannot look up the
/// host's own name is no cause of anything.
fn cause<'a>(words: &[&'a str; 2], start: &str) -> Option<&'a str> {
    let said = || words.iter().flat_map(|word| word.lines()).filter(|line| line.contains(start));
    said().find(|line| !line.contains("unable to resolve host")).or_else(|| said().next())
}

/// Why a probe that needs root is not run on a host whose configuration does not let it become root.
pub fn refused(refusal: &crate::model::Refusal) -> String {
    format!("the probe needs root: {refusal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_kind_and_its_own_words() {
        let check = |by: RootBy, status: u32, stderr: &str, denial: Denial, words: &str| {
            let (kind, text) = read(&by, status, &[stderr, ""]).unwrap();
            assert_eq!(kind, denial, "{stderr}");
            assert!(text.contains(words), "{stderr}: {text}");
        };
        use RootBy::{Doas, Sudo};
        check(Sudo, 1, "sudo: a password is required\n", Denial::Password, "NOPASSWD");
        check(Sudo, 1, "sudo: interactive authentication is required\n", Denial::Password, "NOPASSWD");
        check(Sudo, 1, "sudo: sorry, you must have a tty to run sudo\n", Denial::Terminal, "requiretty");
        check(Sudo, 1, "ann is not in the sudoers file.\n", Denial::Unknown, "does not know this user");
        check(Sudo, 1, "Sorry, user ann is not allowed to execute\n", Denial::NotAllowed, "/bin/sh as root");
        let locked =
            "sudo: account validation failure, is your account locked?\nsudo: a password is required\n";
        check(Sudo, 1, locked, Denial::Account, "locked");
        let broken = "/etc/sudoers:1:16: syntax error\nsudo: a password is required\n";
        check(Sudo, 1, broken, Denial::Broken, "visudo -c");
        let setuid = "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set\n";
        check(Sudo, 1, setuid, Denial::Powerless, "setuid");
        check(Sudo, 127, "sh: 1: exec: sudo: not found\n", Denial::Missing, "sudo is not on this host");
        check(Sudo, 1, "sudo: Command not found.\n", Denial::Missing, "sudo is not on this host");
        check(Sudo, 1, "sudo: I'm sorry ann. I'm afraid I can't do that\n", Denial::NotAllowed, "NOPASSWD");
        check(
            Sudo,
            1,
            "sudo: Account validation failure, is your account locked?\n",
            Denial::Account,
            "chage",
        );
        let lacks = "sudo: Account expired or PAM config lacks an \"account\" section for sudo, contact \
                     your system administrator\nsudo: a password is required\n";
        check(Sudo, 1, lacks, Denial::Account, "expired");
        let pam = "sudo: PAM account management error: Module is unknown\nsudo: a password is required\n";
        check(Sudo, 1, pam, Denial::Pam, "/etc/pam.d/sudo");
        check(Sudo, 1, "sudo: PAM error: Module is unknown\n", Denial::Pam, "/etc/pam.d/sudo");
        let session = "sudo: pam_open_session: Permission denied\n\
                       sudo: policy plugin failed session initialization\n";
        check(Sudo, 1, session, Denial::Pam, "/etc/pam.d/sudo");
        let missing = "sudo: sudoers file not found: /etc/sudoers\nsudo: \nsudo: For more information, see\n";
        check(Sudo, 1, missing, Denial::Broken, "visudo -c");
        let open = "sudo: invalid configuration: /etc/sudoers cannot be world-writable\n";
        check(Sudo, 1, open, Denial::Broken, "visudo -c");
        let chdir = "sudo: unable to resolve host web01: Name or service not known\n\
                     sudo: unable to change directory to /x: No such file or directory\n\
                     sudo: unable to execute /bin/sh: No such file or directory\n";
        check(Sudo, 1, chdir, Denial::Other, "sudo refused: sudo: unable to change directory");
        let no_head = "Sorry, user ann is not allowed to execute '/usr/bin/head -c 12' as root on web01.\n\
                       /bin/sh: line 1: /usr/bin/head: Permission denied\n";
        check(Sudo, 0, no_head, Denial::Confined, "NOEXEC");
        check(Sudo, 77, "dropsonde: not root but uid 1001 by sudo\n", Denial::NotRoot, "as uid 1001");
        check(Sudo, 77, "dropsonde: not root but uid 1001\n", Denial::Elsewhere, "ran in place of sudo");
        check(Sudo, 1, "sudo: Passwort notwendig\n", Denial::Other, "sudo refused: sudo: Passwort");
        check(Doas, 1, "doas: Authentication required\n", Denial::Password, "nopass");
        check(Doas, 1, "doas: Operation not permitted\n", Denial::NotAllowed, "/etc/doas.conf");
        let unset = "doas: doas is not enabled, /etc/doas.conf: No such file or directory\n";
        check(Doas, 1, unset, Denial::Unknown, "no rules");
        check(Doas, 1, "doas: syntax error at line 1\n", Denial::Broken, "doas -C");
        check(Doas, 1, "doas: /etc/doas.conf is not owned by root\n", Denial::Broken, "has to be root's");
        check(Doas, 1, "doas: pam_open_session: Permission denied\n", Denial::Pam, "/etc/pam.d/doas");
        check(Doas, 1, "doas: Authentication failed\n", Denial::Account, "locked");
        check(Doas, 127, "sh: 1: exec: doas: not found\n", Denial::Missing, "doas is not on this host");
        assert_eq!(read(&Sudo, 1, &["no such thing", ""]), None);
    }
}
