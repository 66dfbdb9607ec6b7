//! Keys, agents and the state directory of the machine that `doctor` runs on: a command that is printed is
//! enough by itself, and none makes anything worse.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::planted::{findings, one, write};
use crate::support::program::{Program, ran};
use crate::support::sshd::{Setup, Sshd};

fn program(sshd: &Sshd, key: &Path) -> Program {
    let mut program = Program::new();
    let files = (key, &*sshd.known_hosts());
    program.host_block("web01", Some("127.0.0.1"), (sshd.port(), "root"), files);
    program
}

#[test]
fn an_encrypted_key_is_given_to_an_agent_that_answers() {
    let (sshd, files) = (Sshd::start(Setup::default()), tempfile::tempdir().unwrap());
    let key = files.path().join("a key");
    fs::copy(sshd.identity(), &key).unwrap();
    let change =
        Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "secret", "-f"]).arg(&key).status();
    assert!(change.unwrap().success());
    let ask = files.path().join("ask");
    write(&ask, "#!/bin/sh\necho secret\n", 0o755);
    let program = program(&sshd, &key);
    let arguments = ["doctor", "--probe", "hello", "--json"];
    let gone = files.path().join("gone");
    // No agent at all, and one that is not there any more.
    for socket in [None, Some(&gone)] {
        let doctor = || {
            let mut doctor = program.command(&arguments);
            doctor.envs(socket.map(|socket| ("SSH_AUTH_SOCK", socket)));
            doctor
        };
        let found = findings(ran(doctor()).expect(4, &[]));
        let mut checks = vec!["key", "auth"];
        checks.extend(socket.map(|_| "agent"));
        for check in checks {
            let remedy = &one(&found, check, &[""])["remedy"];
            assert_eq!(remedy["kind"], "mend", "{remedy}");
            // In one shell, as a person would type both.
            let typed = format!(
                "{{ {}; }} >/dev/null && \"$@\"; code=$?; kill \"$SSH_AGENT_PID\"; exit $code",
                remedy["command"].as_str().unwrap()
            );
            let mut shell = Command::new("sh");
            shell.args(["-c", &typed, "sh"]).arg(doctor().get_program()).args(doctor().get_args());
            shell.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env_remove("SSH_AUTH_SOCK");
            shell.stdin(Stdio::null());
            let ran = ran(shell);
            assert_eq!(ran.expect(0, &[]).json()["hosts"][0]["outcome"], "ok", "{typed}");
        }
    }
}

#[test]
fn a_folder_in_place_of_a_key_keeps_its_mode() {
    let (sshd, files) = (Sshd::start(Setup::default()), tempfile::tempdir().unwrap());
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let found = findings(program(&sshd, files.path()).run(&["doctor", "--json"]).expect(4, &[]));
    let finding = one(&found, "key", &["is a folder"]);
    assert_eq!(finding["remedy"]["kind"], "look", "{finding}");
}

#[test]
fn a_state_directory_that_cannot_be_written_by_anybody_is_not_a_matter_of_its_mode() {
    let sshd = Sshd::start(Setup::default());
    let program = program(&sshd, &sshd.identity());
    let doctor = program.command(&["doctor", "--probe", "hello", "--json"]);
    let mut shell = Command::new("unshare");
    let mount = "mount -t tmpfs -o ro none \"$1\" && shift && exec \"$@\"";
    fs::create_dir(program.state()).unwrap();
    shell.args(["--mount", "--", "sh", "-c", mount, "sh"]).arg(program.state());
    shell.arg(doctor.get_program()).args(doctor.get_args()).stdin(Stdio::null());
    let found = findings(&ran(shell));
    let finding = one(&found, "state", &["read-only"]);
    assert_eq!(finding["remedy"]["kind"], "look", "{finding}");
}

#[test]
fn several_lines_of_known_hosts_are_taken_out_at_once() {
    let (sshd, mut program) = (Sshd::start(Setup::default()), Program::new());
    let good = fs::read_to_string(sshd.known_hosts()).unwrap();
    let known = program.dir().join("known hosts");
    fs::write(&known, format!("bad\n{good}worse line\n{good}worst\n")).unwrap();
    let files = (&*sshd.identity(), &*known);
    program.host_block("web01", Some("127.0.0.1"), (sshd.port(), "root"), files);
    let doctor = || program.run(&["doctor", "--probe", "hello", "--json"]);
    let found = findings(doctor().expect(0, &[]));
    let remedy =
        &one(&found, "known_hosts", &["known hosts:1 is ignored", "and 2 more of its lines"])["remedy"];
    // One after the other they would hit other lines than were meant.
    let typed = Command::new("sh").args(["-c", remedy["command"].as_str().unwrap()]).status().unwrap();
    assert!(typed.success() && remedy["kind"] == "mend", "{remedy}");
    assert_eq!(fs::read_to_string(&known).unwrap(), good.repeat(2));
    assert!(!findings(&doctor()).iter().any(|it| it["check"] == "known_hosts"));
}

/// Root would be told to give away what the daemon lives on.
#[test]
fn what_belongs_to_another_user_is_left_to_it() {
    let sshd = Sshd::start(Setup::default());
    let program = program(&sshd, &sshd.identity());
    fs::create_dir(program.state()).unwrap();
    for path in [program.dir(), &sshd.known_hosts()] {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let doctor = program.command(&["doctor", "--probe", "hello", "--json"]);
    // Where the tests are built, not everybody may look.
    let built = program.dir().join("dropsonde");
    fs::copy(doctor.get_program(), &built).unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=54321", "--regid=54321", "--clear-groups"]).arg(&built).args(doctor.get_args());
    other.env("HOME", "/").stdin(Stdio::null());
    let ran = ran(other);
    let found = findings(ran.expect(4, &[]));
    for (check, words) in
        [("state", "run this as that user"), ("key", "Permission denied"), ("auth", "no key")]
    {
        assert_eq!(one(&found, check, &[words])["remedy"]["kind"], "look", "{found:#?}");
    }
}
