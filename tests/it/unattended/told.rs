//! What the daemon is told and what it tells: a new configuration, the watchdog, the log.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::process::{Daemon, book, ran};
use crate::support::patience::wait_until;
use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

fn program() -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web[01-02]", &sshd);
    program.configure("[[schedule]]\nname = \"rare\"\ncron = \"@yearly\"\nprobes = [\"hello\"]");
    (sshd, program)
}

#[test]
fn a_new_configuration_is_taken_and_a_broken_one_is_not() {
    let (_sshd, mut program) = program();
    let daemon = Daemon::start(&program, &[]);
    let whole = fs::read_to_string(program.dir().join("config.toml")).unwrap();
    fs::write(program.dir().join("config.toml"), format!("{whole}\n[limits]\nconcurrencey = 3\n")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("the new configuration has 1 fault and is not used; the old one stays");
    let log = daemon.log();
    assert!(log.contains("concurrencey") && log.contains("config.toml:"), "{log}");
    daemon.wait_for_notice("READY=1\nSTATUS=the new configuration has 1 fault");
    let reloading = |notice: &String| notice.starts_with("RELOADING=1\nMONOTONIC_USEC=");
    assert_eq!(daemon.notices().iter().filter(|notice| reloading(notice)).count(), 1);

    program.configure(
        "[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nprobes = [\"hello\"]\nhosts = \"web01\"",
    );
    daemon.signal("HUP");
    daemon.wait_for_log("configuration reloaded: 2 schedules over 2 hosts");
    wait_until("the new schedule runs", || ran(&book(&program)).len() >= 2);
    // Without it again: nothing more of it begins.
    fs::write(program.dir().join("config.toml"), &whole).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration reloaded: 1 schedule over 2 hosts");
    let ticks = book(&program).len();
    daemon.signal("HUP");
    wait_until("it was loaded once more", || {
        daemon.log().matches("configuration reloaded: 1 schedule over").count() == 2
    });
    assert!(daemon.notices().iter().filter(|notice| reloading(notice)).count() == 4);
    daemon.stop();
    assert!(book(&program).len() <= ticks + 1);
    assert!(program.sweeps().iter().all(|sweep| program.ledger(sweep).len() == 1));
}

#[test]
fn the_watchdog_is_fed_while_the_loop_turns() {
    let (_sshd, program) = program();
    let mut command = program.command(&["daemon"]);
    command.env("WATCHDOG_USEC", "900000");
    let daemon = Daemon::spawn(command, &program);
    let fed = || daemon.notices().iter().filter(|notice| *notice == "WATCHDOG=1").count();
    wait_until("it is fed five times", || fed() >= 5);
    // Stopped, it feeds nothing; a message may be on its way.
    daemon.signal("STOP");
    let state = || fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    wait_until("it stands still", || state().rsplit_once(") ").unwrap().1.starts_with('T'));
    let before = fed();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(fed() <= before + 1);
    daemon.signal("CONT");
    wait_until("it is fed again", || fed() >= before + 3);
    daemon.stop();
    // Another process's watchdog is none of its business.
    let mut command = program.command(&["daemon"]);
    command.env("WATCHDOG_USEC", "900000").env("WATCHDOG_PID", "1");
    let daemon = Daemon::spawn(command, &program);
    daemon.wait_for_notice("READY=1");
    assert!(!daemon.has_notice("WATCHDOG=1"));
    daemon.stop();
}

#[test]
fn the_log_has_a_line_for_each_sweep_and_each_failed_host() {
    let (sshd, mut program) = program();
    let (identity, known) = (sshd.identity(), sshd.known_hosts());
    program.host_block("down", Some("127.0.0.1"), (1, "root"), (&identity, &known));
    program.probe("rude", "printf 'a\\033[31mb\\nfake line' >&2; exit 3", "format = \"text\"");
    program.configure(
        "[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nprobes = [\"hello\", \"rude\"]\nmin_success = 0.5",
    );
    let daemon = Daemon::start(&program, &["--log", "json"]);
    wait_until("two sweeps ran", || ran(&book(&program)).len() >= 2);
    let log = daemon.stop();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let first = program.sweeps()[0].to_string();
    let of_first: Vec<&Value> = lines.iter().filter(|line| line["sweep"] == *first).collect();
    let hosts: Vec<&str> = of_first.iter().filter_map(|line| line["host"].as_str()).collect();
    assert_eq!(hosts.len(), 3, "{log}");
    let down = of_first.iter().find(|line| line["host"] == "down").unwrap();
    assert_eq!((&down["level"], &down["probe"]), (&"WARN".into(), &"hello,rude".into()));
    assert!(down["message"].as_str().unwrap().contains("unreachable"), "{down}");
    let web01 = of_first.iter().find(|line| line["host"] == "web01").unwrap()["message"].as_str().unwrap();
    assert!(
        web01.contains("rude failed: ") && !web01.contains('\u{1b}') && !web01.contains('\n'),
        "{web01:?}"
    );
    let sweep = of_first.iter().find(|line| line["schedule"] == "often").unwrap();
    assert_eq!((&sweep["level"], &sweep["planned"], &sweep["ok"]), (&"ERROR".into(), &6.into(), &2.into()));
    assert!(
        sweep["message"]
            .as_str()
            .unwrap()
            .contains("2 of 6 readings succeeded, and the schedule often needs 3")
    );
}

#[test]
fn a_host_that_is_trusted_meanwhile_is_read_by_the_next_sweep() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    let known = program.dir().join("known_hosts");
    fs::write(&known, "").unwrap();
    program.host_block("web01", Some("127.0.0.1"), (sshd.port(), "root"), (&sshd.identity(), &known));
    program.configure("[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nprobes = [\"hello\"]");
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log("hello host_key_unknown");
    fs::copy(sshd.known_hosts(), &known).unwrap();
    daemon.wait_for_log(" of often: 1/1 ok");
    daemon.stop();
}

#[test]
fn prometheus_asks_the_daemon_about_itself() {
    let (_sshd, mut program) = program();
    let (one, two) = (program.dir().join("one"), program.dir().join("two"));
    let ask = |socket: &std::path::Path| -> Option<String> {
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let without = fs::read_to_string(program.dir().join("config.toml")).unwrap();
    program.configure(&format!("[metrics]\nlisten = \"unix:{}\"", one.display()));
    let daemon = Daemon::start(&program, &[]);
    wait_until("it answers", || ask(&one).is_some());
    assert!(ask(&one).unwrap().contains("\ndropsonde_hosts 2.0\n"), "{:?}", ask(&one));
    // Elsewhere, and about the configuration that is in force.
    let more = "[[schedule]]\nname = \"again\"\ncron = \"@daily\"\nprobes = [\"hello\"]\nhosts = \"web01\"\n";
    let moved = format!("{without}\n{more}[metrics]\nlisten = \"unix:{}\"\n", two.display());
    fs::write(program.dir().join("config.toml"), moved).unwrap();
    daemon.signal("HUP");
    wait_until("it answers elsewhere", || ask(&two).is_some());
    wait_until("and no longer here", || !one.exists());
    daemon.stop();
    assert!(!two.exists());
}
