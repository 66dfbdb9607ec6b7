//! docs/permissions.md is true: every shipped probe stands in it, and its lines are tried as they are
//! written against sshd, sudo and doas.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use dropsonde::config::Library;
use dropsonde::model::{Capability, Need, Privilege, Probe};
use tempfile::TempDir;

use crate::support::program::{Program, Ran};
use crate::support::sshd::{Setup, Sshd, Userland};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
    fs::read_to_string(path).expect("a file")
}

/// The lines of every block of that kind.
fn blocks(kind: &str) -> Vec<String> {
    let page = page();
    let fence = format!("```{kind}\n");
    let parts = page.split(&fence).skip(1);
    let blocks: Vec<String> = parts.map(|part| part.split("```").next().expect("one").to_owned()).collect();
    assert!(!blocks.is_empty(), "no {kind} in docs/permissions.md");
    blocks
}

/// What the page must name for a need.
fn word(need: &Need) -> Option<String> {
    Some(match need {
        Need::Tool(names) => format!("`{}`", names.split('|').next().expect("one")),
        Need::Paranoid(level) => format!("`kernel.perf_event_paranoid` ≤ {level}"),
        Need::Capability(Capability::Bpf) => "CAP_BPF".to_owned(),
        Need::Capability(Capability::Perfmon) => "CAP_PERFMON".to_owned(),
        Need::KernelLog => "`kernel.dmesg_restrict` 0".to_owned(),
        Need::Event(_) => "tracefs".to_owned(),
        Need::TracefsInstances => "an instance of its own in tracefs".to_owned(),
        Need::File(_) | Need::Version { .. } => return None,
    })
}

/// Tools that are everywhere, or are the first thing that another's absence tells.
const EVERYWHERE: [&str; 4] = ["`awk`", "`grep`", "`unshare`", "`dmesg`"];

#[test]
fn every_probe_stands_in_the_table_with_what_it_needs() {
    let page = page();
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let probes: Vec<&Probe> = library.probes.values().map(|shelved| &*shelved.probe).collect();
    let rows: Vec<&str> = page.lines().skip_while(|line| *line != "## Each probe").collect();
    for probe in &probes {
        let start = format!("| `{}` |", probe.name);
        let found: Vec<&&str> = rows.iter().filter(|row| row.starts_with(&start)).collect();
        let [row] = found[..] else { panic!("{} has {} rows", probe.name, found.len()) };
        let cells: Vec<&str> = row.split(" | ").collect();
        let who = if probe.privilege == Privilege::Root { "root" } else { "account" };
        assert_eq!(cells[1], who, "{row}");
        for word in probe.needs.iter().filter_map(word) {
            assert!(row.contains(&word) || EVERYWHERE.contains(&&*word), "{word} is not in {row}");
        }
    }
    let table = rows.iter().filter(|row| row.starts_with("| `")).count();
    assert_eq!(table, probes.len());
}

/// A host with the account `probe`, whose rules are its own.
struct Host {
    sshd: Sshd,
    files: TempDir,
}

fn write(path: &Path, text: &str, mode: u32) {
    let _ = fs::remove_file(path);
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file");
}

impl Host {
    fn start(lines: Vec<String>, without: Vec<&'static str>) -> Self {
        Self::with(lines, Userland { without, ..Userland::default() })
    }

    fn with(lines: Vec<String>, userland: Userland) -> Self {
        let files = tempfile::Builder::new().prefix("dropsonde-allowed.").tempdir().expect("a folder");
        let at = |name: &str| files.path().join(name);
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).expect("a file");
        let home = at("home");
        fs::create_dir_all(home.join(".ssh")).expect("a file");
        chown(&home, Some(54_321), None).expect("chown");
        let passwd = fs::read_to_string("/etc/passwd").expect("a file");
        let user = format!("probe:*:54321:65534::{}:/bin/sh\n", home.display());
        write(&at("passwd"), &(passwd + &user), 0o644);
        // A folder of its own in place of /etc/sudoers.d, and of /etc itself but for what is put over it:
        // doas knows one file there, which may not exist.
        fs::create_dir(at("sudoers.d")).expect("a file");
        write(&at("sudoers"), "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n", 0o440);
        fs::create_dir(at("etc")).expect("a file");
        fs::create_dir(at("layer")).expect("a file");
        let prepare = "
            mount -t tmpfs none '@/layer'
            mkdir '@/layer/changed' '@/layer/scratch'
            mount -t overlay -o lowerdir=/etc,upperdir='@/layer/changed',workdir='@/layer/scratch' none /etc
            mount --bind '@/passwd' /etc/passwd
            mount --bind '@/sudoers' /etc/sudoers
            mount --bind '@/sudoers.d' /etc/sudoers.d"
            .replace('@', &files.path().display().to_string());
        let keys = "AuthorizedKeysFile .ssh/authorized_keys".to_owned();
        let lines = [lines, vec![keys]].concat();
        let sshd = Sshd::start(Setup { lines, prepare, userland: Some(userland), ..Setup::default() });
        let host = Self { sshd, files };
        host.authorize(&fs::read_to_string(host.sshd.dir().join("authorized_keys")).expect("a file"));
        host
    }

    fn authorize(&self, line: &str) {
        write(&self.files.path().join("home/.ssh/authorized_keys"), line, 0o644);
    }

    /// Within the mount namespace of sshd, as root.
    fn inside(&self, command: &str) {
        let mut shell = std::process::Command::new("nsenter");
        shell.arg(format!("--mount=/proc/{}/ns/mnt", self.sshd.pid())).args(["--", "sh", "-c", command]);
        let out = shell.stdin(Stdio::null()).output().expect("its output");
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn sudoers(&self, text: &str) {
        write(&self.files.path().join("sudoers.d/dropsonde"), text, 0o440);
    }

    fn doas(&self, text: Option<&str>) {
        match text {
            None => self.inside("rm -f /etc/doas.conf"),
            Some(text) => {
                write(&self.files.path().join("doas"), text, 0o600);
                self.inside(&format!("cat '{}' > /etc/doas.conf", self.files.path().join("doas").display()));
            }
        }
    }

    fn ssh(&self, command: &str) -> Output {
        let mut ssh = std::process::Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o"]);
        ssh.arg(format!("UserKnownHostsFile={}", self.sshd.known_hosts().display()));
        ssh.arg("-i").arg(self.sshd.identity()).args(["-p", &self.sshd.port().to_string()]);
        ssh.args(["probe@127.0.0.1", command]).stdin(Stdio::null()).output().expect("its output")
    }

    /// With a probe that runs as the account and one that runs as root.
    fn program(&self, by: &str) -> Program {
        let mut program = Program::new();
        program.probe("plain", "id -u", "format = \"text\"");
        program.probe("rooted", "id -u", "format = \"text\"\nprivilege = \"root\"");
        let known = self.sshd.known_hosts();
        program.configure(&format!("[defaults]\nbecome = {by:?}"));
        program.host_block(
            "web01",
            Some("127.0.0.1"),
            (self.sshd.port(), "probe"),
            (&self.sshd.identity(), &known),
        );
        program
    }

    fn run(&self, by: &str) -> Ran {
        self.program(by).run(&["run", "plain", "rooted", "-H", "web01", "--json"])
    }

    /// The root probe is refused in these words; the other runs.
    fn denies(&self, by: &str, words: &str) {
        let ran = self.run(by);
        ran.ended(("web01", "plain"), "ok", &[]);
        ran.ended(("web01", "rooted"), "denied", &[words]);
    }
}

#[test]
fn the_rules_for_root_are_enough_and_no_more() {
    let host = Host::start(Vec::new(), Vec::new());
    host.denies("sudo", "sudo wants a password");
    host.denies("doas", "doas has no rules there");
    let [sudoers] = &blocks("sudoers")[..] else { panic!("one block of sudoers") };
    host.sudoers("Defaults requiretty\nprobe ALL=(root) NOPASSWD: /bin/sh -s\n");
    host.denies("sudo", "sudo wants a terminal");
    host.sudoers("probe ALL=(root) /bin/sh -s\n");
    host.denies("sudo", "sudo wants a password");
    host.sudoers("this is no rule\n");
    host.denies("sudo", "sudo cannot read its rules");
    let [no_terminal] = &blocks("requiretty")[..] else { panic!("one line for requiretty") };
    for rules in [sudoers.clone(), format!("Defaults requiretty\n{no_terminal}{sudoers}")] {
        host.sudoers(&rules);
        host.run("sudo").ended(("web01", "rooted"), "ok", &[]);
    }
    for more in ["sudo -n /bin/ls", "sudo -n /bin/sh", "sudo -n /bin/sh -c id"] {
        assert!(!host.ssh(more).status.success(), "{more}");
    }

    let [doas] = &blocks("doas")[..] else { panic!("one block of doas") };
    host.doas(Some("permit probe as root cmd /bin/sh\n"));
    host.denies("doas", "doas wants a password");
    host.doas(Some("permit nopass root\n"));
    host.denies("doas", "doas does not permit");
    host.doas(Some("this is no rule\n"));
    host.denies("doas", "doas cannot use its rules");
    host.doas(Some(doas));
    host.run("doas").ended(("web01", "rooted"), "ok", &[]);
    for more in ["doas -n /bin/ls", "doas -n /bin/sh", "doas -n /bin/sh -c id"] {
        assert!(!host.ssh(more).status.success(), "{more}");
    }
    host.denies("none", "become = \"none\": nothing runs as root on this host");
    // No editor is of use for what stands in the environment.
    let program = host.program("sudo");
    let mut doctor = program.command(&["doctor", "web01", "--probe", "rooted", "--json"]);
    let doctor =
        Ran::from((doctor.env("DROPSONDE_DEFAULT_BECOME", "none").output().expect("output"), Duration::ZERO));
    let findings = doctor.json()["findings"].as_array().expect("findings").clone();
    let root = findings.iter().find(|one| one["check"] == "root").unwrap_or_else(|| panic!("{findings:?}"));
    assert!(root["what"].as_str().expect("words").contains("DROPSONDE_DEFAULT_BECOME"), "{root}");
    assert!(root["remedy"].is_null(), "{root}");
    let dry = ["sweep", "--probe", "plain", "--probe", "rooted", "-H", "web01", "--dry-run"];
    let dry = host.program("none").run(&dry);
    dry.expect(0, &["rooted on web01 would be denied: the probe needs root: ", "become = \"none\""]);
    assert!(dry.out.contains("# plain on web01") && !dry.out.contains("# rooted"), "{}", dry.out);
}

/// The processes that were started with that word.
fn running(word: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    };
    pids.filter(has).collect()
}

#[test]
fn what_root_started_is_gone_at_the_deadline() {
    let host = Host::start(Vec::new(), Vec::new());
    let sudoers = &blocks("sudoers")[0];
    // With a terminal of its own between, sudo passes on what is said, and what it is told to end.
    let through_a_terminal = format!("Defaults use_pty, log_output, iolog_dir=/etc/io\n{sudoers}");
    host.doas(Some(&blocks("doas")[0]));
    for (by, rules, seconds) in
        [("sudo", sudoers, "297531"), ("doas", sudoers, "297532"), ("sudo", &through_a_terminal, "297533")]
    {
        host.sudoers(rules);
        let program = host.program(by);
        let script = format!("(setsid sleep {seconds} &); trap '' TERM; sleep {seconds}; sleep {seconds}");
        program.probe("stubborn", &script, "format = \"text\"\nprivilege = \"root\"\ntimeout = \"2s\"");
        let ran = program.run(&["run", "stubborn", "-H", "web01", "--json"]);
        ran.ended(("web01", "stubborn"), "timed_out", &["deadline of 2s"]);
        assert_eq!(running(seconds), Vec::<u32>::new(), "{by}");
    }
}

/// A refusal may be mailed to somebody, and a sudo that hangs leaves a process there.
#[test]
fn a_host_is_asked_for_root_once_in_a_visit() {
    let notes = tempfile::tempdir().expect("a folder");
    fs::set_permissions(notes.path(), fs::Permissions::from_mode(0o755)).expect("a folder");
    let asked = notes.path().join("asked");
    let check = |then: &str, outcome: &str, words: &str, times: usize| {
        write(&asked, "", 0o666);
        let script = format!("#!/bin/sh\necho asked >> '{}'\n{then}\n", asked.display());
        let host =
            Host::with(Vec::new(), Userland { scripts: vec![("sudo", script)], ..Userland::default() });
        host.doas(Some(&blocks("doas")[0]));
        let mut program = host.program("sudo");
        if outcome == "timed_out" {
            program.configure("[limits]\nfirst_byte_timeout = \"8s\"");
        }
        let rooted: Vec<String> = (1..=6).map(|number| format!("rooted{number}")).collect();
        for name in &rooted {
            program.probe(name, "id -u", "format = \"text\"\nprivilege = \"root\"");
        }
        let names = rooted.iter().map(String::as_str);
        let run: Vec<&str> =
            ["run", "plain"].into_iter().chain(names).chain(["-H", "web01", "--json"]).collect();
        let ran = program.run(&run);
        ran.ended(("web01", "plain"), "ok", &[]);
        for name in &rooted {
            ran.ended(("web01", name), outcome, &[words]);
        }
        assert_eq!(fs::read_to_string(&asked).expect("a file").lines().count(), times, "{then}");
    };
    check("echo 'sudo: a password is required' >&2; exit 1", "denied", "sudo wants a password", 1);
    check("exec sleep 60", "timed_out", "sudo had not started /bin/sh", 1);
    check("exec doas \"$@\"", "ok", "", 6);
}

#[test]
fn what_sudo_says_beside_is_no_reason_of_a_scripts() {
    let host = Host::start(Vec::new(), Vec::new());
    // sudo complains of this line each time, and goes on.
    host.sudoers("Defaults no_such_setting\nprobe ALL=(root) NOPASSWD: /bin/sh -s\n");
    let program = host.program("sudo");
    program.probe("lacking", "echo no NFS here >&2; exit 69", "format = \"text\"\nprivilege = \"root\"");
    let ran = program.run(&["run", "lacking", "-H", "web01", "--json"]);
    let reading = ran.reading("web01", "lacking");
    assert_eq!((&reading["outcome"], &reading["detail"]), (&"unsupported".into(), &"no NFS here".into()));
}

#[test]
fn sudo_is_asked_to_speak_english() {
    let script = "#!/bin/sh\necho \"sudo: LC_ALL is $LC_ALL\" >&2\nexit 1\n".to_owned();
    let userland = Userland { scripts: vec![("sudo", script)], ..Userland::default() };
    // As Debian, Fedora and SUSE have it.
    let host = Host::with(vec!["AcceptEnv LANG LC_*".to_owned()], userland);
    host.denies("sudo", "sudo refused: sudo: LC_ALL is C");
}

#[test]
fn rules_that_give_something_else_than_root_are_told_from_those_that_do() {
    let host = Host::start(Vec::new(), Vec::new());
    let allowed = "probe ALL=(ALL) NOPASSWD: /bin/sh -s\n";
    host.sudoers(&format!("Defaults runas_default=nobody\n{allowed}"));
    host.denies("sudo", "sudo runs /bin/sh as uid 65534, not as root: take `runas_default` off");
    host.sudoers(&blocks("sudoers")[0]);
    host.inside("echo 'account required pam_deny.so' > /etc/pam.d/sudo");
    host.denies("sudo", "account is locked or expired");
    host.inside("echo 'account required pam_no_such.so' > /etc/pam.d/sudo");
    host.denies("sudo", "sudo fails in PAM");
}

#[test]
fn a_shell_of_roots_that_may_start_nothing_is_denied() {
    for shell in ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox"] {
        let host = Host::with(Vec::new(), Userland { shell: Some(shell.into()), ..Userland::default() });
        for rules in [
            format!("Defaults noexec\n{}", blocks("sudoers")[0]),
            format!("Defaults intercept\n{}", blocks("sudoers")[0]),
            "probe ALL=(root) NOPASSWD: NOEXEC: /bin/sh -s\n".to_owned(),
        ] {
            host.sudoers(&rules);
            host.denies("sudo", "sudo lets /bin/sh start no other program: take NOEXEC");
        }
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let host = Host::start(Vec::new(), vec!["sudo", "doas"]);
    host.denies("sudo", "sudo is not on this host");
    host.denies("doas", "doas is not on this host");
}

#[test]
fn the_restrictions_of_a_key_let_probes_through_and_nothing_else() {
    let host = Host::start(Vec::new(), Vec::new());
    host.sudoers(&blocks("sudoers")[0]);
    host.doas(Some(&blocks("doas")[0]));
    let key = fs::read_to_string(host.sshd.dir().join("user_key.pub")).unwrap();
    let [line] = &blocks("authorized_keys")[..] else { panic!("one line") };
    assert!(line.contains("from=\"192.0.2.10\"") && line.trim_end().ends_with("ssh-ed25519 AAAA…"));
    host.authorize(&line.replace("ssh-ed25519 AAAA…", &key));
    // Not from where we come from.
    assert!(!host.ssh("exec /bin/sh -s").status.success());
    host.authorize(&line.replace("ssh-ed25519 AAAA…", &key).replace("192.0.2.10", "127.0.0.1"));
    for by in ["sudo", "doas"] {
        let ran = host.run(by);
        ran.ended(("web01", "plain"), "ok", &[]);
        ran.ended(("web01", "rooted"), "ok", &[]);
    }
    for command in ["id", "exec /bin/sh", "exec /bin/sh -s; id", "exec sudo -n /bin/ls", ""] {
        let out = host.ssh(command);
        assert_eq!(out.status.code(), Some(77), "{command:?}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("REFUSED"), "{out:?}");
    }
    // What the page says is run is what is run.
    for line in blocks("commands")[0].lines() {
        assert!(blocks("authorized_keys")[0].contains(&format!("'{line}'")), "{line}");
        assert!(host.ssh(line).status.success(), "{line}");
    }
}
