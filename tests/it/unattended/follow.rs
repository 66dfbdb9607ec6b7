//! What follows a sweep, when it is the daemon that ran it: a dear probe where it hurts, and one message.

use std::fs;

use crate::support::patience::wait_until;
use crate::support::program::Program;
use crate::support::receiver::{Answer, Place};
use crate::support::sshd::{Setup, Sshd};

use dropsonde::model::Fate;

use super::process::{Daemon, book, ran};

#[test]
fn the_daemon_escalates_alerts_and_says_that_it_is_over() {
    let sshd = Sshd::start(Setup::default());
    let place = Place::reserve();
    let server = place.open(Answer::Say("204 No Content"));
    let mut program = Program::new();
    program.hosts("web[01-02]", &sshd);
    let load = program.dir().join("load");
    fs::write(&load, "9").unwrap();
    program.probe("load", &format!("echo hello_value $(cat {})", load.display()), "format = \"openmetrics\"");
    let visits = program.dir().join("visits");
    program.probe(
        "heavy",
        &format!("echo visit >> {}; echo done", visits.display()),
        "format = \"text\"\ncost = \"heavy\"",
    );
    program.configure(&format!(
        "[[schedule]]\nname = \"often\"\ncron = \"*/2 * * * * *\"\nprobes = [\"load\"]\n\
         [[escalate]]\nwhen = \"hello_value > 5\"\nrun = [\"heavy\"]\ncooldown = \"1h\"\nper_hour = 1\n\
         [[alert]]\nname = \"too hot\"\nwhen = \"hello_value > 5\"\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\nonly = [\"too hot\"]\n\
         [retention]\nlow_space = \"0B\"",
        place.url("/hook")
    ));
    let daemon = Daemon::start(&program, &[]);
    daemon.wait_for_log("that hello_value > 5 led to: 1/1 ok in ");
    wait_until("the message arrived", || !place.taken().is_empty());
    fs::write(&load, "1").unwrap();
    wait_until("it is over", || place.taken().len() >= 2);
    daemon.stop();
    let states: Vec<String> =
        place.taken().iter().map(|it| it.json()["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["firing", "resolved"]);
    // Within its budget: once, however many sweeps saw it.
    assert_eq!(fs::read_to_string(&visits).unwrap(), "visit\n");
    let escalated = program.run(&["sweeps", "--json"]).json()["sweeps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sweep| sweep["trigger"] == "escalated")
        .count();
    assert_eq!(escalated, 1);
    assert!(book(&program).len() >= 2);
    program.assert_clean();
    drop(server);
}

/// A schedule `often` of a probe that lasts until the file `go` is there, and a receiver of everything.
fn gated(place: &Place, rest: &str) -> (Sshd, Program) {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    program.hosts("web01", &sshd);
    let dir = program.dir().display();
    let script = format!(": >{dir}/begun; until [ -e {dir}/go ]; do sleep 0.1; done; echo hello_value 9");
    program.probe("gated", &script, "format = \"openmetrics\"\ntimeout = \"120s\"");
    program.configure(&format!(
        "[[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\n\
         [retention]\nlow_space = \"0B\"\n[limits]\nvisit_timeout = \"200s\"\n{rest}",
        place.url("/hook")
    ));
    (sshd, program)
}

const OFTEN: &str = "[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nprobes = [\"gated\"]\n";

#[test]
fn a_sweep_that_ends_within_the_grace_is_followed_like_any_other() {
    let place = Place::reserve();
    let _server = place.open(Answer::Say("204 No Content"));
    let rule = "[[alert]]\nname = \"too hot\"\nwhen = \"hello_value > 5\"\n";
    let (_sshd, program) = gated(&place, &format!("{OFTEN}{rule}"));
    let mut daemon = Daemon::start(&program, &["--set", "limits.signal_grace=120s"]);
    wait_until("the probe runs", || program.dir().join("begun").exists());
    daemon.signal("TERM");
    daemon.wait_for_notice("STOPPING=1");
    fs::write(program.dir().join("go"), "").unwrap();
    assert_eq!(daemon.ended(), Some(0), "{}", daemon.log());
    let log = daemon.log();
    assert!(log.contains(" of often: 1/1 ok in ") && !log.contains("interrupted"), "{log}");
    let open = program.run(&["alerts", "--json"]).json();
    assert_eq!(open["incidents"].as_array().unwrap().len(), 1 + skipped(&program), "{open}");
    assert!(open["incidents"].as_array().unwrap().iter().any(|it| it["rule"] == "too hot"), "{open}");
}

/// Whether a tick was skipped meanwhile, which is an incident of its own.
fn skipped(program: &Program) -> usize {
    usize::from(book(program).iter().any(|tick| matches!(tick.fate, Fate::Skipped { .. })))
}

#[test]
fn a_schedule_that_comes_back_while_its_sweep_runs_does_not_run_beside_it() {
    let place = Place::reserve();
    let (_sshd, program) = gated(&place, OFTEN);
    let file = program.dir().join("config.toml");
    let with = fs::read_to_string(&file).unwrap();
    let daemon = Daemon::start(&program, &[]);
    wait_until("the probe runs", || program.dir().join("begun").exists());
    let reload = |text: &str, said: &str| {
        fs::write(&file, text).unwrap();
        daemon.signal("HUP");
        daemon.wait_for_log(said);
    };
    reload(&with.replace(OFTEN, ""), "configuration reloaded: 0 schedules");
    let before = book(&program).len();
    reload(&with, "configuration reloaded: 1 schedule over");
    wait_until("it was due again", || book(&program).len() >= before + 2);
    assert_eq!((ran(&book(&program)).len(), program.sweeps().len()), (1, 1), "{}", daemon.log());
    fs::write(program.dir().join("go"), "").unwrap();
    wait_until("it goes on", || ran(&book(&program)).len() >= 2);
    daemon.stop();
}

#[test]
fn what_was_open_about_a_schedule_ends_with_it() {
    let place = Place::reserve();
    let _server = place.open(Answer::Say("204 No Content"));
    let schedule = "[[schedule]]\nname = \"old\"\ncron = \"* * * * * *\"\nprobes = [\"broken\", \"hello\"]\nmin_success = 1.0\n";
    let (_sshd, program) = gated(&place, schedule);
    program.probe("broken", "exit 7", "format = \"text\"");
    let daemon = Daemon::start(&program, &[]);
    let of = |state: &str| {
        let taken = place.taken().into_iter().map(|it| it.json());
        taken.filter(|it| it["rule"] == "collector_low_success" && it["state"] == state).collect::<Vec<_>>()
    };
    wait_until("it was told", || !of("firing").is_empty());
    let file = program.dir().join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"old\"", "\"new\"").replace("* * * * * *", "@yearly")).unwrap();
    daemon.signal("HUP");
    wait_until("it is over", || !of("resolved").is_empty());
    daemon.stop();
    assert_eq!(of("resolved")[0]["detail"], "the schedule was taken out");
    assert_eq!((of("firing").len(), of("resolved").len()), (1, 1));
}
