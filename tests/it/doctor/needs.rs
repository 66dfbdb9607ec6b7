//! What a host keeps from probes as a whole: one fault is one finding, however many probes feel it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use super::planted::{findings, one};
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, Userland};

/// Types what a finding says as the host's root.
fn obey(sshd: &Sshd, finding: &Value) {
    let remedy = &finding["remedy"];
    assert_eq!((&remedy["kind"], &remedy["place"]), (&"mend".into(), &"host_as_root".into()), "{finding}");
    let mut shell = Command::new("nsenter");
    shell.arg(format!("--mount=/proc/{}/ns/mnt", sshd.pid()));
    shell.args(["--", "sh", "-c", remedy["command"].as_str().expect("a text")]);
    assert!(shell.status().expect("nsenter").success(), "{finding}");
}

fn host(prepare: &str) -> Sshd {
    let setup =
        Setup { prepare: prepare.to_owned(), userland: Some(Userland::default()), ..Setup::default() };
    Sshd::start(setup)
}

#[test]
fn a_host_without_tracefs_is_one_finding() {
    let sshd = host(
        "while mountpoint -q /sys/kernel/tracing; do umount /sys/kernel/tracing; done
         while mountpoint -q /sys/kernel/debug; do umount -R /sys/kernel/debug; done",
    );
    let mut program = Program::new();
    program.hosts("web01", &sshd);
    let needs = |needs: &str| format!("format = \"text\"\nprivilege = \"root\"\nneeds = [{needs}]");
    program.probe("one", "true", &needs("\"event:sched:sched_switch\", \"event:sched:sched_wakeup\""));
    program.probe("two", "true", &needs("\"event:sched:sched_switch\", \"tracefs:instances\""));
    let doctor = || program.run(&["doctor", "--probe", "two", "--probe", "one", "--json"]);
    let found = findings(doctor().expect(0, &[]));
    let finding = one(&found, "need", &["tracefs is not mounted", "and 2 more that the same command mends"]);
    assert_eq!(finding["probes"], serde_json::json!(["one", "two"]));
    obey(&sshd, finding);
    let found = findings(doctor().expect(0, &[]));
    assert!(!found.iter().any(|it| it["check"] == "need"), "{found:#?}");
}

#[test]
fn a_host_that_hides_the_processes_of_others_is_told_and_mended() {
    let files = tempfile::tempdir().unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let passwd = files.path().join("passwd");
    let text = fs::read_to_string("/etc/passwd").unwrap() + "probe:x:54321:54321::/:/bin/sh\n";
    fs::write(&passwd, text).unwrap();
    let sshd = host(&format!(
        "mount --bind {} /etc/passwd\nmount -t proc -o hidepid=2 proc /proc",
        passwd.display()
    ));
    let mut program = Program::new();
    let files = (&*sshd.identity(), &*sshd.known_hosts());
    program.host_block("web01", Some("127.0.0.1"), (sshd.port(), "probe"), files);
    let doctor = || program.run(&["doctor", "--probe", "proc", "--json"]);
    let found = findings(doctor().expect(0, &[]));
    let finding = one(&found, "need", &["hidepid"]);
    assert_eq!((&finding["severity"], &finding["probes"][0]), (&"fault".into(), &"proc".into()));
    obey(&sshd, finding);
    let found = findings(doctor().expect(0, &[]));
    assert!(!found.iter().any(|it| it["check"] == "need"), "{found:#?}");
}
