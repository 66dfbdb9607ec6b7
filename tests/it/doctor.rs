//! `doctor` against real sshds: what each host lacks, how root is had there, and the exit status.

mod keys;
mod needs;
mod planted;
mod way_in;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use planted::write;

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd, Userland};

const ROOTED: &str = "format = \"text\"\nprivilege = \"root\"\nneeds = [\"tool:cat\", \"tool:no-such-tool\"]";

fn probe<'a>(report: &'a Value, host: &str, probe: &str) -> (&'a Value, &'a Value) {
    let hosts = report["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|it| it["name"] == host).unwrap_or_else(|| panic!("{host}: {report}"));
    let probe = host["probes"].as_array().unwrap().iter().find(|it| it["probe"] == probe).unwrap();
    (host, probe)
}

#[test]
fn a_host_says_what_it_lacks_and_how_root_is_had() {
    let files = tempfile::tempdir().unwrap();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| files.path().join(name);
    let passwd = fs::read_to_string("/etc/passwd").unwrap() + "probe:*:54321:54321::/:/bin/sh\n";
    write(&at("passwd"), &passwd, 0o644);
    write(&at("sudoers"), "root ALL=(ALL:ALL) ALL\nprobe ALL=(root) NOPASSWD: /bin/sh -s\n", 0o440);
    let bind = |name: &str| format!("mount --bind '{}' /etc/{name}\n", at(name).display());
    let prepare = bind("passwd") + &bind("sudoers");
    let start = |scripts| {
        let userland = Userland { scripts, ..Userland::default() };
        Sshd::start(Setup { userland: Some(userland), prepare: prepare.clone(), ..Setup::default() })
    };
    let willing = start(Vec::new());
    let asks = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n".to_owned();
    let asks = start(vec![("sudo", asks)]);
    let mut program = Program::new();
    for (name, user, sshd) in
        [("direct", "root", &willing), ("willing", "probe", &willing), ("asks", "probe", &asks)]
    {
        let files = (&*sshd.identity(), &*sshd.known_hosts());
        program.host_block(name, Some("127.0.0.1"), (sshd.port(), user), files);
    }
    program.probe("rooted", "id -u", ROOTED);
    program.probe("plain", "true", "format = \"text\"\nneeds = [\"tool:cat\", \"version:perf>=99\"]");
    let args = ["doctor", "--probe", "rooted", "--probe", "plain", "--probe", "hello", "--json"];
    let ran = program.run(&args);
    let report = ran.expect(0, &[]).json();
    for (name, root) in [("direct", "direct"), ("willing", "sudo"), ("asks", "denied")] {
        let (host, rooted) = probe(&report, name, "rooted");
        assert_eq!((&host["root"], &host["outcome"]), (&json!(root), &json!("ok")), "{host}");
        let needs = json!([{"need": "tool:cat", "met": true, "seen": null},
                           {"need": "tool:no-such-tool", "met": false, "seen": null}]);
        if name == "asks" {
            assert_eq!(rooted["verdict"], "denied");
            assert!(host["root_detail"].as_str().unwrap().contains("NOPASSWD"), "{host}");
            assert_eq!(rooted["needs"][0]["met"], Value::Null);
        } else {
            assert_eq!((&rooted["verdict"], &rooted["needs"]), (&json!("unsupported"), &needs));
        }
        let (_, plain) = probe(&report, name, "plain");
        assert_eq!((&plain["verdict"], &plain["needs"][0]["met"]), (&json!("unsupported"), &json!(true)));
        // The version that the host has instead, in its own digits.
        let seen = plain["needs"][1]["seen"].as_str().unwrap();
        assert!(seen.starts_with(|c: char| c.is_ascii_digit()), "{plain}");
        assert_eq!(probe(&report, name, "hello").1["verdict"], "ok");
    }
    let text = program.run(&["doctor", "direct", "--probe", "rooted", "--probe", "plain"]).out;
    for part in ["host lacks tool:no-such-tool", "needs ≥ 99", "direct"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Nothing is recorded, and no state directory made.
    assert!(!program.state().exists());
}

#[test]
fn a_host_that_does_not_answer_is_not_one_that_lacks_nothing() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("up", &sshd);
    let (identity, known) = (sshd.identity(), sshd.known_hosts());
    program.host_block("down", Some("127.0.0.1"), (1, "root"), (&identity, &known));
    let report = program.run(&["doctor", "--probe", "hello", "--json"]);
    let report = report.expect(3, &[]).json();
    let (down, hello) = probe(&report, "down", "hello");
    assert_eq!((&down["outcome"], &hello["verdict"]), (&json!("unreachable"), &json!("unknown")));
    assert_eq!(probe(&report, "up", "hello").1["verdict"], "ok");
    program.run(&["doctor", "down"]).expect(4, &[]);
    program.run(&["doctor", "up"]).expect(0, &[]);
    program.run(&["doctor", "up", "--probe", "helo"]).expect(2, &["did you mean hello?"]);
}
