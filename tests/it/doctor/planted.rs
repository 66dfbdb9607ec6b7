//! Faults that are planted, named by `doctor`, and mended by what it prints, typed as printed: here or in
//! the host's own mount namespace. Real sshd, sudo, apt, sysctl and tracefs; of the clock only the host's
//! `timedatectl` is a stand-in, as the machine's own time is not a test's to set.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Program, Ran};
use crate::support::sshd::{Setup, Sshd, Userland};

/// What this machine has enough of, however small it is.
const FREE: &str = "[limits]\nconcurrency = 8\n[retention]\nreserve = \"0B\"\nlow_space = \"1KiB\"\n";

const TOOL: &str = "dropsonde-test-tool";

/// Makes the package, and a repository of it, in the folder that is its first argument.
const REPOSITORY: &str = "set -e; cd \"$1\"
mkdir -p deb/DEBIAN deb/usr/bin repo apt/apt.conf.d apt/preferences.d \
    lists/lists/partial cache/archives/partial log dpkg/info dpkg/updates dpkg/triggers dpkg/alternatives
printf '#!/bin/sh\\n' > deb/usr/bin/dropsonde-test-tool
chmod 755 deb/usr/bin/dropsonde-test-tool
cat > deb/DEBIAN/control <<'END'
Package: dropsonde-test-tool
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.invalid>
Description: a tool that a probe wants
END
dpkg-deb --build --root-owner-group -Znone deb repo/tool.deb
{ cat deb/DEBIAN/control; echo Filename: ./tool.deb; echo Size: $(stat -c %s repo/tool.deb)
  echo SHA256: $(sha256sum < repo/tool.deb | cut -d' ' -f1); } > repo/Packages
echo \"deb [trusted=yes] file:$1/repo ./\" > apt/sources.list
: > dpkg/status";

/// One host with a user `probe`, who has that login shell; its /etc and package database are its own, and
/// its clock is ahead.
pub(super) struct Patient {
    pub(super) sshd: Sshd,
    pub(super) files: TempDir,
}

impl Patient {
    pub(super) fn start(shell: &str) -> Self {
        Self::with(shell, Vec::new())
    }

    /// The same with further lines of sshd_config.
    pub(super) fn with(shell: &str, lines: Vec<String>) -> Self {
        let files = tempfile::Builder::new().prefix("dropsonde-patient.").tempdir().expect("a folder");
        let at = |name: &str| files.path().join(name);
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).expect("a file");
        let made =
            Command::new("sh").args(["-c", REPOSITORY, "sh"]).arg(files.path()).output().expect("its output");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let passwd = fs::read_to_string("/etc/passwd").expect("a file");
        let home = at("home");
        fs::create_dir(&home).expect("a file");
        std::os::unix::fs::chown(&home, Some(54_321), None).expect("a file");
        let user = format!("probe:*:54321:65534::{}:{shell}\n", home.display());
        write(&at("passwd"), &(passwd + &user), 0o644);
        let rules = "root ALL=(ALL:ALL) ALL\nprobe ALL=(root) /bin/sh\n@includedir /etc/sudoers.d\n";
        write(&at("sudoers"), rules, 0o440);
        write(&at("dmesg_restrict"), "1\n", 0o644);
        write(&at("ahead"), "+900\n", 0o644);
        write(&at("paranoid"), "4\n", 0o644);
        fs::create_dir(at("layer")).expect("a folder");
        let prepare = "
            mount -t tmpfs none '@/layer'
            mkdir '@/layer/changed' '@/layer/scratch'
            mount -t overlay -o lowerdir=/etc,upperdir='@/layer/changed',workdir='@/layer/scratch' none /etc
            rm -rf /etc/sudoers.d /etc/sysctl.d /etc/apt
            mkdir /etc/sudoers.d /etc/sysctl.d
            cp -p '@/passwd' '@/sudoers' /etc
            cp -r '@/apt' /etc
            mount --bind '@/dmesg_restrict' /proc/sys/kernel/dmesg_restrict
            mount --bind '@/paranoid' /proc/sys/kernel/perf_event_paranoid
            mount --bind '@/lists' /var/lib/apt
            mount --bind '@/cache' /var/cache/apt
            mount --bind '@/log' /var/log
            mount --bind '@/dpkg' /var/lib/dpkg
            while mountpoint -q /sys/kernel/tracing; do umount /sys/kernel/tracing; done
            while mountpoint -q /sys/kernel/debug; do umount -R /sys/kernel/debug; done"
            .replace('@', &files.path().display().to_string());
        let script =
            format!("#!/bin/sh\n[ \"$*\" = 'set-ntp true' ] && echo +0 > '{}'\n", at("ahead").display());
        let clock = format!(
            "SetEnv LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 \
             FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 SHLVL=1",
            faketime().display(),
            at("ahead").display()
        );
        let userland = Userland { scripts: vec![("timedatectl", script)], ..Userland::default() };
        let lines = [lines, vec![clock, "AuthorizedKeysFile .ssh/authorized_keys".to_owned()]].concat();
        let setup = Setup { lines, prepare, userland: Some(userland), ..Setup::default() };
        Self { sshd: Sshd::start(setup), files }
    }

    /// Lets the usual key in.
    pub(super) fn admit(&self) {
        let folder = self.files.path().join("home/.ssh");
        fs::create_dir(&folder).expect("a file");
        fs::copy(self.sshd.dir().join("authorized_keys"), folder.join("authorized_keys")).expect("a file");
    }

    /// A command as the host's root would type it there.
    pub(super) fn type_there(&self, command: &str) -> std::process::Output {
        let mut shell = Command::new("nsenter");
        shell.arg(format!("--mount=/proc/{}/ns/mnt", self.sshd.pid()));
        shell.args(["--", "sh", "-c", command]).stdin(Stdio::null()).output().expect("its output")
    }

    /// Types what a finding says, where it says so.
    pub(super) fn obey(&self, remedy: &Value) {
        let command = remedy["command"].as_str().expect("a text");
        assert_eq!(remedy["kind"], "mend", "{remedy}");
        let out = match remedy["place"].as_str().expect("a text") {
            "host_as_root" => self.type_there(command),
            // These tests run as root.
            _ => Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().expect("its output"),
        };
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is installed")
}

pub(super) fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file");
}

/// `check: what` of every finding.
pub(super) fn findings(ran: &Ran) -> Vec<Value> {
    ran.json()["findings"].as_array().expect("an array").clone()
}

/// The one finding of that check whose words have all of `parts`.
pub(super) fn one<'a>(findings: &'a [Value], check: &str, parts: &[&str]) -> &'a Value {
    let says = |it: &&Value| {
        let what = it["what"].as_str().expect("a text");
        it["check"] == check && parts.iter().all(|part| what.contains(part))
    };
    let mut found = findings.iter().filter(says);
    let first = found.next().unwrap_or_else(|| panic!("no {check} with {parts:?} in {findings:#?}"));
    assert!(found.next().is_none(), "{check} with {parts:?} twice in {findings:#?}");
    first
}

#[test]
fn seven_planted_faults_are_named_at_once_and_each_command_mends_its_own() {
    let patient = Patient::start("/bin/sh");
    let (sshd, mut program) = (&patient.sshd, Program::new());
    patient.admit();
    // The first key is open to others, the second lets us in; anybody may write into known_hosts.
    let (open, known) = (program.dir().join("open key"), program.dir().join("known_hosts"));
    fs::copy(sshd.identity(), &open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    fs::copy(sshd.known_hosts(), &known).unwrap();
    fs::set_permissions(&known, fs::Permissions::from_mode(0o666)).unwrap();
    program.configure(&format!(
        "{FREE}[[hosts]]\nnames = \"web01\"\naddress = \"127.0.0.1\"\nport = {}\n\
         user = \"probe\"\nidentity_files = [{open:?}, {:?}]\nknown_hosts = [{known:?}]",
        sshd.port(),
        sshd.identity(),
    ));
    fs::create_dir(program.state()).unwrap();
    fs::set_permissions(program.state(), fs::Permissions::from_mode(0o777)).unwrap();
    program.probe("tooled", "true", &format!("format = \"text\"\nneeds = [\"tool:{TOOL}\"]"));
    let traced = "format = \"text\"\nprivilege = \"root\"\nneeds = [\"tracefs:instances\"]";
    program.probe("traced", "true", traced);
    let arguments = ["doctor", "web01", "--probe", "tooled", "--probe", "traced", "--probe", "kernel_log"];
    let doctor = |more: &[&str]| program.run(&[&arguments[..], more].concat());

    let planted: [(&str, &[&str]); 7] = [
        ("state", &["open to others (mode 0777)"]),
        ("key", &["open key", "mode 0644"]),
        ("known_hosts", &["mode 0666"]),
        ("root", &["sudo wants a password", "probe"]),
        ("need", &[TOOL]),
        ("need", &["dmesg_restrict=1"]),
        ("time", &["15 min ahead"]),
    ];
    let ran = doctor(&["--json", "--fail-on-findings"]);
    let found = findings(ran.expect(10, &[]));
    assert_eq!(found.len(), planted.len(), "{found:#?}");
    let text = doctor(&[]);
    text.expect(0, &[]);
    for (check, parts) in planted {
        let finding = one(&found, check, parts);
        assert_eq!(finding["severity"], "fault", "{finding}");
        let command = finding["remedy"]["command"].as_str().unwrap();
        // Alone on its line, to be copied.
        assert!(text.out.lines().any(|line| line.trim_start() == command), "{command}: {}", text.out);
    }
    // What is typed for one is enough for it.
    for (check, parts) in planted {
        patient.obey(&one(&found, check, parts)["remedy"]);
        let left = findings(&doctor(&["--json"]));
        assert!(!left.iter().any(|it| it["what"] == one(&found, check, parts)["what"]), "{left:#?}");
    }
    // Only root could see that there is no tracefs.
    let left = findings(&doctor(&["--json"]));
    assert_eq!(left.len(), 1, "{left:#?}");
    patient.obey(&one(&left, "need", &["tracefs is not mounted"])["remedy"]);
    let last = doctor(&["--json", "--fail-on-findings"]);
    assert_eq!(findings(last.expect(0, &[])), Vec::<Value>::new());
    assert_eq!(last.json()["hosts"][0]["root"], "sudo");
    assert!(doctor(&[]).out.contains("nothing is amiss"));
    assert!(patient.type_there("test -e /etc/sudoers.d/zz-dropsonde-probe").status.success());
}

/// A person at a terminal who answers yes.
fn answer_yes(command: &str, path: &str) -> std::process::Output {
    let mut typed = Command::new("script");
    typed.args(["-qec", command, "/dev/null"]).env("PATH", path).stdin(Stdio::piped());
    let mut child = typed.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    std::io::Write::write_all(child.stdin.as_mut().expect("a pipe"), b"y\n").expect("a pipe");
    child.wait_with_output().expect("its output")
}

#[test]
fn a_host_that_is_not_known_and_lets_nobody_in_is_mended_step_by_step() {
    let patient = Patient::start("/usr/sbin/nologin");
    let (sshd, mut program) = (&patient.sshd, Program::new());
    let (key, known) = (program.dir().join("key"), program.dir().join("known_hosts"));
    // Another host's key is in its place, and ours is not there at all.
    let other = Sshd::start(Setup::default());
    fs::write(&known, format!("[127.0.0.1]:{} {}\n", sshd.port(), other.host_key())).unwrap();
    program.configure(&format!(
        "{FREE}[[hosts]]\nnames = \"web01\"\naddress = \"127.0.0.1\"\nport = {}\n\
         user = \"probe\"\nbecome = \"doas\"\nidentity_files = [{key:?}]\nknown_hosts = [{known:?}]",
        sshd.port(),
    ));
    program.probe("rooted", "true", "format = \"text\"\nprivilege = \"root\"");
    program.probe("counted", "true", "format = \"text\"\nneeds = [\"paranoid<=1\"]");
    let doctor = || program.run(&["doctor", "web01", "--probe", "rooted", "--probe", "counted", "--json"]);
    let path = std::env::var("PATH").unwrap();

    let found = findings(doctor().expect(4, &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    patient.obey(&one(&found, "key", &["cannot be read"])["remedy"]);
    let command = one(&found, "host_key", &["shows the key"])["remedy"]["command"].as_str().unwrap();
    assert!(command.starts_with("ssh-keygen -R ") && command.ends_with(" hosts trust web01"), "{command}");
    let out = answer_yes(command, &path);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));

    let found = findings(doctor().expect(4, &[]));
    assert_eq!(found.len(), 1, "{found:#?}");
    patient.obey(&one(&found, "auth", &["refused"])["remedy"]);
    let let_in = fs::read_to_string(patient.files.path().join("home/.ssh/authorized_keys")).unwrap();
    assert!(let_in.starts_with("restrict ssh-ed25519 AAAA") && let_in.lines().count() == 1, "{let_in}");

    let found = findings(doctor().expect(4, &[]));
    assert_eq!(found.len(), 1, "{found:#?}");
    patient.obey(&one(&found, "shell", &["account is currently not available"])["remedy"]);

    let found = findings(doctor().expect(0, &[]));
    assert_eq!(found.len(), 3, "{found:#?}");
    patient.obey(&one(&found, "time", &["15 min ahead"])["remedy"]);
    patient.obey(&one(&found, "root", &["doas has no rules there"])["remedy"]);
    patient.obey(&one(&found, "need", &["perf_event_paranoid=4, needs ≤ 1"])["remedy"]);
    let last = doctor();
    assert_eq!(findings(last.expect(0, &[])), Vec::<Value>::new());
    assert_eq!(last.json()["hosts"][0]["root"], "doas");
}

#[test]
fn a_jump_host_that_is_not_known_is_learned_by_what_is_printed_for_the_host_behind_it() {
    let (gate, inner, mut program) =
        (Sshd::start(Setup::default()), Sshd::start(Setup::default()), Program::new());
    let known = program.dir().join("known_hosts");
    fs::copy(inner.known_hosts(), &known).unwrap();
    // One key for both.
    let folder = gate.dir().join("authorized_keys");
    fs::copy(inner.dir().join("authorized_keys"), folder).unwrap();
    program.configure(FREE);
    for name in ["web1", "web2"] {
        let files = (&*inner.identity(), &*known);
        program.host_block(name, Some("127.0.0.1"), (inner.port(), "root"), files);
        program.configure(&format!("jump = \"root@127.0.0.1:{}\"", gate.port()));
    }
    let doctor = || program.run(&["doctor", "--probe", "hello", "--json"]);
    let found = findings(doctor().expect(4, &[]));
    assert_eq!(found.len(), 1, "{found:#?}");
    let finding = one(&found, "host_key", &["via 127.0.0.1", "shows the key"]);
    assert_eq!(finding["hosts"], serde_json::json!(["web1", "web2"]));
    let command = finding["remedy"]["command"].as_str().unwrap();
    assert!(command.ends_with(" hosts trust 'web[1-2]'"), "{command}");
    let out = answer_yes(command, &std::env::var("PATH").unwrap());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(findings(doctor().expect(0, &[])), Vec::<Value>::new());
}
