//! Faults between a connection and the first word of a host: what sshd, PAM or the login shell makes of us is
//! named, and what can be mended from outside is mended by what is printed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use serde_json::Value;

use super::planted::{Patient, findings, one, write};
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, Userland};

/// What this machine has enough of, however small it is.
const FREE: &str = "[limits]\nconcurrency = 8\n[retention]\nreserve = \"0B\"\nlow_space = \"1KiB\"\n";

/// A host `web01` that `sshd` plays, where `user` logs in.
fn program(sshd: &Sshd, user: &str) -> Program {
    let mut program = Program::new();
    program.configure(FREE);
    let files = (&*sshd.identity(), &*sshd.known_hosts());
    program.host_block("web01", Some("127.0.0.1"), (sshd.port(), user), files);
    program.probe("rooted", "id -u", "format = \"text\"\nprivilege = \"root\"");
    program
}

fn kind(finding: &Value) -> &str {
    finding["remedy"]["kind"].as_str().expect("a remedy")
}

#[test]
fn what_sshd_wants_of_an_account_and_its_files_is_mended_together_with_the_key() {
    let patient = Patient::with("/bin/no-such-shell", vec!["StrictModes yes".to_owned()]);
    let home = patient.files.path().join("home");
    // Anybody may write there, and the last line of the file has no end.
    fs::create_dir(home.join(".ssh")).unwrap();
    let file = home.join(".ssh/authorized_keys");
    write(&file, "ssh-ed25519 AAAA of somebody else", 0o666);
    for path in [&home, &home.join(".ssh"), &file] {
        chown(path, Some(54_321), None).unwrap();
    }
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
    let program = program(&patient.sshd, "probe");
    let doctor = || program.run(&["doctor", "--probe", "hello", "--json"]);

    let found = findings(doctor().expect(4, &[]));
    let refused = one(&found, "auth", &["refused"]);
    // Some of what sshd may have against it only its log tells.
    assert_eq!(refused["otherwise"]["kind"], "look", "{refused}");
    for _ in 0..2 {
        patient.obey(&refused["remedy"]);
        let lines = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("restrict ssh-ed25519 AAAA"), "{lines:?}");
    }
    assert_eq!(doctor().expect(0, &[]).json()["hosts"][0]["outcome"], "ok");
}

#[test]
fn an_account_that_may_not_be_used_now_is_told_in_the_words_of_the_host() {
    for (pam, check) in [("yes", "auth"), ("no", "shell")] {
        let patient = Patient::with("/bin/sh", vec![format!("UsePAM {pam}")]);
        patient.admit();
        let program = program(&patient.sshd, "probe");
        let doctor = || program.run(&["doctor", "--probe", "hello", "--json"]);
        doctor().expect(0, &[]);
        assert!(patient.type_there("echo 'closed until six' > /etc/nologin").status.success());
        let found = findings(doctor().expect(4, &[]));
        let closed = one(&found, check, &["closed until six"]);
        assert_eq!((kind(closed), &closed["remedy"]["place"]), ("look", &"host_as_root".into()), "{closed}");
        assert!(closed["remedy"]["command"].as_str().unwrap().contains("grep sshd"), "{closed}");
    }
}

#[test]
fn a_server_that_wants_no_key_or_more_than_a_key_is_not_mended_by_adding_the_key() {
    let check = |lines: &[&str], words: &str| {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let sshd = Sshd::start(Setup { lines, ..Setup::default() });
        let ran = program(&sshd, "root").run(&["doctor", "--probe", "hello", "--json"]);
        let found = findings(ran.expect(4, &[]));
        let finding = one(&found, "auth", &[words]);
        assert_eq!(kind(finding), "look", "{finding}");
        assert!(finding["remedy"]["command"].as_str().unwrap().starts_with("sshd -T "), "{finding}");
        assert_eq!(ran.json()["hosts"][0]["outcome"], "auth_failed");
    };
    check(&["PubkeyAuthentication no"], "it takes neither keys nor anything else");
    let both =
        ["PasswordAuthentication yes", "PermitRootLogin yes", "AuthenticationMethods publickey,password"];
    check(&both, "which is not enough by itself");
}

#[test]
fn a_login_shell_that_does_something_else_is_named() {
    let files = tempfile::tempdir().unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shell = files.path().join("shell");
    let patient = Patient::start(&shell.display().to_string());
    patient.admit();
    let program = program(&patient.sshd, "probe");
    let limits = ["--set", "limits.first_byte_timeout=8s", "--set", "limits.visit_timeout=15s"];
    let doctor = || {
        program.run(&[&["doctor", "--probe", "hello", "--probe", "rooted", "--json"][..], &limits].concat())
    };

    // Asked a second time, as root, it would wait as long again, and the visit's time would be over.
    write(&shell, "#!/bin/sh\nexec sleep 300\n", 0o755);
    let found = findings(doctor().expect(4, &[]));
    one(&found, "shell", &["first byte deadline passed"]);

    write(&shell, "#!/bin/sh\nexec /bin/sh -s\n", 0o755);
    let ran = doctor();
    let found = findings(ran.expect(0, &[]));
    let root = one(&found, "root", &["not root: something else ran in place of sudo"]);
    assert_eq!((kind(root), root["severity"].as_str()), ("look", Some("fault")), "{root}");
    assert_eq!(ran.json()["hosts"][0]["root"], "denied");
    let ran = program.run(&["run", "rooted", "-H", "web01", "--json"]);
    ran.expect(3, &[]).ended(
        ("web01", "rooted"),
        "denied",
        &["not root: something else ran in place of sudo"],
    );

    write(&shell, "#!/bin/sh\nPATH=/nowhere\nexport PATH\nexec /bin/sh \"$@\"\n", 0o755);
    let found = findings(doctor().expect(0, &[]));
    let root = one(&found, "root", &["sudo is on the host, but not in the PATH"]);
    assert_eq!(kind(root), "look", "{root}");
}

#[test]
fn a_host_without_proc_says_so() {
    let prepare = "umount -l /proc".to_owned();
    let setup = Setup { prepare, userland: Some(Userland::default()), ..Setup::default() };
    let sshd = Sshd::start(setup);
    let ran = program(&sshd, "root").run(&["doctor", "--probe", "hello", "--json"]);
    let found = findings(ran.expect(4, &[]));
    let finding = one(&found, "shell", &["there is no /proc"]);
    assert_eq!((kind(finding), &finding["remedy"]["command"]), ("mend", &"mount -t proc proc /proc".into()));
}
